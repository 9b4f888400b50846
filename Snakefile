# memscore: which representations inside a network predict what people remember, and are they the brain's?
#
# Stimuli and benchmarks are staged, every chosen layer of every model is run over them, each layer's
# memorability prediction and brain similarity are scored, and the two are related over layers.

from snakemake.utils import min_version

min_version("9.0")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/stimuli.smk"
include: "workflow/rules/networks.smk"
include: "workflow/rules/scores.smk"
include: "workflow/rules/analysis.smk"
include: "workflow/rules/report.smk"


# Built by the analysis itself, since its front page states the answer.
report: "results/summary.rst"


rule all:
    default_target: True
    input:
        "results/summary.rst",
    message:
        "The study is complete."


rule memorability_scores:
    input:
        "results/memorability.csv" if STUDY.dataset else [],
    message:
        "Memorability of every layer: {input}"


rule brain_scores:
    input:
        "results/brain.csv" if STUDY.benchmarks() else [],
    message:
        "Brain similarity of every layer: {input}"
