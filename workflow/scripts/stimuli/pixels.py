from pathlib import Path

from memscore.job import every_few_seconds, job
from memscore.stimuli import pixels, tables

with job(snakemake) as say:
    table = tables.read_table(snakemake.input.stimuli)
    size, interpolation = snakemake.wildcards.transform.split("-")
    height, width = map(int, size.split("x"))
    pixels.write_pixels(
        snakemake.output[0],
        [Path(snakemake.input.stimuli).parent / path for path in table.path],
        (height, width),
        interpolation,
        progress=every_few_seconds(say, f"images of {snakemake.wildcards.set}", len(table)),
        threads=snakemake.threads,
        upright=snakemake.params.upright,
    )
