"""Principal components over reference images, against scikit-learn's in double precision, and within an extraction.

What Brain-Score's own class gives is in test_layer_pca.py; the sketch is in test_extraction.py.
"""

import errno
import os
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from sklearn.decomposition import PCA

from memscore.errors import InputError
from memscore.networks import architectures, extraction, reduction
from memscore.networks.architectures import PENULTIMATE
from memscore.networks.reduction import PrincipalComponents
from memscore.scores import pls

PACKAGE = Path(extraction.__file__).parents[2]
N_REFERENCES, N_STIMULI = 20, 12


def data(n_features, n=N_REFERENCES, seed=0):
    """Activations whose features have very different variances, and means far from zero."""
    rng = np.random.default_rng(seed)
    scale, mean = np.random.default_rng(99).gamma(1, 1, (2, n_features))
    return (rng.standard_normal((n, n_features)) * scale + 10 * mean).astype(np.float32)


def reduced(references, stimuli, batch_size=7):
    with tempfile.TemporaryFile() as file:
        components = PrincipalComponents(len(references), file)
        for start in range(0, len(references), batch_size):
            rows = slice(start, min(start + batch_size, len(references)))
            components.add(rows, references[rows])
        components.fit()
        return components(torch.from_numpy(stimuli)).numpy()


def exact(references, stimuli, n_components=N_REFERENCES - 1):
    fitted = PCA(len(references), random_state=0).fit(references.astype(np.float64))
    return fitted.transform(stimuli.astype(np.float64))[:, :n_components]


def assert_same_up_to_sign(ours, expected, relative=1e-4):
    """Each component to `relative` of its own size."""
    assert ours.shape == expected.shape
    assert ours.dtype == np.float32
    flipped = expected * np.sign((ours * expected).sum(0))
    assert (np.abs(ours - flipped).max(0) <= relative * np.abs(expected).max(0)).all()


@pytest.mark.parametrize("chunk", [1, 7, 299, 300, 301])
def test_components_are_scikit_learns_whatever_the_chunks(monkeypatch, chunk):
    """Chunks of a feature, some, all but one, all, and more; the last one smaller."""
    monkeypatch.setattr(reduction, "CHUNK", chunk * N_REFERENCES)
    references, stimuli = data(300), data(300, N_STIMULI, seed=1)
    assert_same_up_to_sign(reduced(references, stimuli), exact(references, stimuli))


@pytest.mark.parametrize("batch_size", [1, 7, 20])
def test_references_come_in_batches_of_any_size(batch_size):
    references, stimuli = data(300), data(300, N_STIMULI, seed=1)
    np.testing.assert_array_equal(reduced(references, stimuli, batch_size), reduced(references, stimuli))


def test_order_of_references_and_stimuli():
    """Features do not depend on the first, and follow the second."""
    references, stimuli = data(300), data(300, N_STIMULI, seed=1)
    order = np.random.default_rng(0).permutation(N_REFERENCES)
    expected = reduced(references, stimuli)
    assert_same_up_to_sign(reduced(references[order], stimuli), expected)
    np.testing.assert_allclose(reduced(references, stimuli[::-1].copy()), expected[::-1], rtol=0, atol=1e-4)


def test_sign_is_not_left_to_lapack():
    """On the reference image that it sets furthest apart, a component is positive."""
    references = data(300)
    coordinates = reduced(references, references)
    furthest = np.abs(coordinates).argmax(0)
    assert (coordinates[furthest, np.arange(N_REFERENCES - 1)] > 0).all()


@pytest.mark.parametrize(("n_features", "kept"), [(1, 1), (19, 19), (20, 20), (21, 19), (22, 19)])
def test_only_layers_with_more_features_than_references_are_reduced(n_features, kept):
    references, stimuli = data(n_features), data(n_features, N_STIMULI, seed=1)
    ours = reduced(references, stimuli)
    assert ours.shape == (N_STIMULI, kept)
    if kept == n_features:
        np.testing.assert_array_equal(ours, stimuli)
    else:
        assert_same_up_to_sign(ours, exact(references, stimuli))


def of_rank(rank):
    """Rounding to float32 leaves the other components at a ten-millionth of the first: noise, no features."""
    rng = np.random.default_rng(0)
    loadings = rng.standard_normal((rank, 300))
    return (rng.standard_normal((N_REFERENCES, rank)) @ loadings + 1).astype(np.float32)


def one_image_twice():
    return data(300)[[*range(N_REFERENCES - 1), 3]]


def some_features_constant():
    references = data(300)
    references[:, ::3] = 0.1
    return references


@pytest.mark.parametrize(
    ("references", "n_components"),
    [
        pytest.param(of_rank(1), 1, id="rank 1"),
        pytest.param(of_rank(10), 10, id="rank 10"),
        pytest.param(one_image_twice(), N_REFERENCES - 2, id="one image twice"),
        pytest.param(some_features_constant(), N_REFERENCES - 1, id="constant features"),
    ],
)
def test_no_components_beyond_the_rank(references, n_components):
    stimuli = data(300, N_STIMULI, seed=1)
    assert_same_up_to_sign(reduced(references, stimuli), exact(references, stimuli, n_components))


def test_small_components_are_components():
    """Down to a three-thousandth of the first one."""
    rng = np.random.default_rng(0)
    loadings = rng.standard_normal((12, 300)) * np.logspace(0, -3.5, 12)[:, None]
    references, stimuli = (
        (rng.standard_normal((n, 12)) @ loadings).astype(np.float32) for n in (N_REFERENCES, N_STIMULI)
    )
    assert_same_up_to_sign(reduced(references, stimuli), exact(references, stimuli, 12), 1e-2)


def test_small_variations_of_large_activations():
    """A mean of a hundred standard deviations costs two digits of float32, not the components."""
    rng = np.random.default_rng(0)
    scale = rng.gamma(1, 1, 300)
    references, stimuli = (
        (100 + rng.standard_normal((n, 300)) * scale).astype(np.float32) for n in (N_REFERENCES, N_STIMULI)
    )
    assert_same_up_to_sign(reduced(references, stimuli), exact(references, stimuli), 1e-3)


@pytest.mark.parametrize("value", [0.0, 0.1, -37.3, 1e30])
def test_constant_over_references(value):
    """Whatever the stimuli do, there is nothing to project them on."""
    references = np.full((N_REFERENCES, 300), value, np.float32)
    features = reduced(references, data(300, N_STIMULI))
    np.testing.assert_array_equal(features, np.zeros((N_STIMULI, 1)))
    assert pls.flaw(features) == "constant"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(value):
    """Over references, where no component is left; and of a stimulus, which spoils no other."""
    references, stimuli = data(300), data(300, N_STIMULI, seed=1)
    references[4, 17] = stimuli[2, 5] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features = reduced(references, data(300, N_STIMULI, seed=1))
    assert features.shape == (N_STIMULI, 1)
    assert pls.flaw(features) == "not finite"
    features = reduced(data(300), stimuli)
    assert pls.flaw(features) == "not finite"
    assert np.isfinite(np.delete(features, 2, 0)).all()


def test_full_disk_is_noticed_before_anything_is_written(monkeypatch):
    """Writing to a mapped file on a full disk would end in a bus error."""

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InputError, match=r"no room for 0\.0 GB.*tmpdir \(No space left on device\); .*tmpdir="):
        reduced(data(300), data(300))


def test_space_is_taken_once_and_for_all(tmp_path):
    with tempfile.TemporaryFile(dir=tmp_path) as file:
        components = PrincipalComponents(N_REFERENCES, file)
        components.add(slice(0, 1), data(300)[:1])
        size = os.fstat(file.fileno())
        assert size.st_size == N_REFERENCES * 300 * 4
        assert size.st_blocks * 512 >= size.st_size
        components.add(slice(1, N_REFERENCES), data(300)[1:])
        components.fit()
        assert os.fstat(file.fileno()).st_size == size.st_size
        assert list(tmp_path.iterdir()) == []


# Within an extraction.


def pixels(n, seed=0):
    patches = np.random.default_rng(seed).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    return patches.repeat(8, 1).repeat(8, 2)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return timm.create_model("test_resnet").eval(), architectures.describe("test_resnet", 64)


@pytest.fixture(scope="module")
def extract(network):
    """extract(layers, images, **options): each layer's features."""
    model, description = network

    def run(layers, images=None, **options):
        images = pixels(N_STIMULI, 1) if images is None else images
        calls = dict.fromkeys(layers, 1)
        batches = list(extraction.extract(model, calls, images, description["mean"], description["std"], **options))
        return {layer: np.concatenate([batch[layer] for _, batch in batches]) for layer in layers}

    return run


LAYERS = ["conv1.0", "layer1.0.act2", "layer4.0.act2", PENULTIMATE]


@pytest.mark.parametrize("sketch", [None, 1000, 50, 10])
def test_components_of_what_the_sketch_leaves(extract, sketch):
    """Of all features, of some layers' sketches and others' features, of sketches alone; smaller ones stay."""
    ours = extract(LAYERS, references=pixels(N_REFERENCES), sketch=sketch)
    references, stimuli = extract(LAYERS, pixels(N_REFERENCES), sketch=sketch), extract(LAYERS, sketch=sketch)
    for layer in LAYERS:
        if sketch == 10:
            np.testing.assert_array_equal(ours[layer], stimuli[layer])
        else:
            assert_same_up_to_sign(ours[layer], exact(references[layer], stimuli[layer]), 1e-3)


@pytest.fixture(scope="module")
def expected(extract):
    """Of all layers and stimuli together, in batches of 5."""
    return extract(LAYERS, references=pixels(N_REFERENCES), batch_size=5)


@pytest.mark.parametrize("batch_size", [1, 7, 20])
def test_batch_size_changes_no_number(extract, expected, batch_size):
    ours = extract(LAYERS, references=pixels(N_REFERENCES), batch_size=batch_size)
    for layer in LAYERS:
        assert_same_up_to_sign(ours[layer], expected[layer], 1e-3)


def test_neither_layers_per_job_nor_stimuli_change_a_bit(extract, expected):
    """Components come from the references alone."""
    some = extract(LAYERS, pixels(N_STIMULI, 1)[:5], references=pixels(N_REFERENCES), batch_size=5)
    for layer in LAYERS:
        alone = extract([layer], references=pixels(N_REFERENCES), batch_size=5)[layer]
        np.testing.assert_array_equal(alone, expected[layer])
        np.testing.assert_array_equal(some[layer], expected[layer][:5])


@pytest.mark.parametrize("n_batches", [1, 3])
def test_nothing_is_left_behind(network, tmp_path, n_batches):
    """Scratch lies where it is told, without a name; at the end, or where a job stops half-way, no hook is left."""
    model, description = network

    def hooks():
        return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())

    def scratch():
        links = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()]
        return [link for link in links if link.startswith(str(tmp_path))]

    before = hooks()
    options = {"references": pixels(N_REFERENCES), "scratch": tmp_path, "batch_size": 5}
    stimuli = pixels(N_STIMULI, 1), description["mean"], description["std"]
    batches = extraction.extract(model, dict.fromkeys(LAYERS, 1), *stimuli, **options)
    for _ in range(n_batches):
        next(batches)
        assert list(tmp_path.iterdir()) == []
    assert hooks() > before
    assert len(scratch()) == len(LAYERS)
    batches.close()
    assert hooks() == before
    assert scratch() == []


# At the size for which it is made.

LARGE = """
import sys

import numpy as np
import torch

from memscore.networks import extraction


def images(n, seed):
    patches = np.random.default_rng(seed).integers(0, 256, (n, 14, 14, 3), dtype=np.uint8)
    return patches.repeat(16, 1).repeat(16, 2)


def peak():  # Not of getrusage, which begins with what the process had that started this one.
    return 1024 * int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])


torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Conv2d(3, 64, 3, padding=1), torch.nn.ReLU())
options = {"1": 1}, images(4, 2), [0.5] * 3, [0.25] * 3
whole = [batch["1"] for _, batch in extraction.extract(model, *options, batch_size=2)]
before = peak()
references = images(int(sys.argv[1]), 1)
features = [batch["1"] for _, batch in extraction.extract(model, *options, references=references, batch_size=2)]
print(peak() - before)
references = [batch["1"] for _, batch in extraction.extract(model, options[0], references, *options[2:])]
for name, batches in {"references": references, "stimuli": whole, "ours": features}.items():
    np.save(f"{sys.argv[2]}/{name}.npy", np.concatenate(batches))
"""


@pytest.mark.slow
def test_first_layer_of_vgg(tmp_path):
    """64 x 224 x 224 features: equal to singular vectors by another way, in less memory than the references take."""
    n_references, n_features = 24, 64 * 224 * 224
    run = subprocess.run(
        [sys.executable, "-c", LARGE, str(n_references), str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(run.stdout) < 0.75 * n_references * n_features * 4
    references, stimuli, ours = (np.load(tmp_path / f"{name}.npy") for name in ("references", "stimuli", "ours"))
    references = references.astype(np.float64)
    assert references.shape == (n_references, n_features)
    mean = references.mean(0)
    references -= mean
    directions, triangle = np.linalg.qr(references.T)
    turn = np.linalg.svd(triangle)[0][:, :-1]
    assert_same_up_to_sign(ours, ((stimuli - mean) @ directions) @ turn)
