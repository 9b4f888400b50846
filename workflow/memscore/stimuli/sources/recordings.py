"""Which source a benchmark and its stimuli come from."""

from types import ModuleType

from memscore.names import stimulus_set_of
from memscore.stimuli.sources import brainscore, cowley2023, simulated

OWN = {"simulated": simulated, "cowley2023": cowley2023}


def source_of(benchmark: str) -> ModuleType:
    """The module with `stage_stimuli`, `load_benchmark` and `neural_benchmarks` for a benchmark: Brain-Score's if no
    other has it."""
    return OWN.get(stimulus_set_of(benchmark), brainscore)
