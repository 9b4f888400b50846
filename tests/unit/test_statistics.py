"""Correlations over layers, and how sure one may be of them."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr, spearmanr

from memscore import statistics


def table(n_models=4, n_layers=30, between=1.0, seed=0):
    """Layers whose memorability and score share a part that differs between models, and nothing else."""
    rng = np.random.default_rng(seed)
    shared = np.repeat(rng.standard_normal(n_models) * between, n_layers)
    n = n_models * n_layers
    return pd.DataFrame(
        {
            "model": np.repeat([f"m{i}" for i in range(n_models)], n_layers),
            "trained": True,
            "memorability": shared + rng.standard_normal(n) * 0.5,
            "x.IT.score": shared + rng.standard_normal(n) * 0.5,
        }
    )


def pooled(layers):
    return statistics.relate(layers, ["x.IT"], seed=1).set_index("scope").loc["all trained"]


def test_correlations_are_scipys():
    layers = table()
    layers.loc[3, "memorability"] = layers.loc[4, "memorability"]  # a tie
    row = pooled(layers)
    assert row["spearman"] == pytest.approx(spearmanr(layers["memorability"], layers["x.IT.score"]).statistic)
    assert row["pearson"] == pytest.approx(pearsonr(layers["memorability"], layers["x.IT.score"]).statistic)
    assert row["spearman_low"] < row["spearman"] < row["spearman_high"]


def test_models_are_resampled_not_only_layers():
    layers = table(n_models=4, between=2.0)
    by_models = pooled(layers)
    as_if_one = pooled(layers.assign(model="one"))
    width = by_models["pearson_high"] - by_models["pearson_low"]
    assert width > 2 * (as_if_one["pearson_high"] - as_if_one["pearson_low"])


def test_same_seed_same_interval():
    pd.testing.assert_frame_equal(*(statistics.relate(table(), ["x.IT"], seed=1) for _ in range(2)))


def test_untrained_controls_stay_out_of_the_pooled_row():
    layers = table()
    with_control = pd.concat([layers, table(1, seed=9).assign(model="control", trained=False)], ignore_index=True)
    pd.testing.assert_series_equal(pooled(with_control), pooled(layers))
    assert "control" in set(statistics.relate(with_control, ["x.IT"], seed=1)["scope"])


def test_layers_without_a_score_are_left_out():
    layers = table()
    layers.loc[0, "memorability"] = np.nan
    layers.loc[1, "x.IT.score"] = np.nan
    assert pooled(layers)["n_layers"] == len(layers) - 2


@pytest.mark.parametrize("n_layers", [1, 2])
def test_too_few_layers_have_no_correlation(n_layers):
    assert np.isnan(
        pooled(table(1, n_layers))[["spearman", "pearson", "spearman_low", "pearson_high"]].astype(float)
    ).all()
