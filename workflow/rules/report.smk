# A look before a run: one page per stimulus set.


localrules:
    stimuli_report,


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
        mem_mb=lambda wildcards, attempt: 4000 * attempt,
    params:
        others=lambda wildcards: STUDY.other_sets(wildcards.kind, wildcards.set),
        flaws=lambda wildcards: STUDY.flaws(wildcards.set) if wildcards.kind == "datasets" else {},
        seed=config["seed"],
    message:
        "What is in stimulus set {wildcards.set}: {output.page}"
    script:
        "../scripts/stimulus_page.py"


rule stimuli_report:
    input:
        [f"results/stimuli/{kind}/{set}.html" for kind, set in STUDY.stimulus_sets()],
    message:
        "Look before you run: {input}"
