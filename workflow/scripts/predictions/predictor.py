from pathlib import Path

import numpy as np

from memscore import device, study
from memscore.files import read_frame
from memscore.job import job
from memscore.predictions import predictor
from memscore.stimuli import tables

with job(snakemake) as say:
    given, params = snakemake.input, snakemake.params
    finetuned = read_frame(given.finetuned) if given.finetuned else None
    memorability = None if params.pca else read_frame(given.memorability[0])
    trained = [name for name, model in study.load(snakemake.config).models.items() if model.trained]
    best = predictor.best(memorability, finetuned, trained)
    say(best.described())
    files = {Path(file).stem: file for file in [*given.weights, *given.tuned]}
    described = params.networks[best.network]
    pixels = next(file for file in given.pixels if Path(file).name == described["pixels"])
    made = predictor.make(
        best,
        described,
        files[best.network],
        np.load(pixels, mmap_mode="r"),
        tables.read_table(given.stimuli[0]),
        given.stimuli[0],
        dataset=params.dataset,
        source=params.source,
        sketch={"sketch": params.sketch, "seed": params.seed},
        choose=params.choose or best.layer is None,
        plugins=given.plugins,
        device=device.of_networks(snakemake.config["device"]),
    )
    predictor.save(snakemake.output[0], made)
