import pandas as pd

from memscore.analysis import statistics
from memscore.files import write_frame
from memscore.job import job

with job(snakemake) as say:
    layers, seed = pd.read_csv(snakemake.input.layers), snakemake.params.seed
    correlations = statistics.relate(layers, snakemake.params.benchmarks, seed)
    write_frame(snakemake.output.correlations, correlations)
    write_frame(snakemake.output.differences, statistics.differences(layers, correlations, seed))
