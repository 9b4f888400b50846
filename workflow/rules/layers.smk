# From pixels to scores: one job per (model, layers), where `layers` is one layer or a run of layers_per_job.


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
        "../scripts/activations.py"


rule memorability:
    input:
        activations="results/activations/datasets/{set}/{model}/{layers}.nc",
        stimuli=rules.select_stimuli.output.stimuli,
    output:
        "results/memorability/{set}/{model}/{layers}.csv",
    log:
        "logs/memorability/{set}/{model}/{layers}.log",
    # Scored before more is extracted, so that few activations lie on disk at any time.
    priority: 1
    conda:
        "../../envs/memscore.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        components=lookup("memorability/components", within=config, default=None),
    message:
        "Memorability from {wildcards.model} {wildcards.layers}"
    script:
        "../scripts/memorability.py"


rule brain:
    input:
        activations="results/activations/benchmarks/{set}/{model}/{layers}.nc",
        benchmarks=lambda wildcards: [f"resources/benchmarks/{name}.nc" for name in STUDY.benchmarks(wildcards.set)],
    output:
        "results/brain/{set}/{model}/{layers}.csv",
    log:
        "logs/brain/{set}/{model}/{layers}.log",
    priority: 1
    conda:
        "../../envs/memscore.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        benchmarks=lambda wildcards: STUDY.benchmarks(wildcards.set),
        normalise=lookup("brain/normalise", within=config, default=None),
    message:
        "Brain similarity of {wildcards.model} {wildcards.layers} on {wildcards.set}"
    script:
        "../scripts/brain.py"
