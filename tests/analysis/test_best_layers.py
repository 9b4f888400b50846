"""Best layers are chosen on what is not tested, and one predictor is called better where test images are enough."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from memscore.analysis import best_layers


def table(**columns):
    return pd.DataFrame(
        {"model": "net", "layer": ["stem", "middle", "last"], "components_split_1": [3, 2, 1]} | columns
    )


def test_the_best_layer_is_chosen_on_validation_images():
    """Not on the test images, on which another one is better."""
    scored = table(validation_split_1=[0.1, 0.6, 0.5], memorability_split_1=[0.9, 0.3, 0.4])
    (best,) = best_layers.choose(scored).to_dict("records")
    expected = {"model": "net", "split": 1, "layer": "middle", "components": 2}
    assert best == expected | {"validation_rho": 0.6, "test_rho": 0.3}
    unknown = best_layers.choose(scored.assign(validation_split_1=np.nan))
    assert unknown.empty
    assert list(unknown) == list(best)


def test_predictions_are_of_the_best_layer_of_all_jobs():
    stimuli = pd.DataFrame({"stimulus_id": list("dcba")})
    stimuli = stimuli.assign(split_1=["test", "train", "test", "val"], split_2=["train", "test", "test", "val"])
    observed = np.arange(8.0).reshape(2, 4)
    best = pd.DataFrame({"split": [1, 2], "layer": ["last", "stem"]})
    jobs = [(["stem", "stem"], np.full((2, 4), 5.0)), (["last", "last"], np.full((2, 4), 6.0)), (["", ""], observed)]
    found = best_layers.predictions(best, jobs, stimuli, observed)
    assert found.to_dict("list") == {
        "split": [1, 1, 2, 2],
        "layer": ["last", "last", "stem", "stem"],
        "stimulus_id": ["b", "d", "b", "c"],
        "memorability": [2.0, 0.0, 6.0, 5.0],
        "predicted": [6.0, 6.0, 5.0, 5.0],
    }
    # Whatever the order of the table's columns: jobs have their splits in that of the numbers.
    turned = stimuli[["stimulus_id", "split_2", "split_1"]]
    pd.testing.assert_frame_equal(best_layers.predictions(best, jobs, turned, observed), found)
    assert list(best_layers.predictions(best[:0], jobs, stimuli, observed)) == list(best_layers.PREDICTED)


def predictors(rng, n_images, n_splits=1, better=0.0):
    """What two predictors that err alike say of images; `better`: how much less the first one errs."""
    memorability = rng.standard_normal(n_images)
    ids = [f"image{i}" for i in range(n_images)]
    made = []
    for noise in (1.0 - better, 1.0):
        splits = [memorability + noise * rng.standard_normal(n_images) for _ in range(n_splits)]
        columns = {"stimulus_id": ids, "memorability": memorability}
        tables = [pd.DataFrame(columns | {"split": k, "training": k, "predicted": p}) for k, p in enumerate(splits)]
        made.append(pd.concat(tables, ignore_index=True))
    return made


@pytest.mark.parametrize("n_splits", [1, pytest.param(5, marks=pytest.mark.thorough)])
def test_of_equals_none_is_called_better(n_splits):
    """300 studies of 60 test images: 15 intervals of the difference may exclude zero, 27 one time in a thousand."""
    rng, called = np.random.default_rng(n_splits), 0
    for _ in range(300):
        found = best_layers.ahead(*predictors(rng, 60, n_splits))
        called += found["difference_low"] > 0 or found["difference_high"] < 0
    assert called < 27


def test_the_difference_is_that_of_scipys_rho_and_its_interval_is_paired():
    rng = np.random.default_rng(0)
    a, b = predictors(rng, 200, 2, better=0.5)
    found = best_layers.ahead(a, b.sample(frac=1, random_state=0))
    rhos = [
        [spearmanr(rows["memorability"], rows["predicted"]).statistic for _, rows in each.groupby("split")]
        for each in (a, b)
    ]
    assert [found["a"], found["b"]] == pytest.approx(np.mean(rhos, axis=1))
    assert found["difference_low"] > 0
    assert found["n_images"] == 200
    # One that errs exactly as the other does, a little less: apart, each ρ is far less certain than the difference.
    alike = b.assign(predicted=b["memorability"] + 0.97 * (b["predicted"] - b["memorability"]))
    assert 0 < best_layers.ahead(alike, b)["difference_low"] < 0.02


def test_few_images_say_nothing():
    found = best_layers.ahead(*predictors(np.random.default_rng(0), 3))
    assert np.isnan([found["difference_low"], found["difference_high"]]).all()


def test_controls_are_set_against_the_network_that_validates_best():
    rng = np.random.default_rng(0)
    good, bad = (each[["stimulus_id", "memorability", "split", "predicted"]] for each in predictors(rng, 100, 2, 0.7))
    trained = {"a": True, "b": True, "untrained": False, "random": False}
    best = pd.DataFrame({"model": list(trained), "split": 1, "validation_rho": [0.2, 0.6, 0.9, 0.1]})
    predicted = {"a": bad, "b": good, "untrained": good, "random": bad}
    found = best_layers.controls(best, predicted, trained).set_index("control")
    assert list(found["model"]) == ["b", "b"]
    assert found.loc["untrained", ["difference", "difference_low"]].tolist() == [0, 0]
    assert found.loc["random", "difference_low"] > 0
    assert best_layers.controls(best[:2], predicted, trained).empty


def test_trainings_are_set_against_layers_network_by_network():
    rng = np.random.default_rng(0)
    good, bad = (each[["stimulus_id", "memorability", "split", "predicted"]] for each in predictors(rng, 100, 2, 0.7))
    heads = {(model, split): good[good["split"] == split].drop(columns="split") for model in "ab" for split in (0, 1)}
    found = best_layers.against(heads, {"a": bad, "b": good}).set_index("model")
    assert list(found.index) == ["all networks", "a", "b"]
    assert list(found["n_trainings"]) == [4, 2, 2]
    assert found.loc["a", "difference_low"] > 0
    assert found.loc["b", "difference"] == 0
    assert found.loc["all networks", "difference"] == pytest.approx(found.loc["a", "difference"] / 2)
    assert best_layers.against({}, {}).empty
