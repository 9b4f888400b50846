from memscore.job import job
from memscore.report import provenance

with job(snakemake) as say:
    provenance.write(snakemake.output[0], provenance.RECORDS[snakemake.wildcards.part](snakemake.input[0]))
