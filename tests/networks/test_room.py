"""What a job takes of its node: the formula, the passes that follow from it, and that real jobs keep to it."""

import os
import subprocess
import sys
from math import ceil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from memscore.errors import InputError
from memscore.networks import room, streaming

PACKAGE = Path(room.__file__).parents[2]
LAMEM = 58_741

sizes = st.lists(st.integers(1, 10**6), min_size=1, max_size=30)


def layers_of(n_features, n_stimuli=100, sketch=4096, pca=None):
    return [room.layer(f"l{i}", n, n_stimuli, sketch, pca) for i, n in enumerate(n_features)]


def test_a_layer_of_lamem():
    """0.96 GB: what the config's comment and the README say."""
    layer = room.layer("conv1", 802_816, LAMEM, 4096, None)
    assert layer.held == LAMEM * 4096 * 4 == pytest.approx(0.96e9, rel=0.01)
    assert layer.references == 0
    assert room.layer("fc", 1000, LAMEM, 4096, None).held == LAMEM * 1000 * 4
    assert room.layer("conv1", 802_816, LAMEM, None, None).held == LAMEM * 802_816 * 4


def test_principal_components_need_scratch_for_their_references():
    layer = room.layer("conv1", 64 * 224 * 224, LAMEM, None, 1000)
    assert layer.references == 1000 * 64 * 224 * 224 * 4
    assert layer.held == LAMEM * 999 * 4
    small = room.layer("fc", 1000, LAMEM, None, 1000)
    assert (small.references, small.held) == (0, LAMEM * 1000 * 4)


@given(sizes, st.sampled_from([None, 50]), st.floats(0.1, 20), st.floats(0.1, 20))
def test_passes_take_every_layer_once_and_keep_to_the_room(n_features, pca, memory, scratch):
    layers = layers_of(n_features, pca=pca)
    largest = max(layer.held + layer.references for layer in layers)
    capacity = {"memory": memory * largest, "scratch": (1 + scratch) * largest}
    place, passes = room.passes(layers, capacity)
    assert [name for names in passes for name in names] == [layer.name for layer in layers]
    assert all(passes)
    by_name = {layer.name: layer for layer in layers}
    for names in passes:
        held = sum(by_name[name].held for name in names)
        references = sum(by_name[name].references for name in names)
        assert held <= capacity[place]
        assert references + (held if place == "scratch" else 0) <= capacity["scratch"]
    total = sum(layer.held for layer in layers)
    if total <= capacity["memory"] and not pca:
        assert (place, len(passes)) == ("memory", 1)


@given(sizes, st.integers(0, 10**10), st.integers(0, 10**10))
def test_what_is_declared_is_what_holds_all_layers_or_what_is_allowed(n_features, memory, scratch):
    layers = layers_of(n_features, n_stimuli=5000)
    beside = room.overhead(layers, (224, 224), 32)
    held = sum(layer.held for layer in layers)
    asked, disk = room.declared(layers, beside, memory, scratch)
    assert beside <= asked <= max(memory, beside)
    assert disk <= scratch
    if asked < beside + held:
        assert asked == max(memory, beside)
    else:
        assert disk == 0


@pytest.mark.parametrize("place", ["memory", "scratch"])
def test_a_layer_that_fits_nowhere_is_named(place):
    layers = layers_of([10, 4000])
    capacity = {"memory": -1.0, "scratch": 5000.0} if place == "scratch" else {"memory": 5000.0, "scratch": 0.0}
    with pytest.raises(
        InputError, match=r"^layer l1: needs 0\.0016 GB, and the job has .* GB of scratch for layers; raise"
    ):
        room.passes(layers, capacity)


def batches(values, n):
    for start in range(0, len(values), n):
        yield (
            slice(start, min(start + n, len(values))),
            {"a": values[start : start + n], "b": values[start : start + n, :2]},
        )


@pytest.mark.parametrize("in_scratch", [False, True])
@pytest.mark.parametrize("n", [1, 4, 50])
def test_what_is_held_is_what_came_in_batches(tmp_path, in_scratch, n):
    values = torch.from_numpy(np.random.default_rng(0).standard_normal((10, 7), np.float32))
    values[3, 4] = torch.nan
    done = []
    held = streaming.hold(batches(values, n), 10, "cpu", tmp_path if in_scratch else None, 10 * 9 * 4, done.append)
    assert done[-1] == 10
    assert list(tmp_path.iterdir()) == [], "a job that is killed leaves a file behind"
    np.testing.assert_array_equal(held["a"].numpy(), values.numpy())
    np.testing.assert_array_equal(held["b"].numpy(), values[:, :2].numpy())


@pytest.mark.parametrize("in_scratch", [False, True])
@pytest.mark.parametrize("shapes", [[(8, 5), (2, 5)], [(4, 5), (4, 5)], [(4, 5), (2, 6)]])
def test_rows_that_are_not_images_are_refused_in_memory_and_on_scratch(tmp_path, in_scratch, shapes):
    """More rows or fewer than images, or another width than in the first batch: nothing of it is written."""
    found = ((slice(4 * i, 4 * i + 4 - 2 * i), {"a": torch.ones(shape)}) for i, shape in enumerate(shapes))
    with pytest.raises(InputError, match=r"^layer a: gives \(\d, \d\) values for [24] images, .*name other layers"):
        streaming.hold(found, 6, "cpu", tmp_path if in_scratch else None, 8 * 6 * 4)


def test_scratch_is_claimed_before_a_pass(tmp_path):
    """And not found to be full once hours have gone into it."""

    def never():
        pytest.fail("a batch was asked for")
        yield

    with pytest.raises(InputError, match=r"no room for .* GB of the layers of a forward pass in the job's tmpdir"):
        streaming.hold(never(), 10, "cpu", tmp_path, 2**62)


# A job as Snakemake would start it, of a network whose layers are large before they are folded; prints its own peak.
JOB = """
import sys
from types import SimpleNamespace

import numpy as np
import torch

from memscore.networks import streaming, weights
from memscore.scores import memorability

n_images, n_layers, memory_gb, scratch_gb = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
np.save("pixels.npy", np.random.default_rng(0).integers(0, 256, (n_images, 32, 32, 3), np.uint8))
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3, padding=1), *[torch.nn.Tanh() for _ in range(n_layers - 1)])
weights.load = lambda *_: model
params = SimpleNamespace(
    layers=[{"name": str(k), "n_features": 8 * 32 * 32, "calls": 1} for k in range(n_layers)],
    network={"timm_name": "", "mean": [0.5] * 3, "std": [0.5] * 3}, sketch=2048, seed=0, pca=None, precision="float32",
)
config = {"device": "cpu", "batch_size": 16, "resources": {"memory_gb": memory_gb, "scratch_gb": scratch_gb}}
job = SimpleNamespace(
    params=params, config=config, resources=SimpleNamespace(tmpdir="."), input=SimpleNamespace(weights="", plugins=[]),
)
rng = np.random.default_rng(0)
scores, train = rng.random(n_images), rng.random((2, n_images)) < 0.8
rho = [memorability.score(layer, scores, train, ~train, 5).rho for _, layer in
       streaming.layers_of_job(job, lambda _: None, "pixels.npy")]
assert len(rho) == n_layers and np.isfinite(rho).all()
# Not of getrusage, which begins with what the process had that started this one.
print(1024 * int(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0]))
"""


def peak_of_job(folder, n_images, n_layers, memory_gb, scratch_gb) -> int:
    arguments = map(str, (n_images, n_layers, memory_gb, scratch_gb))
    environment = os.environ | {"PYTHONPATH": str(PACKAGE), "OMP_NUM_THREADS": "1"}
    ran = subprocess.run(
        [sys.executable, "-c", JOB, *arguments], cwd=folder, env=environment, check=True, stdout=subprocess.PIPE
    )
    return int(ran.stdout)


def declared(n_images, n_layers, memory_gb) -> int:
    layers = [room.layer(str(k), 8 * 32 * 32, n_images, 2048, None) for k in range(n_layers)]
    return room.declared(layers, room.overhead(layers, (32, 32), 16), memory_gb * 1e9, 0)[0]


@pytest.mark.slow
def test_jobs_keep_to_what_they_declare(tmp_path):
    """In all; and what more layers or images take is what the formula says, give or take a tenth."""
    shapes = {"one": (3000, 1), "many": (3000, 24), "more images": (9000, 8)}
    peaks = {name: peak_of_job(tmp_path, *shape, 16, 0) for name, shape in shapes.items()}
    for name, shape in shapes.items():
        assert peaks[name] <= declared(*shape, 16)
        grown = peaks[name] - peaks["one"]
        assert grown <= 1.1 * (declared(*shape, 16) - declared(*shapes["one"], 16)) + 50e6


@pytest.mark.slow
def test_memory_is_flat_in_layers_where_room_is_short(tmp_path):
    """Room for two of the layers: 24 take twelve passes, and no more memory than four."""
    one = room.layer("0", 8 * 32 * 32, 3000, 2048, None)
    memory_gb = (room.overhead([one], (32, 32), 16) + 2.5 * one.held) / 1e9
    few, many = (peak_of_job(tmp_path, 3000, n, memory_gb, 0) for n in (4, 24))
    assert many <= 1.1 * few
    assert ceil(many / 1e6) <= memory_gb * 1000
