"""Relation of memorability and brain similarity over layers, with honest uncertainty."""

from collections.abc import Callable, Sequence
from math import comb

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from scipy.stats import t as student

from memscore.analysis.tables import similarity

ALL_TRAINED = "all trained"
CONFIDENCE = 0.95
# From which networks are a sample of networks.
FEWEST_NETWORKS = 5
LARGEST_R = 1 - 1e-12
N_RESAMPLES = 10_000
DIFFERENCE_COLUMNS = (
    "best",
    "other",
    "n_models",
    "n_layers",
    "interval_over",
    "difference",
    "difference_low",
    "difference_high",
)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson r of two arrays (n,); NaN with fewer than three values or where one does not vary."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])


def both_correlations(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """(Spearman, Pearson) of two arrays (n,)."""
    return correlation(rankdata(a), rankdata(b)), correlation(a, b)


def units_of(models: np.ndarray) -> tuple[str, np.ndarray]:
    """What an interval speaks of, and what is left out at a time for it: `networks`, array (n,), or `layers`.

    Layers of one network are not independent, so with `FEWEST_NETWORKS` or more the networks are the sample, and an
    interval speaks of others like them. Fewer say nothing about others: then it is of these networks' layers alone.
    """
    many = len(pd.unique(models)) >= FEWEST_NETWORKS
    return ("networks", models) if many else ("layers", np.arange(len(models)))


def jackknife(statistic: Callable[[np.ndarray], np.ndarray], units: np.ndarray, confidence: float) -> np.ndarray:
    """Lower bound, value and upper bound of statistics, array (3, n_statistics), by leaving out each unit once.

    statistic : (n_statistics,) of the rows that a boolean array chooses
    units : of each row, what it is left out with

    Student's t with a degree of freedom less than units (Efron & Tibshirani 1993, ch. 11), which holds with few units,
    where percentiles of a bootstrap are too narrow. Bounds are NaN with fewer than four units.
    """
    names, value = pd.unique(units), statistic(np.ones(len(units), bool))
    n = len(names)
    if n < 4:
        return np.stack([np.full_like(value, np.nan), value, np.full_like(value, np.nan)])
    without = np.stack([statistic(units != name) for name in names])
    error = np.sqrt((n - 1) / n * ((without - without.mean(0)) ** 2).sum(0))
    margin = student.ppf((1 + confidence) / 2, n - 1) * error
    return np.stack([value - margin, value, value + margin])


def relate(layers: pd.DataFrame, benchmarks: list[str]) -> pd.DataFrame:
    """Correlation over layers between memorability ρ and `similarity` to each benchmark.

    layers : the study's main table (`results/layers.csv`)
    benchmarks : their names

    One row per benchmark and scope: first `all trained` (untrained controls left out), then each model by itself. The
    95% interval is that of `jackknife` on Fisher's z; `interval_over` says whether it speaks of networks or layers.
    """
    rows = []
    for benchmark in benchmarks:
        related = layers.assign(similarity=similarity(layers, benchmark))
        trained = related[related["trained"]]
        scopes = [(ALL_TRAINED, trained)] if len(trained) else []
        for scope, table in [*scopes, *related.groupby("model", sort=False)]:
            scored = table.dropna(subset=["memorability", "similarity"])
            models = scored["model"].to_numpy()
            row = {"benchmark": benchmark, "scope": scope, "n_models": len(set(models)), "n_layers": len(scored)}
            row["interval_over"], units = units_of(models)
            a, b = scored["memorability"].to_numpy(), scored["similarity"].to_numpy()
            low, value, high = np.tanh(
                jackknife(lambda rows, a=a, b=b: fisher_z(both_correlations(a[rows], b[rows])), units, CONFIDENCE)
            )
            row |= {"spearman": value[0], "pearson": value[1], "spearman_low": low[0], "spearman_high": high[0]}
            rows.append(row | {"pearson_low": low[1], "pearson_high": high[1]})
    return pd.DataFrame(rows)


def fisher_z(r: Sequence[float]) -> np.ndarray:
    """In which a correlation's error hardly depends on it; of exactly 1 it is large, not infinite."""
    return np.arctanh(np.clip(r, -LARGEST_R, LARGEST_R))


def relate_each(layers: pd.DataFrame, columns: list[str], benchmarks: list[str]) -> pd.DataFrame:
    """`relate` with each of several columns of ρ in memorability's place; column `rho` says which."""
    tables = [relate(layers.assign(memorability=layers[column]), benchmarks) for column in columns]
    return pd.concat(tables, keys=columns, names=["rho"]).reset_index("rho")


def ranked(correlations: pd.DataFrame) -> pd.DataFrame:
    """The rows over all trained layers of a table by `relate`, the highest Spearman first; undefined ones left out."""
    pooled = correlations[correlations["scope"] == ALL_TRAINED].dropna(subset=["spearman"])
    return pooled.sort_values("spearman", ascending=False, kind="stable")


def differences(layers: pd.DataFrame, correlations: pd.DataFrame) -> pd.DataFrame:
    """How far each benchmark's Spearman with memorability lies behind the best one's, over trained layers.

    layers, correlations : the study's main table, and what `relate` makes of it

    One row per benchmark but the best, the second first, over the layers that are scored on both. Intervals are those
    of a paired `jackknife`, and hold together: which is best is seen in the same scores, so each is as wide as it must
    be for all pairs of benchmarks to be right at once in 95% of studies (Bonferroni).
    """
    names, rows, columns = list(ranked(correlations)["benchmark"]), [], ["memorability", "best", "other"]
    confidence = 1 - (1 - CONFIDENCE) / max(comb(len(names), 2), 1)
    for other in names[1:]:
        both = layers.assign(best=similarity(layers, names[0]), other=similarity(layers, other))
        scored = both[both["trained"]].dropna(subset=columns)
        memorability, ahead, behind = scored[columns].to_numpy().T
        over, units = units_of(scored["model"].to_numpy())

        def difference(rows, values=(memorability, ahead, behind)):
            a, b, c = (value[rows] for value in values)
            return np.array([both_correlations(a, b)[0] - both_correlations(a, c)[0]])

        low, value, high = jackknife(difference, units, confidence)[:, 0]
        row = {"best": names[0], "other": other, "n_models": scored["model"].nunique(), "n_layers": len(scored)}
        row |= {"interval_over": over, "difference": value, "difference_low": low, "difference_high": high}
        rows.append(row)
    return pd.DataFrame(rows, columns=DIFFERENCE_COLUMNS)


def relate_networks(finetuned: pd.DataFrame, benchmarks: Sequence[str], seed: int) -> pd.DataFrame:
    """Over networks: does brain similarity of the penultimate layer go with memorability, or with object recognition?

    finetuned : `results/finetuned.csv`, of which each network's mean over splits counts
    seed : of the resamples of networks

    One row per benchmark and `when`. Before training, `memorability` is Spearman's correlation of similarity with ρ of
    PLS on the penultimate layer; after it, with ρ of the network's own prediction. `top1` is that with accuracy of
    object recognition, `difference` the first less the second, over the same networks. Intervals are percentiles of a
    bootstrap over networks, paired, as the two correlations share the similarity; NaN below `FEWEST_NETWORKS`.
    """
    means, rows = finetuned.groupby("model", sort=False).mean(numeric_only=True).dropna(axis=1, how="all"), []
    names = ["memorability", *(["top1", "difference"] if "top1" in means else [])]
    columns = [f"{name}{part}" for name in names for part in ("", "_low", "_high")]
    for benchmark in benchmarks:
        for when, measure in (("before", "pls_before"), ("after", "head_rho")):
            of_each = [f"{benchmark}.raw_{when}", measure, *names[1:2]]
            values = means.reindex(columns=of_each).dropna().to_numpy()
            row = {"benchmark": benchmark, "when": when, "n_networks": len(values)}
            for name, (low, value, high) in zip(names, bootstrapped(values, seed), strict=True):
                row |= {name: value, f"{name}_low": low, f"{name}_high": high}
            rows.append(row)
    return pd.DataFrame(rows, columns=["benchmark", "when", "n_networks", *columns])


def bootstrapped(values: np.ndarray, seed: int) -> np.ndarray:
    """Lower bound, value and upper bound of Spearman's correlation of the first column with each other one and, of two
    others, of their difference: array (1 or 3, 3).

    values : (n_units, 2 or 3)
    """
    n = len(values)
    found = np.full((1 if values.shape[1] == 2 else 3, 3), np.nan)
    if n < 3:
        return found
    found[:, 1] = _with_first(values[None])[0]
    if n < FEWEST_NETWORKS:
        return found
    drawn = np.random.default_rng(seed).integers(0, n, (N_RESAMPLES, n))
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    # Of a resample that is one network again and again no correlation is defined.
    found[:, [0, 2]] = np.nanquantile(_with_first(values[drawn]), tails, axis=0).T
    return found


def _with_first(values: np.ndarray) -> np.ndarray:
    """Of samples (n_samples, n_units, n_columns): Spearman of the first column with each other, and of two the
    difference."""
    ranks = rankdata(values, axis=1)
    ranks -= ranks.mean(1, keepdims=True)
    with np.errstate(invalid="ignore"):
        ranks /= np.sqrt((ranks**2).sum(1, keepdims=True))
    each = (ranks[..., :1] * ranks[..., 1:]).sum(1)
    return each if each.shape[1] == 1 else np.column_stack([each, each[:, 0] - each[:, 1]])
