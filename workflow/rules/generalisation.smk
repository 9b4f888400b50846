# Does what predicts memorability on one data set predict it on another? Each layer is fitted on all of one and tested
# on all of the other; the rho within each data set is that of the memorability rule.


localrules:
    collect_within,
    collect_across,
    generalisation_table,
    generalisation_correlations,
    generalisation_figure,
    generalisation_by_region,
    generalisation,


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
        "../scripts/generalise.py"


rule collect_within:
    input:
        lambda wildcards: [
            f"results/memorability/{wildcards.set}/{model}/{layers}.csv" for model, layers in STUDY.jobs()
        ],
    output:
        "results/memorability/{set}.csv",
    log:
        "logs/collect_within/{set}.log",
    conda:
        "../../envs/memscore.yaml"
    message:
        "Memorability of all layers within {wildcards.set}"
    script:
        "../scripts/collect.py"


rule collect_across:
    input:
        lambda wildcards: [
            f"results/generalisation/{wildcards.fitted}/{wildcards.tested}/{model}/{layers}.csv"
            for model, layers in STUDY.jobs()
        ],
    output:
        "results/generalisation/{fitted}/{tested}.csv",
    log:
        "logs/collect_across/{fitted}/{tested}.log",
    conda:
        "../../envs/memscore.yaml"
    message:
        "All layers fitted on {wildcards.fitted}, tested on {wildcards.tested}"
    script:
        "../scripts/collect.py"


rule generalisation_table:
    input:
        within=expand(rules.collect_within.output, set=STUDY.generalisation),
        across=[f"results/generalisation/{fitted}/{tested}.csv" for fitted, tested in STUDY.across()],
        brain=rules.collect_brain.output if STUDY.benchmarks() else [],
    output:
        report("results/generalisation.csv", caption="../report/generalisation.rst", category="Tables"),
    log:
        "logs/generalisation_table.log",
    conda:
        "../../envs/memscore.yaml"
    params:
        models=lambda wildcards: STUDY.table(),
        datasets=STUDY.generalisation,
        pairs=STUDY.across(),
    message:
        "Every layer's rho within and across {params.datasets}"
    script:
        "../scripts/generalisation_table.py"


rule generalisation_correlations:
    input:
        rules.generalisation_table.output[0],
    output:
        report(
            "results/generalisation_correlations.csv",
            caption="../report/generalisation_correlations.rst",
            category="Tables",
        ),
    log:
        "logs/generalisation_correlations.log",
    conda:
        "../../envs/memscore.yaml"
    params:
        benchmarks=STUDY.benchmarks(),
        seed=config["seed"],
    message:
        "Each rho within and across data sets against brain similarity over layers"
    script:
        "../scripts/generalisation_correlations.py"


rule generalisation_figure:
    input:
        table=rules.generalisation_table.output[0],
        consistency=expand(rules.consistency.output, set=STUDY.generalisation),
    output:
        report(
            "results/figures/across_against_within.svg",
            caption="../report/across_against_within.rst",
            category="Figures",
        ),
    log:
        "logs/generalisation_figure.log",
    conda:
        "../../envs/memscore.yaml"
    params:
        pairs=STUDY.across(),
        simulated=STUDY.made_up(STUDY.generalisation),
    message:
        "Figure of rho across against within data sets"
    script:
        "../scripts/generalisation_figure.py"


rule generalisation_by_region:
    input:
        rules.generalisation_correlations.output[0],
    output:
        report(
            "results/figures/generalisation_by_region.svg",
            caption="../report/generalisation_by_region.rst",
            category="Figures",
        ),
    log:
        "logs/generalisation_by_region.log",
    conda:
        "../../envs/memscore.yaml"
    params:
        benchmarks=STUDY.benchmarks(),
        simulated=STUDY.made_up(STUDY.generalisation),
    message:
        "Figure of the correlations with each area, within and across data sets"
    script:
        "../scripts/generalisation_by_region.py"


rule generalisation:
    input:
        [rules.generalisation_table.output, rules.generalisation_figure.output] if STUDY.generalisation else [],
        (
            [rules.generalisation_correlations.output, rules.generalisation_by_region.output]
            if STUDY.generalisation and STUDY.benchmarks()
            else []
        ),
    message:
        (
            "From one data set to another: {input}"
            if STUDY.generalisation
            else "config: generalisation is null; name two or more of the datasets"
        )
