from memscore.files import sha256
from memscore.job import job
from memscore.networks import export
from memscore.networks.streaming import arrays_of_job
from memscore.stimuli.tables import read_table

with job(snakemake) as say:
    given, params = snakemake.input, snakemake.params
    reduced = [f"{name} {n}" for name, n in (("sketch", params.sketch), ("pca", params.pca)) if n]
    about = {
        "model": snakemake.wildcards.model,
        "timm_name": params.network["timm_name"],
        "precision": params.precision,
    }
    about |= {"weights_sha256": sha256(given.weights), "reduction": ", ".join(reduced) or "none"}
    ids = read_table(given.stimuli)["stimulus_id"]
    ((layer, activations),) = arrays_of_job(snakemake, say, *given.pixels)
    export.write(snakemake.output[0], activations, ids, about | {"layer": layer})
