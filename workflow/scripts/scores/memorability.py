import numpy as np

from memscore import device
from memscore.files import write_rows
from memscore.job import job
from memscore.networks.streaming import layers_of_job
from memscore.scores import memorability
from memscore.settings import made_with
from memscore.stimuli import splits, tables

with job(snakemake) as say:
    given, params, n_components = snakemake.input, snakemake.params, snakemake.params.n_components
    table = tables.read_table(given.stimuli)
    if params.split:
        table = splits.only(table, params.split, given.stimuli)
    observed = splits.memorability_scores(table)
    train, test, validation = splits.memorability_splits(table, given.stimuli, n_components, params.choose)
    parts = splits.parts_of_train(table, train, validation) if params.choose else None
    names = tables.split_columns(table)
    judged = None if params.choose else np.stack([(table[name] == "val").to_numpy() for name in names])
    best = memorability.BestLayers(len(names), len(table))
    rows, made_on = [], {"device": device.kind(snakemake.config["device"]), "made_with": made_with(snakemake.params)}
    for layer, features in layers_of_job(snakemake, say, *given.pixels):
        scored = memorability.score(features, observed, train, test, n_components, validation, parts, judged)
        best.add(layer, scored)
        row = {"model": snakemake.wildcards.model, "layer": layer, "memorability": np.mean(scored.rho)}
        row |= {f"memorability_{split}": rho for split, rho in zip(names, scored.rho, strict=True)}
        row |= {f"validation_{split}": rho for split, rho in zip(names, scored.unseen_rho, strict=True)}
        row |= {f"components_{split}": n for split, n in zip(names, scored.n_components, strict=True)}
        rows.append(row | {"note": scored.note} | made_on)
    best.write(snakemake.output.best)
    write_rows(snakemake.output[0], rows)
