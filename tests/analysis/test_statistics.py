"""Correlations over layers and their uncertainty, against scipy and against cases with a known answer."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, rankdata, spearmanr
from scipy.stats import t as student
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import PolynomialFeatures

from memscore.analysis import intervals, statistics
from memscore.report import answer


def layers_table(n_models=8, n_layers=30, between=0.0, seed=0, **columns):
    """Layers whose memorability and IT score share a level of their model (SD `between`) and noise of SD 1 each."""
    rng = np.random.default_rng(seed)
    model = np.repeat(np.arange(n_models), n_layers)
    level = between * rng.standard_normal(n_models)[model]
    table = {
        "model": [f"net{i}" for i in model],
        "layer": [f"layer{i}" for i in range(len(model))],
        "trained": True,
        "depth": np.tile(np.linspace(0, 1, n_layers), n_models),
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


@pytest.mark.parametrize(("n_models", "n_layers", "t"), [(8, 30, 2.3646), (5, 12, 2.7764)])
def test_intervals_of_five_or_more_are_a_jackknife_of_networks(n_models, n_layers, t):
    """Student's t, 97.5%, from a printed table."""
    table = layers_table(n_models, n_layers, between=1.0)
    row = row_of(table)
    assert row["interval_over"] == "networks"
    expected = jackknife_by_hand(table[["memorability", "a.IT.score"]], table["model"].to_numpy(), t)
    found = [[row[f"{kind}_low"], row[f"{kind}_high"]] for kind in ("spearman", "pearson")]
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert row_of(table, scope="net1")["interval_over"] == "depth"


def test_intervals_of_few_are_a_jackknife_of_stretches_of_depth():
    """Of independent layers a stretch is of one or two: each holds as much of depth, of all networks."""
    table = layers_table(4, 32, between=0.0, seed=3)
    values = table[["memorability", "a.IT.score"]]
    arrays = [table[name].to_numpy() for name in ("model", "depth")]
    units = intervals.stretches(*arrays, *values.to_numpy().T)
    assert table.groupby(units.names)["depth"].agg(np.ptp).max() < 3 / 31
    assert (table.groupby(units.names)["model"].nunique() == 4).all()
    n = len(set(units.names))
    expected = jackknife_by_hand(values, units.names, units.times * student.ppf(0.975, n - 1))
    row = row_of(table)
    found = [[row[f"{kind}_low"], row[f"{kind}_high"]] for kind in ("spearman", "pearson")]
    np.testing.assert_allclose(found, expected, atol=1e-9)


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


def pairs_of(values):
    """`statistics.Pairs` of scores (n_networks, n_layers, 2) along depth."""
    n_models, n_layers, _ = values.shape
    return statistics.Pairs(
        np.arange(n_models).repeat(n_layers), np.tile(np.linspace(0, 1, n_layers), n_models), *values.reshape(-1, 2).T
    )


def interval_of(values, name="spearman"):
    found = pairs_of(values).related(0.95)
    return found["interval_over"], found[f"{name}_low"], found[f"{name}_high"]


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
        held += not (truth < low or truth > high)  # none is given where it would say nothing
    assert over == "networks"
    assert held > 365


def along_depth(rng, phi, n_networks, shared, n_layers=30):
    """Scores of layers that resemble their neighbours (AR(1), of correlation `phi`), and of networks whose profiles are
    one and the same (`shared`) or nothing alike; the two scores correlate at 0.5."""

    def profiles():
        steps = rng.standard_normal((1 if shared else n_networks, n_layers))
        for k in range(1, n_layers):
            steps[:, k] = phi * steps[:, k - 1] + np.sqrt(1 - phi**2) * steps[:, k]
        return np.broadcast_to(steps, (n_networks, n_layers))

    a = profiles()
    return np.stack([a, 0.5 * a + np.sqrt(0.75) * profiles()], -1)


TRUTH = 6 / np.pi * np.arcsin(0.25)  # Spearman's where Pearson's is 0.5


@pytest.mark.parametrize(
    ("n_networks", "shared"), [pytest.param(1, False, marks=pytest.mark.thorough), (3, False), (3, True)]
)
@pytest.mark.parametrize(("phi", "given"), [(0, 0.95), (0.5, 0.9), (0.8, 0.25), (0.95, 0)])
def test_intervals_hold_the_truth_where_layers_are_like_their_neighbours(phi, given, n_networks, shared):
    """300 studies each: of 95% intervals 285 hold it, and 273 or fewer are chance one time in a thousand.

    Where neighbours are very much alike (0.95), there is hardly ever an interval, and one that does not hold the truth
    in at most as many studies as elsewhere. Layers left out one at a time hold it in 96, 88, 64 and 47%.
    """
    rng = np.random.default_rng([n_networks, shared, int(100 * phi)])
    bounds = [interval_of(along_depth(rng, phi, n_networks, shared))[1:] for _ in range(300)]
    found = [(low, high) for low, high in bounds if not np.isnan(low)]
    missed = sum(not low <= TRUTH <= high for low, high in found)
    assert len(found) >= 300 * given
    assert missed <= 27
    if given:
        assert missed <= 0.05 * len(found) + 3.1 * np.sqrt(0.05 * 0.95 * len(found))
    else:
        assert len(found) < 75


def test_a_trend_along_depth_leaves_no_interval():
    """Neighbours differ by noise, but the tenth next is as much alike: these layers are one stretch, not ten."""
    rng, depth = np.random.default_rng(0), np.linspace(0, 1, 100)
    trends = np.stack([4 * depth, 4 * np.sin(3 * depth)], -1) + 0.6 * rng.standard_normal((3, 100, 2))
    over, low, high = interval_of(trends)
    assert over == "depth"
    assert np.isnan([low, high]).all()
    assert np.isfinite(interval_of(trends, "partial")[1])


def smooth_profiles(rng, n_networks, n_layers=30, width=0.2):
    """Memorability and four areas, each with a random smooth profile of its own that networks share, and noise."""
    depth = np.linspace(0, 1, n_layers)
    similar = np.exp(-(((depth[:, None] - depth) / width) ** 2) / 2) + 1e-8 * np.eye(n_layers)
    profiles = np.linalg.cholesky(similar) @ rng.standard_normal((n_layers, 5))
    values = profiles + 0.3 * rng.standard_normal((n_networks, n_layers, 5))
    table = layers_table(n_networks, n_layers)[["model", "layer", "trained", "depth"]]
    table["memorability"] = values[..., 0].ravel()
    for k in range(4):
        table[f"a.A{k}.ceiling"], table[f"a.A{k}.score"] = 0.8, values[..., k + 1].ravel()
    return with_raw(table)


@pytest.mark.parametrize("n_networks", [3, 8])
def test_a_shared_trend_along_depth_is_not_called_a_relation(n_networks):
    """Of 300 studies whose areas have nothing to do with memorability, at most 5% and chance may say otherwise: that is
    26. Intervals over networks alone say so in 9 of 10."""
    rng, areas = np.random.default_rng(n_networks), [f"a.A{k}" for k in range(4)]
    more, less, by_interval_alone = 0, 0, 0
    for _ in range(300):
        rows = statistics.of_scope("all trained", smooth_profiles(rng, n_networks), areas, 1 - 0.05 / 4)
        best_first = statistics.ranked(pd.DataFrame(rows))
        more += answer.holds(best_first.iloc[0], 1)
        less += any(answer.holds(row, -1) for _, row in best_first.iterrows())
        by_interval_alone += best_first.iloc[0]["spearman_low"] > 0
    assert more <= 26
    assert less <= 26
    assert n_networks < 5 or by_interval_alone > 200


def test_a_relation_beyond_a_shared_trend_is_found():
    """Memorability that goes with the first area layer by layer, over and above a trend that both have."""
    found = 0
    for seed in range(50):
        rng = np.random.default_rng(seed)
        table = smooth_profiles(rng, 3)
        together = rng.standard_normal(len(table))
        table["memorability"] += together
        table["a.A0.raw"] = table["a.A0.score"] = table["memorability"] + 0.5 * rng.standard_normal(len(table))
        row = statistics.relate(table, ["a.A0"]).iloc[0]
        found += answer.holds(row, 1)
    assert found > 40


def test_shifted_profiles_are_those_of_numpys_roll():
    table = layers_table(2, 25).sample(frac=1, random_state=1)
    row = statistics.relate(with_raw(table), ["a.IT", "a.V1"]).iloc[0]
    table = table.sort_values(["model", "depth"])
    ranks = table["memorability"].rank().to_numpy().reshape(2, 25)
    reached = np.array(
        [
            [
                np.corrcoef(np.roll(ranks, k, axis=1).ravel(), table[f"a.{area}.score"].rank())[0, 1]
                for area in ("IT", "V1")
            ]
            for k in range(25)
        ]
    )
    assert row["shifted_high"] == pytest.approx(np.quantile(reached.max(1), 0.975))
    assert row["shifted_low"] == pytest.approx(np.quantile(reached.min(1), 0.025))
    few = statistics.relate(with_raw(layers_table(2, 19)), ["a.IT"]).iloc[0]
    assert np.isnan(few[["shifted_low", "shifted_high"]].astype(float)).all()


def test_partial_correlation_is_that_of_what_scikit_learns_regression_leaves():
    table = layers_table(3, 30, between=1.0)
    table["a.IT.score"] += 3 * table["depth"] ** 2
    depth = PolynomialFeatures(5).fit_transform(table[["depth"]])
    left = []
    for column in ("memorability", "a.IT.score"):
        ranks = table[column].rank()
        left.append(ranks - LinearRegression().fit(depth, ranks).predict(depth))
    row = row_of(table)
    assert row["partial"] == pytest.approx(pearsonr(*left).statistic, abs=1e-9)
    fitted = table["memorability"].rank() - left[0]
    assert row["depth"] == pytest.approx(pearsonr(table["memorability"].rank(), fitted).statistic, abs=1e-9)


@pytest.mark.parametrize("n_models", [2, 10])
def test_no_area_is_called_best_where_all_are_alike(n_models):
    """Four areas that go with memorability equally: of 400 studies 20 may set the first apart from the last, or more by
    chance, 31 one time in a hundred. Taken as if best and last had been named before, it is two in ten."""
    rng, called = np.random.default_rng(n_models), 0
    models, depth = np.arange(n_models).repeat(12), np.tile(np.linspace(0, 1, 12), n_models)
    for _ in range(400):
        memorability = drawn_from(rng, networks(rng, n_models, 0.7, 0.3, 0.3))[..., 0].ravel()
        own = 0.5 * rng.standard_normal((4, len(models))) + 0.5 * rng.standard_normal((4, n_models)).repeat(12, axis=1)
        last, *_, best = sorted(memorability + own, key=lambda area: spearman(memorability, area))
        # Confidence as that of `differences` between four areas, which is tested below.
        called += statistics.Pairs(models, depth, memorability, best, last).apart(1 - 0.05 / 6)["difference_low"] > 0
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
    # Two intervals that hold at once are wider, and shifted profiles may choose among two.
    own = ["scope", "n_models", "n_layers", "interval_over", "spearman", "pearson", "partial", "depth"]
    pd.testing.assert_frame_equal(both.loc["a.IT", own].reset_index(drop=True), relate(table, ["a.IT"])[own])
    assert list(both.loc[["a.V1", "a.IT"], "n_layers"].groupby(level=0, sort=False).first()) == [120 - 21, 120]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("n_layers", "changes", "correlation", "interval"),
    [
        (1, {}, False, False),
        (2, {}, False, False),
        (3, {}, True, False),
        (7, {}, True, False),
        (8, {}, True, True),
        (20, {"memorability": 0.1}, False, False),
    ],
)
def test_what_few_layers_or_constant_scores_tell(n_layers, changes, correlation, interval):
    """Three layers have a correlation, and eight an interval: four stretches of two."""
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


@pytest.mark.parametrize(("n_models", "over"), [(5, "networks"), (4, "depth")])
def test_difference_equals_a_paired_jackknife_by_hand(n_models, over):
    table = four_areas(n_models, 12 if n_models == 5 else 32)
    found = differences_of(table)
    assert list(found["best"]) == ["a.IT"] * 3
    assert list(found["other"]) == ["a.V4", "a.V2", "a.V1"]
    for row in found.itertuples():
        names = ["memorability", f"{row.best}.score", f"{row.other}.score"]
        units = intervals.Units("networks", table["model"].to_numpy())
        if over == "depth":
            units = intervals.stretches(*(table[name].to_numpy() for name in ("model", "depth", *names)))

        def value(part, names=names):
            both = [spearmanr(part[names[0]], part[name]).statistic for name in names[1:]]
            return both[0] - both[1]

        without = [value(table[units.names != name]) for name in pd.unique(units.names)]
        # Student's t, of 0.05 / 6 on both sides.
        margin = student.ppf(1 - 0.05 / 12, len(without) - 1) * np.std(without) * np.sqrt(len(without) - 1)
        assert row.difference == pytest.approx(value(table), abs=1e-12)
        assert row.difference_low == pytest.approx(row.difference - margin * units.times, abs=1e-4)
        assert row.difference_high == pytest.approx(row.difference + margin * units.times, abs=1e-4)
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
    table = layers_table(3, 30)
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


def test_networks_are_related_as_by_a_jackknife_by_hand():
    table = finetuned_networks(20, 0.7)
    found = statistics.relate_networks(table, ["simulated.IT", "simulated.V4"]).set_index(["benchmark", "when"])
    found, t = found.loc[("simulated.IT", "after")], student.ppf(1 - 0.05 / 4, 19)
    values = table[["simulated.IT.raw_after", "head_rho", "top1"]]
    for name in ("head_rho", "top1"):
        expected = jackknife_by_hand(values[["simulated.IT.raw_after", name]], table["model"].to_numpy(), t)[0]
        column = "memorability" if name == "head_rho" else name
        np.testing.assert_allclose(found[[f"{column}_low", f"{column}_high"]].astype(float), expected, atol=1e-9)

    def difference(part):
        likeness, memorability, top1 = part.to_numpy().T
        return spearman(likeness, memorability) - spearman(likeness, top1)

    without = [difference(values.drop(index=k)) for k in range(20)]
    assert found["difference"] == pytest.approx(difference(values))
    assert found["difference_high"] - found["difference"] == pytest.approx(t * np.std(without) * np.sqrt(19))


def test_means_over_splits_are_related():
    table = finetuned_networks(8, 0.5)
    twice = pd.concat([table, table.assign(split=2, head_rho=table["head_rho"][::-1].to_numpy())])
    means = table.assign(head_rho=(table["head_rho"] + table["head_rho"][::-1].to_numpy()) / 2)
    pd.testing.assert_frame_equal(
        statistics.relate_networks(twice, ["simulated.IT"]), statistics.relate_networks(means, ["simulated.IT"])
    )


@pytest.mark.parametrize(("n", "value", "interval"), [(2, False, False), (4, True, False), (8, True, True)])
def test_few_networks_have_no_interval(n, value, interval):
    found = statistics.relate_networks(finetuned_networks(n, 0.5), ["simulated.IT"])
    assert (found["n_networks"] == n).all()
    assert found["difference"].notna().all() == value
    assert found["difference_low"].notna().all() == interval


def test_without_accuracies_memorability_stands_alone():
    table = finetuned_networks(6, 1.0)
    found = statistics.relate_networks(table.drop(columns="top1"), ["simulated.IT"])
    assert "top1" not in found
    assert found.set_index("when").loc["after", "memorability"] == pytest.approx(1)
    nobodys = statistics.relate_networks(table.assign(top1=np.nan), ["simulated.IT"])
    pd.testing.assert_frame_equal(nobodys, found)
    assert list(statistics.relate_networks(table, []))[:3] == ["benchmark", "when", "n_networks"]
    unknown = table.assign(top1=[1, 2, 3, 4, 5, np.nan])
    assert (statistics.relate_networks(unknown, ["simulated.IT"])["n_networks"] == 5).all()


@pytest.mark.thorough
def test_few_networks_find_no_more_than_chance():
    """Five networks of which nothing goes with anything, and a difference that is none: of 400 studies 20 may find
    something, 33 one time in a thousand. Percentiles of a bootstrap find it in 40 to 60."""
    found = {"memorability": 0, "difference": 0}
    for seed in range(400):
        row = (
            statistics.relate_networks(finetuned_networks(5, 0, seed), ["simulated.IT"]).set_index("when").loc["after"]
        )
        for name in found:
            found[name] += row[f"{name}_low"] > 0 or row[f"{name}_high"] < 0
    assert max(found.values()) < 33


def test_intervals_that_say_nothing_are_not_given():
    """Of ten layers one came out as 0.99 [-1.00, 1.00], another as -0.41 [-1.00, 0.98]."""
    bounds = np.array([[-1.0, -1.0, -0.6], [0.99, -0.41, 0.3], [1.0, 0.98, 0.8]])
    low, value, high = intervals.telling(bounds, 2)
    np.testing.assert_array_equal(value, bounds[1])
    np.testing.assert_array_equal(low, [np.nan, np.nan, -0.6])
    np.testing.assert_array_equal(high, [np.nan, np.nan, 0.8])
    table = layers_table(2, 10, seed=4)
    table["a.IT.score"] = table["memorability"].where(table["layer"] != "layer3", -5)
    row = row_of(table, scope="net0")
    assert np.isnan(row["spearman_high"]) or row["spearman_high"] - row["spearman_low"] < 1.8
