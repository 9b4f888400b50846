import pandas as pd

from memscore.files import write_frame
from memscore.job import job

with job(snakemake) as say:
    write_frame(snakemake.output[0], pd.concat(map(pd.read_csv, snakemake.input), ignore_index=True))
