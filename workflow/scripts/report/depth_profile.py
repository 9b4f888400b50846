from memscore.files import read_frame
from memscore.job import job
from memscore.report import figures
from memscore.report.summary import banner
from memscore.stimuli import consistency

with job(snakemake) as say:
    layers = read_frame(snakemake.input.layers)
    people, note = consistency.read(snakemake.input.consistency), banner(snakemake.params.simulated)
    figures.along_depth(layers, snakemake.params.benchmarks, snakemake.output[0], note, people)
