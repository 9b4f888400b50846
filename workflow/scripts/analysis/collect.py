from memscore import study
from memscore.analysis import collecting
from memscore.files import write_frame
from memscore.job import job

with job(snakemake) as say:
    write_frame(snakemake.output[0], collecting.together(snakemake.input, study.load(snakemake.config)))
