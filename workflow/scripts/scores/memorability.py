import numpy as np

from memscore import device
from memscore.files import write_rows
from memscore.job import job
from memscore.networks.streaming import layers_of_job
from memscore.scores import memorability
from memscore.stimuli import splits, tables

with job(snakemake) as say:
    given, n_components = snakemake.input, snakemake.params.n_components
    table = tables.read_table(given.stimuli)
    observed = splits.memorability_scores(table)
    train, test, validation = splits.memorability_splits(table, given.stimuli, n_components, snakemake.params.choose)
    rows, made_on = [], {"device": device.kind(snakemake.config["device"])}
    for layer, features in layers_of_job(snakemake, say, *given.pixels):
        scored = memorability.score(features, observed, train, test, n_components, validation)
        row = {"model": snakemake.wildcards.model, "layer": layer, "memorability": np.mean(scored.rho)}
        row |= {f"memorability_split_{k + 1}": rho for k, rho in enumerate(scored.rho)}
        row |= {f"components_split_{k + 1}": n for k, n in enumerate(scored.n_components)}
        rows.append(row | {"note": scored.note} | made_on)
    write_rows(snakemake.output[0], rows)
