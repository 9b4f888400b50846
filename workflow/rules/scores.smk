# From pixels to scores, in one job: `layers` are run through the network over a stimulus set, and scored on the same node.


rule memorability:
    input:
        **NETWORK_INPUT,
        pixels=of_job(lambda wildcards: pixels_for("datasets", wildcards.model, wildcards.set)),
        stimuli=rules.select_stimuli.output.stimuli,
    output:
        "results/memorability/{set}/{model}/{layers}.csv",
        best="results/memorability/{set}/{model}/{layers}.npz",
    log:
        "logs/memorability/{set}/{model}/{layers}.log",
    retries: RETRIES
    conda:
        "../../envs/memscore.yaml"
    threads: config["resources"]["threads"]
    resources:
        **NETWORK_RESOURCES,
    params:
        **NETWORK_PARAMS,
        version=versions.of("layers", "memorability"),
        n_components=STUDY.n_components,
        choose=STUDY.chooses_components,
        # What was trained on one split is tested on no other, whose test images it may have seen.
        split=of_job(lambda wildcards: STUDY.networks[wildcards.model].split),
    message:
        "Memorability from {wildcards.model} {wildcards.layers} on {wildcards.set}"
    script:
        "../scripts/scores/memorability.py"


rule brain:
    input:
        **NETWORK_INPUT,
        pixels=of_job(lambda wildcards: pixels_for("benchmarks", wildcards.model, wildcards.set)),
        benchmarks=of_job(
            lambda wildcards: [f"resources/benchmarks/{name}.nc" for name in STUDY.benchmarks(wildcards.set)]
        ),
    output:
        "results/brain/{set}/{model}/{layers}.csv",
    log:
        "logs/brain/{set}/{model}/{layers}.log",
    retries: RETRIES
    conda:
        "../../envs/memscore.yaml"
    threads: config["resources"]["threads"]
    resources:
        **NETWORK_RESOURCES,
    params:
        **NETWORK_PARAMS,
        version=versions.of("layers", "brain"),
        benchmarks=of_job(lambda wildcards: STUDY.benchmarks(wildcards.set)),
        normalise=lookup("brain/normalise", within=config, default=None),
    message:
        "Brain similarity of {wildcards.model} {wildcards.layers} on {wildcards.set}"
    script:
        "../scripts/scores/brain.py"


# Does what predicts memorability on one data set predict it on another? Each layer is fitted on all of one and tested
# on all of the other; the rho within each data set is that of the memorability rule.
rule generalise:
    input:
        **NETWORK_INPUT,
        pixels=of_job(lambda wildcards: pixels_for("datasets", wildcards.model, wildcards.fitted, wildcards.tested)),
        fitted="resources/stimuli/datasets/{fitted}/stimuli.csv",
        tested="resources/stimuli/datasets/{tested}/stimuli.csv",
        shared=rules.shared_stimuli.output[0],
    output:
        "results/generalisation/{fitted}/{tested}/{model}/{layers}.csv",
    log:
        "logs/generalise/{fitted}/{tested}/{model}/{layers}.log",
    retries: RETRIES
    conda:
        "../../envs/memscore.yaml"
    threads: config["resources"]["threads"]
    resources:
        **NETWORK_RESOURCES,
    params:
        **NETWORK_PARAMS,
        version=versions.of("layers", "memorability"),
        n_components=STUDY.n_components,
        choose=STUDY.chooses_components,
    message:
        "{wildcards.model} {wildcards.layers}: fitted on {wildcards.fitted}, tested on {wildcards.tested}"
    script:
        "../scripts/scores/generalise.py"


# Accuracy on ImageNet's validation images, where they are at hand.
rule recognition:
    input:
        weights=rules.stage_weights.output[0],
        plugins=lambda wildcards: STUDY.models[wildcards.model].plugins,
    output:
        "results/recognition/{model}.csv",
    log:
        "logs/recognition/{model}.log",
    retries: RETRIES
    conda:
        "../../envs/memscore.yaml"
    threads: config["resources"]["threads"]
    resources:
        **on_node("gpu", mem_mb=8000, minutes=240),
    params:
        version=versions.of("recognition"),
        timm_name=lambda wildcards: STUDY.models[wildcards.model].timm_name,
        folder=config["object_recognition"],
    message:
        "Object recognition of {wildcards.model}"
    script:
        "../scripts/scores/recognition.py"


# A layer scored twice on the same activations: by memscore, and by brainscore-vision's own NeuralBenchmark.
rule audit_layer:
    input:
        **NETWORK_INPUT,
        pixels=lambda wildcards: pixels_for("benchmarks", wildcards.model, study.stimulus_set_of(wildcards.benchmark)),
        stimuli=lambda wildcards: expand(rules.stage_stimuli.output, set=study.stimulus_set_of(wildcards.benchmark)),
        benchmark=rules.stage_benchmark.output[0],
    output:
        "results/audit/{benchmark}/{model}/{layers}.csv",
    log:
        "logs/audit/{benchmark}/{model}/{layers}.log",
    retries: RETRIES
    conda:
        "../../envs/memscore.yaml"
    threads: config["resources"]["threads"]
    resources:
        **NETWORK_RESOURCES,
    params:
        **NETWORK_PARAMS,
        version=versions.of("layers", "audit"),
        source=lambda wildcards: STUDY.brain_source(study.stimulus_set_of(wildcards.benchmark)),
        normalise=lookup("brain/normalise", within=config, default=None),
    message:
        "{wildcards.model} {wildcards.layers} on {wildcards.benchmark}, by memscore and by Brain-Score"
    script:
        "../scripts/scores/audit.py"


rule audit:
    input:
        ["results/audit/{benchmark}/{model}/{layer}.csv".format(**each) for each in STUDY.audits()],
    output:
        "results/audit.csv",
    log:
        "logs/audit.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("tables"),
    message:
        "memscore beside Brain-Score: {output}"
    script:
        "../scripts/analysis/collect.py"
