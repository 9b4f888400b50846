from memscore.files import read_frame
from memscore.job import job
from memscore.report import provenance

with job(snakemake) as say:
    given = snakemake.input
    scores = {name: read_frame(table) for name in ("memorability", "brain") for table in given[name]}
    provenance.write(snakemake.output[0], provenance.of_study(snakemake.config, given.records, scores))
