# From pixels to scores: one job per (model, layers), where `layers` is one layer or a run of layers_per_job.


localrules:
    audit,


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
        "../scripts/scores/memorability.py"


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
        "../scripts/scores/brain.py"


rule generalise:
    input:
        fitted="results/activations/datasets/{fitted}/{model}/{layers}.nc",
        tested="results/activations/datasets/{tested}/{model}/{layers}.nc",
        fitted_stimuli="resources/stimuli/datasets/{fitted}/stimuli.csv",
        tested_stimuli="resources/stimuli/datasets/{tested}/stimuli.csv",
    output:
        "results/generalisation/{fitted}/{tested}/{model}/{layers}.csv",
    log:
        "logs/generalise/{fitted}/{tested}/{model}/{layers}.log",
    # As memorability: scored before more is extracted.
    priority: 1
    conda:
        "../../envs/memscore.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        components=lookup("memorability/components", within=config, default=None),
    message:
        "{wildcards.model} {wildcards.layers}: fitted on {wildcards.fitted}, tested on {wildcards.tested}"
    script:
        "../scripts/scores/generalise.py"


rule audit_layer:
    input:
        activations=lambda wildcards: expand(
            "results/activations/benchmarks/{set}/{model}/{layers}.nc",
            set=study.stimulus_set_of(wildcards.benchmark),
            model=wildcards.model,
            layers=STUDY.label(wildcards.model, wildcards.layer),
        ),
        stimuli=lambda wildcards: expand(rules.stage_stimuli.output, set=study.stimulus_set_of(wildcards.benchmark)),
        benchmark=rules.stage_benchmark.output[0],
    output:
        "results/audit/{benchmark}/{model}/{layer}.csv",
    log:
        "logs/audit/{benchmark}/{model}/{layer}.log",
    conda:
        "../../envs/memscore.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=lambda wildcards, attempt: 60 * attempt,
    params:
        source=lambda wildcards: STUDY.brain_source(study.stimulus_set_of(wildcards.benchmark)),
        normalise=lookup("brain/normalise", within=config, default=None),
    message:
        "{wildcards.model} {wildcards.layer} on {wildcards.benchmark}, by memscore and by Brain-Score"
    script:
        "../scripts/scores/audit.py"


rule audit:
    input:
        [f"results/audit/{benchmark}/{model}/{layer}.csv" for model, layer, benchmark in STUDY.audits()],
    output:
        "results/audit.csv",
    log:
        "logs/audit.log",
    conda:
        "../../envs/memscore.yaml"
    message:
        "memscore beside Brain-Score: {output}"
    script:
        "../scripts/analysis/collect.py"
