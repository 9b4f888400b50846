import pandas as pd

from memscore.analysis import tables
from memscore.files import write_frame
from memscore.job import job

with job(snakemake) as say:
    memorability, brain = (
        pd.read_csv(path[0], keep_default_na=True) if path else None
        for path in (snakemake.input.memorability, snakemake.input.brain)
    )
    write_frame(snakemake.output[0], tables.layers(snakemake.params.models, memorability, brain))
