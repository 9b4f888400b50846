"""Relation of memorability and brain similarity over layers, with honest uncertainty."""

import numpy as np
import pandas as pd
from scipy.stats import rankdata

N_BOOTSTRAP = 2000
CONFIDENCE = 0.95


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson r of two arrays (n,); NaN with fewer than three values or where one does not vary."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])


def both_correlations(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """(Spearman, Pearson) of two arrays (n,)."""
    return correlation(rankdata(a), rankdata(b)), correlation(a, b)


def bootstrap_correlations(
    a: np.ndarray, b: np.ndarray, models: np.ndarray, seed: int, n_bootstrap: int = N_BOOTSTRAP
) -> np.ndarray:
    """(Spearman, Pearson) in bootstrap samples of models, then of layers in each, array (n_bootstrap, 2).

    Layers of one network are not independent, so networks are drawn with replacement first, and then as many
    layers of each drawn network as it has.
    """
    rng = np.random.default_rng(seed)
    rows_of = [np.flatnonzero(models == model) for model in pd.unique(models)]
    samples = np.empty((n_bootstrap, 2))
    for i in range(n_bootstrap):
        drawn = rng.integers(0, len(rows_of), len(rows_of))
        rows = np.concatenate([rng.choice(rows_of[j], len(rows_of[j])) for j in drawn])
        samples[i] = both_correlations(a[rows], b[rows])
    return samples


def relate(layers: pd.DataFrame, benchmarks: list[str], seed: int) -> pd.DataFrame:
    """Correlation over layers between memorability ρ and each benchmark's score.

    layers : the study's main table (`results/layers.csv`)
    benchmarks : their names; the score stands in column `<benchmark>.score`

    One row per benchmark and scope: first `all trained` (untrained controls left out) with a 95% interval
    from `bootstrap_correlations`, then each model by itself, whose interval resamples its layers.
    """
    rows = []
    trained = layers[layers["trained"]]
    scopes = [("all trained", trained)] if len(trained) else []
    scopes += list(layers.groupby("model", sort=False))
    for benchmark in benchmarks:
        for scope, table in scopes:
            scored = table.dropna(subset=["memorability", f"{benchmark}.score"])
            a, b = scored["memorability"].to_numpy(), scored[f"{benchmark}.score"].to_numpy()
            row = {"benchmark": benchmark, "scope": scope, "n_models": scored["model"].nunique(), "n_layers": len(a)}
            row["spearman"], row["pearson"] = both_correlations(a, b)
            low, high = _interval(a, b, scored["model"].to_numpy(), seed)
            row |= {"spearman_low": low[0], "spearman_high": high[0], "pearson_low": low[1], "pearson_high": high[1]}
            rows.append(row)
    return pd.DataFrame(rows)


def _interval(a: np.ndarray, b: np.ndarray, models: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper percentile bound of (Spearman, Pearson)."""
    if len(a) < 3:
        return np.full(2, np.nan), np.full(2, np.nan)
    samples = bootstrap_correlations(a, b, models, seed)
    tail = (1 - CONFIDENCE) / 2
    samples = samples[np.isfinite(samples).all(1)]  # A sample of one repeated layer has no correlation.
    if not len(samples):
        return np.full(2, np.nan), np.full(2, np.nan)
    return np.quantile(samples, tail, axis=0), np.quantile(samples, 1 - tail, axis=0)
