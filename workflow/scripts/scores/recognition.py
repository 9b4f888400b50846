from memscore import device
from memscore.files import write_rows
from memscore.job import every_few_seconds, job
from memscore.networks import weights
from memscore.scores import recognition
from memscore.settings import made_with

with job(snakemake) as say:
    given, params, config = snakemake.input, snakemake.params, snakemake.config
    model = weights.load(params.timm_name, given.weights, given.plugins)
    progress, placed = every_few_seconds(say, "images", None), device.of_networks(config["device"])
    accuracy, n_images = recognition.top1(model, params.folder, config["batch_size"], placed, progress)
    if accuracy != accuracy:
        say(f"{model.num_classes} classes are not those of {params.folder}: no accuracy")
    row = {"model": snakemake.wildcards.model, "top1": accuracy, "n_images": n_images, "made_with": made_with(params)}
    write_rows(snakemake.output[0], [row])
