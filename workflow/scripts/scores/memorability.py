import numpy as np

from memscore.device import of_scores
from memscore.files import write_rows
from memscore.job import job
from memscore.networks import store
from memscore.scores import memorability
from memscore.stimuli import splits, tables

with job(snakemake) as say:
    table = tables.read_table(snakemake.input.stimuli)
    observed = splits.memorability_scores(table)
    train, test = splits.memorability_splits(table, snakemake.input.stimuli, snakemake.params.components)
    device = of_scores(snakemake.config["device"])
    rows = []
    for layer, features in store.read(snakemake.input.activations):
        rho, note = memorability.score(features, observed, train, test, snakemake.params.components, device)
        per_split = {f"memorability_split_{k + 1}": value for k, value in enumerate(rho)}
        rows.append({"model": snakemake.wildcards.model, "layer": layer, "memorability": np.mean(rho)} | per_split)
        rows[-1]["note"] = note
    write_rows(snakemake.output[0], rows)
