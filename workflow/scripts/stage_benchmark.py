from pathlib import Path

from memscore import brain, stimuli
from memscore.job import job
from memscore.sources import brainscore, cowley2023, simulated
from memscore.study import stimulus_set_of

SOURCES = {"simulated": simulated, "cowley2023": cowley2023}

with job(snakemake) as say:
    name, table = snakemake.wildcards.benchmark, Path(snakemake.input.stimuli[0])
    source = SOURCES.get(stimulus_set_of(name), brainscore)
    benchmark = source.load_benchmark(name, table, **snakemake.params.source)
    ids = stimuli.read_table(table)["stimulus_id"]
    brain.write_benchmark(snakemake.output[0], brain.in_order_of(benchmark, list(ids)))
