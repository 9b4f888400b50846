"""Correlations over layers and their uncertainty, against scipy and against cases with a known answer."""

import functools
import warnings

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from memscore.analysis import statistics


@pytest.fixture(autouse=True)
def fewer_samples(monkeypatch):
    """300 bootstrap samples in place of 2,000: a study of seconds, not minutes."""
    fewer = functools.partial(statistics.bootstrap_correlations, n_bootstrap=300)
    monkeypatch.setattr(statistics, "bootstrap_correlations", fewer)


def layers_table(n_models=8, n_layers=30, between=0.0, seed=0, **columns):
    """Layers whose memorability and IT score share a level of their model (SD `between`) and noise of SD 1 each."""
    rng = np.random.default_rng(seed)
    model = np.repeat(np.arange(n_models), n_layers)
    level = between * rng.standard_normal(n_models)[model]
    table = {
        "model": [f"net{i}" for i in model],
        "layer": [f"layer{i}" for i in range(len(model))],
        "trained": True,
        "memorability": level + rng.standard_normal(len(model)),
        "a.V1.ceiling": 0.8,
        "a.V1.score": rng.standard_normal(len(model)),
        "a.IT.ceiling": 0.8,
        "a.IT.score": level + rng.standard_normal(len(model)),
    }
    return pd.DataFrame(table | columns)


def with_raw(table):
    """Scores here are normal, and raw r has their sign."""
    scores = [name for name in table if name.endswith(".score") and table[name].notna().any()]
    return table.assign(**{name.replace(".score", ".raw"): table[name] for name in scores})


def relate(table, benchmarks, seed):
    return statistics.relate(with_raw(table), benchmarks, seed)


def row_of(table, benchmark="a.IT", scope="all trained", seed=1):
    related = relate(table, [benchmark], seed).set_index("scope")
    return related.loc[scope]


def test_a_score_has_the_sign_of_r():
    """r from -0.2 to 0.3, along which memorability grows: r² / ceiling alone makes less than 0.6 of it."""
    r = np.linspace(-0.2, 0.3, 100)
    table = layers_table(n_models=4, n_layers=25).assign(memorability=r, **{"a.IT.raw": r, "a.IT.score": r**2 / 0.8})
    assert statistics.both_correlations(r, table["a.IT.score"])[0] < 0.6
    assert statistics.relate(table, ["a.IT"], 1)["spearman"].to_numpy() == pytest.approx(1)
    ratio = table.assign(**{"a.IT.score": r / 0.8})
    assert statistics.relate(ratio, ["a.IT"], 1)["pearson"].to_numpy() == pytest.approx(1)


def width(row, kind="pearson"):
    return row[f"{kind}_high"] - row[f"{kind}_low"]


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("n", [3, 4, 50, 1000])
def test_equals_scipy(n, ties):
    rng = np.random.default_rng(n)
    a = rng.standard_normal(n)
    b = 0.5 * a + rng.standard_normal(n)
    if ties:
        a, b = np.round(a), np.round(b)
    spearman, pearson = statistics.both_correlations(a, b)
    assert spearman == pytest.approx(spearmanr(a, b).statistic, abs=1e-12)
    assert pearson == pytest.approx(pearsonr(a, b).statistic, abs=1e-12)


@pytest.mark.parametrize(("n", "constant"), [(0, False), (1, False), (2, False), (9, True)])
def test_undefined_is_nan_without_a_warning(n, constant):
    a, b = np.arange(n) * 1.0, np.random.default_rng(0).random(n)
    if constant:
        a = np.full(n, 0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(statistics.both_correlations(a, b)).all()
        assert np.isnan(statistics.both_correlations(b, a)).all()


def test_relation_of_each_benchmark_and_scope():
    table = layers_table(3, between=1.0)
    related = relate(table, ["a.V1", "a.IT"], 1)
    assert list(related["scope"]) == ["all trained", "net0", "net1", "net2"] * 2
    assert list(related["benchmark"]) == ["a.V1"] * 4 + ["a.IT"] * 4
    for row in related.itertuples():
        part = table if row.scope == "all trained" else table[table["model"] == row.scope]
        pair = part["memorability"], part[f"{row.benchmark}.score"]
        assert row.spearman == pytest.approx(spearmanr(*pair).statistic, abs=1e-12)
        assert row.pearson == pytest.approx(pearsonr(*pair).statistic, abs=1e-12)
        assert row.n_layers == len(part)
        assert row.n_models == part["model"].nunique()
        assert row.spearman_low <= row.spearman <= row.spearman_high
        assert row.pearson_low <= row.pearson <= row.pearson_high


@pytest.mark.parametrize("kind", ["pearson", "spearman"])
def test_networks_that_differ_widen_the_interval(kind):
    """Eight networks make the correlation, not 240 layers: a plain bootstrap of layers is far too sure."""
    table = layers_table(8, 30, between=2.0)
    by_networks = row_of(table)
    plain = row_of(table.assign(model=table["layer"].index.astype(str)))
    assert width(by_networks, kind) > 2 * width(plain, kind)
    assert by_networks[kind] == plain[kind]


def test_layers_are_resampled_too():
    """With one network, or networks that do not differ, the interval is that of a plain bootstrap of layers."""
    table = layers_table(8, 30)
    rng = np.random.default_rng(0)
    a, b = table["memorability"].to_numpy(), table["a.IT.score"].to_numpy()
    samples = [np.corrcoef(a[rows], b[rows])[0, 1] for rows in rng.integers(0, 240, (2000, 240))]
    low, high = np.quantile(samples, [0.025, 0.975])
    for one in (table.assign(model="one"), table):
        row = row_of(one)
        assert width(row) == pytest.approx(high - low, rel=0.35 if one is table else 0.1)
    single = row_of(table.assign(model="one"))
    assert (single["pearson_low"], single["pearson_high"]) == pytest.approx((low, high), abs=0.02)


def test_every_bootstrap_sample_holds_whole_networks_and_their_number_of_layers():
    """Networks of 5, 10 and 100 layers, told apart by their level: the share of each drawn network is its own."""
    models = np.repeat(["a", "b", "c"], [5, 10, 100])
    a = np.repeat([0.0, 1.0, 2.0], [5, 10, 100]) + 1e-6 * np.arange(115)
    drawn = []

    def remember(x, y):
        drawn.append(x)
        return np.nan, np.nan

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(statistics, "both_correlations", remember)
        statistics.bootstrap_correlations(a, a, models, seed=0, n_bootstrap=200)
    size = {0: 5, 1: 10, 2: 100}
    repeated = 0
    for sample in drawn:
        levels, counts = np.unique(np.floor(sample + 1e-9), return_counts=True)
        times = [count / size[int(level)] for level, count in zip(levels, counts, strict=True)]
        assert all(time == int(time) for time in times)
        assert sum(times) == 3
        repeated += len(np.unique(sample)) < len(sample)
    assert repeated > 190, "layers are drawn with replacement"


def test_interval_covers_the_truth():
    """Sixty studies of ten networks with a known correlation of 0.5: about 95% of the intervals hold it."""
    holds = 0
    for study in range(60):
        table = layers_table(10, 15, between=1.0, seed=study)
        holds += row_of_fast(table, seed=study)
    assert holds >= 48


def row_of_fast(table, seed, true=0.5):
    arrays = (table[column].to_numpy() for column in ("memorability", "a.IT.score", "model"))
    samples = statistics.bootstrap_correlations(*arrays, seed=seed, n_bootstrap=150)[:, 1]
    low, high = np.quantile(samples, [0.025, 0.975])
    return low <= true <= high


def test_seed_decides():
    table = layers_table(4)
    pd.testing.assert_frame_equal(*(relate(table, ["a.IT"], 3) for _ in range(2)))
    other = relate(table, ["a.IT"], 4)
    same = relate(table, ["a.IT"], 3)
    assert (other["pearson_low"] != same["pearson_low"]).all()
    assert (other["pearson"] == same["pearson"]).all()
    state = np.random.get_state()[1].copy()
    relate(table, ["a.IT"], 3)
    np.testing.assert_array_equal(np.random.get_state()[1], state, "the global generator was used")


def test_order_of_benchmarks_does_not_matter():
    table = layers_table(4)
    both = relate(table, ["a.V1", "a.IT"], 3)
    alone = relate(table, ["a.IT"], 3)
    pd.testing.assert_frame_equal(both[both["benchmark"] == "a.IT"].reset_index(drop=True), alone)


def test_untrained_networks_are_no_part_of_all_trained():
    table = layers_table(4, between=1.0)
    control = layers_table(2, seed=5).assign(trained=False)
    control["model"] = "untrained-" + control["model"]
    control["memorability"] += 100
    expected = row_of(table)
    pd.testing.assert_series_equal(row_of(pd.concat([control, table], ignore_index=True)), expected)
    scopes = list(relate(pd.concat([table, control]), ["a.IT"], 1)["scope"])
    assert scopes == ["all trained", *(f"net{i}" for i in range(4)), "untrained-net0", "untrained-net1"]


def test_only_untrained_networks():
    related = relate(layers_table(2, trained=False), ["a.IT"], 1)
    assert list(related["scope"]) == ["net0", "net1"]


@pytest.mark.parametrize("column", ["memorability", "a.IT.score"])
def test_layers_without_a_score_are_left_out(column):
    table = layers_table(4)
    table.loc[[3, 50, 51], column] = np.nan
    table.loc[table["model"] == "net2", column] = np.nan
    row = row_of(table)
    kept = table.dropna(subset=[column])
    assert row["n_layers"] == 90 - 3
    assert row["n_models"] == 3
    assert row["pearson"] == pytest.approx(pearsonr(kept["memorability"], kept["a.IT.score"]).statistic)
    pd.testing.assert_series_equal(row_of(kept.reset_index(drop=True)), row)
    missing = row_of(table, scope="net2")
    assert missing["n_layers"] == 0
    assert missing[["spearman", "pearson", "spearman_low", "spearman_high"]].isna().all()


def test_nan_of_one_benchmark_leaves_the_other_alone():
    table = layers_table(4)
    table.loc[:20, "a.V1.score"] = np.nan
    assert row_of(table, "a.V1")["n_layers"] == 120 - 21
    assert row_of(table, "a.IT")["n_layers"] == 120


@pytest.mark.parametrize("n_layers", [1, 2])
def test_fewer_than_three_layers(n_layers):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = row_of(layers_table(1, n_layers))
    assert row["n_layers"] == n_layers
    values = ["spearman", "pearson", "spearman_low", "spearman_high", "pearson_low", "pearson_high"]
    assert row[values].isna().all()


def test_three_layers_have_an_interval():
    """A sample of one layer three times has no correlation and is left out; the others count."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = row_of(layers_table(1, 3))
    assert -1 <= row["pearson_low"] <= row["pearson_high"] <= 1


def test_constant_scores():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        row = row_of(layers_table(2, 10).assign(memorability=0.1))
    assert row[["spearman", "pearson", "pearson_low", "spearman_high"]].isna().all()


def test_without_a_ceiling_raw_r_is_related():
    table = layers_table(4)
    expected = row_of(table)
    unknown = table.rename(columns={"a.IT.score": "a.IT.raw"}).assign(**{"a.IT.ceiling": np.nan, "a.IT.score": np.nan})
    pd.testing.assert_series_equal(row_of(unknown), expected)


def three_areas(n_models=5, n_layers=12, seed=2):
    """Models of unequal size whose memorability goes with IT, less with V4 and not with V1."""
    table = layers_table(n_models, n_layers, between=1.0, seed=seed)
    rng = np.random.default_rng(seed)
    noise = rng.standard_normal((2, len(table)))
    table["a.IT.score"] = table["memorability"] + 0.5 * noise[0]
    table = table.assign(**{"a.V4.ceiling": 0.8, "a.V4.score": table["memorability"] + 1.5 * noise[1]})
    return table[(table["model"] != "net1") | (table.index % 3 > 0)].reset_index(drop=True)


def differences_of(table, benchmarks=("a.V1", "a.V4", "a.IT"), seed=7):
    return statistics.differences(with_raw(table), relate(table, list(benchmarks), seed), seed)


def samples_by_hand(table, n, seed, columns):
    """Spearman of memorability with each column in `n` samples of models, then of layers: all on the same rows."""
    rng = np.random.default_rng(seed)
    parts = [np.flatnonzero(table["model"] == model) for model in table["model"].unique()]
    values = table[["memorability", *columns]].to_numpy()
    samples = np.empty((n, len(columns)))
    for i in range(n):
        drawn = [parts[j] for j in rng.integers(0, len(parts), len(parts))]
        sample = values[np.concatenate([rng.choice(part, len(part)) for part in drawn])]
        samples[i] = [spearmanr(sample[:, 0], scores).statistic for scores in sample[:, 1:].T]
    return samples


@pytest.mark.parametrize("same_draws", [True, False])
def test_difference_equals_a_paired_bootstrap_by_hand(same_draws):
    table = three_areas()
    seed = 7 if same_draws else 123
    it, v4, v1 = samples_by_hand(table, 300 if same_draws else 1500, seed, ["a.IT.score", "a.V4.score", "a.V1.score"]).T
    found = differences_of(table, seed=7)
    assert list(found["best"]) == ["a.IT", "a.IT"]
    assert list(found["other"]) == ["a.V4", "a.V1"]
    for row, samples in zip(found.itertuples(), (it - v4, it - v1), strict=True):
        both = [spearmanr(table["memorability"], table[f"{b}.score"]).statistic for b in (row.best, row.other)]
        assert row.difference == pytest.approx(both[0] - both[1], abs=1e-12)
        low, high = np.quantile(samples, [0.025, 0.975])
        tolerance = 1e-12 if same_draws else 0.15 * (high - low)
        assert row.difference_low == pytest.approx(low, abs=tolerance)
        assert row.difference_high == pytest.approx(high, abs=tolerance)
        assert (row.n_models, row.n_layers) == (5, len(table))


def test_difference_is_paired():
    """Two areas that are nearly one: their own intervals are wide and overlap, that of their difference is narrow."""
    table = layers_table(4, between=1.0)
    table["a.V1.score"] = table["a.IT.score"] + 0.02 * np.random.default_rng(0).standard_normal(len(table))
    (row,) = differences_of(table, ["a.V1", "a.IT"]).itertuples()
    assert row.difference_high - row.difference_low < 0.1 * width(row_of(table), "spearman")
    assert row.difference_low <= row.difference <= row.difference_high


def test_difference_is_over_layers_scored_on_both():
    table = three_areas()
    table.loc[:9, "a.V4.score"] = np.nan
    table.loc[5:14, "a.IT.score"] = np.nan
    found = differences_of(table).set_index("other")
    pair = table.dropna(subset=["a.V4.score", "a.IT.score"]).reset_index(drop=True)
    assert found.loc["a.V4", "n_layers"] == len(pair) == len(table) - 15
    alone = differences_of(pair, ["a.V4", "a.IT"]).set_index("other")
    pd.testing.assert_series_equal(found.loc["a.V4"], alone.loc["a.V4"])


def test_difference_leaves_untrained_networks_out_and_the_seed_decides():
    table = three_areas()
    control = table.assign(trained=False, model="untrained-" + table["model"], memorability=-table["memorability"])
    both = pd.concat([control, table], ignore_index=True)
    pd.testing.assert_frame_equal(differences_of(both), differences_of(table))
    assert (differences_of(table, seed=8)["difference_low"] != differences_of(table)["difference_low"]).all()


@pytest.mark.parametrize("benchmarks", [["a.IT"], ["a.IT", "a.V1"]])
def test_no_difference_without_two_defined_correlations(benchmarks):
    table = layers_table(2, 10).assign(**{"a.V1.score": 0.1})
    found = differences_of(table, benchmarks)
    assert found.empty
    assert list(found) == list(statistics.DIFFERENCE_COLUMNS)


def test_difference_of_areas_without_common_layers_is_undefined():
    table = three_areas()
    table.loc[:29, "a.V4.score"] = np.nan
    table.loc[30:, "a.IT.score"] = np.nan
    (row,) = differences_of(table, ["a.V4", "a.IT"]).itertuples()
    assert row.n_layers == 0
    assert np.isnan([row.difference, row.difference_low, row.difference_high]).all()


def test_perfect_relation():
    table = layers_table(3, 10)
    table["a.IT.score"] = 2 * table["memorability"] + 1
    row = row_of(table)
    assert row[["spearman", "pearson", "spearman_low", "pearson_high"]].astype(float).tolist() == pytest.approx([1] * 4)


def test_every_rho_is_related_in_memorabilitys_place():
    table = layers_table(between=1.0)
    rng = np.random.default_rng(7)
    noise = {"within.a": table["memorability"], "across.a.b": rng.standard_normal(len(table))}
    related = statistics.relate_each(
        with_raw(table.assign(**noise)), ["within.a", "across.a.b"], ["a.V1", "a.IT"], seed=1
    )
    within = related[related["rho"] == "within.a"].drop(columns="rho").reset_index(drop=True)
    pd.testing.assert_frame_equal(within, relate(table, ["a.V1", "a.IT"], seed=1))
    across = related[(related["rho"] == "across.a.b") & (related["scope"] == "all trained")].set_index("benchmark")
    expected = spearmanr(noise["across.a.b"], table["a.IT.score"]).statistic
    assert across.loc["a.IT", "spearman"] == pytest.approx(expected, abs=1e-12)
    assert related.columns[0] == "rho"
