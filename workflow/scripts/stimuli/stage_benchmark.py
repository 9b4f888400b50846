from pathlib import Path

from memscore import storage
from memscore.correlation import said_of_ceiling
from memscore.job import job
from memscore.stimuli import benchmarks, tables
from memscore.stimuli.sources.recordings import source_of

with job(snakemake) as say:
    storage.share(snakemake.config["downloads"])
    name, table = snakemake.wildcards.benchmark, Path(snakemake.input.stimuli[0])
    benchmark = source_of(name).load_benchmark(name, table, **snakemake.params.source)
    if "no_ceiling" in benchmark.attrs:
        say(f"{name}: similarity is given as raw r alone, without a ceiling: {benchmark.attrs['no_ceiling']}")
    if low := said_of_ceiling(float(benchmark["ceiling"])):
        say(f"{name}: similarity is given as raw r alone: {low}")
    ids = tables.read_table(table)["stimulus_id"]
    benchmarks.write_benchmark(snakemake.output[0], benchmarks.in_order_of(benchmark, list(ids)))
