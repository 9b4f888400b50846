"""A predictor: what it says of an image, where that stands, and what it cannot speak of."""

import json

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from scipy.stats import percentileofscore
from sklearn.neighbors import NearestNeighbors

from memscore.errors import InputError
from memscore.networks import weights
from memscore.networks.extraction import extract
from memscore.networks.streaming import hold
from memscore.predictions import predictor
from memscore.predictions.predictor import Best
from memscore.scores.pls import fit_splits

SIZE, N = 32, 60
NETWORK = {"timm_name": "test_resnet", "input_size": [SIZE, SIZE], "mean": [0.5] * 3, "std": [0.5] * 3}
NETWORK["interpolation"] = "bilinear"
DESCRIBED = {"network": NETWORK, "penultimate": 1, "calls": {"conv1.0": 1, "penultimate": 1}}
HEAD = Best("net", "net.tuned-1", 1, None, 0, 0.5, 0.6)
LAYER = Best("net", "net", 1, "conv1.0", 4, 0.5, 0.6)


@pytest.fixture
def stimuli():
    """Coloured images of which people remember the bright ones."""
    rng = np.random.default_rng(0)
    brightness = rng.uniform(0.2, 0.8, N)
    noise = rng.normal(0, 0.1, (N, SIZE, SIZE, 3))
    pixels = (255 * np.clip(brightness[:, None, None, None] + noise, 0, 1)).astype(np.uint8)
    side = np.array(["train", "val", "test"])[np.searchsorted([40, 48], np.arange(N), side="right")]
    table = pd.DataFrame({"stimulus_id": [str(i) for i in range(N)], "memorability": brightness, "split_1": side})
    return pixels, table


@pytest.fixture
def make(tmp_path, stimuli):
    """make(best): the predictor of a network of random weights, with a header of a training for its head."""

    def made(best):
        torch.manual_seed(0)
        model = timm.create_model("test_resnet", num_classes=1)
        about = {"options": json.dumps({"num_classes": 1}), "finetuned": json.dumps({"target": [0.5, 0.1]})}
        weights.save(tmp_path / "net.safetensors", model.state_dict(), about)
        pixels, table = stimuli
        sketch = {"sketch": 101, "seed": 1}
        options = {"dataset": "mine", "source": "table", "sketch": sketch, "choose": True}
        return predictor.make(best, DESCRIBED, tmp_path / "net.safetensors", pixels, table, "mine.csv", **options)

    return made


def test_a_layers_predictor_is_the_studys_regression(make, stimuli):
    pixels, table = stimuli
    made = make(LAYER)
    batches = extract(made.model, {"conv1.0": 1}, pixels, [0.5] * 3, [0.5] * 3, sketch=101, seed=1)
    train = (table["split_1"] == "train").to_numpy()[None]
    fitted = fit_splits(hold(batches, N)["conv1.0"].numpy(), table["memorability"].to_numpy()[:, None], train, 4)
    np.testing.assert_allclose(made.look(pixels)[0], fitted.predict(0)[:, 0], rtol=1e-6)


def test_a_heads_predictor_is_the_network(make, stimuli):
    made = make(HEAD)
    images = (torch.from_numpy(stimuli[0]).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5
    with torch.inference_mode():
        expected = 0.5 + 0.1 * made.model.eval()(images).flatten().numpy()
    np.testing.assert_allclose(made.look(stimuli[0])[0], expected, atol=1e-5)


@pytest.mark.parametrize("best", [HEAD, LAYER])
def test_a_file_says_what_was_saved(make, stimuli, tmp_path, best):
    made = make(best)
    predictor.save(tmp_path / "predictor.safetensors", made)
    read = predictor.load(tmp_path / "predictor.safetensors")
    assert read.about == made.about
    for one, other in zip(made.look(stimuli[0]), read.look(stimuli[0]), strict=True):
        np.testing.assert_array_equal(one, other)
    assert read.about["n_training"] == 40
    assert read.about["test_rho"] == 0.6
    assert "study's own" in read.about["terms"]


def test_percentile_and_distance_are_those_of_others(make, stimuli):
    made = make(HEAD)
    predicted, looks = made.look(stimuli[0])
    expected = [percentileofscore(predicted[:40], value, "weak") for value in predicted]
    np.testing.assert_allclose(made.percentile(predicted), expected)
    nearest = NearestNeighbors(n_neighbors=10, metric="cosine").fit(made.tensors["references"].float().numpy())
    np.testing.assert_allclose(made.distance(looks), nearest.kneighbors(looks)[0][:, -1], atol=1e-6)
    # Of images that were held out, 99 in 100 are like those of training.
    assert made.about["unlike"] == pytest.approx(np.quantile(made.distance(looks[40:]), 0.99), abs=1e-6)


def test_rows_are_ranked_and_what_cannot_be_read_says_why(make, stimuli, tmp_path):
    files = []
    for i in (3, 0, 2, 1):
        files.append(tmp_path / f"{i}.png")
        Image.fromarray(stimuli[0][i]).save(files[-1])
    broken, text, odd = (tmp_path / name for name in ("broken.jpg", "notes.txt", "odd.png"))
    broken.write_bytes(files[0].read_bytes()[:100])
    text.write_text("not an image")
    stripes = np.zeros((SIZE, SIZE, 3), np.uint8)
    stripes[::2, :, 0] = 255
    Image.fromarray(stripes).save(odd)
    made = make(HEAD)
    rows = made.of_files([text, *files, broken, odd])
    assert [row["rank"] for row in rows] == [1, 2, 3, 4, 5, None, None]
    values = [row["predicted_memorability"] for row in rows[:5]]
    assert values == sorted(values, reverse=True)
    by_path = {row["path"]: row for row in rows}
    expected = dict(zip(range(N), made.look(stimuli[0])[0], strict=True))
    for file in files:
        assert by_path[str(file)]["predicted_memorability"] == pytest.approx(expected[int(file.stem)], abs=1e-6)
        assert by_path[str(file)]["note"] == ""
    assert "unlike the images" in by_path[str(odd)]["note"]
    assert all("cannot be read as an image" in by_path[str(file)]["note"] for file in (broken, text))
    assert made.of_files([]) == []


def test_best_is_the_highest_mean_and_its_split_is_chosen_without_test():
    memorability = pd.DataFrame({"model": ["a", "b"], "layer": ["x", "y"], "memorability": [0.3, 0.5]})
    memorability = memorability.assign(memorability_split_1=[0.2, 0.45], memorability_split_2=[0.4, 0.55])
    memorability = memorability.assign(components_split_1=[3, 7], components_split_2=1)
    tuned = pd.DataFrame({"model": ["a", "a"], "split": [1, 2], "validation_rho": [0.6, 0.7], "head_rho": [0.7, 0.4]})
    trained = ["a", "b"]
    assert predictor.best(memorability, tuned, trained) == Best("a", "a.tuned-2", 2, None, 0, 0.55, 0.4)
    assert predictor.best(memorability, None, trained) == Best("b", "b", 1, "y", 7, 0.5, 0.45)
    better = memorability.assign(memorability_split_1=[0.2, 0.6])
    assert predictor.best(better, tuned, trained).layer == "y"
    # On the splits that networks are tuned on, and no others.
    assert predictor.best(better, tuned[tuned["split"] == 2], trained).layer == "y"
    assert predictor.best(better.assign(memorability_split_2=0.1), tuned[tuned["split"] == 2], trained).layer is None
    unscored = memorability.assign(memorability_split_1=np.nan, memorability_split_2=np.nan)
    assert predictor.best(unscored, tuned, trained).split == 2
    with pytest.raises(InputError, match="principal components"):
        predictor.best(None, None, trained)
    # A control is none, however well it does.
    assert predictor.best(memorability, None, ["a"]) == Best("a", "a", 1, "x", 3, pytest.approx(0.3), 0.2)
    with pytest.raises(InputError, match="nothing but untrained controls"):
        predictor.best(memorability, None, [])


def test_of_equal_predictors_the_first_is_taken_whatever_the_rounding():
    rhos = [0.8, 1 - 1e-12, 1.0, 1 - 1e-12]
    memorability = pd.DataFrame({"model": ["a", "b", "c", "d"], "layer": "x", "memorability_split_1": rhos})
    memorability["components_split_1"] = 3
    assert predictor.best(memorability, None, ["a", "b", "c", "d"]).model == "b"
    tuned = {"model": ["e", "e", "f"], "split": [1, 2, 1], "validation_rho": [0.7, 0.7 + 1e-12, 0.9], "head_rho": 1.0}
    assert predictor.best(None, pd.DataFrame(tuned), []).network == "e.tuned-1"
    tuned = pd.DataFrame(tuned).query("split == 1")
    assert predictor.best(memorability, tuned, ["a", "b", "c", "d"]).network == "b"


def test_what_is_no_predictor_is_refused(tmp_path):
    with pytest.raises(InputError, match="no file"):
        predictor.load(tmp_path / "none.safetensors")
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "other.safetensors").write_text("something else")
    weights.save(tmp_path / "weights.safetensors", {"a": torch.zeros(1)}, {})
    for name in ("empty", "other", "weights"):
        with pytest.raises(InputError, match="is no predictor of memscore"):
            predictor.load(tmp_path / f"{name}.safetensors")
