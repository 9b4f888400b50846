from pathlib import Path

from memscore import stimuli
from memscore.job import job

with job(snakemake) as say:
    images, dataset = snakemake.params.images, snakemake.input.dataset
    found = stimuli.images_of_table(dataset[0]) if dataset else stimuli.images_in_folder(images)
    stimuli.write_table(Path(snakemake.output[0]), stimuli.references(found, snakemake.params.n, images))
