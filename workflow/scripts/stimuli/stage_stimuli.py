from pathlib import Path

from memscore import storage
from memscore.job import job
from memscore.names import stimulus_set_of
from memscore.stimuli.sources.recordings import source_of

with job(snakemake) as say:
    storage.share(snakemake.config["downloads"])
    stimulus_set = snakemake.wildcards.set
    # Any benchmark of the set will do, since they share its stimuli.
    benchmark = next(b for b in snakemake.config["brain"]["benchmarks"] if stimulus_set_of(b) == stimulus_set)
    source_of(benchmark).stage_stimuli(Path(snakemake.output[0]), benchmark, **snakemake.params.source)
