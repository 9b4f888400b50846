# Networks: their weights, and what their layers make of a stimulus set.


rule stage_weights:
    input:
        weights=lambda wildcards: STUDY.models[wildcards.model].weights_files,
        plugins=lambda wildcards: STUDY.models[wildcards.model].plugins,
    output:
        "resources/weights/{model}.safetensors",
    log:
        "logs/stage_weights/{model}.log",
    wildcard_constraints:
        model=rf"(?![^/]*{re.escape(names.TUNED)})[^/]+",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("weights"),
        timm_name=lambda wildcards: STUDY.models[wildcards.model].timm_name,
        weights=lambda wildcards: STUDY.models[wildcards.model].weights,
        # Of trained weights nothing is random.
        seed=lambda wildcards: None if STUDY.models[wildcards.model].trained else STUDY.seed("weights"),
    message:
        "Weights of {wildcards.model}"
    script:
        "../scripts/networks/stage_weights.py"


# A network of the table with one unit in the place of its classifier, trained on the training images of one split. What
# it was doing when it was stopped is in its checkpoint, which is no output: those of a stopped job are removed.
rule finetune:
    input:
        weights=rules.stage_weights.output[0],
        plugins=lambda wildcards: STUDY.models[wildcards.model].plugins,
        pixels=lambda wildcards: pixels_for("datasets", wildcards.model, STUDY.dataset),
        stimuli=expand(rules.select_stimuli.output.stimuli, set=STUDY.dataset or []),
    output:
        weights=f"resources/weights/{{model}}{names.TUNED}{{split}}.safetensors",
        epochs="results/finetune/{model}/split_{split}.epochs.csv",
        scores="results/finetune/{model}/split_{split}.csv",
        predicted="results/finetune/{model}/split_{split}.predicted.csv",
    log:
        "logs/finetune/{model}/split_{split}.log",
    retries: RETRIES
    conda:
        "../../envs/memscore.yaml"
    threads: config["resources"]["threads"]
    resources:
        # A day, or as long as its partition lets it: what a try did not finish, the next one goes on with.
        **on_node("gpu", mem_mb=int(1000 * config["resources"]["memory_gb"]), minutes=1440)
        | {"runtime": lambda wildcards: SITE.minutes("gpu", 60, 24)},
    params:
        version=versions.of("finetune"),
        network=lambda wildcards: STUDY.models[wildcards.model].network,
        recipe=STUDY.recipe,
        seed=STUDY.seed("weights"),
        precision=config["precision"],
        checkpoint=lambda wildcards: f"resources/finetune/{wildcards.model}/split_{wildcards.split}.pt",
    message:
        "Fine-tune {wildcards.model} on split {wildcards.split}"
    script:
        "../scripts/networks/finetune.py"


# What every job takes that runs a network, beside its stimuli. Layers go from the network to what is done with them on the
# job's node.
NETWORK_INPUT = {
    "weights": rules.stage_weights.output[0],
    # Functions are for what may be there: calling them is what planning a large study takes its time for.
    "plugins": of_job(lambda wildcards: STUDY.networks[wildcards.model].plugins) if config["model_plugins"] else [],
    "references": (
        of_job(lambda wildcards: pixels_for("references", wildcards.model, "pca")) if config["reduction"]["pca"] else []
    ),
}
NETWORK_PARAMS = {
    "network": of_job(lambda wildcards: STUDY.networks[wildcards.model].network),
    "layers": of_job(lambda wildcards: STUDY.computed(wildcards.model, wildcards.layers)),
    "sketch": config["reduction"]["sketch"],
    "seed": STUDY.seed("sketch") if config["reduction"]["sketch"] else 0,
    "pca": config["reduction"]["pca"],
    "precision": config["precision"],
}
# Known once there are pixels to count.
NETWORK_RESOURCES = {
    **on_node("gpu", mem_mb=0, minutes=240),
    "mem_mb": of_job(
        lambda wildcards, input, attempt: SITE.memory(
            "gpu", STUDY.room(wildcards.model, wildcards.layers, input.pixels)[0], attempt
        )
    ),
    "disk_mb": of_job(lambda wildcards, input: STUDY.room(wildcards.model, wildcards.layers, input.pixels)[1]),
}


rule write_activations:
    input:
        **NETWORK_INPUT,
        pixels=lambda wildcards: pixels_for(wildcards.kind, wildcards.model, wildcards.set),
        stimuli="resources/stimuli/{kind}/{set}/stimuli.csv",
    output:
        "results/activations/{kind}/{set}/{model}/{layers}.nc",
    log:
        "logs/write_activations/{kind}/{set}/{model}/{layers}.log",
    retries: RETRIES
    conda:
        "../../envs/memscore.yaml"
    threads: config["resources"]["threads"]
    resources:
        **NETWORK_RESOURCES,
    params:
        **NETWORK_PARAMS,
        version=versions.of("layers"),
    message:
        "Activations of {wildcards.model} {wildcards.layers} on {wildcards.set}"
    script:
        "../scripts/networks/write_activations.py"


rule activations:
    input:
        lambda wildcards: [
            f"results/activations/{STUDY.kind(each['set'])}/{each['set']}/{each['model']}/{each['layer']}.nc"
            for each in STUDY.exports()
        ],
    message:
        "Activations to use elsewhere: {input}"
