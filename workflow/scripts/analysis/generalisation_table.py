from memscore.analysis import tables
from memscore.files import read_frame, write_frame
from memscore.job import job

with job(snakemake) as say:
    given, params = snakemake.input, snakemake.params
    within = dict(zip(params.datasets, map(read_frame, given.within), strict=True))
    across = dict(zip(map(tuple, params.pairs), map(read_frame, given.across), strict=True))
    brain = read_frame(given.brain[0]) if given.brain else None
    write_frame(snakemake.output[0], tables.generalisation(params.models, within, across, brain))
