"""Accuracy of object recognition, beside a loop of one's own."""

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from memscore.errors import InputError
from memscore.scores import recognition


@pytest.fixture
def folder(tmp_path):
    """Three images of each of four classes."""
    rng = np.random.default_rng(0)
    for name in ("n02", "n01", "n04", "n03"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.fromarray(rng.integers(0, 255, (70, 90, 3), dtype=np.uint8)).save(tmp_path / name / f"{i}.JPEG")
    return tmp_path


def test_first_guesses_are_counted(folder):
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=4).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    right = 0
    for number, name in enumerate(("n01", "n02", "n03", "n04")):
        for file in (folder / name).iterdir():
            with torch.inference_mode():
                right += int(model(transform(Image.open(file).convert("RGB"))[None]).argmax()) == number
    assert 0 < right < 12
    assert recognition.top1(model, folder, 5) == (pytest.approx(100 * right / 12), 12)


def test_another_number_of_classes_has_no_accuracy(folder, tmp_path_factory):
    model = timm.create_model("test_resnet")
    headless = timm.create_model("test_resnet", num_classes=4)
    torch.nn.init.constant_(headless.fc.weight, np.nan)  # as weights are staged that came without a classifier
    for network in (model, headless):
        accuracy, n_images = recognition.top1(network, folder, 5)
        assert np.isnan(accuracy)
        assert n_images == 12
    with pytest.raises(InputError, match="no folder per class with images"):
        recognition.top1(model, tmp_path_factory.mktemp("empty"), 5)
