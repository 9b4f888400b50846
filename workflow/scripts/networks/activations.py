import numpy as np
import torch

from memscore.device import of_networks
from memscore.files import sha256
from memscore.job import every_few_seconds, job
from memscore.networks import extraction, store, weights

with job(snakemake) as say:
    torch.set_num_threads(snakemake.threads)
    params, wildcards = snakemake.params, snakemake.wildcards
    pixels = np.load(snakemake.input.pixels[0], mmap_mode="r")
    references = np.load(snakemake.input.references[0], mmap_mode="r") if params.pca else None
    stages = [f"{name} {n}" for name, n in (("sketch", params.sketch), ("pca", params.pca)) if n]
    batches = extraction.extract(
        weights.load(params.timm_name, snakemake.input.weights, snakemake.input.plugins),
        {layer["name"]: layer["calls"] for layer in params.layers},
        pixels,
        params.network["mean"],
        params.network["std"],
        batch_size=snakemake.config["batch_size"],
        sketch=params.sketch,
        references=references,
        scratch=snakemake.resources.tmpdir,
        device=of_networks(snakemake.config["device"]),
        precision=params.precision,
    )
    store.write(
        snakemake.output[0],
        batches,
        n_stimuli=len(pixels),
        attributes={
            "model": wildcards.model,
            "weights_sha256": sha256(snakemake.input.weights),
            "reduction": ", ".join(stages) or "none",
        },
        progress=every_few_seconds(say, f"stimuli through {wildcards.model} to {wildcards.layers}", len(pixels)),
    )
