"""Fine-tuning: it learns what can be learnt, and however it is stopped it ends with the same weights."""

import functools
import os
import signal
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import timm
import torch

from memscore import versions
from memscore.correlation import rank_correlation
from memscore.errors import InputError
from memscore.networks import architectures, finetuning
from memscore.networks.finetuning import Images, Recipe

MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
RECIPE = {
    "epochs": 3,
    "batch_size": 8,
    "optimizer": "adamw",
    "learning_rate": 3e-3,
    "weight_decay": 0.01,
    "warmup_epochs": 1,
    "loss": "mse",
    "smallest_crop": 0.5,
    "clip_norm": 1.0,
    "layer_decay": None,
    "frozen_below": None,
    "only_head": False,
    "average": None,
    "patience": 10,
}


def recipe(**changes) -> Recipe:
    return Recipe(**RECIPE | changes)


def make_images(n=48, seed=0, shuffled=False) -> Images:
    """Images that are remembered for their brightness, or for nothing."""
    rng = np.random.default_rng(seed)
    brightness = rng.uniform(0.1, 0.9, n)
    pixels = 255 * np.clip(brightness[:, None, None, None] + rng.normal(0, 0.1, (n, 32, 32, 3)), 0, 1)
    order = rng.permutation(n)
    scores = rng.permutation(brightness) if shuffled else brightness
    train, validation = order < 0.6 * n, (order >= 0.6 * n) & (order < 0.8 * n)
    return Images(pixels.astype(np.uint8), MEAN, STD, scores, train, validation)


def make_model():
    torch.manual_seed(0)
    return finetuning.with_head(timm.create_model("test_resnet", drop_rate=0.1), "test_resnet", seed=0)


def train(tmp_path, images=None, model=None, say=lambda message: None, seed=1, **changes):
    model, images = model or make_model(), images or make_images()
    return finetuning.finetune(model, images, recipe(**changes), seed, tmp_path / "checkpoint.pt", say=say)


@functools.cache
def undisturbed(average=None):
    """What a training that nothing stops ends with."""
    with tempfile.TemporaryDirectory() as folder:
        return train(Path(folder), average=average)


def rho_on_test(weights, images):
    model = make_model()
    model.load_state_dict(weights)
    rows = np.flatnonzero(~(images.train | images.validation))
    predicted = finetuning.predict(model, images.pixels, rows, images.mean, images.std, 16)
    return rank_correlation(predicted, images.memorability[rows])


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert torch.equal(tensor, other[name]), name


@pytest.mark.parametrize("loss", ["mse", "huber", "rank"])
def test_what_can_be_learnt_is(tmp_path, loss):
    images = make_images(160)
    weights, history = train(tmp_path, images, epochs=8, loss=loss)
    assert rho_on_test(weights, images) > 0.8
    assert len(history) == 8
    assert history[-1]["validation_rho"] > 0.8
    assert history[-1]["train_loss"] < history[0]["train_loss"]


def test_what_cannot_be_learnt_is_not(tmp_path):
    images = make_images(400, shuffled=True)
    weights, _ = train(tmp_path, images, epochs=3)
    assert abs(rho_on_test(weights, images)) < 0.35  # 80 images: a standard error of 0.11


@pytest.mark.parametrize("change", [{"average": 0.9}, {"only_head": True}, {"layer_decay": 0.7}, {"optimizer": "sgd"}])
def test_every_way_learns_and_repeats_itself(tmp_path, change):
    (first, history), (second, _), (other, _) = (
        train(tmp_path / folder, seed=seed, epochs=2, **change)
        for folder, seed in (("one", 1), ("two", 1), ("three", 2))
    )
    assert_same(first, second)
    assert all(np.isfinite(row["train_loss"]) for row in history)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_averaged_weights_are_the_ones_that_are_kept(tmp_path, monkeypatch):
    """As timm's own average, which follows the network beside."""
    step, average = finetuning._Training.step, []

    def followed(training):
        if not average:
            average.append(timm.utils.ModelEmaV3(training.model, decay=0.9, use_warmup=True))
        step(training)
        average[0].update(training.model, step=training.steps - 1)

    monkeypatch.setattr(finetuning._Training, "step", followed)
    weights, _ = train(tmp_path, average=0.9, epochs=1)
    assert_same(weights, average[0].module.state_dict())


def test_only_the_head_is_trained_where_asked(tmp_path):
    before = {name: tensor.clone() for name, tensor in make_model().state_dict().items()}
    after, _ = train(tmp_path, epochs=1, only_head=True)
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"fc.weight", "fc.bias"}


@pytest.mark.parametrize("average", [None, 0.9])
@pytest.mark.parametrize(
    ("after", "asked", "saved"),
    [(1, False, 0), (3, False, 3), (4, False, 3), (8, False, 6), (1, True, 2), (2, True, 3), (4, True, 5)],
)
def test_stopped_after_any_step_it_ends_with_the_same_weights(tmp_path, monkeypatch, after, asked, saved, average):
    """Three steps an epoch; a checkpoint after each epoch, and where a scheduler asks to stop."""
    step = finetuning._Training.step

    def stopped(training):
        if training.steps == after and not asked:
            raise KeyboardInterrupt  # As a killed process leaves it.
        if training.steps == after:
            os.kill(os.getpid(), signal.SIGTERM)
        step(training)

    with monkeypatch.context() as patch:
        patch.setattr(finetuning._Training, "step", stopped)
        with pytest.raises(finetuning.Stopped if asked else KeyboardInterrupt):
            train(tmp_path, average=average)
    said = []
    weights, history = train(tmp_path, say=said.append, average=average)
    expected, whole_history = undisturbed(average)
    assert_same(weights, expected)
    assert history == whole_history
    assert [f"goes on after step {saved}," in message for message in said[:1]] == [saved > 0]


def other_pixels() -> Images:
    """The last training image is another photograph."""
    images = make_images()
    images.pixels[np.flatnonzero(images.train)[-1]] //= 2
    return images


def other_weights():
    model = make_model()
    with torch.no_grad():
        model.fc.weight[0, 0] += 0.01
    return model


@pytest.mark.parametrize(
    "changed",
    [
        lambda: {"learning_rate": 1e-3},
        lambda: {"images": other_pixels()},
        lambda: {"images": replace(make_images(), mean=(0.5, 0.5, 0.4))},
        lambda: {"images": replace(make_images(), std=(0.5, 0.4, 0.5))},
        lambda: {"model": other_weights()},
    ],
    ids=["recipe", "pixels", "mean", "std", "weights"],
)
def test_a_checkpoint_of_another_training_is_not_gone_on_from(tmp_path, changed):
    train(tmp_path, epochs=1)
    expected, _ = train(tmp_path / "fresh", **{"epochs": 1} | changed())
    said = []
    again, _ = train(tmp_path, say=said.append, **{"epochs": 1} | changed())
    assert "is of another training" in said[0]
    assert_same(again, expected)


def test_a_checkpoint_is_of_its_code_and_of_what_its_network_is_built_from(monkeypatch):
    def identity(plugins):
        rest = make_images(), recipe(), 1, "cpu", "float32", print
        return finetuning._Training(make_model(), *rest, {"plugins": plugins}).identity

    before = identity(["a hash"])
    assert identity(["a hash"]) == before
    assert identity(["another"]) != before
    monkeypatch.setitem(versions.STEPS, "finetune", (versions.STEPS["finetune"][0] + 1, ""))
    assert identity(["a hash"]) != before


def test_every_pixel_counts():
    """Also of images that do not fill the last chunk, of an array that is mapped or not in order."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (finetuning.CHUNK + 3, 2, 2, 3), dtype=np.uint8)
    rest = MEAN, STD, rng.random(len(pixels)), np.arange(len(pixels)) % 2 == 0, np.arange(len(pixels)) % 2 == 1
    digests = {Images(pixels, *rest).digest, Images(np.asfortranarray(pixels), *rest).digest}
    assert len(digests) == 1
    for place in (0, finetuning.CHUNK, len(pixels) - 1):
        other = pixels.copy()
        other[place, 1, 1, 2] += 1
        digests.add(Images(other, *rest).digest)
    assert len(digests) == 4


def test_training_stops_where_validation_does_not_improve(tmp_path):
    _, history = train(tmp_path, make_images(shuffled=True), epochs=30, patience=2)
    rhos = [row["validation_rho"] for row in history]
    assert len(rhos) < 30
    assert int(np.argmax(rhos)) == len(rhos) - 3


def test_a_loss_that_is_no_number_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    calls = []

    def broken(predicted, observed):
        calls.append(1)
        return predicted.sum() * (float("nan") if len(calls) > 4 else 1.0)

    monkeypatch.setitem(finetuning.LOSSES, "mse", broken)
    with pytest.raises(InputError, match=r"the loss is nan in step 5 of epoch 2; lower learning_rate"):
        train(tmp_path)
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    assert kept["steps"] == 3
    assert len(kept["history"]) == 1


class Crowded(torch.nn.Module):
    """A network on a card with room for so many images."""

    def __init__(self, network, room):
        super().__init__()
        self.network, self.room = network, room

    def get_classifier(self):
        return self.network.get_classifier()

    def forward(self, images):
        if self.training and len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return self.network(images)


def test_out_of_memory_halves_the_batch_and_sums_gradients(tmp_path):
    said = []
    _, history = train(tmp_path, model=Crowded(make_model(), 2), say=said.append)
    assert [message for message in said if "out of GPU memory" in message] == [
        f"out of GPU memory: from now on a batch goes through in {n} parts, gradients summed" for n in (2, 4)
    ]
    assert len(history) == 3
    with pytest.raises(InputError, match="one image does not fit on the GPU"):
        train(tmp_path / "none", model=Crowded(make_model(), 0))


def test_parts_of_a_batch_have_the_gradients_of_the_whole(tmp_path):
    """Without batch normalisation, which sees each part alone."""
    gradients = []
    for parts in (1, 4):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(32 * 32 * 3, 1))
        model.get_classifier = lambda model=model: model[1]
        training = finetuning._Training(model, make_images(), recipe(), 1, "cpu", "float32", print)
        training.parts = parts
        torch.manual_seed(5)
        training._gradients(np.flatnonzero(training.images.train)[:8])
        gradients.append(model[1].weight.grad.clone())
    torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-6)


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path, monkeypatch):
    saved = []

    def full(state, path):
        if saved:
            Path(path).write_bytes(b"half")
            raise OSError(28, "No space left on device")
        saved.append(torch_save(state, path))

    torch_save = torch.save
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(InputError, match="no room left on the disk; make room; what was saved before is kept"):
        train(tmp_path)
    monkeypatch.undo()
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["steps"] == 3
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint.pt"]
    assert_same(train(tmp_path)[0], undisturbed()[0])


def test_rank_loss_is_that_of_every_pair():
    predicted, observed = torch.tensor([0.3, -1.0, 2.0, 0.0]), torch.tensor([0.1, 0.4, 0.4, 0.9])
    losses = [
        np.log1p(np.exp(-np.sign(float(observed[i] - observed[j])) * float(predicted[i] - predicted[j])))
        for i in range(4)
        for j in range(4)
        if observed[i] != observed[j]
    ]
    assert float(finetuning.rank_loss(predicted, observed)) == pytest.approx(np.mean(losses), abs=1e-6)
    assert float(finetuning.rank_loss(predicted, torch.ones(4))) == 0


def test_a_network_without_a_head_to_replace_is_refused():
    with pytest.raises(InputError, match="mine: has no reset_classifier"):
        finetuning.with_head(torch.nn.Linear(3, 2), "mine", seed=0)


def networks_of_the_paper():
    rows = (Path(__file__).parents[2] / "config/models/paper.tsv").read_text().splitlines()
    rows = [row.split("\t") for row in rows if row and not row.startswith("#")]
    return [row[rows[0].index("timm_name")] for row in rows[1:]]


@pytest.mark.slow
@pytest.mark.parametrize("timm_name", networks_of_the_paper())
def test_every_network_of_the_paper_takes_the_head_and_a_step(timm_name):
    side = 96
    described = architectures.describe(timm_name, side)["layers"]
    [expected] = [layer["n_features"] for layer in described if layer["name"] == architectures.PENULTIMATE]
    rng = np.random.default_rng(0)
    rows = np.arange(4)
    pixels = rng.integers(0, 255, (4, side, side, 3), dtype=np.uint8)
    images = Images(pixels, MEAN, STD, rng.random(4), rows < 2, rows >= 2)
    torch.manual_seed(0)
    model = finetuning.with_head(architectures.create(timm_name), timm_name, seed=0)
    widths = []
    architectures.hook_penultimate(model, lambda _, tensors: widths.append(sum(t[0].numel() for t in tensors)))
    before = [p.detach().clone() for each in architectures.last_linear_maps(model) for p in each.parameters()]
    cheapest = recipe(batch_size=2, optimizer="sgd")
    training = finetuning._Training(model, images, cheapest, 1, "cpu", "float32", print)
    training.step()
    assert set(widths) == {expected}
    assert [len(seen[0]) for seen in training.seen] == [2]
    after = [p for each in architectures.last_linear_maps(model) for p in each.parameters()]
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))
