from memscore.device import of_scores
from memscore.files import write_rows
from memscore.job import job
from memscore.networks import store
from memscore.scores import memorability
from memscore.stimuli.tables import read_table

with job(snakemake) as say:
    given, wildcards = snakemake.input, snakemake.wildcards
    tables = map(read_table, (given.fitted_stimuli, given.tested_stimuli))
    observed = tuple(table["memorability"].to_numpy() for table in tables)
    device = of_scores(snakemake.config["device"])
    rows = []
    # One network, one forward pass: both files have the same layers in the same order.
    for (layer, fitted), (_, tested) in zip(store.read(given.fitted), store.read(given.tested), strict=True):
        rho, note = memorability.generalise((fitted, tested), observed, snakemake.params.components, device)
        where = {"model": wildcards.model, "layer": layer, "fitted": wildcards.fitted, "tested": wildcards.tested}
        rows.append(where | {"memorability": rho, "note": note})
    write_rows(snakemake.output[0], rows)
