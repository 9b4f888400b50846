from memscore.files import write_rows
from memscore.job import job
from memscore.stimuli import consistency, tables

with job(snakemake) as say:
    path, params = snakemake.input.stimuli, snakemake.params
    row = consistency.consistency(tables.read_table(path), path, params.source, params.seed)
    write_rows(snakemake.output[0], [{"dataset": snakemake.wildcards.set} | row])
