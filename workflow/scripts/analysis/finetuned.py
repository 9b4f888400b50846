import pandas as pd

from memscore.analysis import tables
from memscore.files import read_frame, write_frame
from memscore.job import job


def together(files):
    return pd.concat(map(read_frame, files), ignore_index=True) if files else None


with job(snakemake) as say:
    given, tuned = snakemake.input, [tuple(each) for each in snakemake.params.tuned]
    before, after = (
        (together(given[f"memorability_{when}"]), together(given[f"brain_{when}"])) for when in ("before", "after")
    )
    write_frame(snakemake.output[0], tables.finetuned(tuned, together(given.scores), before, after))
