from pathlib import Path

from memscore import storage
from memscore.job import job
from memscore.stimuli.sources import figrim, lamem, lnsim, memcat, simulated, table

SOURCES = {
    "simulated": simulated,
    "table": table,
    "lamem": lamem,
    "lnsim": lnsim,
    "memcat": memcat,
    "figrim": figrim,
}

with job(snakemake) as say:
    storage.share(snakemake.config["downloads"])
    dataset = snakemake.params.dataset
    SOURCES[dataset["source"]].stage_dataset(Path(snakemake.output[0]), dataset, snakemake.params.seed, say)
