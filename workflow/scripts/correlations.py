import pandas as pd

from memscore import statistics
from memscore.files import write_frame
from memscore.job import job

with job(snakemake) as say:
    layers = pd.read_csv(snakemake.input.layers)
    write_frame(snakemake.output[0], statistics.relate(layers, snakemake.params.benchmarks, snakemake.params.seed))
