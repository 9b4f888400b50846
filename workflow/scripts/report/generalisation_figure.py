from memscore.files import read_frame
from memscore.job import job
from memscore.report import figures
from memscore.report.summary import banner
from memscore.stimuli import consistency

with job(snakemake) as say:
    table, note = read_frame(snakemake.input.table), banner(snakemake.params.simulated | {"brain": False})
    rows = [consistency.read([path]) for path in snakemake.input.consistency]
    people = {row["dataset"]: row for row in rows}
    pairs = list(map(tuple, snakemake.params.pairs))
    figures.across_against_within(table, pairs, snakemake.output[0], note, people)
