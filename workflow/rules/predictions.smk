# Memorability of single images: by predictors of others, and by the study's own, for anyone's photographs.


# Another's predictor on the same images, its package installed on request.
rule peer:
    input:
        stimuli=rules.select_stimuli.output.stimuli,
    output:
        "results/peers/{peer}/{set}.csv",
    log:
        "logs/peer/{peer}/{set}.log",
    conda:
        "../../envs/memscore.yaml"
    threads: config["resources"]["threads"]
    resources:
        **on_node("gpu", mem_mb=8000, minutes=240),
    params:
        version=versions.of("peers"),
        upright=lambda wildcards: STUDY.upright("datasets", wildcards.set),
    message:
        "What {wildcards.peer} predicts for {wildcards.set}"
    script:
        "../scripts/predictions/peer.py"


# The best that the study has, network and read-out in one file that can be handed on. Which it is, its scores decide.
rule predictor:
    input:
        memorability=rules.collect_memorability.output,
        finetuned=rules.finetuned_table.output.table if STUDY.tuned else [],
        stimuli=expand(rules.select_stimuli.output.stimuli, set=STUDY.dataset or []),
        pixels=lambda wildcards: sorted({pixels_for("datasets", model, STUDY.dataset)[0] for model in STUDY.models}),
        weights=expand(rules.stage_weights.output, model=STUDY.models),
        tuned=expand("resources/weights/{model}.safetensors", model=STUDY.tuned),
        plugins=config["model_plugins"],
    output:
        "results/predictor.safetensors",
    log:
        "logs/predictor.log",
    retries: RETRIES
    conda:
        "../../envs/memscore.yaml"
    threads: config["resources"]["threads"]
    resources:
        **on_node("gpu", mem_mb=int(1000 * config["resources"]["memory_gb"]), minutes=240),
    params:
        version=versions.of("predictor"),
        networks=lambda wildcards: STUDY.predicting(),
        dataset=STUDY.dataset,
        source=STUDY.source,
        sketch=config["reduction"]["sketch"],
        pca=config["reduction"]["pca"],
        seed=STUDY.seed("sketch"),
        choose=STUDY.chooses_components,
    message:
        "The study's best predictor of memorability: {output}"
    script:
        "../scripts/predictions/predictor.py"


rule predict_images:
    input:
        predictor=config["predictor"] or rules.predictor.output[0],
        plugins=config["model_plugins"],
    output:
        table="results/predictions/predictions.csv",
        page="results/predictions/predictions.html",
    log:
        "logs/predict_images.log",
    conda:
        "../../envs/memscore.yaml"
    threads: config["resources"]["threads"]
    resources:
        **on_node("gpu", mem_mb=8000, minutes=240),
    params:
        version=versions.of("predictor"),
        images=config["images"],
        # A photograph that is added, or replaced under its name, is looked at.
        state=lambda wildcards: state.of_folder(config["images"]),
    message:
        "How memorable the images in {params.images} are: {output}"
    script:
        "../scripts/predictions/predict_images.py"


rule predict:
    input:
        rules.predict_images.output if config["images"] and (config["predictor"] or STUDY.dataset) else [],
    message:
        (
            "Nothing to predict: name a folder, --config images=<folder>"
            if not config["images"]
            else (
                "Predictions: {input}"
                if config["predictor"] or STUDY.dataset
                else "Nothing to predict by: the study has no memorability; name a predictor, --config predictor=<file>"
            )
        )
