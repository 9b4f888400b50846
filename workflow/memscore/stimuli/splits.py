"""Splits of a stimulus set: as its table has them, or made for those published without: seeded, in LaMem's proportions,
equal over strata, or with groups on one side.

LaMem validates on 6%, 3,741 images. Of a small set 6% are a handful, on which the best epoch or number of components is
the luckiest: what is made validates on 50, or on a fifth of what is not tested on where that is fewer. The number of
components is chosen inside the training stimuli (`parts_of_train`) where a split has fewer than 50 to validate on.
"""

import numpy as np
import pandas as pd

from memscore.errors import InputError
from memscore.stimuli.tables import SPLIT_VALUES, split_columns

# LaMem's proportions: 45,000 / 3,741 / 10,000 of 58,741.
LAMEM_TRAIN, LAMEM_VAL = 45_000 / 58_741, 3_741 / 58_741
ENOUGH_VAL, MOST_VAL = 50, 0.2
N_PARTS = 5
SCORE_BINS = 10
# A rank correlation over fewer says nothing.
FEWEST_TEST = 3
# Of a table whose splits keep groups on one side: the group of each stimulus.
TOGETHER = "kept_together"


def memorability_splits(
    table: pd.DataFrame, source: str, n_components: int, choose: bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """(train, test, validation), each a boolean array of shape (n_splits, n_stimuli), from the split columns.

    With `choose`, the number of components is chosen on validation stimuli: a split with fewer than 3 has some cut
    from its training stimuli (`cut_validation`), which it then does not train on. Otherwise validation is None.

    Raises InputError where a split trains on too few stimuli for the regression, or tests on too few.
    """
    columns = split_columns(table)
    train, val, test = (np.stack([(table[c] == side).to_numpy() for c in columns]) for side in SPLIT_VALUES)
    fewest = fewest_training(n_components, choose)
    for k, column in enumerate(columns):
        if choose and val[k].sum() < FEWEST_TEST:
            val[k] |= cut_validation(table, train[k])
            train[k] &= ~val[k]
        n_train, n_test = train[k].sum(), test[k].sum()
        if n_train < fewest:
            needs = f"PLS with {n_components} components needs more than {n_components}"
            raise InputError(
                f"{source}: {column} trains on {n_train} stimuli, "
                + ("PLS needs 3; add stimuli" if choose else f"{needs}; add stimuli or lower memorability: components")
            )
        if n_test < FEWEST_TEST:
            raise InputError(f"{source}: {column} tests on {n_test} stimuli; a rank correlation needs at least 3")
        if choose and val[k].sum() < FEWEST_TEST:
            raise InputError(
                f"{source}: {column} validates on {val[k].sum()} stimuli where group keeps each on one side; a rank "
                "correlation needs at least 3: name a column with more groups of like size, or bring split columns"
            )
    return train, test, val if choose else None


def fewest_training(n_components: int, choose: bool) -> int:
    """How many stimuli a regression needs: more than it has components, where it does not choose among fewer."""
    return FEWEST_TEST if choose else n_components + 1


def cut_validation(table: pd.DataFrame, train: np.ndarray) -> np.ndarray:
    """Which of a split's training stimuli to validate on instead: in LaMem's proportion, but enough (see above), and 3.

    Evenly spaced in the order of scores, with no random choice; whole groups where the table has them.

    train : boolean array of shape (n_stimuli,)
    """
    validation = np.zeros_like(train)
    if not train.any():
        return validation
    group, n_train = groups_of(table, train), int(train.sum())
    counts = np.bincount(group)
    n_cut = enough_to_validate(round(LAMEM_VAL / (LAMEM_TRAIN + LAMEM_VAL) * n_train), n_train)
    n_cut = max(n_cut, min(FEWEST_TEST, n_train), counts.min())
    spaced = _spread(len(counts), max(1, round(len(counts) * n_cut / n_train)), 0.5)
    order = np.concatenate([np.flatnonzero(spaced), np.flatnonzero(~spaced)])
    validation[train] = np.isin(group, _nearest(order, counts, n_cut))
    return validation


def parts_of_train(table: pd.DataFrame, train: np.ndarray, validation: np.ndarray) -> np.ndarray:
    """Five parts of each split's training stimuli, alike in scores, to predict each from the others.

    Of splits with fewer than 50 validation stimuli; the others have none. Whole groups where the table has them.

    train, validation : boolean arrays of shape (n_splits, n_stimuli)

    Returns the number of each stimulus' part, integer array of shape (n_splits, n_stimuli); -1 in none.
    """
    parts = np.full(train.shape, -1)
    for k in np.flatnonzero(validation.sum(1) < ENOUGH_VAL):
        group = groups_of(table, train[k])
        held, part = np.zeros(N_PARTS, int), []
        for count in np.bincount(group):
            part.append(np.argmin(held))
            held[part[-1]] += count
        parts[k, train[k]] = np.array(part, int)[group]
    return parts


def groups_of(table: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """The number of each one's group among these stimuli, integer array (n_rows,), from 0 in the order of scores.

    A stimulus is a group of its own where the table has none, and where all of these are of one.

    rows : boolean array of shape (n_stimuli,)
    """
    of = table[rows]
    group = by_value(of[TOGETHER]) if TOGETHER in of else np.arange(len(of))
    group = group if group.any() else np.arange(len(of))
    in_order = of.assign(group=group).sort_values("stimulus_id").groupby("group")
    in_order = in_order.agg({"memorability": "median", "stimulus_id": "first"})
    in_order = in_order.sort_values(["memorability", "stimulus_id"]).index.to_numpy()
    return np.argsort(in_order)[group]


def held_out_by_the_first(table: pd.DataFrame) -> np.ndarray:
    """The stimuli that a table's first split does not train on, boolean array of shape (n_stimuli,).

    Where a regression is fitted to all of a table, its number of components is chosen on these: the split keeps
    together what belongs together.
    """
    return table[split_columns(table)[0]].isin(["val", "test"]).to_numpy()


def only(table: pd.DataFrame, split: int, source: str) -> pd.DataFrame:
    """The table with one of its splits alone. Raises InputError where it does not have that."""
    columns, column = split_columns(table), f"split_{split}"
    if column not in columns:
        raise InputError(f"{source}: no {column}; it has {', '.join(columns)}: correct finetune: splits in the config")
    return table.drop(columns=[other for other in columns if other != column])


def memorability_scores(table: pd.DataFrame) -> np.ndarray:
    """What each split predicts, float array of shape (n_splits, n_stimuli): its own scores, or `memorability`."""
    own = [column.replace("split_", "memorability_", 1) for column in split_columns(table)]
    return np.stack([table[column if column in table else "memorability"].to_numpy(dtype=float) for column in own])


def lamem_like_splits(n_stimuli: int, n_splits: int, seed: int) -> pd.DataFrame:
    """Random splits of these `sizes`: columns `split_1` … with train, val or test for each stimulus."""
    names = np.repeat(SPLIT_VALUES, sizes(n_stimuli))
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
    """How many to train, validate and test on: LaMem's proportions, but enough to validate on (see above), and 3 to
    test on where that would be fewer."""
    n_val = round(LAMEM_VAL * n_stimuli)
    n_test = n_stimuli - round(LAMEM_TRAIN * n_stimuli) - n_val
    n_test = max(n_test, min(FEWEST_TEST, n_stimuli - n_val))
    n_val = enough_to_validate(n_val, n_stimuli - n_test)
    return n_stimuli - n_val - n_test, n_val, n_test


def enough_to_validate(n_like_lamem: int, n_not_tested: int) -> int:
    """As many as LaMem would, but 50, or a fifth of what is not tested on where that is fewer."""
    return max(n_like_lamem, min(ENOUGH_VAL, round(MOST_VAL * n_not_tested)))


def by_score(ids: pd.Series, memorability: pd.Series) -> np.ndarray:
    """Strata of equally many stimuli, from the least to the most memorable; equal scores in the order of their ids."""
    rank = np.empty(len(ids), dtype=int)
    rank[np.lexsort((ids.to_numpy(dtype=str), memorability.to_numpy(dtype=float)))] = np.arange(len(ids))
    return rank * SCORE_BINS // max(len(ids), 1)


def by_value(column: pd.Series) -> np.ndarray:
    """A stratum, or a group, for each value: spaces around it do not count, and `1` is `1.0`."""
    values = pd.Series(column.to_numpy(dtype=str)).str.strip()
    values = values.where(~values.str.fullmatch(r"[+-]?\d+\.\d*"), values.str.rstrip("0").str.rstrip("."))
    return np.unique(values.to_numpy(dtype=str), return_inverse=True)[1]


def disjoint_splits(groups: np.ndarray, n_splits: int, seed: int, source: str) -> pd.DataFrame:
    """Columns `split_1` … that keep each group on one side: what is tested is of no group that was trained on. And the
    groups, so that what is cut from train later keeps them too.

    Groups go, in random order, to test while that brings it nearer to its `sizes`, then to val likewise, and the rest
    to train.

    groups : integer array of shape (n_stimuli,), from 0

    Raises InputError where groups are too few or too large for that.
    """
    rng, counts = np.random.default_rng(seed), np.bincount(groups)
    made = {}
    for k in range(n_splits):
        side = np.full(len(counts), "train", dtype=object)
        _, n_val, n_test = sizes(len(groups))
        for name, wanted in (("test", n_test), ("val", n_val)):
            order = rng.permutation(len(counts))
            side[_nearest(order[side[order] == "train"], counts, wanted)] = name
        made[f"split_{k + 1}"] = side[groups]
        n_tested = int((made[f"split_{k + 1}"] == "test").sum())
        if n_tested < FEWEST_TEST or (side == "test").sum() == len(counts):
            raise InputError(
                f"{source}: {len(counts)} groups, the largest of {counts.max()} of {len(groups)} stimuli, leave "
                f"{n_tested} to test on where group keeps each on one side; name a column with more and smaller "
                "groups, or bring split columns"
            )
    return pd.DataFrame(made | {TOGETHER: groups})


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


def _nearest(order: np.ndarray, counts: np.ndarray, wanted: int) -> list[int]:
    """Which groups to take, of so many stimuli each: in this order, where that brings their sum nearer to `wanted`."""
    taken, held = [], 0
    for group in order:
        if abs(held + counts[group] - wanted) < abs(held - wanted):
            taken.append(group)
            held += counts[group]
    return taken


def _spread(n: int, n_chosen: int, offset: float) -> np.ndarray:
    """Boolean array with `n_chosen` of `n` True, in any stretch as many as its length asks for, rounded."""
    steps = np.floor(np.arange(n + 1) * n_chosen / max(n, 1) + offset)
    return np.diff(steps) > 0
