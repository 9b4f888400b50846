from pathlib import Path

from memscore.job import job
from memscore.stimuli import pixels, tables

with job(snakemake) as say:
    images, dataset = snakemake.params.images, snakemake.input.dataset
    found = pixels.images_of_table(dataset[0]) if dataset else pixels.images_in_folder(images)
    tables.write_table(Path(snakemake.output[0]), pixels.references(found, snakemake.params.n, images))
