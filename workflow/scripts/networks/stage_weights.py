from safetensors.torch import save_file

from memscore.files import replacing
from memscore.job import job
from memscore.networks import weights

with job(snakemake) as say:
    params = snakemake.params
    state = weights.stage_weights(params.timm_name, params.weights, params.seed, snakemake.input.plugins)
    about = weights.origin(params.timm_name, params.weights)
    with replacing(snakemake.output[0]) as temporary:
        save_file({name: tensor.contiguous().clone() for name, tensor in state.items()}, temporary, about)
