import pandas as pd

from memscore.job import job
from memscore.report import figures
from memscore.report.summary import banner
from memscore.stimuli import consistency

with job(snakemake) as say:
    layers = pd.read_csv(snakemake.input.layers)
    correlations = pd.read_csv(snakemake.input.correlations)
    benchmarks, note, output = snakemake.params.benchmarks, banner(snakemake.params.simulated), snakemake.output
    untrained = set(layers.loc[~layers["trained"], "model"])
    figures.correlation_by_region(correlations, benchmarks, output.relation, note, untrained)
    people = consistency.read(snakemake.input.consistency)
    figures.memorability_against_brain(layers, benchmarks, correlations, output.scatter, note, people)
