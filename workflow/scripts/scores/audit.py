from pathlib import Path

from memscore import storage
from memscore.files import write_rows
from memscore.job import job
from memscore.networks.streaming import arrays_of_job
from memscore.scores import audit
from memscore.settings import made_with
from memscore.stimuli import benchmarks, tables
from memscore.stimuli.sources.brainscore import brainscore
from memscore.stimuli.sources.recordings import source_of

with job(snakemake) as say:
    storage.share(snakemake.config["downloads"])
    given, name, table = snakemake.input, snakemake.wildcards.benchmark, Path(snakemake.input.stimuli[0])
    ((layer, activations),) = arrays_of_job(snakemake, say, *given.pixels)
    with brainscore(name):
        row = audit.audit(
            activations,
            list(tables.read_table(table)["stimulus_id"]),
            benchmarks.read_benchmark(given.benchmark),
            source_of(name).neural_benchmarks(name, table, **snakemake.params.source),
            snakemake.params.normalise,
        )
    where = {"model": snakemake.wildcards.model, "layer": layer, "benchmark": name}
    write_rows(snakemake.output[0], [where | row | {"made_with": made_with(snakemake.params)}])
