"""Intervals that know what is independent of what: networks, stretches of depth, test images.

Layers are neighbours: scores of one resemble those of the next, and networks resemble each other at the same depth.
What an interval leaves out at a time must therefore be a whole network, or a stretch of depth of all networks that is
long beside what neighbours have in common.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from scipy.stats import t as student

from memscore.correlation import pearson

CONFIDENCE = 0.95
# From which networks are a sample of networks.
FEWEST_NETWORKS = 5
# With fewer units, bounds are so wide that they say nothing.
FEWEST_UNITS = 4
# A stretch is so many times as long as what neighbours have in common, and more stretches make no better interval.
STRETCH, MOST_STRETCHES = 2, 20
# A smooth curve along depth: a polynomial of at most this degree, and of one degree less for each so many layers less.
SMOOTH_DEGREE, LAYERS_PER_DEGREE = 5, 5
# An interval that holds this share of what is possible says nothing.
SAYS_NOTHING = 0.9
LARGEST_R = 1 - 1e-12


@dataclass(frozen=True)
class Units:
    """What is left out at a time.

    over : what the names are of: `networks`, `depth`, or of predictions `images` or `splits`
    names : of each row, what it is left out with, array (n,)
    times : what a jackknife's error falls short by, since neighbouring stretches still have something in common
    """

    over: str
    names: np.ndarray
    times: float = 1.0


def networks(models: np.ndarray) -> Units | None:
    """Whole networks, for intervals that speak of others like them; None of fewer than `FEWEST_NETWORKS`."""
    return Units("networks", models) if len(pd.unique(models)) >= FEWEST_NETWORKS else None


def stretches(models: np.ndarray, depth: np.ndarray, *series: np.ndarray, n_fitted: int = 0) -> Units:
    """Stretches of depth through all networks, for intervals that speak of these networks alone.

    models, depth : of each layer, arrays (n_layers,)
    series : the scores that are correlated, arrays (n_layers,). Correlated series of the autocorrelations a and b have
        products of about a·b, so that the layers count for 1 / (1 + 2 Σ a·b) of their number.
    n_fitted : how many parameters were fitted along depth and taken away

    Where not even four stretches are long enough, all layers are one unit, of which no interval comes.
    """
    n_layers = layers_per_network(models)
    common = correlation_length(models, depth, series, n_fitted)
    n = int(min(n_layers / (STRETCH * common), MOST_STRETCHES))
    if n < FEWEST_UNITS or n_layers <= n_fitted:
        return Units("depth", np.zeros(len(models), int))
    # Of an AR(1) series the variance of means of stretches of this length falls short by this share.
    short = (common - 1 / common) / (2 * n_layers / n)
    names = np.minimum((rankdata(depth) - 0.5) * n / len(depth), n - 1).astype(int)
    return Units("depth", names, sqrt(n_layers / (n_layers - n_fitted) / (1 - short)))


def correlation_length(models: np.ndarray, depth: np.ndarray, series: Sequence[np.ndarray], n_fitted: int = 0) -> float:
    """For how many layers one counts, 1 of independent ones, by all pairs of a first series with each other one.

    The larger of two estimates: from neighbours alone, as of an AR(1) series, and the sum over lags up to the first
    that is not positive, which a trend along the whole depth makes long.
    """
    autocorrelations = [autocorrelation(models, depth, values, n_fitted) for values in series]
    if min(map(len, autocorrelations)) == 0:
        return 1.0
    first, *others = autocorrelations
    lengths = [1.0]
    for other in others:
        products = first.clip(0, 0.999) * other.clip(0, 0.999)
        until = np.argmax(products <= 0) if (products <= 0).any() else len(products)
        lengths += [(1 + products[0]) / (1 - products[0]), 1 + 2 * products[:until].sum()]
    return max(lengths)


def autocorrelation(models: np.ndarray, depth: np.ndarray, values: np.ndarray, n_fitted: int = 0) -> np.ndarray:
    """Of ranks along depth within networks, at lags from 1 to a third of a network's layers, pooled over networks.

    Corrected for the mean, or the curve of `n_fitted` terms, that is estimated from the same few layers (Kendall 1954,
    Biometrika 41:403).
    """
    profiles = [profile - profile.mean() for profile in along_depth(models, depth, rankdata(values))]
    n_layers = layers_per_network(models)
    variance = sum(profile @ profile for profile in profiles) / max(len(models), 1)
    if not variance:
        return np.empty(0)
    found = []
    for lag in range(1, int(n_layers / 3) + 1):
        pairs = [(profile[:-lag], profile[lag:]) for profile in profiles if len(profile) > lag]
        r = sum(a @ b for a, b in pairs) / sum(len(a) for a, _ in pairs) / variance
        found.append(r + (max(n_fitted, 1) + 3 * max(r, 0)) / n_layers)
    return np.array(found)


def layers_per_network(models: np.ndarray) -> float:
    """Mean over networks; models : of each layer, array (n_layers,)"""
    return len(models) / max(len(pd.unique(models)), 1)


def along_depth(models: np.ndarray, depth: np.ndarray, values: np.ndarray) -> list[np.ndarray]:
    """The values (n_layers,) of each network's layers, the first layer first."""
    order = np.lexsort((depth, models))
    starts = np.flatnonzero(models[order][1:] != models[order][:-1]) + 1
    return np.split(values[order], starts) if len(values) else []


def jackknife(statistic: Callable[[np.ndarray], np.ndarray], units: Units, confidence: float) -> np.ndarray:
    """Lower bound, value and upper bound of statistics, array (3, n_statistics), by leaving out each unit once.

    statistic : (n_statistics,) of the rows that a boolean array chooses

    Student's t with a degree of freedom less than units (Efron & Tibshirani 1993, ch. 11), which holds with few units,
    where percentiles of a bootstrap are too narrow. Bounds are NaN with fewer than four units.
    """
    names, value = pd.unique(units.names), statistic(np.ones(len(units.names), bool))
    n = len(names)
    if n < FEWEST_UNITS:
        return np.stack([np.full_like(value, np.nan), value, np.full_like(value, np.nan)])
    without = np.stack([statistic(units.names != name) for name in names])
    error = np.sqrt((n - 1) / n * ((without - without.mean(0)) ** 2).sum(0))
    margin = student.ppf((1 + confidence) / 2, n - 1) * error * units.times
    return np.stack([value - margin, value, value + margin])


def widest(statistic: Callable[[np.ndarray], np.ndarray], several: Sequence[Units], confidence: float) -> np.ndarray:
    """`jackknife` over each kind of units, the lowest of lower bounds and the highest of upper ones; NaN if one is."""
    found = np.stack([jackknife(statistic, units, confidence) for units in several])
    return np.stack([found[:, 0].min(0), found[0, 1], found[:, 2].max(0)])


def of_correlations(bounds: np.ndarray) -> np.ndarray:
    """Bounds on Fisher's z, array (3, n), as those of correlations; NaN where the interval says nothing."""
    return telling(np.tanh(bounds), 2)


def telling(bounds: np.ndarray, possible: float) -> np.ndarray:
    """Bounds (3, n) without those of intervals that say nothing.

    possible : how far apart values can lie, 2 of correlations and 4 of their differences
    """
    low, value, high = bounds
    says_something = high - low < SAYS_NOTHING * possible
    return np.stack([np.where(says_something, low, np.nan), value, np.where(says_something, high, np.nan)])


def fisher_z(r: np.ndarray) -> np.ndarray:
    """In which a correlation's error hardly depends on it; of exactly 1 it is large, not infinite."""
    return np.arctanh(np.clip(r, -LARGEST_R, LARGEST_R))


def smooth(models: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """What curves along depth are made of, one for all networks: Legendre polynomials, array (n_layers, n_terms)."""
    n_layers = layers_per_network(models)
    degree = int(np.clip(n_layers / LAYERS_PER_DEGREE, 1, SMOOTH_DEGREE))
    return np.polynomial.legendre.legvander(2 * depth - 1, degree)


def without_depth(curves: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Ranks of values (n_layers,) less what the `smooth` curves say of them."""
    ranks = rankdata(values)
    return ranks - curves @ np.linalg.lstsq(curves, ranks, rcond=None)[0]


def shifted(models: np.ndarray, depth: np.ndarray, a: np.ndarray, b: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Spearman of a with b after a was shifted along depth by these shares of it, in a circle and in all networks
    alike: array (n_shares,). Shifted profiles are as smooth as they were, and have nothing to do with each other."""
    profiles, others = (along_depth(models, depth, rankdata(values)) for values in (a, b))
    moved = [np.concatenate([np.roll(p, round(share * len(p))) for p in profiles]) for share in shares]
    return pearson(np.stack(moved, 1), np.repeat(np.concatenate(others)[:, None], len(shares), 1))
