"""Splits of a stimulus set: as its table has them, or made for those published without: seeded, in LaMem's proportions,
equal over strata, or with groups on one side."""

import numpy as np
import pandas as pd

from memscore.errors import InputError
from memscore.stimuli.tables import SPLIT_VALUES, split_columns

# LaMem's proportions: 45,000 / 3,741 / 10,000 of 58,741.
LAMEM_TRAIN, LAMEM_VAL = 45_000 / 58_741, 3_741 / 58_741
SCORE_BINS = 10
# A rank correlation over fewer says nothing.
FEWEST_TEST = 3


def memorability_splits(table: pd.DataFrame, source: str, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    """(train, test), each a boolean array of shape (n_splits, n_stimuli), from the split columns.

    Raises InputError where a split trains on fewer stimuli than the regression has components.
    """
    columns = split_columns(table)
    for column in columns:
        n_train = int((table[column] == "train").sum())
        n_test = int((table[column] == "test").sum())
        if n_train <= n_components:
            raise InputError(
                f"{source}: {column} trains on {n_train} stimuli, PLS with {n_components} components needs more "
                f"than {n_components}; add stimuli or lower memorability: components"
            )
        if n_test < 3:
            raise InputError(f"{source}: {column} tests on {n_test} stimuli; a rank correlation needs at least 3")
    return (
        np.stack([(table[column] == "train").to_numpy() for column in columns]),
        np.stack([(table[column] == "test").to_numpy() for column in columns]),
    )


def memorability_scores(table: pd.DataFrame) -> np.ndarray:
    """What each split predicts, float array of shape (n_splits, n_stimuli): its own scores, or `memorability`."""
    own = [column.replace("split_", "memorability_", 1) for column in split_columns(table)]
    return np.stack([table[column if column in table else "memorability"].to_numpy(dtype=float) for column in own])


def lamem_like_splits(n_stimuli: int, n_splits: int, seed: int) -> pd.DataFrame:
    """Random splits in LaMem's proportions: columns `split_1` … with train, val or test for each stimulus."""
    n_train, n_val = round(LAMEM_TRAIN * n_stimuli), round(LAMEM_VAL * n_stimuli)
    n_test = n_stimuli - n_train - n_val
    names = np.repeat(SPLIT_VALUES, [n_train, n_val, n_test])
    rng = np.random.default_rng(seed)
    return pd.DataFrame({f"split_{k + 1}": rng.permutation(names) for k in range(n_splits)})


def made_splits(ids: pd.Series, strata: np.ndarray, n_splits: int, seed: int) -> pd.DataFrame:
    """Columns `split_1` … with train, val or test for each stimulus; the order of the stimuli does not matter.

    ids : unique names of the stimuli
    strata : integer array of shape (n_stimuli,); each stratum is cut in the proportions of the whole, to the stimulus
    """
    order = np.argsort(ids.to_numpy(dtype=str), kind="stable")
    rng = np.random.default_rng(seed)
    made = {}
    for k in range(n_splits):
        column = np.empty(len(ids), dtype=object)
        column[order] = _split(np.asarray(strata)[order], rng)
        made[f"split_{k + 1}"] = column
    return pd.DataFrame(made, index=ids.index)


def sizes(n_stimuli: int) -> tuple[int, int, int]:
    """How many to train, validate and test on: LaMem's proportions, but 3 to test on where that would be fewer."""
    n_val = round(LAMEM_VAL * n_stimuli)
    n_test = n_stimuli - round(LAMEM_TRAIN * n_stimuli) - n_val
    n_test = max(n_test, min(FEWEST_TEST, n_stimuli - n_val))
    return n_stimuli - n_val - n_test, n_val, n_test


def by_score(ids: pd.Series, memorability: pd.Series) -> np.ndarray:
    """Strata of equally many stimuli, from the least to the most memorable; equal scores in the order of their ids."""
    rank = np.empty(len(ids), dtype=int)
    rank[np.lexsort((ids.to_numpy(dtype=str), memorability.to_numpy(dtype=float)))] = np.arange(len(ids))
    return rank * SCORE_BINS // max(len(ids), 1)


def by_value(column: pd.Series) -> np.ndarray:
    """A stratum, or a group, for each value."""
    return np.unique(column.to_numpy(dtype=str), return_inverse=True)[1]


def disjoint_splits(groups: np.ndarray, n_splits: int, seed: int, source: str) -> pd.DataFrame:
    """Columns `split_1` … that keep each group on one side: what is tested is of no group that was trained on.

    Groups go, in random order, to test while that brings it nearer to LaMem's proportion, then to val likewise, and
    the rest to train.

    groups : integer array of shape (n_stimuli,), from 0

    Raises InputError where groups are too few or too large for that.
    """
    rng, counts = np.random.default_rng(seed), np.bincount(groups)
    made = {}
    for k in range(n_splits):
        side = np.full(len(counts), "train", dtype=object)
        _, n_val, n_test = sizes(len(groups))
        for name, wanted in (("test", n_test), ("val", n_val)):
            held = 0
            for group in rng.permutation(len(counts)):
                if side[group] == "train" and abs(held + counts[group] - wanted) < abs(held - wanted):
                    side[group], held = name, held + counts[group]
        made[f"split_{k + 1}"] = side[groups]
        n_tested = int((made[f"split_{k + 1}"] == "test").sum())
        if n_tested < FEWEST_TEST or (side == "test").sum() == len(counts):
            raise InputError(
                f"{source}: {len(counts)} groups, the largest of {counts.max()} of {len(groups)} stimuli, leave "
                f"{n_tested} to test on where group keeps each on one side; name a column with more and smaller "
                "groups, or bring split columns"
            )
    return pd.DataFrame(made)


def _split(strata: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One split: strata one after the other in random order, each shuffled; of this row, evenly spaced stimuli."""
    _, n_val, n_test = sizes(len(strata))
    place = rng.permutation(strata.max() + 1)[strata]
    row = np.lexsort((rng.random(len(strata)), place))
    split = np.full(len(strata), "train", dtype=object)
    test = _spread(len(row), n_test, rng.random())
    split[row[test]] = "test"
    rest = row[~test]
    split[rest[_spread(len(rest), n_val, rng.random())]] = "val"
    return split


def _spread(n: int, n_chosen: int, offset: float) -> np.ndarray:
    """Boolean array with `n_chosen` of `n` True, in any stretch as many as its length asks for, rounded."""
    steps = np.floor(np.arange(n + 1) * n_chosen / max(n, 1) + offset)
    return np.diff(steps) > 0
