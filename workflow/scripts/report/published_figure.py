from memscore.files import read_frame
from memscore.job import job
from memscore.report import figures, summary
from memscore.stimuli import consistency

with job(snakemake) as say:
    given = snakemake.input
    people, banner = consistency.read(given.consistency), summary.banner(snakemake.params.simulated)
    figures.beside_published(read_frame(given.table), snakemake.output[0], banner, people)
