"""Made splits: the proportions of LaMem in the whole and in each stratum, by the seed, whatever the order; of small
sets more to validate on, and parts of train to choose on."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memscore.errors import InputError
from memscore.stimuli import splits, tables
from memscore.stimuli.sources import simulated

SHARES = {"train": 45_000 / 58_741, "val": 3_741 / 58_741, "test": 10_000 / 58_741}


unhurried = settings(deadline=None)  # a busy machine is no failure


def ids_of(n: int) -> pd.Series:
    return pd.Series([f"{i}.jpg" for i in range(n)])


@st.composite
def stimulus_sets(draw):
    """(ids, strata): groups of any sizes, singles among them."""
    n = draw(st.integers(1, 800))
    groups = draw(st.integers(1, n))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return ids_of(n), rng.integers(0, groups, n)


@unhurried
@given(stimulus_set=stimulus_sets(), n_splits=st.integers(1, 4), seed=st.integers(0, 2**32 - 1))
def test_the_whole_and_each_stratum_are_split_in_the_proportions_of_lamem(stimulus_set, n_splits, seed):
    """Whatever the order of the stimuli."""
    ids, strata = stimulus_set
    made = splits.made_splits(ids, strata, n_splits, seed)
    assert list(made) == [f"split_{k + 1}" for k in range(n_splits)]
    sizes = np.array(splits.sizes(len(ids)))
    for column in made:
        inside = np.stack([np.bincount(strata, made[column] == side) for side in tables.SPLIT_VALUES], axis=1)
        assert (inside.sum(0) == sizes).all()
        if len(ids) >= 18:
            expected = np.outer(np.bincount(strata), sizes / len(ids))
            # To the stimulus; what is left for val is itself rounded, and train is the rest.
            assert (np.abs(inside - expected) <= [2.2, 1.2, 1]).all()
    order = np.random.default_rng(seed).permutation(len(ids))
    shuffled = splits.made_splits(ids.iloc[order].reset_index(drop=True), strata[order], n_splits, seed)
    assert (shuffled.to_numpy() == made.to_numpy()[order]).all()


@unhurried
@given(n=st.integers(0, 100_000))
def test_sizes(n):
    train, val, test = splits.sizes(n)
    assert train + val + test == n
    assert min(train, val, test) >= 0
    assert test >= min(n, 3)
    if n >= 18:
        assert abs(test - SHARES["test"] * n) <= 1
        assert val == max(round(SHARES["val"] * n), min(50, round((n - test) / 5)))


@pytest.mark.parametrize(
    ("n", "expected"),
    [
        (58_741, (45_000, 3_741, 10_000)),
        (2_632, (2_016, 168, 448)),
        (500, (365, 50, 85)),
        (262, (174, 44, 44)),
        (60, (40, 10, 10)),
        (10, (6, 1, 3)),
    ],
)
def test_a_small_set_validates_on_fifty_or_a_fifth_of_what_is_not_tested_on(n, expected):
    """And tests on as many as ever."""
    assert splits.sizes(n) == expected
    made = splits.lamem_like_splits(n, 2, 1)
    for column in made:
        assert tuple(made[column].value_counts()[list(tables.SPLIT_VALUES)]) == expected


def stratified(seed):
    return splits.made_splits(ids_of(500), np.zeros(500, dtype=int), 2, seed)


def grouped(seed):
    return splits.disjoint_splits(np.arange(500) // 7, 2, seed, "mine.csv")


def like_lamem(seed):
    return splits.lamem_like_splits(500, 2, seed)


@pytest.mark.parametrize("split", [stratified, grouped, like_lamem])
def test_the_seed_decides_and_splits_differ(split):
    sides = split(1)
    assert sides.equals(split(1))
    assert (sides["split_1"] != sides["split_2"]).mean() > 0.3
    assert (sides["split_1"] != split(2)["split_1"]).mean() > 0.3


@pytest.mark.parametrize("strata", [np.zeros(40, dtype=int), np.arange(40), np.arange(40) // 4], ids=str)
def test_everyone_is_tested_on_as_often(strata):
    """Also those that are alone in their stratum."""
    made = splits.made_splits(ids_of(40), strata, 2000, 1)
    share = splits.sizes(40)[2] / 40
    tested = (made == "test").to_numpy().mean(1)
    assert np.abs(tested - share).max() < 5 * np.sqrt(share * (1 - share) / 2000)


@unhurried
@given(n=st.integers(10, 400), levels=st.integers(1, 400), seed=st.integers(0, 1000))
def test_strata_by_score_are_equally_many_and_in_order(n, levels, seed):
    memorability = pd.Series(np.random.default_rng(seed).integers(0, levels, n) / levels)
    strata = splits.by_score(ids_of(n), memorability)
    counts = np.bincount(strata)
    assert len(counts) == 10
    assert np.ptp(counts) <= 1
    for lower in range(9):
        assert memorability[strata == lower].max() <= memorability[strata == lower + 1].min()


def test_strata_by_value():
    assert list(splits.by_value(pd.Series(["b", "a", "b", "c", ""]))) == [2, 1, 2, 3, 0]
    assert list(splits.by_value(pd.Series([10, 9, 10]))) == [0, 1, 0]
    assert list(splits.by_value(pd.Series([" a", "a ", "1", "1.0", 1.0, "10", "1.50", "1.5"]))) == [
        3,
        3,
        0,
        0,
        0,
        2,
        1,
        1,
    ]


# Groups on one side


@unhurried
@given(
    counts=st.lists(st.integers(1, 30), min_size=12, max_size=60),
    n_splits=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_group_is_on_one_side(counts, n_splits, seed):
    """Whatever the order of the stimuli."""
    rng = np.random.default_rng(seed)
    groups = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    made = splits.disjoint_splits(groups, n_splits, seed, "mine.csv")
    columns = [f"split_{k + 1}" for k in range(n_splits)]
    assert list(made) == [*columns, splits.TOGETHER]
    assert (made[splits.TOGETHER] == groups).all()
    _, n_val, n_test = splits.sizes(len(groups))
    for column in columns:
        assert made[column].isin(tables.SPLIT_VALUES).all()
        assert (made.groupby(groups)[column].nunique() == 1).all()
        sides = made[column].value_counts()
        assert sides["train"] > 0
        assert abs(sides["test"] - n_test) <= max(counts) / 2
        assert abs(sides.get("val", 0) - n_val) <= max(counts) / 2
    order = rng.permutation(len(groups))
    shuffled = splits.disjoint_splits(groups[order], n_splits, seed, "mine.csv")
    assert (shuffled.to_numpy() == made.to_numpy()[order]).all()


@pytest.mark.parametrize("groups", [np.zeros(40, dtype=int), np.arange(40) // 39, np.arange(40) // 20], ids=str)
def test_groups_that_leave_nothing_to_test_on_are_refused(groups):
    words = r"^mine.csv: \d groups, the largest of \d+ of 40 stimuli, leave \d to test on"
    with pytest.raises(InputError, match=words):
        splits.disjoint_splits(groups, 5, 1, "mine.csv")


@pytest.mark.parametrize(("dataset", "sides"), [({}, 2), ({"group": "object_name"}, 1)], ids=["shared", "apart"])
def test_photographs_of_the_default_study(tmp_path, monkeypatch, dataset, sides):
    """Its tiles of one photograph are on both sides of a split, and on one where that is asked for."""
    rng = np.random.default_rng(0)
    monkeypatch.setattr(simulated, "network_activations", lambda table, *_: rng.standard_normal((len(table), 9)))
    simulated.stage_dataset(tmp_path / "stimuli.csv", {"source": "simulated"} | dataset, seed=1)
    table = tables.read_table(tmp_path / "stimuli.csv")
    assert len(table) == 262
    assert table["object_name"].nunique() == 20
    for split in tables.split_columns(table):
        assert (table[split] == "test").sum() == pytest.approx(45, abs=4)
        on = table[table[split] != "val"].groupby("object_name")[split].nunique()
        assert on.max() == sides


def scored_table(n, rng, n_groups=0):
    """Stimuli with scores of which many are equal; in groups of any sizes, or in none."""
    table = pd.DataFrame({"stimulus_id": ids_of(n), "memorability": rng.integers(0, 20, n) / 20})
    return table.assign(kept_together=rng.integers(0, n_groups, n)) if n_groups else table


@unhurried
@given(n=st.integers(6, 400), seed=st.integers(0, 2**32 - 1), share=st.floats(0.3, 1))
def test_validation_is_cut_from_train_alike_in_scores_whatever_the_order(n, seed, share):
    rng = np.random.default_rng(seed)
    table = scored_table(n, rng)
    train = rng.random(n) < share
    train[:6] = True
    cut = splits.cut_validation(table, train)
    assert not (cut & ~train).any()
    n_train = train.sum()
    assert cut.sum() == max(3, round(3_741 / 48_741 * n_train), min(50, round(n_train / 5)))
    order = rng.permutation(n)
    np.testing.assert_array_equal(splits.cut_validation(table.iloc[order], train[order]), cut[order])
    ranks = table["memorability"][train].rank(method="first").to_numpy() / train.sum()
    assert abs(ranks[cut[train]].mean() - 0.5) < 0.25


@settings(deadline=None, max_examples=30)
@given(n_groups=st.integers(2, 40), seed=st.integers(0, 2**32 - 1))
def test_what_is_cut_from_train_and_its_parts_keep_groups_on_one_side_whatever_the_order(n_groups, seed):
    rng = np.random.default_rng(seed)
    table, train = scored_table(300, rng, n_groups), np.ones(300, bool)
    cut = splits.cut_validation(table, train)
    left = train & ~cut
    (parts,) = splits.parts_of_train(table, left[None], np.zeros((1, 300), bool))
    assert (table["kept_together"].groupby(cut).nunique().sum()) == table["kept_together"].nunique()
    assert 3 <= cut.sum() <= 200
    assert ((parts >= 0) == left).all()
    if table["kept_together"][left].nunique() > 1:
        assert (pd.Series(parts[left]).groupby(table["kept_together"][left].to_numpy()).nunique() == 1).all()
    assert len(np.unique(parts[left])) >= 2
    order = rng.permutation(300)
    again = splits.cut_validation(table.iloc[order], train)
    np.testing.assert_array_equal(again, cut[order])
    np.testing.assert_array_equal(
        splits.parts_of_train(table.iloc[order], left[None, order], np.zeros((1, 300), bool))[0], parts[order]
    )


def test_parts_of_train_are_alike_and_of_splits_with_few_validation_stimuli_alone():
    table = scored_table(400, np.random.default_rng(0))
    validation = np.arange(400) < np.array([[49], [50]])
    parts = splits.parts_of_train(table, ~validation, validation)
    assert (parts[1] == -1).all()
    assert (parts[0, :49] == -1).all()
    assert np.ptp(np.bincount(parts[0, 49:])) <= 1
    assert np.ptp(table["memorability"][49:].groupby(parts[0, 49:]).mean()) < 0.02


def test_made_splits_by_group_keep_groups_apart_from_validation_that_is_cut_later():
    """Groups too large for a validation part of their own: some of train's is cut, whole groups of it."""
    group = np.repeat(np.arange(6), 30)
    table = pd.DataFrame({"stimulus_id": ids_of(180), "memorability": np.linspace(0, 1, 180)})
    made = splits.disjoint_splits(group, 3, 1, "mine.csv").replace({"val": "train"})
    train, test, validation = splits.memorability_splits(table.join(made), "mine.csv", 25, choose=True)
    assert (validation.sum(1) >= 30).all()
    for side in (train, test, validation):
        for other in (train, test, validation):
            if other is not side:
                assert not any(set(group[a]) & set(group[b]) for a, b in zip(side, other, strict=True))


def test_groups_that_leave_too_few_to_validate_on_are_refused():
    table = choosing_table(30, 0, 10).assign(kept_together=[0] + [1] * 29 + [2] * 10)
    words = "^x: split_1 validates on 1 stimuli where group keeps each on one side; a rank correlation needs at least 3"
    with pytest.raises(InputError, match=words):
        splits.memorability_splits(table, "x", 25, choose=True)


def choosing_table(n_train, n_val, n_test):
    sides = np.repeat(["train", "val", "test"], [n_train, n_val, n_test])
    scores = np.linspace(0.2, 0.9, len(sides))
    return pd.DataFrame({"stimulus_id": ids_of(len(sides)), "memorability": scores, "split_1": sides})


def test_a_split_with_validation_keeps_it_and_one_without_cuts_it_from_train():
    table = choosing_table(40, 6, 10)
    train, test, validation = splits.memorability_splits(table, "x", 25, choose=True)
    assert (train.sum(), validation.sum(), test.sum()) == (40, 6, 10)
    assert list(np.flatnonzero(validation[0])) == list(range(40, 46))
    assert splits.memorability_splits(table, "x", 25)[2] is None
    for few in (0, 2):
        train, test, validation = splits.memorability_splits(choosing_table(40, few, 10), "x", 25, choose=True)
        assert (train.sum(), validation.sum(), test.sum()) == (32, 8 + few, 10)
        assert not (train & validation | train & test | validation & test).any()


def test_ten_photographs_are_enough_to_choose_and_five_are_not():
    train, _, validation = splits.memorability_splits(choosing_table(6, 1, 3), "x", 25, choose=True)
    assert (train.sum(), validation.sum()) == (3, 4)
    with pytest.raises(InputError, match="split_1 trains on 1 stimuli, PLS needs 3; add stimuli"):
        splits.memorability_splits(choosing_table(4, 1, 3), "x", 25, choose=True)


def test_across_data_sets_is_chosen_on_what_the_first_split_holds_out():
    table = choosing_table(5, 2, 3).assign(split_2="train")
    assert list(np.flatnonzero(splits.held_out_by_the_first(table))) == [5, 6, 7, 8, 9]
