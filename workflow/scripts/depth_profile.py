import pandas as pd

from memscore import consistency, figures
from memscore.job import job
from memscore.summary import banner

with job(snakemake) as say:
    layers = pd.read_csv(snakemake.input.layers)
    people, note = consistency.read(snakemake.input.consistency), banner(snakemake.params.simulated)
    figures.along_depth(layers, snakemake.params.benchmarks, snakemake.output[0], note, people)
