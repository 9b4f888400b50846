"""Brain similarity of a layer, as Brain-Score defines it, from the files of `stimuli.benchmarks`."""

from dataclasses import dataclass

import numpy as np
import xarray as xr
from array_api_compat import array_namespace, device

from memscore.correlation import pearson, said_of_ceiling
from memscore.scores.pls import fit_splits, flaw
from memscore.stimuli.benchmarks import N_COMPONENTS, median_then_mean


@dataclass(frozen=True)
class Similarity:
    """A layer's similarity to one benchmark.

    raw : Pearson r, median over neuroids, mean over splits; ceiling : the same of the split halves
    score : raw relative to ceiling, NaN where there is none or one that is too low (`said_of_ceiling`)
    error : standard error of raw over splits; note : why there is no score
    """

    raw: float
    ceiling: float
    score: float
    error: float
    note: str


def similarity(
    activations: np.ndarray,
    benchmark: xr.Dataset,
    normalise: str = "explained_variance",
) -> Similarity:
    """Similarity of a layer, array (n_stimuli, n_features) in the benchmark's stimulus order, to a benchmark.

    normalise : `explained_variance` for r² / ceiling (Brain-Score today), `ratio` for r / ceiling (before)
    """
    ceiling = float(benchmark["ceiling"])
    note = flaw(activations)
    if note:
        return Similarity(np.nan, ceiling, np.nan, np.nan, note)
    raw, error = median_then_mean(pearson_per_split(activations, benchmark))
    if not np.isfinite(raw):
        return Similarity(raw, ceiling, np.nan, error, "constant prediction")
    if note := said_of_ceiling(ceiling):
        return Similarity(raw, ceiling, np.nan, error, f"{benchmark['region'].item()}: {note}")
    return Similarity(raw, ceiling, relative(raw, ceiling, normalise), error, "")


def relative(raw: float, ceiling: float, normalise: str) -> float:
    """`explained_variance`: r² / ceiling; `ratio`: r / ceiling."""
    return {"explained_variance": raw**2, "ratio": raw}[normalise] / ceiling


def pearson_per_split(activations: np.ndarray, benchmark: xr.Dataset) -> np.ndarray:
    """Pearson r between predicted and recorded responses on held-out stimuli, array (n_splits, n_neuroids)."""
    responses = benchmark["responses"].values
    r = np.full((benchmark.sizes["split"], benchmark.sizes["neuroid"]), np.nan)
    for i, session in enumerate(benchmark["session"].values):
        sites = np.flatnonzero(benchmark["neuroid_session"].values == session)
        train, test = (benchmark[part].values[i].astype(bool) for part in ("train", "test"))
        shown = (train | test).any(0)
        recorded, train, test = responses[np.ix_(shown, sites)], train[:, shown], test[:, shown]
        features = activations if shown.all() else activations[_index(activations, shown)]
        fitted = fit_splits(features, recorded, train, N_COMPONENTS)
        r[:, sites] = [pearson(fitted.predict(k, rows), recorded[rows]) for k, rows in enumerate(test)]
    return r


def _index(activations: np.ndarray, shown: np.ndarray) -> np.ndarray:
    """Which rows are True, where the activations are."""
    return array_namespace(activations).asarray(np.flatnonzero(shown), device=device(activations))
