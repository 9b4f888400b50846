from memscore import consistency, stimuli
from memscore.files import write_rows
from memscore.job import job

with job(snakemake) as say:
    path, params = snakemake.input.stimuli, snakemake.params
    row = consistency.consistency(stimuli.read_table(path), path, params.source, params.seed)
    write_rows(snakemake.output[0], [{"dataset": snakemake.wildcards.set} | row])
