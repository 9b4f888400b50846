# From scores to the answer. What lists every job of the study is a function: it is listed where it is asked for, and not
# by each of those jobs as it parses this file on its node.


localrules:
    collect_memorability,
    collect_brain,
    layers,
    consistency,
    depth_profile,
    correlations,
    relation_figures,
    summary,


rule collect_memorability:
    input:
        lambda wildcards: [
            f"results/memorability/{STUDY.dataset}/{model}/{layers}.csv" for model, layers in STUDY.jobs()
        ],
    output:
        "results/memorability.csv",
    log:
        "logs/collect_memorability.log",
    conda:
        "../../envs/memscore.yaml"
    message:
        "Memorability of all layers"
    script:
        "../scripts/collect.py"


rule collect_brain:
    input:
        lambda wildcards: [
            f"results/brain/{set}/{model}/{layers}.csv" for model, layers in STUDY.jobs() for set in STUDY.brain_sets()
        ],
    output:
        "results/brain.csv",
    log:
        "logs/collect_brain.log",
    conda:
        "../../envs/memscore.yaml"
    message:
        "Brain similarity of all layers"
    script:
        "../scripts/collect.py"


rule layers:
    input:
        memorability=rules.collect_memorability.output if STUDY.dataset else [],
        brain=rules.collect_brain.output if STUDY.benchmarks() else [],
    output:
        report("results/layers.csv", caption="../report/layers.rst", category="Tables"),
    log:
        "logs/layers.log",
    conda:
        "../../envs/memscore.yaml"
    params:
        models=lambda wildcards: STUDY.table(),
    message:
        "The study's table: one row per model and layer"
    script:
        "../scripts/layers.py"


rule consistency:
    input:
        stimuli=rules.select_stimuli.output.stimuli,
    output:
        report("results/consistency/{set}.csv", caption="../report/consistency.rst", category="Tables"),
    log:
        "logs/consistency/{set}.log",
    conda:
        "../../envs/memscore.yaml"
    params:
        source=lambda wildcards: config["datasets"][wildcards.set]["source"],
        seed=config["seed"],
    message:
        "How far the viewers of {wildcards.set} agree"
    script:
        "../scripts/consistency.py"


rule depth_profile:
    input:
        layers=rules.layers.output[0],
        consistency=expand(rules.consistency.output, set=STUDY.dataset or []),
    output:
        report("results/figures/along_depth.svg", caption="../report/depth.rst", category="Figures"),
    log:
        "logs/depth_profile.log",
    conda:
        "../../envs/memscore.yaml"
    params:
        benchmarks=STUDY.benchmarks(),
        simulated=STUDY.simulated,
    message:
        "Figure of every layer along depth"
    script:
        "../scripts/depth_profile.py"


rule correlations:
    input:
        layers=rules.layers.output[0],
    output:
        correlations=report("results/correlations.csv", caption="../report/correlations.rst", category="Tables"),
        differences=report("results/differences.csv", caption="../report/differences.rst", category="Tables"),
    log:
        "logs/correlations.log",
    conda:
        "../../envs/memscore.yaml"
    params:
        benchmarks=STUDY.benchmarks(),
        seed=config["seed"],
    message:
        "Memorability against brain similarity over layers"
    script:
        "../scripts/correlations.py"


rule relation_figures:
    input:
        layers=rules.layers.output[0],
        correlations=rules.correlations.output.correlations,
        consistency=expand(rules.consistency.output, set=STUDY.dataset or []),
    output:
        relation=report("results/figures/relation.svg", caption="../report/relation.rst", category="Figures"),
        scatter=report(
            "results/figures/memorability_against_brain.svg", caption="../report/scatter.rst", category="Figures"
        ),
    log:
        "logs/relation_figures.log",
    conda:
        "../../envs/memscore.yaml"
    params:
        benchmarks=STUDY.benchmarks(),
        simulated=STUDY.simulated,
    message:
        "Figures of memorability against brain similarity"
    script:
        "../scripts/relation_figures.py"


rule summary:
    input:
        layers=rules.layers.output[0],
        correlations=rules.correlations.output.correlations if STUDY.relates else [],
        differences=rules.correlations.output.differences if STUDY.relates else [],
        consistency=expand(rules.consistency.output, set=STUDY.dataset or []),
        depth_profile=rules.depth_profile.output,
        relation_figures=rules.relation_figures.output if STUDY.relates else [],
    output:
        "results/summary.rst",
    log:
        "logs/summary.log",
    conda:
        "../../envs/memscore.yaml"
    params:
        benchmarks=STUDY.benchmarks(),
        dataset=STUDY.dataset,
        simulated=STUDY.simulated,
    message:
        "The answer in words: results/summary.rst"
    script:
        "../scripts/summary.py"
