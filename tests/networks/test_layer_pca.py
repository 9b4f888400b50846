"""`reduction: pca` against Brain-Score's own LayerPCA, hooked into its own wrapper of the same network.

The network has random weights and sees 64 px images from files. Its global pool has 96 features, fewer than the
100 components, and all other layers more; none of them is overwritten by an in-place ReLU, which Brain-Score's wrapper
would record. With 100 images the 100th component is rounding noise in Brain-Score and left out in memscore.
"""

import functools
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from PIL import Image

from memscore.networks import architectures, extraction
from memscore.scores import brain
from memscore.stimuli import benchmarks

pytest.importorskip("brainscore_vision")

from brainscore_vision.model_helpers.activations import pca
from brainscore_vision.model_helpers.activations.pytorch import PytorchWrapper
from sklearn.decomposition import PCA

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::FutureWarning")]

N_COMPONENTS, N_STIMULI = 100, 240
LAYERS = ["conv1.0", "act1", "maxpool", "layer1.0.conv2", "layer2.0.act2", "layer4.0.act2", "global_pool.flatten"]


def photographs(n, seed):
    """uint8 (n, 64, 64, 3) with structure at every scale, as photographs have it."""
    rng = np.random.default_rng(seed)
    images = np.full((n, 64, 64, 3), 128.0)
    for size in (2, 4, 8, 16, 32, 64):
        patches = rng.normal(0, 60 / np.sqrt(size), (n, size, size, 3))
        images += patches.repeat(64 // size, 1).repeat(64 // size, 2)
    return images.clip(0, 255).astype(np.uint8)


@functools.cache
def network():
    torch.manual_seed(0)
    model = timm.create_model("test_resnet").eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias, 0, 0.1)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
    return model, architectures.describe("test_resnet", 64)


@pytest.fixture(scope="module")
def features(tmp_path_factory):
    """Each layer's features of the stimuli: Brain-Score's, memscore's, and without reduction."""
    model, description = network()
    folder = tmp_path_factory.mktemp("images")
    references, stimuli = photographs(N_COMPONENTS, 1), photographs(N_STIMULI, 2)

    def saved(images, name):
        paths = [str(folder / f"{name}{i:03d}.png") for i in range(len(images))]
        for image, path in zip(images, paths, strict=True):
            Image.fromarray(image).save(path)
        return paths

    def preprocess(paths):
        mean, std = np.float32(description["mean"]), np.float32(description["std"])
        return [((np.asarray(Image.open(path)) / np.float32(255) - mean) / std).transpose(2, 0, 1) for path in paths]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RESULTCACHING_DISABLE", "1")
        patch.setenv("TQDM_DISABLE", "1")
        patch.setattr(pca, "_get_imagenet_val", lambda num_images: saved(references, "reference")[:num_images])
        wrapper = PytorchWrapper(model, preprocess, identifier="network", batch_size=16)
        pca.LayerPCA.hook(wrapper, N_COMPONENTS)
        assembly = wrapper(saved(stimuli, "stimulus"), layers=LAYERS)
    theirs = {layer: assembly.sel(layer=layer).values for layer in LAYERS}

    def extract(images, **options):
        layers = dict.fromkeys(LAYERS, 1)
        batches = list(extraction.extract(model, layers, images, description["mean"], description["std"], **options))
        return {layer: np.concatenate([batch[layer] for _, batch in batches]) for layer in LAYERS}

    return SimpleNamespace(
        theirs=theirs, ours=extract(stimuli, references=references), whole=extract(stimuli), base=extract(references)
    )


def distance(ours, theirs):
    """The largest difference of each component, up to its sign, in units of its standard deviation."""
    flipped = theirs * np.sign((ours * theirs).sum(0))
    return np.abs(ours - flipped).max(0) / theirs.std(0)


@pytest.mark.parametrize("layer", LAYERS[:-1])
def test_features_are_those_of_layer_pca(features, layer):
    """And closer to scikit-learn's in double precision: Brain-Score takes the decomposition in single precision."""
    ours, theirs = features.ours[layer].astype(np.float64), features.theirs[layer].astype(np.float64)
    assert theirs.shape == (N_STIMULI, N_COMPONENTS)
    assert ours.shape == (N_STIMULI, N_COMPONENTS - 1)
    # Two components of nearly equal variance turn into each other by single precision. Measured: 2.4e-3, and 1e-4.
    assert distance(ours, theirs[:, :-1]).max() < 1e-2
    assert np.median(distance(ours, theirs[:, :-1])) < 5e-4
    fitted = PCA(N_COMPONENTS, random_state=0).fit(features.base[layer].astype(np.float64))
    exact = fitted.transform(features.whole[layer].astype(np.float64))[:, :-1]
    assert distance(ours, exact).max() < 2e-5  # Measured: 3e-6.


def test_a_layer_with_fewer_features_than_components_is_kept_whole(features):
    ours, theirs = features.ours[LAYERS[-1]], features.theirs[LAYERS[-1]]
    assert ours.shape == theirs.shape == (N_STIMULI, 96)
    np.testing.assert_array_equal(ours, features.whole[LAYERS[-1]])
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize("layer", LAYERS[:-1])
def test_brain_score_without_the_noise(features, layer):
    """What Brain-Score's last, meaningless component does to r of about 0.5: far less than the splits do (0.01)."""
    rng = np.random.default_rng(3)
    seen = features.whole["layer2.0.act2"].astype(np.float64)
    signal = (seen - seen.mean(0)) @ rng.standard_normal((seen.shape[1], 20))
    trials = signal[..., None] / signal.std(0)[:, None] + rng.standard_normal((N_STIMULI, 20, 6))
    ids = np.array([f"{i:03d}" for i in range(N_STIMULI)])
    sites = np.array([f"site{i:02d}" for i in range(20)])
    benchmark = benchmarks.make_benchmark(trials, ids, np.array(["a", "b"])[np.arange(N_STIMULI) % 2], sites, "IT")
    ours, theirs = (brain.similarity(x[layer], benchmark) for x in (features.ours, features.theirs))
    assert theirs.raw > 0.4
    assert ours.raw == pytest.approx(theirs.raw, abs=1e-3)  # Measured: 3e-4.
