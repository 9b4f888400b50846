"""The same layer scored twice: by memscore, and by brainscore-vision's own `NeuralBenchmark`."""

import time
from collections.abc import Sequence

import numpy as np
import xarray as xr

from memscore.scores import brain
from memscore.stimuli import benchmarks


class Candidate:
    """What Brain-Score calls a model: it looks at stimuli and answers with a layer's activations."""

    def __init__(self, activations: np.ndarray, stimulus_ids: Sequence[str], visual_degrees: float):
        self._activations = dict(zip(stimulus_ids, activations, strict=True))
        self._visual_degrees = visual_degrees

    def visual_degrees(self) -> float:
        """Those of the benchmark: its stimuli were placed on the screen when they were staged."""
        return self._visual_degrees

    def start_recording(self, region: str, time_bins: object) -> None:
        pass

    def look_at(self, stimulus_set, number_of_trials: int):
        from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly

        values = np.stack([self._activations[str(stimulus)] for stimulus in stimulus_set["stimulus_id"]])
        shown, numbers = np.arange(len(values)), np.arange(values.shape[1])
        return NeuroidAssembly(
            values,
            dims=["presentation", "neuroid"],
            coords={column: ("presentation", stimulus_set[column].values) for column in stimulus_set.columns}
            # Of one coordinate alone, assemblies lose the name.
            | {"presentation_number": ("presentation", shown)}
            | {"neuroid_id": ("neuroid", numbers), "neuroid_number": ("neuroid", numbers)},
        )


def audit(
    activations: np.ndarray, stimulus_ids: Sequence[str], benchmark: xr.Dataset, neural_benchmarks: list, normalise: str
) -> dict:
    """One layer's similarity by memscore and by Brain-Score, their differences, and the seconds each took.

    activations : array of shape (n_stimuli, n_features), in the order of `stimulus_ids` and of `benchmark`
    neural_benchmarks : Brain-Score's benchmark of each session; of several, the neuroids are pooled

    Where Brain-Score fails (fewer than 25 features, a constant layer) its part is empty and `note` has its words.
    """
    start = time.perf_counter()
    ours = brain.similarity(activations, benchmark, normalise)
    ours_seconds = time.perf_counter() - start
    note, raw, error, ceiling, seconds = "", np.nan, np.nan, np.nan, np.nan
    try:
        raw, error, ceiling, seconds = brainscore_similarity(activations, stimulus_ids, neural_benchmarks)
    except Exception as problem:
        note = f"Brain-Score fails: {' '.join(str(problem).split())[:200]}"
    theirs = brain.Similarity(raw, ceiling, brain.relative(raw, ceiling, normalise), error, note)
    values = {
        "n_stimuli": len(activations),
        "n_features": activations.shape[1],
        "n_neuroids": benchmark.sizes["neuroid"],
    }
    for name in ("raw", "ceiling", "score", "error"):
        pair = getattr(ours, name), getattr(theirs, name)
        values |= {f"memscore_{name}": pair[0], f"brainscore_{name}": pair[1], f"{name}_difference": pair[0] - pair[1]}
    return values | {"memscore_seconds": ours_seconds, "brainscore_seconds": seconds, "note": note or ours.note}


def brainscore_similarity(
    activations: np.ndarray, stimulus_ids: Sequence[str], neural_benchmarks: list
) -> tuple[float, float, float, float]:
    """(raw, error, ceiling, seconds) of Brain-Score; the ceiling, which is the same for every layer, is not timed."""
    ceilings = [benchmark.ceiling for benchmark in neural_benchmarks]
    start = time.perf_counter()
    scores = []
    for benchmark, ceiling in zip(neural_benchmarks, ceilings, strict=True):
        benchmark._ceiling_func = lambda ceiling=ceiling: ceiling
        scores.append(benchmark(Candidate(activations, stimulus_ids, benchmark._visual_degrees)).raw)
    seconds = time.perf_counter() - start
    if len(scores) == 1:
        return float(scores[0]), float(scores[0].attrs["error"]), float(ceilings[0]), seconds
    per_split = np.concatenate([_raw(score) for score in scores], 1)
    halves = [_raw(ceiling) for ceiling in ceilings if "raw" in ceiling.attrs]
    ceiling = benchmarks.median_then_mean(np.concatenate(halves, 1))[0] if len(halves) == len(ceilings) else np.nan
    return *benchmarks.median_then_mean(per_split), ceiling, seconds


def _raw(score) -> np.ndarray:
    """Array (n_splits, n_neuroids) behind a score of Brain-Score."""
    return score.attrs["raw"].transpose("split", "neuroid").values
