"""Human consistency against simulated viewers whose every chance of remembering is known."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from memscore.errors import InputError
from memscore.stimuli import consistency, tables


def chances(n_images, seed=0):
    """Each image's true chance of being remembered."""
    rng = np.random.default_rng(seed)
    return 1 / (1 + np.exp(-1 - 0.8 * rng.standard_normal(n_images)))


def make_table(p, n_responses, seed=1):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"memorability": rng.binomial(n_responses, p) / n_responses, "n_responses": n_responses})


def row_of(table, source="table", seed=0):
    return consistency.consistency(table, "mine.csv", source, seed)


# Spearman-Brown is exact for Pearson correlations of parallel halves: ranks and ties at few responses cost a little.
@pytest.mark.parametrize(
    ("fewest", "most", "tolerance"),
    [(5, 5, 0.03), (10, 10, 0.02), (21, 21, 0.015), (80, 80, 0.01), (320, 320, 0.01), (10, 120, 0.015)],
)
def test_known_chances_are_recovered(fewest, most, tolerance):
    """Two halves of viewers, as many other viewers, and the one who knows the chances."""
    p, rng = chances(20_000), np.random.default_rng(2)
    n = rng.integers(fewest, most + 1, len(p))
    first, second, others = (rng.binomial(viewers, p) for viewers in (n // 2, n - n // 2, n))
    score = (first + second) / n
    row = row_of(pd.DataFrame({"memorability": score, "n_responses": n}))
    halves = spearmanr(first / (n // 2), second / (n - n // 2)).statistic
    assert row["split_half"] == pytest.approx(halves, abs=0.015)
    assert row["human_consistency"] == pytest.approx(spearmanr(score, others / n).statistic, abs=tolerance)
    assert row["perfect_predictor"] == pytest.approx(spearmanr(score, p).statistic, abs=tolerance)
    assert row["n_images"] == len(p)
    assert row["source"] == "split halves of responses"


def test_viewers_who_agree_on_nothing_are_not_consistent():
    row = row_of(make_table(np.full(5_000, 0.7), 40))
    assert 0 <= row["human_consistency"] < 0.06


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"memorability": 0.5, "n_responses": [40] * 50}),
        pd.DataFrame({"memorability": 1.0, "n_responses": [40] * 50}),
        pd.DataFrame({"memorability": [0.0, 1.0] * 25, "n_responses": 1}),
        pd.DataFrame({"memorability": [0.2, 0.4], "n_responses": 5}),
        pd.DataFrame({"memorability": [0.2, 0.4, 0.6]}),
        pd.DataFrame({"memorability": [0.2, 0.4, 0.6], "n_responses": np.nan}),
    ],
    ids=["equal scores", "all remembered", "one response", "two images", "no responses known", "none filled in"],
)
def test_no_consistency_where_there_is_none_to_see(table):
    row = row_of(table)
    assert np.isnan([row["split_half"], row["human_consistency"], row["perfect_predictor"]]).all()


def test_images_whose_responses_are_not_known_are_left_out():
    known = make_table(chances(400), 30)
    unknown = pd.DataFrame({"memorability": [0.1, 0.9, 1.0], "n_responses": [np.nan, np.nan, 1]})
    assert row_of(pd.concat([known, unknown], ignore_index=True)) == row_of(known)


def test_responses_cut_in_halves_add_up():
    """Of three responses with one or two hits, the halves are of one and of two, and hits are never made up."""
    memorability, n = np.array([0, 1 / 3, 2 / 3, 1.0] * 10), np.full(40, 3)
    assert 0 < consistency.split_half(memorability, n, seed=0) < 1
    certain = np.array([0.0, 1.0] * 20)
    assert consistency.split_half(certain, np.full(40, 3), seed=0) == pytest.approx(1.0)


def test_seeded():
    table = make_table(chances(300), 20)
    assert row_of(table, seed=1) == row_of(table, seed=1)
    assert row_of(table, seed=1) != row_of(table, seed=2)
    assert row_of(table, seed=1)["human_consistency"] == pytest.approx(
        row_of(table, seed=2)["human_consistency"], abs=0.02
    )


def test_published_where_there_are_no_responses():
    scores = pd.DataFrame({"memorability": np.linspace(0.2, 0.9, 30)})
    row = row_of(scores, "lamem")
    assert row["split_half"] == 0.68
    assert row["human_consistency"] == pytest.approx(2 * 0.68 / 1.68)
    assert row["perfect_predictor"] == pytest.approx((2 * 0.68 / 1.68) ** 0.5)
    assert row["source"] == "published: Khosla et al. 2015"
    assert row_of(make_table(chances(300), 20), "lamem")["source"] == "split halves of responses"
    assert row_of(scores)["source"] == ""


@pytest.mark.parametrize("entry", ["many", -1, 2.5, np.inf])
def test_responses_that_are_no_number_are_refused(entry):
    table = pd.DataFrame({"memorability": [0.2, 0.4, 0.6], "n_responses": [10, entry, 10]})
    with pytest.raises(InputError, match=r"^mine\.csv: line 3: n_responses is .*; it must be a whole number"):
        row_of(table)


def test_described():
    assert consistency.described(None) == consistency.described({"human_consistency": np.nan, "source": ""}) == ""
    row = {"human_consistency": 0.68, "source": "published: Khosla et al. 2015"}
    assert consistency.described(row) == "human consistency 0.68 (published: Khosla et al. 2015, Spearman–Brown)"
    row = {"human_consistency": 0.0, "source": "split halves of responses"}
    expected = "human consistency 0, two halves of the people do not agree at all (split halves of responses)"
    assert consistency.described(row) == expected


def halves_of(p, n_halvings, n=40, seed=4):
    """Scores by halves of the same viewers, halved so many times, and of all of them."""
    rng = np.random.default_rng(seed)
    viewers = rng.random((2 * n, len(p))) < p
    table = pd.DataFrame({"stimulus_id": [f"{i}" for i in range(len(p))], "path": "x", "memorability": viewers.mean(0)})
    for k in range(1, n_halvings + 1):
        order = rng.permutation(2 * n)
        table[f"half_a_{k}"], table[f"half_b_{k}"] = viewers[order[:n]].mean(0), viewers[order[n:]].mean(0)
    return table


def test_given_halves_are_correlated_pair_by_pair_and_corrected():
    p = chances(5_000)
    table = halves_of(p, 3)
    row = row_of(table)
    rhos = [spearmanr(table[f"half_a_{k}"], table[f"half_b_{k}"]).statistic for k in (1, 2, 3)]
    assert row["split_half"] == pytest.approx(np.mean(rhos), abs=1e-12)
    assert row["human_consistency"] == pytest.approx(2 * np.mean(rhos) / (1 + np.mean(rhos)), abs=1e-12)
    others = np.random.default_rng(9).binomial(80, p) / 80
    assert row["human_consistency"] == pytest.approx(spearmanr(table["memorability"], others).statistic, abs=0.015)
    assert row["source"] == "3 given halvings of the people"
    assert row["n_images"] == 5_000


def test_one_given_halving_goes_before_responses_and_counts_images_that_both_halves_saw():
    table = halves_of(chances(400), 1).rename(columns={"half_a_1": "half_a", "half_b_1": "half_b"})
    table["n_responses"] = 80
    table.loc[:9, "half_a"] = np.nan
    row = row_of(table)
    assert (row["source"], row["n_images"]) == ("1 given halving of the people", 390)
    assert row["split_half"] == pytest.approx(spearmanr(table["half_a"][10:], table["half_b"][10:]).statistic)
    assert np.isnan(row_of(table.head(12))["split_half"])


def test_an_image_that_a_half_did_not_see_counts_in_the_other_halvings():
    """Each image is missing in one of three: all are in what the others say."""
    table = halves_of(chances(300), 3)
    for k in (1, 2, 3):
        table.loc[table.index % 3 == k - 1, f"half_b_{k}"] = np.nan
    row = row_of(table)
    pairs = [table[[f"half_a_{k}", f"half_b_{k}"]].dropna() for k in (1, 2, 3)]
    assert [len(pair) for pair in pairs] == [200] * 3
    assert row["split_half"] == pytest.approx(np.mean([spearmanr(*pair.to_numpy().T).statistic for pair in pairs]))
    assert row["n_images"] == 300
    table.loc[2:, "half_a_2"] = np.nan
    assert row_of(table)["source"] == "2 given halvings of the people"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t: t.drop(columns="half_b_2"), "column half_a_2 is there without half_b_2; add it, or remove both"),
        (lambda t: t.drop(columns="half_a_1"), "column half_b_1 is there without half_a_1"),
        (lambda t: t.assign(half_b_1=80), "line 2: half_b_1 of '0' is 80; it must be a number in [0, 1]"),
        (lambda t: t.assign(half_a_2="?"), "line 2: half_a_2 of '0' is ?"),
    ],
)
def test_bad_halves_are_refused(spoil, words):
    table = spoil(halves_of(chances(20), 2))
    with pytest.raises(InputError) as caught:
        tables.check_table(table, "mine.csv")
    assert words in str(caught.value)
