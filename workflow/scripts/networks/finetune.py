import sys
from pathlib import Path

import numpy as np

from memscore import device
from memscore.correlation import rank_correlation
from memscore.files import sha256, write_rows
from memscore.job import job
from memscore.networks import finetuning, weights
from memscore.settings import made_with
from memscore.stimuli import splits, tables

with job(snakemake) as say:
    given, params, config, where = snakemake.input, snakemake.params, snakemake.config, snakemake.wildcards
    table = splits.only(tables.read_table(given.stimuli[0]), int(where.split), given.stimuli[0])
    (train,), (test,), (validation,) = splits.memorability_splits(table, given.stimuli[0], 0, choose=True)
    images = finetuning.Images(
        np.load(given.pixels[0], mmap_mode="r"),
        params.network["mean"],
        params.network["std"],
        splits.memorability_scores(table)[0],
        train,
        validation,
    )
    model = weights.load(params.network["timm_name"], given.weights, given.plugins)
    model = finetuning.with_head(model, params.network["timm_name"], params.seed)
    recipe, checkpoint = finetuning.Recipe(**params.recipe), Path(params.checkpoint)
    placed, options = device.of_networks(config["device"]), weights.options_of(given.weights)
    beside = {"network": params.network, "options": options, "plugins": list(map(sha256, given.plugins))}
    try:
        best, epochs = finetuning.finetune(
            model, images, recipe, params.seed, checkpoint, placed, params.precision, say, beside
        )
    except finetuning.Stopped as stopped:
        say(str(stopped))
        sys.exit(1)
    model.load_state_dict(best)
    rows = np.flatnonzero(test)
    predicted = finetuning.predict(model, images.pixels, rows, images.mean, images.std, recipe.batch_size, placed)
    reached = max(epochs, key=lambda row: row["validation_rho"])
    row = {"model": where.model, "split": where.split, "epoch": reached["epoch"], "n_epochs": len(epochs)}
    row |= {
        "train_rho": reached["train_rho"],
        "validation_rho": reached["validation_rho"],
        "test_rho": rank_correlation(predicted, images.memorability[rows]),
    }
    mean, sd = finetuning.target(images)
    of_image = zip(table["stimulus_id"].iloc[rows], images.memorability[rows], mean + sd * predicted, strict=True)
    columns = ("stimulus_id", "memorability", "predicted")
    write_rows(snakemake.output.predicted, [dict(zip(columns, each, strict=True)) for each in of_image])
    write_rows(snakemake.output.epochs, epochs)
    row |= {"device": device.kind(config["device"]), "made_with": made_with(params)}
    write_rows(snakemake.output.scores, [row])
    about = finetuning.header(params.network, options, recipe, images, reached["validation_rho"])
    weights.save(snakemake.output.weights, best, about)
    checkpoint.unlink(missing_ok=True)
