"""Correlations over layers and their uncertainty, against scipy and against cases with a known answer."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import bootstrap, pearsonr, rankdata, spearmanr
from scipy.stats import t as student

from memscore.analysis import statistics


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


def relate(table, benchmarks):
    return statistics.relate(with_raw(table), benchmarks)


def row_of(table, benchmark="a.IT", scope="all trained"):
    related = relate(table, [benchmark]).set_index("scope")
    return related.loc[scope]


def test_a_score_has_the_sign_of_r():
    """r from -0.2 to 0.3, along which memorability grows: r² / ceiling alone makes less than 0.6 of it."""
    r = np.linspace(-0.2, 0.3, 100)
    table = layers_table(n_models=4, n_layers=25).assign(memorability=r, **{"a.IT.raw": r, "a.IT.score": r**2 / 0.8})
    assert statistics.both_correlations(r, table["a.IT.score"])[0] < 0.6
    assert statistics.relate(table, ["a.IT"])["spearman"].to_numpy() == pytest.approx(1)
    ratio = table.assign(**{"a.IT.score": r / 0.8})
    assert statistics.relate(ratio, ["a.IT"])["pearson"].to_numpy() == pytest.approx(1)


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


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("n", "constant"), [(0, False), (1, False), (2, False), (9, True)])
def test_undefined_is_nan_without_a_warning(n, constant):
    a, b = np.full(n, 0.1) if constant else np.arange(n) * 1.0, np.random.default_rng(0).random(n)
    assert np.isnan(statistics.both_correlations(a, b)).all()
    assert np.isnan(statistics.both_correlations(b, a)).all()


def test_relation_of_each_benchmark_and_scope():
    table = layers_table(3, between=1.0)
    related = relate(table, ["a.V1", "a.IT"])
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


def jackknife_by_hand(values, units, t):
    """Leave-one-out by scipy and pandas: bounds of (Spearman, Pearson) of two columns."""
    found = []
    for correlate in (spearmanr, pearsonr):
        z = np.arctanh(correlate(*values.to_numpy().T).statistic)
        names = pd.unique(units)
        without = np.array([np.arctanh(correlate(*values[units != name].to_numpy().T).statistic) for name in names])
        error = np.std(without) * np.sqrt(len(names) - 1)
        found.append(np.tanh([z - t * error, z + t * error]))
    return np.array(found)


# Student's t, 97.5%, from a printed table.
@pytest.mark.parametrize(
    ("n_models", "over", "t"), [(8, "networks", 2.3646), (5, "networks", 2.7764), (4, "layers", 2.0010)]
)
def test_interval_is_a_jackknife_of_networks_or_of_layers(n_models, over, t):
    table = layers_table(n_models, {8: 30, 5: 12, 4: 15}[n_models], between=1.0)
    units = table["model"] if over == "networks" else table["layer"]
    row = row_of(table)
    assert row["interval_over"] == over
    expected = jackknife_by_hand(table[["memorability", "a.IT.score"]], units.to_numpy(), t)
    found = [[row[f"{kind}_low"], row[f"{kind}_high"]] for kind in ("spearman", "pearson")]
    np.testing.assert_allclose(found, expected, atol=2e-5)
    alone = row_of(table, scope="net1")
    assert alone["interval_over"] == "layers"


def drawn_from(rng, networks, n_layers=12):
    """Scores of so many layers of networks with levels of their own and slopes of their own along depth."""
    levels, slopes = networks
    depth = rng.uniform(-1, 1, (len(slopes), n_layers))
    noise = 0.5 * rng.standard_normal((2, *depth.shape))
    return np.stack([levels[0] + depth + noise[0], levels[1] + slopes * depth + noise[1]], -1)


def networks(rng, n, slope, slope_sd, level_sd):
    return level_sd * rng.standard_normal((2, n, 1)), slope + slope_sd * rng.standard_normal((n, 1))


def spearman(a, b):
    """As spearmanr has it, in a tenth of the time."""
    return np.corrcoef(rankdata(a), rankdata(b))[0, 1]


def interval_of(values):
    """As `relate` makes it for all trained networks, without those of each network: what it is over, and bounds."""
    over, units = statistics.units_of(np.arange(len(values)).repeat(values.shape[1]))
    a, b = values.reshape(-1, 2).T
    low, _, high = statistics.jackknife(
        lambda rows: statistics.fisher_z(statistics.both_correlations(a[rows], b[rows])), units, 0.95
    )
    return over, np.tanh(low[0]), np.tanh(high[0])


# Slope, its SD over networks, SD of networks' levels.
KINDS = {
    "alike": (0.8, 0.0, 0.3),
    "slopes differ": (0.7, 0.5, 0.3),
    "none": (0.0, 0.6, 0.3),
    "levels differ": (0.5, 0.3, 1),
}


@pytest.mark.parametrize(
    ("n_models", "kind"),
    [
        *((n, kind) for n in (5, 10) for kind in KINDS),
        *(pytest.param(64, kind, marks=pytest.mark.thorough) for kind in ("slopes differ", "levels differ")),
    ],
)
def test_intervals_hold_the_truth_of_all_networks(kind, n_models):
    """400 studies each: of 95% intervals 380 hold it; 365 or fewer are chance one time in a thousand."""
    rng, held = np.random.default_rng([n_models, len(kind)]), 0
    truth = spearman(*drawn_from(rng, networks(rng, 40_000, *KINDS[kind])).reshape(-1, 2).T)
    for _ in range(400):
        over, low, high = interval_of(drawn_from(rng, networks(rng, n_models, *KINDS[kind])))
        held += low <= truth <= high
    assert over == "networks"
    assert held > 365


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_models", [1, 3])
def test_intervals_hold_the_truth_of_few_networks(kind, n_models):
    """With fewer than five networks: of all layers that these might have."""
    rng, held = np.random.default_rng(n_models), 0
    for _ in range(400):
        these = networks(rng, n_models, *KINDS[kind])
        truth = spearman(*drawn_from(rng, these, 1000).reshape(-1, 2).T)
        over, low, high = interval_of(drawn_from(rng, these))
        held += low <= truth <= high
    assert over == "layers"
    assert held > 365


@pytest.mark.parametrize("n_models", [2, 10])
def test_no_area_is_called_best_where_all_are_alike(n_models):
    """Four areas that go with memorability equally: of 400 studies 20 may set the first apart from the last, or more by
    chance, 31 one time in a hundred. Taken as if best and last had been named before, it is two in ten."""
    rng, called = np.random.default_rng(n_models), 0
    _, units = statistics.units_of(np.arange(n_models).repeat(12))
    for _ in range(400):
        memorability = drawn_from(rng, networks(rng, n_models, 0.7, 0.3, 0.3))[..., 0].ravel()
        own = 0.5 * rng.standard_normal((4, len(units))) + 0.5 * rng.standard_normal((4, n_models)).repeat(12, axis=1)
        last, *_, best = sorted(memorability + own, key=lambda area: spearman(memorability, area))

        def difference(rows, values=(memorability, best, last)):
            a, b, c = (value[rows] for value in values)
            return np.array([spearman(a, b) - spearman(a, c)])

        # Confidence as that of `differences` between four areas, which is tested below.
        called += statistics.jackknife(difference, units, 1 - 0.05 / 6)[0, 0] > 0
    assert called < 31


def test_untrained_networks_are_no_part_of_all_trained():
    table = layers_table(4, between=1.0)
    control = layers_table(2, seed=5).assign(trained=False)
    control["model"] = "untrained-" + control["model"]
    control["memorability"] += 100
    expected = row_of(table)
    pd.testing.assert_series_equal(row_of(pd.concat([control, table], ignore_index=True)), expected)
    scopes = list(relate(pd.concat([table, control]), ["a.IT"])["scope"])
    assert scopes == ["all trained", *(f"net{i}" for i in range(4)), "untrained-net0", "untrained-net1"]
    assert list(relate(control, ["a.IT"])["scope"]) == ["untrained-net0", "untrained-net1"]


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


def test_one_benchmark_does_not_change_another():
    """Not by its place, nor by the layers that it has no score for."""
    table = layers_table(4)
    table.loc[:20, "a.V1.score"] = np.nan
    both = relate(table, ["a.V1", "a.IT"]).set_index("benchmark")
    pd.testing.assert_frame_equal(both.loc["a.IT"].reset_index(), relate(table, ["a.IT"]))
    assert list(both.loc[["a.V1", "a.IT"], "n_layers"].groupby(level=0, sort=False).first()) == [120 - 21, 120]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("n_layers", "changes", "correlation", "interval"),
    [
        (1, {}, False, False),
        (2, {}, False, False),
        (3, {}, True, False),
        (4, {}, True, True),
        (20, {"memorability": 0.1}, False, False),
    ],
)
def test_what_few_layers_or_constant_scores_tell(n_layers, changes, correlation, interval):
    """Three layers have a correlation, and four an interval: without one of three there is no correlation."""
    row = row_of(layers_table(1, n_layers).assign(**changes))
    assert row["n_layers"] == n_layers
    assert list(row[["spearman", "pearson"]].notna()) == [correlation] * 2
    bounds = ["spearman_low", "spearman_high", "pearson_low", "pearson_high"]
    assert list(row[bounds].notna()) == [interval] * 4
    assert not interval or -1 <= row["pearson_low"] <= row["pearson"] <= row["pearson_high"] <= 1


def test_without_a_ceiling_raw_r_is_related():
    table = layers_table(4)
    expected = row_of(table)
    unknown = table.rename(columns={"a.IT.score": "a.IT.raw"}).assign(**{"a.IT.ceiling": np.nan, "a.IT.score": np.nan})
    pd.testing.assert_series_equal(row_of(unknown), expected)


def four_areas(n_models=5, n_layers=12, seed=2):
    """Models of unequal size whose memorability goes with IT, less with V4 and V2, and not with V1."""
    table = layers_table(n_models, n_layers, between=1.0, seed=seed)
    noise = np.random.default_rng(seed).standard_normal((3, len(table)))
    for area, times, own in zip(("IT", "V4", "V2"), (0.5, 1.5, 3), noise, strict=True):
        table[f"a.{area}.ceiling"], table[f"a.{area}.score"] = 0.8, table["memorability"] + times * own
    return table[(table["model"] != "net1") | (table.index % 3 > 0)].reset_index(drop=True)


def spearmans(table, benchmarks):
    """Of the table by `relate` what `differences` reads."""
    trained = table[table["trained"]]
    pairs = [trained[["memorability", f"{name}.score"]].dropna().to_numpy().T for name in benchmarks]
    values = [statistics.both_correlations(*pair)[0] for pair in pairs]
    return pd.DataFrame({"benchmark": benchmarks, "scope": "all trained", "spearman": values})


def differences_of(table, benchmarks=("a.V1", "a.V2", "a.V4", "a.IT")):
    return statistics.differences(with_raw(table), spearmans(table, benchmarks))


@pytest.mark.parametrize(("n_models", "over"), [(5, "networks"), (4, "layers")])
def test_difference_equals_a_paired_jackknife_by_hand(n_models, over):
    table = four_areas(n_models)
    found, units = differences_of(table), table["model" if over == "networks" else "layer"]
    assert list(found["best"]) == ["a.IT"] * 3
    assert list(found["other"]) == ["a.V4", "a.V2", "a.V1"]
    for row in found.itertuples():

        def value(part, row=row):
            both = [spearmanr(part["memorability"], part[f"{name}.score"]).statistic for name in (row.best, row.other)]
            return both[0] - both[1]

        without = [value(table[units != name]) for name in units.unique()]
        # Student's t, of 0.05 / 6 on both sides.
        margin = student.ppf(1 - 0.05 / 12, len(without) - 1) * np.std(without) * np.sqrt(len(without) - 1)
        assert row.difference == pytest.approx(value(table), abs=1e-12)
        assert row.difference_low == pytest.approx(row.difference - margin, abs=1e-4)
        assert row.difference_high == pytest.approx(row.difference + margin, abs=1e-4)
        assert (row.n_models, row.n_layers, row.interval_over) == (n_models, len(table), over)


def test_difference_is_over_layers_scored_on_both():
    table = four_areas()
    table.loc[:9, "a.V4.score"] = np.nan
    table.loc[5:14, "a.IT.score"] = np.nan
    found = differences_of(table).set_index("other")
    pair = table.dropna(subset=["a.V4.score", "a.IT.score"]).reset_index(drop=True)
    assert found.loc["a.V4", "n_layers"] == len(pair) == len(table) - 15
    alone = differences_of(pair).set_index("other")
    pd.testing.assert_series_equal(found.loc["a.V4"], alone.loc["a.V4"])


def test_difference_leaves_untrained_networks_out():
    table = four_areas()
    control = table.assign(trained=False, model="untrained-" + table["model"], memorability=-table["memorability"])
    both = pd.concat([control, table], ignore_index=True)
    pd.testing.assert_frame_equal(differences_of(both), differences_of(table))


@pytest.mark.parametrize("benchmarks", [["a.IT"], ["a.IT", "a.V1"]])
def test_no_difference_without_two_defined_correlations(benchmarks):
    table = layers_table(2, 10).assign(**{"a.V1.score": 0.1})
    found = differences_of(table, benchmarks)
    assert found.empty
    assert list(found) == list(statistics.DIFFERENCE_COLUMNS)


def test_difference_of_areas_without_common_layers_is_undefined():
    table = four_areas()
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
    table = layers_table(5, 6, between=1.0)
    rng = np.random.default_rng(7)
    noise = {"within.a": table["memorability"], "across.a.b": rng.standard_normal(len(table))}
    related = statistics.relate_each(with_raw(table.assign(**noise)), ["within.a", "across.a.b"], ["a.V1", "a.IT"])
    within = related[related["rho"] == "within.a"].drop(columns="rho").reset_index(drop=True)
    pd.testing.assert_frame_equal(within, relate(table, ["a.V1", "a.IT"]))
    across = related[(related["rho"] == "across.a.b") & (related["scope"] == "all trained")].set_index("benchmark")
    expected = spearmanr(noise["across.a.b"], table["a.IT.score"]).statistic
    assert across.loc["a.IT", "spearman"] == pytest.approx(expected, abs=1e-12)
    assert related.columns[0] == "rho"


def finetuned_networks(n, coupling, seed=0):
    """Networks whose likeness to IT goes with memorability, with object recognition, or (coupling 0) with neither."""
    rng = np.random.default_rng(seed)
    likeness, other = rng.normal(size=(2, n))
    memorability = coupling * likeness + (1 - coupling) * other
    columns = {"model": [f"net{i}" for i in range(n)], "split": 1, "top1": rng.normal(size=n)}
    columns |= {"pls_before": rng.normal(size=n), "head_rho": memorability}
    columns |= {"simulated.IT.raw_before": likeness, "simulated.IT.raw_after": likeness}
    return pd.DataFrame(columns)


def test_networks_are_related_as_by_scipys_bootstrap():
    table = finetuned_networks(20, 0.7)
    found = statistics.relate_networks(table, ["simulated.IT"], seed=0).set_index("when").loc["after"]
    samples = [table["simulated.IT.raw_after"], table["head_rho"], table["top1"]]

    statistics_of = {
        "memorability": lambda a, b, c: spearman(a, b),
        "top1": lambda a, b, c: spearman(a, c),
        "difference": lambda a, b, c: spearman(a, b) - spearman(a, c),
    }
    for name, statistic in statistics_of.items():
        assert found[name] == pytest.approx(statistic(*samples))
        theirs = bootstrap(
            samples, statistic, paired=True, vectorized=False, n_resamples=2000, method="percentile", random_state=1
        ).confidence_interval
        np.testing.assert_allclose(found[[f"{name}_low", f"{name}_high"]].astype(float), theirs, atol=0.06)


def test_means_over_splits_are_related():
    table = finetuned_networks(8, 0.5)
    twice = pd.concat([table, table.assign(split=2, head_rho=table["head_rho"][::-1].to_numpy())])
    means = table.assign(head_rho=(table["head_rho"] + table["head_rho"][::-1].to_numpy()) / 2)
    pd.testing.assert_frame_equal(
        statistics.relate_networks(twice, ["simulated.IT"], 0), statistics.relate_networks(means, ["simulated.IT"], 0)
    )


@pytest.mark.parametrize(("n", "value", "interval"), [(2, False, False), (4, True, False), (5, True, True)])
def test_few_networks_have_no_interval(n, value, interval):
    found = statistics.relate_networks(finetuned_networks(n, 0.5), ["simulated.IT"], 0)
    assert (found["n_networks"] == n).all()
    assert found["difference"].notna().all() == value
    assert found["difference_low"].notna().all() == interval


def test_without_accuracies_memorability_stands_alone():
    table = finetuned_networks(6, 1.0)
    found = statistics.relate_networks(table.drop(columns="top1"), ["simulated.IT"], 0)
    assert "top1" not in found
    assert found.set_index("when").loc["after", "memorability"] == pytest.approx(1)
    nobodys = statistics.relate_networks(table.assign(top1=np.nan), ["simulated.IT"], 0)
    pd.testing.assert_frame_equal(nobodys, found)
    assert list(statistics.relate_networks(table, [], 0))[:3] == ["benchmark", "when", "n_networks"]
    unknown = table.assign(top1=[1, 2, 3, 4, 5, np.nan])
    assert (statistics.relate_networks(unknown, ["simulated.IT"], 0)["n_networks"] == 5).all()


def test_difference_is_zero_in_ninety_of_a_hundred_where_there_is_none(monkeypatch):
    """Memorability and object recognition that both go with likeness alike: 95% intervals hold 0 about so often."""
    monkeypatch.setattr(statistics, "N_RESAMPLES", 2000)
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        likeness = rng.normal(size=24)
        both = likeness + rng.normal(size=(2, 24))
        # Nothing before training, which takes as long again.
        table = finetuned_networks(24, 0, seed).assign(top1=both[0], head_rho=both[1], pls_before=np.nan)
        table["simulated.IT.raw_after"] = likeness
        row = statistics.relate_networks(table, ["simulated.IT"], 0).set_index("when").loc["after"]
        held += row["difference_low"] <= 0 <= row["difference_high"]
    assert held >= 90
