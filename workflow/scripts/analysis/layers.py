from memscore.analysis import tables
from memscore.files import read_frame, write_frame
from memscore.job import job

with job(snakemake) as say:
    memorability, brain = (
        read_frame(path[0]) if path else None for path in (snakemake.input.memorability, snakemake.input.brain)
    )
    write_frame(snakemake.output[0], tables.layers(snakemake.params.models, memorability, brain))
