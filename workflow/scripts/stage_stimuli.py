from pathlib import Path

from memscore.job import job
from memscore.sources import brainscore, cowley2023, simulated
from memscore.study import stimulus_set_of

SOURCES = {"simulated": simulated, "cowley2023": cowley2023}

with job(snakemake) as say:
    stimulus_set = snakemake.wildcards.set
    # Any benchmark of the set will do, since they share its stimuli.
    benchmark = next(b for b in snakemake.config["brain"]["benchmarks"] if stimulus_set_of(b) == stimulus_set)
    source = SOURCES.get(stimulus_set, brainscore)
    source.stage_stimuli(Path(snakemake.output[0]), benchmark, **snakemake.params.source)
