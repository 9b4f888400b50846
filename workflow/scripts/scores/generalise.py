from memscore import device
from memscore.files import write_rows
from memscore.job import job
from memscore.networks.streaming import layers_of_job
from memscore.scores import memorability
from memscore.settings import made_with
from memscore.stimuli import splits, tables

with job(snakemake) as say:
    given, params, wildcards = snakemake.input, snakemake.params, snakemake.wildcards
    stimuli = [tables.read_table(table) for table in (given.fitted, given.tested)]
    observed = tuple(table["memorability"].to_numpy() for table in stimuli)
    n_fitted = len(observed[0])
    left_out = stimuli[0]["stimulus_id"].isin(tables.read_text(given.shared)["stimulus_id"]).to_numpy()
    validation = parts = None
    if params.choose:
        validation = splits.held_out_by_the_first(stimuli[0]) & ~left_out
        (parts,) = splits.parts_of_train(stimuli[0], ~left_out[None], validation[None])
    rows, made_on = [], {"device": device.kind(snakemake.config["device"]), "made_with": made_with(snakemake.params)}
    for layer, both in layers_of_job(snakemake, say, *given.pixels):
        features = both[:n_fitted], both[n_fitted:]
        scored = memorability.generalise(features, observed, params.n_components, left_out, validation, parts)
        where = {"model": wildcards.model, "layer": layer, "fitted": wildcards.fitted, "tested": wildcards.tested}
        (rho,), (components,) = scored.rho, scored.n_components
        row = {"memorability": rho, "components": components, "n_left_out": left_out.sum(), "note": scored.note}
        rows.append(where | row | made_on)
    write_rows(snakemake.output[0], rows)
