"""Relation of memorability and brain similarity over layers, with honest uncertainty."""

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from memscore.analysis.tables import similarity

ALL_TRAINED = "all trained"
N_BOOTSTRAP = 2000
CONFIDENCE = 0.95
DIFFERENCE_COLUMNS = ("best", "other", "n_models", "n_layers", "difference", "difference_low", "difference_high")


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
    """Correlation over layers between memorability ρ and `similarity` to each benchmark.

    layers : the study's main table (`results/layers.csv`)
    benchmarks : their names

    One row per benchmark and scope: first `all trained` (untrained controls left out) with a 95% interval
    from `bootstrap_correlations`, then each model by itself, whose interval resamples its layers.
    """
    rows = []
    for benchmark in benchmarks:
        related = layers.assign(similarity=similarity(layers, benchmark))
        trained = related[related["trained"]]
        scopes = [(ALL_TRAINED, trained)] if len(trained) else []
        for scope, table in [*scopes, *related.groupby("model", sort=False)]:
            scored = table.dropna(subset=["memorability", "similarity"])
            a, b = scored["memorability"].to_numpy(), scored["similarity"].to_numpy()
            row = {"benchmark": benchmark, "scope": scope, "n_models": scored["model"].nunique(), "n_layers": len(a)}
            row["spearman"], row["pearson"] = both_correlations(a, b)
            low, high = _interval(a, b, scored["model"].to_numpy(), seed)
            row |= {"spearman_low": low[0], "spearman_high": high[0], "pearson_low": low[1], "pearson_high": high[1]}
            rows.append(row)
    return pd.DataFrame(rows)


def relate_each(layers: pd.DataFrame, columns: list[str], benchmarks: list[str], seed: int) -> pd.DataFrame:
    """`relate` with each of several columns of ρ in memorability's place; column `rho` says which."""
    tables = [relate(layers.assign(memorability=layers[column]), benchmarks, seed) for column in columns]
    return pd.concat(tables, keys=columns, names=["rho"]).reset_index("rho")


def ranked(correlations: pd.DataFrame) -> pd.DataFrame:
    """The rows over all trained layers of a table by `relate`, the highest Spearman first; undefined ones left out."""
    pooled = correlations[correlations["scope"] == ALL_TRAINED].dropna(subset=["spearman"])
    return pooled.sort_values("spearman", ascending=False, kind="stable")


def differences(layers: pd.DataFrame, correlations: pd.DataFrame, seed: int) -> pd.DataFrame:
    """How far each benchmark's Spearman with memorability lies behind the best one's, over trained layers.

    layers, correlations : the study's main table, and what `relate` makes of it

    One row per benchmark but the best, the second first, over the layers that are scored on both. The 95% interval
    is that of a paired bootstrap: both correlations are taken in the same samples of models, then of layers in each.
    """
    names, rows, columns = list(ranked(correlations)["benchmark"]), [], ["memorability", "best", "other"]
    for other in names[1:]:
        both = layers.assign(best=similarity(layers, names[0]), other=similarity(layers, other))
        scored = both[both["trained"]].dropna(subset=columns)
        low, value, high = _difference(*scored[columns].to_numpy().T, scored["model"].to_numpy(), seed)
        row = {"best": names[0], "other": other, "n_models": scored["model"].nunique(), "n_layers": len(scored)}
        rows.append(row | {"difference": value, "difference_low": low, "difference_high": high})
    return pd.DataFrame(rows, columns=DIFFERENCE_COLUMNS)


def _difference(
    memorability: np.ndarray, best: np.ndarray, other: np.ndarray, models: np.ndarray, seed: int
) -> tuple[float, float, float]:
    """Lower bound, value and upper bound of how much higher Spearman is with `best` than with `other`."""
    value = both_correlations(memorability, best)[0] - both_correlations(memorability, other)[0]
    if np.isnan(value):
        return np.nan, np.nan, np.nan
    # One seed and one array of models make the same samples: the bootstrap is paired.
    samples = [bootstrap_correlations(memorability, scores, models, seed)[:, 0] for scores in (best, other)]
    low, high = np.nanquantile(samples[0] - samples[1], [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return low, value, high


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
