from memscore.files import read_frame
from memscore.job import job
from memscore.report import figures, summary

with job(snakemake) as say:
    given, params = snakemake.input, snakemake.params
    curves = {
        (model, split): read_frame(file) for (_, model, split), file in zip(params.tuned, given.epochs, strict=True)
    }
    figures.training_curves(curves, read_frame(given.table), snakemake.output[0], summary.banner(params.simulated))
