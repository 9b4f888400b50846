import pandas as pd

from memscore.files import read_frame, write_frame
from memscore.job import job

with job(snakemake) as say:
    write_frame(snakemake.output[0], pd.concat(map(read_frame, snakemake.input), ignore_index=True))
