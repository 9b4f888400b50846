from memscore.files import read_frame
from memscore.job import job
from memscore.report import figures
from memscore.report.summary import banner

with job(snakemake) as say:
    correlations, note = read_frame(snakemake.input[0]), banner(snakemake.params.simulated)
    figures.generalisation_by_region(correlations, snakemake.params.benchmarks, snakemake.output[0], note)
