from memscore.files import read_frame
from memscore.job import job
from memscore.report import figures, summary
from memscore.stimuli import consistency

with job(snakemake) as say:
    given, params = snakemake.input, snakemake.params
    people = consistency.read(given.consistency)
    figures.before_and_after(
        read_frame(given.table), params.benchmarks, snakemake.output[0], summary.banner(params.simulated), people
    )
