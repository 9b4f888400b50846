import pandas as pd

from memscore.job import job
from memscore.report import figures
from memscore.report.summary import banner
from memscore.stimuli import consistency

with job(snakemake) as say:
    layers = pd.read_csv(snakemake.input.layers)
    people, note = consistency.read(snakemake.input.consistency), banner(snakemake.params.simulated)
    figures.along_depth(layers, snakemake.params.benchmarks, snakemake.output[0], note, people)
