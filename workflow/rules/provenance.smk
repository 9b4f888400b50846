# What the numbers rest on. What went in is noted once, beside the results: `resources` may be cleaned when a study is
# finished, and nothing is staged again to be noted again.


rule record:
    input:
        lambda wildcards: recorded(wildcards.part, wildcards.name),
    output:
        "results/provenance/{part}/{name}.json",
    log:
        "logs/record/{part}/{name}.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("provenance"),
    message:
        "Hashes of {wildcards.part} of {wildcards.name}"
    script:
        "../scripts/report/record.py"


# Again when the tables are: the commit is that of the run which made them.
rule provenance:
    input:
        layers=rules.layers.output,
        correlations=rules.correlations.output if STUDY.relates else [],
        memorability=rules.collect_memorability.output if STUDY.dataset else [],
        brain=rules.collect_brain.output if STUDY.benchmarks() else [],
        records=["results/provenance/{}/{}.json".format(*each) for each in STUDY.records()],
    output:
        report("results/provenance.json", caption="../report/provenance.rst", category="Tables"),
    log:
        "logs/provenance.log",
    localrule: True
    conda:
        "../../envs/memscore.yaml"
    params:
        version=versions.of("provenance"),
    message:
        "What the numbers rest on: {output}"
    script:
        "../scripts/report/provenance.py"
