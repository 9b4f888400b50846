# From data sets and benchmarks to files on disk. Rules named stage_* may use the network: they run on the login node,
# and nothing after them needs it. Each says so itself: a list of `localrules` is lost where a module renames rules.


rule stage_dataset:
    input:
        table=lambda wildcards: config["datasets"][wildcards.set].get("table", []),
        archive=lambda wildcards: config["datasets"][wildcards.set].get("archive", []),
    output:
        "resources/stimuli/datasets/{set}/staged.csv",
    log:
        "logs/stage_dataset/{set}.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("stimuli"),
        dataset=lambda wildcards: STUDY.dataset_source(wildcards.set),
        # LaMem comes with its splits.
        seed=lambda wildcards: (
            None if STUDY.dataset_source(wildcards.set)["source"] == "lamem" else STUDY.seed("data")
        ),
    message:
        "Stimulus set {wildcards.set}: images with memorability"
    script:
        "../scripts/stimuli/stage_dataset.py"


rule check_images:
    input:
        table=staged_table,
    output:
        # Kept for the next time: an image that has not changed is not decoded again.
        update("resources/stimuli/{kind}/{set}/images.csv"),
    log:
        "logs/check_images/{kind}/{set}.log",
    conda:
        "../../envs/memscore.yaml"
    threads: config["resources"]["image_threads"]
    resources:
        **on_node("cpu", mem_mb=4000, minutes=120),
    params:
        version=versions.of("stimuli"),
        # A photograph replaced under its name is looked at again. Of wildcards alone: what depends on the job's input is
        # not compared with the last time.
        images=lambda wildcards: state.of_images(staged_table(wildcards)),
    message:
        "Every image of {wildcards.set} decoded once"
    script:
        "../scripts/stimuli/check_images.py"


rule select_stimuli:
    input:
        table=rules.stage_dataset.output[0],
        images="resources/stimuli/datasets/{set}/images.csv",
    output:
        stimuli="resources/stimuli/datasets/{set}/stimuli.csv",
        duplicates="resources/stimuli/datasets/{set}/duplicates.csv",
    log:
        "logs/select_stimuli/{set}.log",
        # Read when the rule refuses, and an output would be gone then.
        bad_images="resources/stimuli/datasets/{set}/bad_images.csv",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("stimuli"),
        flaws=lambda wildcards: STUDY.flaws(wildcards.set),
    message:
        "Stimulus set {wildcards.set}: without bad images and, where asked, duplicates"
    script:
        "../scripts/stimuli/select_stimuli.py"


# What two data sets have in common is no test of generalisation from one to the other.
rule shared_stimuli:
    input:
        fitted="resources/stimuli/datasets/{fitted}/images.csv",
        tested="resources/stimuli/datasets/{tested}/images.csv",
    output:
        "resources/stimuli/datasets/{fitted}/shared/{tested}.csv",
    log:
        "logs/shared_stimuli/{fitted}/{tested}.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("stimuli"),
        n_components=STUDY.n_components,
        choose=STUDY.chooses_components,
    message:
        "Images of {wildcards.fitted} that are in {wildcards.tested} too"
    script:
        "../scripts/stimuli/shared_stimuli.py"


rule stage_stimuli:
    output:
        "resources/stimuli/benchmarks/{set}/stimuli.csv",
    log:
        "logs/stage_stimuli/{set}.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("stimuli"),
        source=lambda wildcards: STUDY.brain_source(wildcards.set),
    message:
        "Stimulus set {wildcards.set}: what the recorded populations saw"
    script:
        "../scripts/stimuli/stage_stimuli.py"


rule stage_references:
    input:
        dataset=expand(rules.select_stimuli.output.stimuli, set=STUDY.reference_sets()),
    output:
        "resources/stimuli/references/pca/stimuli.csv",
    log:
        "logs/stage_references.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("stimuli"),
        n=config["reduction"]["pca"],
        images=config["reduction"]["pca_images"],
    message:
        "Reference images for principal components, from {params.images}"
    script:
        "../scripts/stimuli/stage_references.py"


rule stage_benchmark:
    input:
        stimuli=lambda wildcards: expand(rules.stage_stimuli.output, set=study.stimulus_set_of(wildcards.benchmark)),
    output:
        "resources/benchmarks/{benchmark}.nc",
    log:
        "logs/stage_benchmark/{benchmark}.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("benchmarks"),
        source=lambda wildcards: STUDY.brain_source(study.stimulus_set_of(wildcards.benchmark)),
    message:
        "Benchmark {wildcards.benchmark}: responses, ceiling and splits"
    script:
        "../scripts/stimuli/stage_benchmark.py"


rule pixels:
    input:
        stimuli="resources/stimuli/{kind}/{set}/stimuli.csv",
    output:
        "resources/pixels/{kind}/{set}/{transform}.npy",
    log:
        "logs/pixels/{kind}/{set}/{transform}.log",
    conda:
        "../../envs/memscore.yaml"
    resources:
        **on_node("cpu", mem_mb=2000, minutes=60),
    params:
        version=versions.of("pixels"),
        # As in check_images, for what is not looked through before a run.
        images=lambda wildcards: state.of_images(f"resources/stimuli/{wildcards.kind}/{wildcards.set}/stimuli.csv"),
        upright=lambda wildcards: STUDY.upright(wildcards.kind, wildcards.set),
    message:
        "Pixels of {wildcards.set} at {wildcards.transform}"
    script:
        "../scripts/stimuli/pixels.py"


rule consistency:
    input:
        stimuli=rules.select_stimuli.output.stimuli,
    output:
        report("results/consistency/{set}.csv", caption="../report/consistency.rst", category="Tables"),
    log:
        "logs/consistency/{set}.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("consistency"),
        source=lambda wildcards: config["datasets"][wildcards.set]["source"],
        seed=STUDY.seed("analysis"),
    message:
        "How far the viewers of {wildcards.set} agree"
    script:
        "../scripts/stimuli/consistency.py"
