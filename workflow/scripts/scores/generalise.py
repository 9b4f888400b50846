from memscore import device
from memscore.files import write_rows
from memscore.job import job
from memscore.networks.streaming import layers_of_job
from memscore.scores import memorability
from memscore.stimuli import tables

with job(snakemake) as say:
    given, wildcards = snakemake.input, snakemake.wildcards
    stimuli = [tables.read_table(table) for table in (given.fitted, given.tested)]
    observed = tuple(table["memorability"].to_numpy() for table in stimuli)
    n_fitted = len(observed[0])
    left_out = stimuli[0]["stimulus_id"].isin(tables.read_text(given.shared)["stimulus_id"]).to_numpy()
    rows, made_on = [], {"device": device.kind(snakemake.config["device"])}
    for layer, both in layers_of_job(snakemake, say, *given.pixels):
        features = both[:n_fitted], both[n_fitted:]
        rho, note = memorability.generalise(features, observed, snakemake.params.components, left_out)
        where = {"model": wildcards.model, "layer": layer, "fitted": wildcards.fitted, "tested": wildcards.tested}
        rows.append(where | {"memorability": rho, "n_left_out": left_out.sum(), "note": note} | made_on)
    write_rows(snakemake.output[0], rows)
