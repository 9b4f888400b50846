# A few layers scored twice: by memscore, and by brainscore-vision's own NeuralBenchmark on the same activations.


localrules:
    audit,


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
        "../scripts/audit.py"


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
        "../scripts/collect.py"
