"""The audit: what it writes is what either side computes on its own."""

import numpy as np
import pytest

from memscore.scores import audit, brain
from memscore.stimuli import benchmarks
from memscore.stimuli.sources import brainscore

pytest.importorskip("brainscore_vision")

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Maximum number of iterations reached"),
]


def session(seed, n=120, m=8, n_repetitions=4, strata=True, name=""):
    """(features, memscore's benchmark, Brain-Score's) of one made-up session."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((n, 12))
    trials = (z @ rng.standard_normal((12, m)))[..., None] + 3 * rng.standard_normal((n, m, n_repetitions))
    names = sorted(rng.choice(["b", "a", "c"], n)) if strata else None
    recorded = {
        "trials": trials,
        "stimulus_ids": [f"{name}im{i:03d}" for i in range(n)],
        "strata": names,
        "neuroid_ids": [f"{name}site{i}" for i in range(m)],
        "region": "V4",
    }
    features = z @ rng.standard_normal((12, 40)) + rng.standard_normal((n, 40))
    return features, benchmarks.make_benchmark(**recorded, session=name), recorded


def theirs(name, recorded):
    with brainscore.brainscore(name):
        return brainscore.neural_benchmark(name, **recorded)


@pytest.mark.parametrize("strata", [True, False])
@pytest.mark.parametrize("normalise", ["explained_variance", "ratio"])
def test_both_sides_agree(strata, normalise):
    features, benchmark, recorded = session(1, strata=strata)
    with brainscore.brainscore("test"):
        ids = list(benchmark["stimulus_id"].values)
        own = theirs("test", recorded)
        row = audit.audit(features, ids, benchmark, [own], normalise)
        whole = float(own(audit.Candidate(features, ids, own._visual_degrees)))
    assert row["note"] == ""
    assert row["memscore_raw"] == brain.similarity(features, benchmark).raw
    assert row["raw_difference"] == row["memscore_raw"] - row["brainscore_raw"]
    assert abs(row["raw_difference"]) < 2e-3
    assert abs(row["ceiling_difference"]) < 1e-9
    assert abs(row["error_difference"]) < 2e-3
    ratio = row["brainscore_raw"] / row["brainscore_ceiling"]
    assert row["brainscore_score"] == pytest.approx(whole if normalise == "explained_variance" else ratio)
    assert (row["n_stimuli"], row["n_features"], row["n_neuroids"]) == (120, 40, 8)
    assert row["brainscore_seconds"] > 0 < row["memscore_seconds"]


def test_brainscore_sees_the_activations_it_is_given():
    """Not a copy of memscore's number: other activations give another."""
    features, benchmark, recorded = session(1)
    ids = list(benchmark["stimulus_id"].values)
    with brainscore.brainscore("test"):
        raw, *_ = audit.brainscore_similarity(features, ids, [theirs("test", recorded)])
        shuffled, *_ = audit.brainscore_similarity(features[::-1], ids, [theirs("test", recorded)])
    assert raw > 0.4
    assert abs(shuffled) < 0.3


def test_sessions_are_pooled():
    parts = [session(1, n=120, name="a", strata=False), session(2, n=90, m=5, name="b", strata=False)]
    pooled = benchmarks.pool([benchmark for _, benchmark, _ in parts])
    features = np.concatenate([part[0] for part in parts])
    with brainscore.brainscore("test"):
        own = [theirs(f"test.{i}", recorded) for i, (_, _, recorded) in enumerate(parts)]
        row = audit.audit(features, list(pooled["stimulus_id"].values), pooled, own, "explained_variance")
    assert row["note"] == ""
    assert row["n_neuroids"] == 13
    assert abs(row["raw_difference"]) < 2e-3
    assert abs(row["ceiling_difference"]) < 1e-9


def test_what_brainscore_cannot_score_has_its_words():
    features, benchmark, recorded = session(1)
    with brainscore.brainscore("test"):
        ids = list(benchmark["stimulus_id"].values)
        row = audit.audit(features[:, :7], ids, benchmark, [theirs("test", recorded)], "ratio")
    assert "n_components" in row["note"]
    assert np.isnan(row["brainscore_raw"])
    assert np.isfinite(row["memscore_raw"])
