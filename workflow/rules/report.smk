# What a reader sees: figures, the front page, and a page for each stimulus set to look at before a run.


# What training on memorability adds, to a study that has networks to train.
FINETUNED = (
    [
        rules.finetuned_table.output.table,
        rules.finetuned_table.output.networks,
        rules.beside_published.output[0],
        rules.finetuned_table.output.against,
    ]
    if STUDY.tuned
    else []
)
FINETUNED_FIGURES = (
    ["results/figures/training_curves.svg", "results/figures/beside_published.svg"] if STUDY.tuned else []
) + (["results/figures/before_and_after.svg"] if STUDY.tuned and STUDY.benchmarks() else [])


rule depth_profile:
    input:
        layers=rules.layers.output[0],
        consistency=expand(rules.consistency.output, set=STUDY.dataset or []),
    output:
        report("results/figures/along_depth.svg", caption="../report/depth.rst", category="Figures"),
    log:
        "logs/depth_profile.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("report"),
        benchmarks=STUDY.benchmarks(),
        simulated=STUDY.simulated,
    message:
        "Figure of every layer along depth"
    script:
        "../scripts/report/depth_profile.py"


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
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("report"),
        benchmarks=STUDY.benchmarks(),
        simulated=STUDY.simulated,
    message:
        "Figures of memorability against brain similarity"
    script:
        "../scripts/report/relation_figures.py"


rule summary:
    input:
        layers=rules.layers.output[0],
        correlations=rules.correlations.output.correlations if STUDY.relates else [],
        differences=rules.correlations.output.differences if STUDY.relates else [],
        controls=rules.best_layers.output.controls if STUDY.dataset else [],
        consistency=expand(rules.consistency.output, set=STUDY.dataset or []),
        depth_profile=rules.depth_profile.output,
        relation_figures=rules.relation_figures.output if STUDY.relates else [],
        finetuned=FINETUNED,
        finetuned_figures=FINETUNED_FIGURES,
        provenance=rules.provenance.output[0],
    output:
        "results/summary.rst",
    log:
        "logs/summary.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("report"),
        benchmarks=STUDY.benchmarks(),
        dataset=STUDY.dataset,
        source=STUDY.source,
        simulated=STUDY.simulated,
    message:
        "The answer in words: results/summary.rst"
    script:
        "../scripts/report/summary.py"


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
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("report"),
        pairs=STUDY.across(),
        simulated=STUDY.made_up(STUDY.generalisation),
    message:
        "Figure of rho across against within data sets"
    script:
        "../scripts/report/generalisation_figure.py"


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
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("report"),
        benchmarks=STUDY.benchmarks(),
        simulated=STUDY.made_up(STUDY.generalisation),
    message:
        "Figure of the correlations with each area, within and across data sets"
    script:
        "../scripts/report/generalisation_by_region.py"


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


rule finetuned_figure:
    input:
        table=rules.finetuned_table.output.table,
        consistency=expand(rules.consistency.output, set=STUDY.dataset or []),
    output:
        report("results/figures/before_and_after.svg", caption="../report/before_and_after.rst", category="Figures"),
    log:
        "logs/finetuned_figure.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("report"),
        benchmarks=STUDY.benchmarks(),
        simulated=STUDY.simulated,
    message:
        "Figure of networks before and after they were trained on memorability"
    script:
        "../scripts/report/finetuned_figure.py"


rule training_curves:
    input:
        epochs=[f"results/finetune/{model}/split_{split}.epochs.csv" for _, model, split in STUDY.tunings()],
        table=rules.finetuned_table.output.table,
    output:
        report("results/figures/training_curves.svg", caption="../report/training_curves.rst", category="Figures"),
    log:
        "logs/training_curves.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("report"),
        tuned=STUDY.tunings(),
        simulated=STUDY.simulated,
    message:
        "Figure of every training"
    script:
        "../scripts/report/training_curves.py"


rule published_figure:
    input:
        table=rules.beside_published.output[0],
        consistency=expand(rules.consistency.output, set=STUDY.dataset or []),
    output:
        report("results/figures/beside_published.svg", caption="../report/beside_published.rst", category="Figures"),
    log:
        "logs/published_figure.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("report"),
        simulated=STUDY.simulated,
    message:
        "Figure of the study's networks beside other predictors"
    script:
        "../scripts/report/published_figure.py"


rule finetuned:
    input:
        FINETUNED,
        FINETUNED_FIGURES,
    message:
        (
            "Networks trained on memorability: {input}"
            if STUDY.tuned
            else "Nothing to fine-tune: it takes memorability, finetune: splits in the config, and a trained network"
        )


rule stimulus_page:
    input:
        table=staged_table,
        images="resources/stimuli/{kind}/{set}/images.csv",
        others=lambda wildcards: expand(
            "resources/stimuli/{other}/images.csv",
            other=map("/".join, STUDY.other_sets(wildcards.kind, wildcards.set)),
        ),
    output:
        page="results/stimuli/{kind}/{set}.html",
        duplicates="results/stimuli/{kind}/{set}.duplicates.csv",
    log:
        "logs/stimulus_page/{kind}/{set}.log",
    conda:
        "../../envs/memscore.yaml"
    resources:
        **on_node("cpu", mem_mb=4000, minutes=60),
    params:
        version=versions.of("report"),
        others=lambda wildcards: STUDY.other_sets(wildcards.kind, wildcards.set),
        flaws=lambda wildcards: STUDY.flaws(wildcards.set) if wildcards.kind == "datasets" else {},
        seed=STUDY.seed("analysis"),
    message:
        "What is in stimulus set {wildcards.set}: {output.page}"
    script:
        "../scripts/report/stimulus_page.py"


rule stimuli_report:
    input:
        [f"results/stimuli/{kind}/{set}.html" for kind, set in STUDY.stimulus_sets()],
    message:
        "Look before you run: {input}"
