import pandas as pd

from memscore.analysis import tables
from memscore.files import write_frame
from memscore.job import job

with job(snakemake) as say:
    given, params = snakemake.input, snakemake.params
    within = dict(zip(params.datasets, map(pd.read_csv, given.within), strict=True))
    across = dict(zip(map(tuple, params.pairs), map(pd.read_csv, given.across), strict=True))
    brain = pd.read_csv(given.brain[0]) if given.brain else None
    write_frame(snakemake.output[0], tables.generalisation(params.models, within, across, brain))
