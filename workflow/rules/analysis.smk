# From scores to the answer. What lists every job of the study is a function: it is listed where it is asked for, and not
# by each of those jobs as it parses this file on its node.


rule collect_memorability:
    input:
        lambda wildcards: scored("results/memorability", [STUDY.dataset]),
    output:
        "results/memorability.csv",
    log:
        "logs/collect_memorability.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("tables"),
    message:
        "Memorability of all layers"
    script:
        "../scripts/analysis/collect.py"


# What is said of a network's best layer is said of images that had no part in choosing it.
rule best_layers:
    input:
        memorability=rules.collect_memorability.output,
        best=lambda wildcards: [
            file.removesuffix(".csv") + ".npz" for file in scored("results/memorability", [STUDY.dataset])
        ],
        stimuli=expand(rules.select_stimuli.output.stimuli, set=STUDY.dataset or []),
    output:
        table=report("results/best_layers.csv", caption="../report/best_layers.rst", category="Tables"),
        controls=report("results/controls.csv", caption="../report/controls.rst", category="Tables"),
        predicted=expand("results/best_layers/{model}.csv", model=STUDY.models),
    log:
        "logs/best_layers.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("tables", "statistics"),
        trained={name: model.trained for name, model in STUDY.models.items()},
    message:
        "The layer of each network that predicts memorability best, and what it says of every test image"
    script:
        "../scripts/analysis/best_layers.py"


rule collect_brain:
    input:
        lambda wildcards: scored("results/brain", STUDY.brain_sets()),
    output:
        "results/brain.csv",
    log:
        "logs/collect_brain.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("tables"),
    message:
        "Brain similarity of all layers"
    script:
        "../scripts/analysis/collect.py"


rule layers:
    input:
        memorability=rules.collect_memorability.output if STUDY.dataset else [],
        brain=rules.collect_brain.output if STUDY.benchmarks() else [],
    output:
        report("results/layers.csv", caption="../report/layers.rst", category="Tables"),
    log:
        "logs/layers.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("tables"),
        models=lambda wildcards: STUDY.table(),
    message:
        "The study's table: one row per model and layer"
    script:
        "../scripts/analysis/layers.py"


rule correlations:
    input:
        layers=rules.layers.output[0],
    output:
        correlations=report("results/correlations.csv", caption="../report/correlations.rst", category="Tables"),
        differences=report("results/differences.csv", caption="../report/differences.rst", category="Tables"),
    log:
        "logs/correlations.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("statistics"),
        benchmarks=STUDY.benchmarks(),
    message:
        "Memorability against brain similarity over layers"
    script:
        "../scripts/analysis/correlations.py"


rule collect_within:
    input:
        lambda wildcards: scored("results/memorability", [wildcards.set]),
    output:
        "results/memorability/{set}.csv",
    log:
        "logs/collect_within/{set}.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("tables"),
    message:
        "Memorability of all layers within {wildcards.set}"
    script:
        "../scripts/analysis/collect.py"


rule collect_across:
    input:
        lambda wildcards: scored(f"results/generalisation/{wildcards.fitted}", [wildcards.tested]),
    output:
        "results/generalisation/{fitted}/{tested}.csv",
    log:
        "logs/collect_across/{fitted}/{tested}.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("tables"),
    message:
        "All layers fitted on {wildcards.fitted}, tested on {wildcards.tested}"
    script:
        "../scripts/analysis/collect.py"


rule generalisation_table:
    input:
        within=expand(rules.collect_within.output, set=STUDY.generalisation),
        across=[f"results/generalisation/{fitted}/{tested}.csv" for fitted, tested in STUDY.across()],
        brain=rules.collect_brain.output if STUDY.benchmarks() else [],
    output:
        report("results/generalisation.csv", caption="../report/generalisation.rst", category="Tables"),
    log:
        "logs/generalisation_table.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("tables"),
        models=lambda wildcards: STUDY.table(),
        datasets=STUDY.generalisation,
        pairs=STUDY.across(),
    message:
        "Every layer's rho within and across {params.datasets}"
    script:
        "../scripts/analysis/generalisation_table.py"


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
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("statistics"),
        benchmarks=STUDY.benchmarks(),
    message:
        "Each rho within and across data sets against brain similarity over layers"
    script:
        "../scripts/analysis/generalisation_correlations.py"


# What fine-tuning changed, a row a network and split.
rule finetuned_table:
    input:
        scores=[f"results/finetune/{model}/split_{split}.csv" for _, model, split in STUDY.tunings()],
        stimuli=expand(rules.select_stimuli.output.stimuli, set=STUDY.dataset or []),
        predicted=[f"results/finetune/{model}/split_{split}.predicted.csv" for _, model, split in STUDY.tunings()],
        memorability_before=rules.collect_memorability.output if STUDY.tuned else [],
        best_layers=rules.best_layers.output.table if STUDY.tuned else [],
        best_predicted=expand("results/best_layers/{model}.csv", model=dict.fromkeys(m for _, m, _ in STUDY.tunings())),
        memorability_after=lambda wildcards: STUDY.scored(STUDY.tuned, "results/memorability", [STUDY.dataset]),
        brain_before=rules.collect_brain.output if STUDY.benchmarks() else [],
        brain_after=lambda wildcards: STUDY.scored(STUDY.tuned, "results/brain", STUDY.brain_sets()),
        published=STUDY.accuracies or [],
        recognition=expand("results/recognition/{model}.csv", model=STUDY.recognised_as()) if STUDY.recognises else [],
    output:
        table=report("results/finetuned.csv", caption="../report/finetuned.rst", category="Tables"),
        networks=report("results/finetuned_networks.csv", caption="../report/finetuned_networks.rst", category="Tables"),
        against=report(
            "results/finetuned_against_layers.csv", caption="../report/finetuned_against_layers.rst", category="Tables"
        ),
        layers="results/finetuned_layers.csv",
    log:
        "logs/finetuned_table.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("tables", "statistics"),
        tuned=STUDY.tunings(),
        networks=STUDY.recognised_as(),
        layers=lambda wildcards: STUDY.table(STUDY.tuned),
        benchmarks=STUDY.benchmarks(),
    message:
        "Every network before and after it was trained on memorability"
    script:
        "../scripts/analysis/finetuned.py"


# Published results are of LaMem's images: beside those of another data set they would say nothing.
rule beside_published:
    input:
        finetuned=rules.finetuned_table.output.table,
        peers=expand("results/peers/{peer}/{set}.csv", peer=config["peers"], set=STUDY.dataset or []),
        stimuli=expand(rules.select_stimuli.output.stimuli, set=STUDY.dataset or []),
        published=STUDY.published or [],
    output:
        report("results/beside_published.csv", caption="../report/beside_published.rst", category="Tables"),
    log:
        "logs/beside_published.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("tables", "peers"),
        peers=config["peers"],
        source=STUDY.source,
        splits=config["finetune"]["splits"],
    message:
        "The study's networks beside other predictors"
    script:
        "../scripts/analysis/beside_published.py"
