"""Relation of memorability and brain similarity over layers, with honest uncertainty."""

from collections.abc import Sequence
from math import comb

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from memscore.analysis import intervals
from memscore.analysis.intervals import CONFIDENCE, fisher_z
from memscore.analysis.tables import similarity

ALL_TRAINED = "all trained"
# Of profiles shifted along depth: with fewer layers there is no telling the highest twentieth, and more say no more.
FEWEST_SHIFTS, MOST_SHIFTS = 20, 200
DIFFERENCE_COLUMNS = (
    "best",
    "other",
    "n_models",
    "n_layers",
    "interval_over",
    "n_units",
    "difference",
    "difference_low",
    "difference_high",
    "partial_difference",
    "partial_difference_low",
    "partial_difference_high",
)


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson r of two arrays (n,); NaN with fewer than three values or where one does not vary."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    return float(np.corrcoef(a, b)[0, 1])


def both_correlations(a: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """(Spearman, Pearson) of two arrays (n,)."""
    return correlation(rankdata(a), rankdata(b)), correlation(a, b)


def relate(layers: pd.DataFrame, benchmarks: list[str]) -> pd.DataFrame:
    """Correlation over layers between memorability ρ and `similarity` to each benchmark.

    layers : the study's main table (`results/layers.csv`)
    benchmarks : their names

    One row per benchmark and scope: first `all trained` (untrained controls left out), then each model by itself.
    `spearman` and `pearson` are as they are, `partial` is Spearman's given depth (a smooth curve, `intervals.smooth`).
    `shifted_low`, `shifted_high` is between what profiles that are shifted along depth reach on any benchmark, in 95%
    of shifts, and `depth` how far a smooth curve along depth alone follows memorability (Pearson r of ranks).

    Intervals are of `intervals.jackknife` on Fisher's z, over networks or with few over stretches of depth;
    `interval_over` says which. That of `partial` is the wider of both, as networks may share what depth does not
    explain. Those of a scope hold together in 95% of studies for all benchmarks and, of controls, for all of them
    (Bonferroni).
    """
    trained = layers[layers["trained"]]
    scopes = [(ALL_TRAINED, trained)] if len(trained) else []
    n_controls = layers.loc[~layers["trained"], "model"].nunique()
    rows = []
    for scope, table in [*scopes, *layers.groupby("model", sort=False)]:
        at_once = max(len(benchmarks), 1) * (1 if table["trained"].any() else n_controls)
        rows += of_scope(scope, table, benchmarks, 1 - (1 - CONFIDENCE) / at_once)
    order = [list(benchmarks).index(row["benchmark"]) for row in rows]
    return pd.DataFrame([rows[i] for i in np.argsort(order, kind="stable")])


def of_scope(scope: str, table: pd.DataFrame, benchmarks: Sequence[str], confidence: float) -> list[dict]:
    """Rows of `relate` on one scope's layers, a benchmark each."""
    rows, reached = [], []
    shares = _shares(table.dropna(subset=["memorability"])["model"])
    for benchmark in benchmarks:
        scored = table.assign(similarity=similarity(table, benchmark)).dropna(subset=["memorability", "similarity"])
        pair = Pairs.of(scored, "similarity")
        row = {"benchmark": benchmark, "scope": scope, "n_models": scored["model"].nunique(), "n_layers": len(scored)}
        rows.append(row | pair.related(confidence))
        if pd.notna(rows[-1]["spearman"]) and len(shares):
            reached.append(intervals.shifted(pair.models, pair.depth, *pair.values, shares))
    low, high = np.nan, np.nan
    if reached:
        # Of several benchmarks the best is looked at, so shifted profiles may choose theirs too.
        low, high = np.quantile(np.min(reached, 0), 0.025), np.quantile(np.max(reached, 0), 0.975)
    return [row | {"shifted_low": low, "shifted_high": high} for row in rows]


def _shares(models: pd.Series) -> np.ndarray:
    """By which shares of depth to shift: by every layer of the largest network, the unshifted profile among them."""
    n = min(models.value_counts().max() if len(models) else 0, MOST_SHIFTS)
    return np.arange(n) / n if n >= FEWEST_SHIFTS else np.empty(0)


class Pairs:
    """Memorability beside one similarity, or two, of layers: `values`, and `residuals`, their ranks given depth."""

    def __init__(self, models: np.ndarray, depth: np.ndarray, *values: np.ndarray):
        self.models, self.depth, self.values = models, depth, values
        curves = intervals.smooth(models, depth)
        self.n_fitted = curves.shape[1]
        self.residuals = [intervals.without_depth(curves, each) for each in values]
        networks = intervals.networks(models)
        self.units = networks or intervals.stretches(models, depth, *values)
        given_depth = intervals.stretches(models, depth, *self.residuals, n_fitted=self.n_fitted)
        self.given_depth = [given_depth, networks] if networks else [given_depth]

    @classmethod
    def of(cls, scored: pd.DataFrame, *columns: str) -> "Pairs":
        values = (scored[name].to_numpy(float) for name in ("memorability", *columns))
        return cls(scored["model"].to_numpy(), scored["depth"].to_numpy(float), *values)

    def related(self, confidence: float) -> dict:
        """Columns of `relate` on one benchmark."""
        a, b = self.values
        bounds = intervals.jackknife(lambda rows: fisher_z(both_correlations(a[rows], b[rows])), self.units, confidence)
        found = {"interval_over": self.units.over, "n_units": len(set(self.units.names))}
        found |= _columns(("spearman", "pearson"), intervals.of_correlations(bounds))
        partial = intervals.widest(
            lambda rows: np.array([fisher_z(self._partial(rows, 1))]), self.given_depth, confidence
        )
        found |= _columns(("partial",), intervals.of_correlations(partial))
        return found | {"depth": correlation(rankdata(a), rankdata(a) - self.residuals[0])}

    def apart(self, confidence: float) -> dict:
        """Columns of `differences` between two similarities."""
        a, b, c = self.values

        def difference(rows: np.ndarray) -> np.ndarray:
            return np.array([both_correlations(a[rows], b[rows])[0] - both_correlations(a[rows], c[rows])[0]])

        def partial(rows: np.ndarray) -> np.ndarray:
            return np.array([self._partial(rows, 1) - self._partial(rows, 2)])

        found = {"interval_over": self.units.over, "n_units": len(set(self.units.names))}
        found |= _columns(
            ("difference",), intervals.telling(intervals.jackknife(difference, self.units, confidence), 4)
        )
        partial = intervals.telling(intervals.widest(partial, self.given_depth, confidence), 4)
        return found | _columns(("partial_difference",), partial)

    def _partial(self, rows: np.ndarray, which: int) -> float:
        # Once curves have as many terms as there are layers, what they leave is rounding noise.
        if len(self.models) <= self.n_fitted + 2:
            return np.nan
        return correlation(self.residuals[0][rows], self.residuals[which][rows])


def _columns(names: Sequence[str], bounds: np.ndarray) -> dict:
    """`<name>_low`, `<name>`, `<name>_high` of bounds (3, n_names)."""
    return {
        f"{name}{part}": value
        for name, of_name in zip(names, bounds.T, strict=True)
        for part, value in zip(("", "_low", "_high"), of_name[[1, 0, 2]], strict=True)
    }


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

    One row per benchmark but the best, the second first, over the layers that are scored on both; `partial_difference`
    is that given depth. Intervals are those of a paired jackknife over the units of `relate`, and hold together: which
    is best is seen in the same scores, so each is as wide as it must be for all pairs of benchmarks to be right at once
    in 95% of studies (Bonferroni).
    """
    names, rows = list(ranked(correlations)["benchmark"]), []
    confidence = 1 - (1 - CONFIDENCE) / max(comb(len(names), 2), 1)
    for other in names[1:]:
        both = layers.assign(best=similarity(layers, names[0]), other=similarity(layers, other))
        scored = both[both["trained"]].dropna(subset=["memorability", "best", "other"])
        row = {"best": names[0], "other": other, "n_models": scored["model"].nunique(), "n_layers": len(scored)}
        rows.append(row | Pairs.of(scored, "best", "other").apart(confidence))
    return pd.DataFrame(rows, columns=DIFFERENCE_COLUMNS)


def relate_networks(finetuned: pd.DataFrame, benchmarks: Sequence[str]) -> pd.DataFrame:
    """Over networks: does brain similarity of the penultimate layer go with memorability, or with object recognition?

    finetuned : `results/finetuned.csv`, of which each network's mean over splits counts

    One row per benchmark and `when`. Before training, `memorability` is Spearman's correlation of similarity with ρ of
    PLS on the penultimate layer; after it, with ρ of the network's own prediction. `top1` is that with accuracy of
    object recognition, `difference` the first less the second, over the same networks. Intervals are of a jackknife
    over networks (correlations on Fisher's z), paired, as the two correlations share the similarity, and hold together
    for all benchmarks (Bonferroni); NaN below `intervals.FEWEST_NETWORKS`.
    """
    means, rows = finetuned.groupby("model", sort=False).mean(numeric_only=True).dropna(axis=1, how="all"), []
    names = ["memorability", *(["top1", "difference"] if "top1" in means else [])]
    confidence = 1 - (1 - CONFIDENCE) / max(len(benchmarks), 1)
    for benchmark in benchmarks:
        for when, measure in (("before", "pls_before"), ("after", "head_rho")):
            of_each = [f"{benchmark}.raw_{when}", measure, *names[1:2]]
            values = means.reindex(columns=of_each).dropna().to_numpy()
            row = {"benchmark": benchmark, "when": when, "n_networks": len(values)}
            rows.append(row | _columns(names, _over_networks(values, confidence)))
    columns = [f"{name}{part}" for name in names for part in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["benchmark", "when", "n_networks", *columns])


def _over_networks(values: np.ndarray, confidence: float) -> np.ndarray:
    """Lower bound, value and upper bound of Spearman of the first column with each other one and, of two others, of
    their difference: array (3, 1 or 3). values : (n_networks, 2 or 3)"""
    likeness, *others = values.T

    def each(rows: np.ndarray) -> np.ndarray:
        return np.array([both_correlations(likeness[rows], other[rows])[0] for other in others])

    n = len(values)
    units = intervals.networks(np.arange(n)) or intervals.Units("networks", np.zeros(n, int))
    found = intervals.of_correlations(intervals.jackknife(lambda rows: fisher_z(each(rows)), units, confidence))
    if len(others) == 1:
        return found
    difference = intervals.jackknife(lambda rows: -np.diff(each(rows)), units, confidence)
    return np.hstack([found, intervals.telling(difference, 4)])
