import numpy as np

from memscore import device
from memscore.files import write_rows
from memscore.job import job
from memscore.networks.streaming import layers_of_job
from memscore.scores import memorability
from memscore.stimuli import splits, tables

with job(snakemake) as say:
    given, components = snakemake.input, snakemake.params.components
    table = tables.read_table(given.stimuli)
    observed = splits.memorability_scores(table)
    train, test = splits.memorability_splits(table, given.stimuli, components)
    rows, made_on = [], {"device": device.kind(snakemake.config["device"])}
    for layer, features in layers_of_job(snakemake, say, *given.pixels):
        rho, note = memorability.score(features, observed, train, test, components)
        per_split = {f"memorability_split_{k + 1}": value for k, value in enumerate(rho)}
        rows.append({"model": snakemake.wildcards.model, "layer": layer, "memorability": np.mean(rho)} | per_split)
        rows[-1] |= {"note": note} | made_on
    write_rows(snakemake.output[0], rows)
