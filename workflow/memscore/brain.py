"""Brain similarity of a layer, as Brain-Score defines it, from benchmark files that stand alone.

A benchmark is a netCDF file with `responses` [stimulus, neuroid] (mean over repetitions), `train`
[split, stimulus] (Brain-Score's own cross-validation), `neuroid_ceiling` [half_split, neuroid] and the
coordinates `stimulus_id`, `stratum` and `region`. Staging writes it; scoring needs neither brainscore-vision
nor scikit-learn.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr

from memscore.files import replacing
from memscore.pls import predict_splits
from memscore.store import flaw

N_SPLITS = 10
TRAIN_SIZE = 0.9
RANDOM_STATE = 1
N_COMPONENTS = 25


@dataclass(frozen=True)
class Similarity:
    """A layer's similarity to one benchmark.

    raw : Pearson r, median over neuroids, mean over splits; ceiling : the same of the split halves
    score : raw relative to ceiling; error : standard error of raw over splits; note : why there is no score
    """

    raw: float
    ceiling: float
    score: float
    error: float
    note: str


def region(benchmark: str) -> str:
    """`V4` of `MajajHong2015public.V4-pls`: the visual area a benchmark names; the whole name where it names none."""
    return benchmark.partition(".")[2].partition("-")[0] or benchmark


def make_benchmark(
    trials: np.ndarray, stimulus_ids: list[str], strata: list[str], neuroid_ids: list[str], region: str, **attrs: str
) -> xr.Dataset:
    """Benchmark dataset from responses to single presentations.

    trials : array of shape (n_stimuli, n_neuroids, n_repetitions), NaN where a repetition is missing
    strata : per stimulus, what the splits are stratified by
    attrs : source, visual degrees, stimulus set
    """
    return xr.Dataset(
        {
            "responses": (("stimulus", "neuroid"), nanmean(trials)),
            "train": (("split", "stimulus"), stratified_splits(strata)),
            "neuroid_ceiling": (("half_split", "neuroid"), split_half_reliability(trials)),
        },
        coords={
            "stimulus_id": ("stimulus", list(stimulus_ids)),
            "stratum": ("stimulus", list(strata)),
            "neuroid_id": ("neuroid", list(neuroid_ids)),
            "region": region,
        },
        attrs=attrs,
    )


def write_benchmark(path: str | Path, benchmark: xr.Dataset) -> None:
    """Write a benchmark dataset."""
    with replacing(path) as temporary:
        benchmark.to_netcdf(temporary, encoding={"train": {"dtype": "i1"}})


def read_benchmark(path: str | Path) -> xr.Dataset:
    """Load a benchmark dataset whole."""
    return xr.load_dataset(path)


def stratified_splits(strata: list[str]) -> np.ndarray:
    """Brain-Score's training stimuli: boolean array of shape (10, n_stimuli).

    `StratifiedShuffleSplit(n_splits=10, train_size=0.9, random_state=1)` over stimuli in the assembly's
    order (brainscore-vision 2.4.2, `metric_helpers.transformations.Split`).
    """
    from sklearn.model_selection import StratifiedShuffleSplit

    splitter = StratifiedShuffleSplit(N_SPLITS, train_size=TRAIN_SIZE, random_state=RANDOM_STATE)
    train = np.zeros((N_SPLITS, len(strata)), dtype=bool)
    for k, (rows, _) in enumerate(splitter.split(np.zeros(len(strata)), strata)):
        train[k, rows] = True
    return train


def split_half_reliability(trials: np.ndarray) -> np.ndarray:
    """Spearman–Brown-corrected Pearson r of ten half-splits of the repetitions, array (10, n_neuroids).

    `ShuffleSplit(n_splits=10, train_size=0.5, random_state=1)` over repetitions (brainscore-vision 2.4.2,
    `metrics.internal_consistency`).
    """
    from sklearn.model_selection import ShuffleSplit

    splitter = ShuffleSplit(N_SPLITS, train_size=0.5, random_state=RANDOM_STATE)
    half_splits = splitter.split(np.zeros(trials.shape[2]))
    r = np.stack([pearson(nanmean(trials[..., a]), nanmean(trials[..., b])) for a, b in half_splits])
    return 2 * r / (1 + r)


def nanmean(trials: np.ndarray) -> np.ndarray:
    """Mean over the last axis without NaN; NaN where nothing is left."""
    present = np.isfinite(trials)
    count = present.sum(-1)
    total = np.where(present, trials, 0.0).sum(-1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson r of each column of two arrays (n_stimuli, n_columns); NaN where a column is constant."""
    # Not by the norms: a constant such as 0.1 leaves rounding noise once its mean is gone.
    varies = (a != a[0]).any(0) & (b != b[0]).any(0)
    a, b = a - a.mean(0), b - b.mean(0)
    norms = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    return np.where(varies, (a * b).sum(0) / np.where(varies, norms, 1.0), np.nan)


def median_then_mean(per_split: np.ndarray) -> tuple[float, float]:
    """Median over neuroids, then mean and standard error over splits, of an array (n_splits, n_neuroids).

    NaN (a silent site, a layer that says nothing) is left out, as xarray leaves it out for Brain-Score.
    """
    scored = per_split[:, np.isfinite(per_split).any(0)]
    if not scored.size:
        return np.nan, np.nan
    medians = np.nanmedian(scored, axis=1)
    return float(np.nanmean(medians)), float(np.nanstd(medians) / np.sqrt(len(medians)))


def similarity(activations: np.ndarray, benchmark: xr.Dataset, normalise: str = "explained_variance") -> Similarity:
    """Similarity of a layer, array (n_stimuli, n_features) in the benchmark's stimulus order, to a benchmark.

    normalise : `explained_variance` for r² / ceiling (Brain-Score today), `ratio` for r / ceiling (before)
    """
    ceiling, _ = median_then_mean(benchmark["neuroid_ceiling"].values)
    note = flaw(activations)
    if note:
        return Similarity(np.nan, ceiling, np.nan, np.nan, note)
    raw, error = median_then_mean(pearson_per_split(activations, benchmark))
    score = {"explained_variance": raw**2, "ratio": raw}[normalise] / ceiling
    return Similarity(raw, ceiling, score, error, "" if np.isfinite(raw) else "constant prediction")


def pearson_per_split(activations: np.ndarray, benchmark: xr.Dataset) -> np.ndarray:
    """Pearson r between predicted and recorded responses on held-out stimuli, array (n_splits, n_neuroids)."""
    responses = benchmark["responses"].values
    train = benchmark["train"].values.astype(bool)
    predicted = predict_splits(activations, responses, train, N_COMPONENTS)
    return np.stack([pearson(predicted[k, ~rows], responses[~rows]) for k, rows in enumerate(train)])
