import pandas as pd

from memscore import figures
from memscore.job import job
from memscore.summary import banner

with job(snakemake) as say:
    layers = pd.read_csv(snakemake.input.layers)
    figures.along_depth(layers, snakemake.params.benchmarks, snakemake.output[0], banner(snakemake.params.simulated))
