from pathlib import Path

from memscore import brain, stimuli
from memscore.job import job
from memscore.sources.recordings import source_of

with job(snakemake) as say:
    name, table = snakemake.wildcards.benchmark, Path(snakemake.input.stimuli[0])
    benchmark = source_of(name).load_benchmark(name, table, **snakemake.params.source)
    ids = stimuli.read_table(table)["stimulus_id"]
    brain.write_benchmark(snakemake.output[0], brain.in_order_of(benchmark, list(ids)))
