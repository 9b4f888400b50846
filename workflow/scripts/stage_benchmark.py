from pathlib import Path

from memscore.job import job
from memscore.sources import simulated

with job(snakemake) as say:
    simulated.stage_benchmark(
        snakemake.wildcards.area, Path(snakemake.input.stimuli), Path(snakemake.output[0]), snakemake.params.seed
    )
