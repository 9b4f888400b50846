from memscore.analysis import statistics
from memscore.files import read_frame, write_frame
from memscore.job import job

with job(snakemake) as say:
    layers = read_frame(snakemake.input.layers)
    correlations = statistics.relate(layers, snakemake.params.benchmarks)
    write_frame(snakemake.output.correlations, correlations)
    write_frame(snakemake.output.differences, statistics.differences(layers, correlations))
