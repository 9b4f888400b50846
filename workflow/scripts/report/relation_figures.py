from memscore.files import read_frame
from memscore.job import job
from memscore.report import figures
from memscore.report.summary import banner
from memscore.stimuli import consistency

with job(snakemake) as say:
    layers = read_frame(snakemake.input.layers)
    correlations = read_frame(snakemake.input.correlations)
    benchmarks, note, output = snakemake.params.benchmarks, banner(snakemake.params.simulated), snakemake.output
    untrained = set(layers.loc[~layers["trained"], "model"])
    figures.correlation_by_region(correlations, benchmarks, output.relation, note, untrained)
    people = consistency.read(snakemake.input.consistency)
    figures.memorability_against_brain(layers, benchmarks, correlations, output.scatter, note, people)
