from memscore.job import job
from memscore.networks import weights

with job(snakemake) as say:
    params = snakemake.params
    state = weights.stage_weights(params.timm_name, params.weights, params.seed, snakemake.input.plugins, say)
    weights.save(snakemake.output[0], state, weights.origin(params.timm_name, params.weights))
