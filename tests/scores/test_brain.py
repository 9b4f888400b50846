"""Benchmarks as files have them: order of stimuli, sessions with stimuli of their own, splits without strata."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memscore import correlation
from memscore.errors import InputError
from memscore.scores import brain
from memscore.stimuli import benchmarks

N_STIMULI, N_NEURONS, N_REPEATS, N_FEATURES = 60, 4, 4, 12


def session(name="", seed=0, first=0, strata=None, n=N_STIMULI):
    """A session's benchmark; its stimuli are s000, s001, … from `first`, in random order."""
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal((n, 3)) @ rng.standard_normal((3, N_NEURONS))
    trials = signal[..., None] + rng.standard_normal((n, N_NEURONS, N_REPEATS))
    return benchmarks.make_benchmark(
        trials,
        stimulus_ids=[f"s{first + i:03d}" for i in rng.permutation(n)],
        strata=strata,
        neuroid_ids=[f"{name}-{i}" for i in range(N_NEURONS)],
        region="V4",
        session=name,
        source=f"session {name}",
    )


def features(ids, seed=0):
    """The same features for a stimulus, whatever the order."""
    made = [np.random.default_rng([seed, int(stimulus[1:])]).standard_normal(N_FEATURES) for stimulus in ids]
    return np.array(made)


def scores(benchmark):
    return brain.pearson_per_split(features(benchmark["stimulus_id"].values), benchmark)


@pytest.mark.parametrize("value", [0.1, -37.3, 1 / 3])
def test_a_constant_site_has_no_correlation(value):
    """Whatever the rounding of its mean, which at most lengths is not the value itself: the rest is no signal."""
    for n in range(20, 40):
        a, b = np.random.default_rng(n).standard_normal((2, n, 4))
        a[:, 1:3] = b[:, 2:] = value
        r = correlation.pearson(a, b)
        assert np.isnan(r[1:]).all(), n
        assert r[0] == pytest.approx(np.corrcoef(a[:, 0], b[:, 0])[0, 1])


@pytest.mark.parity
def test_splits_without_strata_are_brainscores():
    """Those with strata: test_brainscore.py."""
    pytest.importorskip("brainscore_vision")
    from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
    from brainscore_vision.metric_helpers.transformations import Split

    coordinates = {"stimulus_id": ("presentation", np.arange(57)), "kind": ("presentation", np.arange(57))}
    coordinates |= {"neuroid_id": ("neuroid", [0]), "region": ("neuroid", ["V4"])}
    assembly = NeuroidAssembly(np.zeros((57, 1)), dims=["presentation", "neuroid"], coords=coordinates)
    _, splits = Split(stratification_coord=None).build_splits(assembly)
    for mine, (rows, held_out) in zip(benchmarks.cross_validation(57), splits, strict=True):
        assert set(np.flatnonzero(mine)) == set(rows)
        assert set(np.flatnonzero(~mine)) == set(held_out)


def test_site_without_a_response_is_named():
    trials = np.ones((30, 3, 2))
    trials[17, 1] = trials[20, 2] = np.nan
    trials[5, 0, 1] = np.nan
    with pytest.raises(InputError) as caught:
        benchmarks.make_benchmark(trials, [f"s{i}" for i in range(30)], None, ["a", "b", "c"], "V4", source="mine")
    message = "mine: neuroid b has no response to stimulus s17 (2 are missing in all); PLS regression needs every one"
    assert str(caught.value) == message


def test_session_is_asked_for_its_own_stimuli_only():
    """Else no two sessions could be pooled."""
    one, two = session("one", 1), session("two", 2, first=N_STIMULI)
    pooled = benchmarks.pool([one, two])
    assert np.isnan(pooled["responses"].values).sum() == 2 * N_STIMULI * N_NEURONS
    holes = pooled["responses"].values.copy()
    holes[np.flatnonzero(pooled["train"].values[1].any(0))[0], -1] = np.nan
    parts = [
        {str(n): pooled[part].values[i] for i, n in enumerate(pooled["session"].values)} for part in ("train", "test")
    ]
    with pytest.raises(InputError, match=r"neuroid two-3 has no response to stimulus s\d+ \(1 are missing"):
        benchmarks.benchmark_dataset(
            holes,
            *parts,
            pooled["neuroid_ceiling"].values,
            stimulus_ids=pooled["stimulus_id"].values,
            strata=pooled["stratum"].values,
            neuroid_ids=pooled["neuroid_id"].values,
            neuroid_sessions=pooled["neuroid_session"].values,
            region="V4",
        )


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), more=st.integers(0, 40))
def test_order_of_stimuli_changes_nothing_else(seed, more):
    """Each stimulus keeps its responses, stratum and part; those that were not shown are in no part. Nor the score."""
    strata = list(np.random.default_rng(3).choice(["x", "y", "z"], N_STIMULI))
    benchmark = session("one", strata=strata)
    ids = np.random.default_rng(seed).permutation([f"s{i:03d}" for i in range(N_STIMULI + more)])
    ordered = benchmarks.in_order_of(benchmark, list(ids))
    assert list(ordered["stimulus_id"].values) == list(ids)
    place = {stimulus: i for i, stimulus in enumerate(ids)}
    rows = [place[stimulus] for stimulus in benchmark["stimulus_id"].values]
    np.testing.assert_array_equal(ordered["responses"].values[rows], benchmark["responses"].values)
    assert list(ordered["stratum"].values[rows]) == strata
    for part in ("train", "test"):
        np.testing.assert_array_equal(ordered[part].values[..., rows], benchmark[part].values)
        assert ordered[part].values.sum() == benchmark[part].values.sum()
    assert np.isnan(np.delete(ordered["responses"].values, rows, axis=0)).all()
    back = benchmarks.in_order_of(benchmarks.in_order_of(ordered, list(ids)[::-1]), list(ids))
    assert back.equals(ordered)
    np.testing.assert_allclose(scores(ordered), scores(benchmark), rtol=0, atol=1e-9)


def test_stimulus_that_is_not_in_the_set():
    benchmark = session("one")
    with pytest.raises(InputError, match=r"session one: stimulus 's058' is not in its stimulus set \(2 are not\)"):
        benchmarks.in_order_of(benchmark, [f"s{i:03d}" for i in range(N_STIMULI - 2)])


@settings(max_examples=20, deadline=None)
@given(
    firsts=st.lists(st.integers(0, 2 * N_STIMULI), min_size=1, max_size=3),
    sizes=st.lists(st.integers(40, N_STIMULI), min_size=3, max_size=3),
    seed=st.integers(0, 1000),
)
def test_pooled_sessions_score_as_each_alone(firsts, sizes, seed):
    """However many stimuli they share."""
    alone = [
        session(f"session {k}", seed + k, first, n=n) for k, (first, n) in enumerate(zip(firsts, sizes, strict=False))
    ]
    pooled = benchmarks.pool(alone, source="all", stimulus_set="test")
    np.testing.assert_allclose(scores(pooled), np.concatenate([scores(s) for s in alone], 1), rtol=0, atol=1e-9)
    assert pooled.sizes["stimulus"] == len(set().union(*(s["stimulus_id"].values for s in alone)))
    ceilings = np.concatenate([s["neuroid_ceiling"].values for s in alone], 1)
    assert float(pooled["ceiling"]) == pytest.approx(benchmarks.median_then_mean(ceilings)[0])
    assert pooled.attrs == {"source": "all", "stimulus_set": "test"}


def test_pool_survives_its_file(tmp_path):
    pooled = benchmarks.pool([session("one", 1), session("two", 2, first=30)], source="both")
    benchmarks.write_benchmark(tmp_path / "pooled.nc", pooled)
    stored = benchmarks.read_benchmark(tmp_path / "pooled.nc")
    np.testing.assert_array_equal(scores(stored), scores(pooled))
    assert stored["ceiling"] == pooled["ceiling"]
    np.testing.assert_array_equal(stored["neuroid_ceiling"], pooled["neuroid_ceiling"])


def test_pool_has_no_ceiling_where_a_session_has_none():
    two = session("two", 2, first=N_STIMULI)
    averages = benchmarks.make_benchmark(
        two["responses"].values[..., None], two["stimulus_id"].values, None, two["neuroid_id"].values, "V4", "two"
    )
    pooled = benchmarks.pool([session("one", 1), averages])
    assert np.isnan(pooled["ceiling"])
    similarity = brain.similarity(features(pooled["stimulus_id"].values), pooled)
    assert np.isnan(similarity.score)
    assert np.isfinite(similarity.raw)


def test_strata_are_pooled():
    kinds = ["a", "b"] * (N_STIMULI // 2)
    one, two = session("one", 1, strata=kinds), session("two", 1, first=30, strata=kinds)
    pooled = benchmarks.pool([one, two])
    expected = {}
    for part in (two, one):
        expected |= dict(zip(part["stimulus_id"].values, part["stratum"].values, strict=True))
    assert dict(zip(pooled["stimulus_id"].values, pooled["stratum"].values, strict=True)) == expected


# Ceilings of recordings whose truth is known


def shown_unequally(times, n=640, n_sites=40, noise=2.0, seed=0):
    """(signal, trials with noise, of each stimulus the first so many of `times`, reliability of their means)."""
    rng = np.random.default_rng(seed)
    signal = rng.standard_normal((n, n_sites))
    trials = signal[..., None] + noise * rng.standard_normal((n, n_sites, max(times)))
    shown = rng.choice(times, n)
    trials[np.broadcast_to(np.arange(max(times)) >= shown[:, None, None], trials.shape)] = np.nan
    return signal, trials, 1 / (1 + noise**2 * (1 / shown).mean())


def ceiling_of(trials):
    return benchmarks.median_then_mean(benchmarks.split_half_reliability(trials))[0]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("times", "noise"),
    [([10], 2), ([6, 7, 8, 9, 10], 2), ([6, 10], 2), ([3, 10], 2), ([2, 3, 4, 5], 1.5), ([1, 2, 3], 1)],
)
def test_a_perfect_model_reaches_the_ceiling_however_often_each_stimulus_was_shown(times, noise):
    """Also where some were shown once, which no half can have."""
    scores, ceilings, truths = [], [], []
    for seed in range(2):
        signal, trials, truth = shown_unequally(times, noise=noise, seed=seed)
        r = np.median(correlation.pearson(signal, benchmarks.nanmean(trials)))
        ceilings.append(ceiling_of(trials))
        scores.append(brain.relative(r, ceilings[-1], "explained_variance"))
        truths.append(truth)
    assert np.mean(ceilings) == pytest.approx(np.mean(truths), abs=0.012)
    assert np.mean(scores) == pytest.approx(1, abs=0.015)


def test_halves_are_of_each_stimulus_own_repetitions():
    present = np.random.default_rng(0).random((50, 3, 9)) < 0.5
    first, second = benchmarks.balanced_halves(present, np.random.default_rng(1))
    assert ((first | second) == present).all()
    assert not (first & second).any()
    more = first.sum(-1) - second.sum(-1)
    assert (np.abs(more) == present.sum(-1) % 2).all()
    assert abs(more.mean()) < 0.2


def test_a_site_without_gaps_keeps_brainscores_ceiling_beside_one_with_gaps():
    _, trials, _ = shown_unequally([4], n=60, n_sites=3)
    whole = benchmarks.split_half_reliability(trials)
    trials[7, 1, 2:] = np.nan
    with_gap = benchmarks.split_half_reliability(trials)
    np.testing.assert_array_equal(with_gap[:, [0, 2]], whole[:, [0, 2]])
    assert np.isfinite(with_gap).all()
    assert (with_gap[:, 1] != whole[:, 1]).any()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("ceiling", "said"),
    [
        (-0.05, "ceiling -0.05: two halves of the repeats do not agree, and no score can be relative to that"),
        (0.06, "ceiling 0.06: two halves of the repeats hardly agree, and no score can be relative to that"),
        (0.4, ""),
        (np.nan, ""),
    ],
)
def test_a_ceiling_that_is_none_is_named_and_gives_no_score(ceiling, said):
    """The raw r stays, and the ceiling as it is."""
    benchmark = session("one").assign(ceiling=ceiling)
    similarity = brain.similarity(features(benchmark["stimulus_id"].values), benchmark)
    assert np.isfinite(similarity.raw)
    assert similarity.ceiling == pytest.approx(ceiling, nan_ok=True)
    assert similarity.note == (f"V4: {said}" if said else "")
    assert np.isfinite(similarity.score) == (ceiling == 0.4)
    assert correlation.said_of_ceiling(ceiling) == said
