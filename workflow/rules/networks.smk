# Networks: their weights, and what their layers make of a stimulus set.


localrules:
    stage_weights,


rule stage_weights:
    input:
        weights=lambda wildcards: STUDY.models[wildcards.model].weights_files,
        plugins=lambda wildcards: STUDY.models[wildcards.model].plugins,
    output:
        "resources/weights/{model}.safetensors",
    log:
        "logs/stage_weights/{model}.log",
    conda:
        "../../envs/memscore.yaml"
    params:
        timm_name=lambda wildcards: STUDY.models[wildcards.model].timm_name,
        weights=lambda wildcards: STUDY.models[wildcards.model].weights,
        seed=config["seed"],
    message:
        "Weights of {wildcards.model}"
    script:
        "../scripts/networks/stage_weights.py"


rule activations:
    input:
        pixels=lambda wildcards: pixels_for(wildcards.kind, wildcards.set, wildcards.model),
        references=lambda wildcards: (
            pixels_for("references", "pca", wildcards.model) if config["reduction"]["pca"] else []
        ),
        weights=rules.stage_weights.output[0],
        plugins=lambda wildcards: STUDY.models[wildcards.model].plugins,
    output:
        temp("results/activations/{kind}/{set}/{model}/{layers}.nc"),
    log:
        "logs/activations/{kind}/{set}/{model}/{layers}.log",
    conda:
        "../../envs/memscore.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 120 * attempt,
    params:
        network=lambda wildcards: STUDY.models[wildcards.model].input,
        timm_name=lambda wildcards: STUDY.models[wildcards.model].timm_name,
        layers=lambda wildcards: STUDY.batches(wildcards.model)[wildcards.layers],
        sketch=config["reduction"]["sketch"],
        pca=config["reduction"]["pca"],
        precision=config["precision"],
    message:
        "Activations of {wildcards.model} {wildcards.layers} on {wildcards.set}"
    script:
        "../scripts/networks/activations.py"
