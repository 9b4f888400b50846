from pathlib import Path

from memscore.files import write_rows
from memscore.job import job
from memscore.networks import store
from memscore.scores import audit
from memscore.stimuli import benchmarks, tables
from memscore.stimuli.sources.brainscore import brainscore
from memscore.stimuli.sources.recordings import source_of

with job(snakemake) as say:
    wildcards, table = snakemake.wildcards, Path(snakemake.input.stimuli[0])
    source = source_of(wildcards.benchmark)
    with brainscore(wildcards.benchmark):
        neural_benchmarks = source.neural_benchmarks(wildcards.benchmark, table, **snakemake.params.source)
        row = audit.audit(
            dict(store.read(snakemake.input.activations[0]))[wildcards.layer],
            list(tables.read_table(table)["stimulus_id"]),
            benchmarks.read_benchmark(snakemake.input.benchmark),
            neural_benchmarks,
            snakemake.params.normalise,
        )
    where = {"model": wildcards.model, "layer": wildcards.layer, "benchmark": wildcards.benchmark}
    write_rows(snakemake.output[0], [where | row])
