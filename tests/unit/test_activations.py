"""What leaves the hooks is what the layer computed, whatever the batch and however many layers are asked for."""

import numpy as np
import pytest
import torch

from memscore import activations, models, store
from memscore.models import PENULTIMATE
from memscore.reduction import Sketch

SIZE = 64
# In-place ReLUs, a convolutional classifier after tuples, modules that run several times, two classifiers, tokens.
NETWORKS = ["test_resnet", "dpn48b", "res2net50_26w_4s", "deit_tiny_distilled_patch16_224", "test_vit"]


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    """(timm name, description, model) with seeded random weights."""
    torch.manual_seed(0)
    description = models.describe(request.param, SIZE)
    return request.param, description, models.create(request.param).eval()


def pixels_for(description, n=5):
    height, width = description["input_size"]
    return np.random.default_rng(0).integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def extracted(model, layers, pixels, **options):
    batches = [values for _, values in activations.extract(model, layers, pixels, [0.5] * 3, [0.25] * 3, **options)]
    return {layer: np.concatenate([batch[layer] for batch in batches]) for layer in layers}


def fresh(name, model):
    """The same network without hooks."""
    copy = models.create(name)
    copy.load_state_dict(model.state_dict())
    return copy.eval()


def test_every_layer_is_what_a_hook_of_torch_sees(network):
    name, description, model = network
    pixels = pixels_for(description, 2)
    layers = {layer["name"]: layer["calls"] for layer in description["layers"]}
    ours = extracted(fresh(name, model), layers, pixels)

    seen, peer = {}, fresh(name, model).to(memory_format=torch.channels_last)
    for layer, module in peer.named_modules():
        module.register_forward_hook(
            lambda _, __, output, layer=layer: seen.update({layer: output.clone()}) if torch.is_tensor(output) else None
        )
    entering = []
    heads = peer.get_classifier()
    for head in heads if isinstance(heads, tuple) else [heads]:
        head.register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0].clone().flatten(1)))
    with torch.no_grad():
        peer((torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25)
    seen[PENULTIMATE] = torch.cat(entering, 1)

    for layer in description["layers"]:
        expected = seen[layer["name"]].flatten(1).numpy()
        assert ours[layer["name"]].shape == (2, layer["n_features"])
        np.testing.assert_allclose(ours[layer["name"]], expected, rtol=1e-4, atol=1e-5, err_msg=layer["name"])


def test_one_layer_at_a_time_and_batches_change_nothing(network):
    name, description, model = network
    chosen = description["layers"][:: max(1, len(description["layers"]) // 6)]
    layers = {layer["name"]: layer["calls"] for layer in chosen}
    pixels = pixels_for(description)
    together = extracted(fresh(name, model), layers, pixels, sketch=64)
    for layer, calls in layers.items():
        alone = extracted(fresh(name, model), {layer: calls}, pixels, sketch=64)[layer]
        np.testing.assert_array_equal(alone, together[layer])
    in_twos = extracted(fresh(name, model), layers, pixels, batch_size=2, sketch=64)
    for layer in layers:
        scale = np.abs(together[layer]).max() or 1
        np.testing.assert_allclose(in_twos[layer] / scale, together[layer] / scale, atol=1e-5)


def test_the_pass_ends_at_the_last_wanted_layer():
    model = models.create("test_resnet").eval()
    model.layer2.register_forward_hook(lambda *_: pytest.fail("ran past the wanted layer"))
    description = models.describe("test_resnet", SIZE)
    extracted(model, {"conv1.0": 1}, pixels_for(description))


def test_sketch_is_a_signed_fold():
    x = torch.randn(3, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    ours = Sketch("a layer", 8)(x).numpy()
    signs = Sketch("a layer", 1)
    signs(x)
    expected = np.zeros((3, 8))
    for j in range(50):
        expected[:, j % 8] += x.flatten(1)[:, j].numpy() * signs._signs[j].item()
    np.testing.assert_allclose(ours, expected, atol=1e-6)
    assert not np.allclose(ours, Sketch("another layer", 8)(x).numpy())


def test_sketch_leaves_small_layers_and_copies():
    x = torch.arange(6.0).reshape(2, 3)
    kept = Sketch("a layer", 3)(x)
    x += 1
    np.testing.assert_array_equal(kept.numpy(), [[0, 1, 2], [3, 4, 5]])


def test_sketch_keeps_inner_products():
    x = torch.randn(2, 5000, generator=torch.Generator().manual_seed(0)) + 1
    products = [float(y[0] @ y[1]) for y in (Sketch(f"layer {i}", 500)(x) for i in range(200))]
    assert np.mean(products) == pytest.approx(float(x[0] @ x[1]), abs=4 * np.std(products) / np.sqrt(200))


def test_store_round_trip(tmp_path):
    a, b = np.random.default_rng(0).standard_normal((2, 5, 7)).astype("f4")
    batches = ((slice(i, i + 2), {"conv.a": a[i : i + 2], "b": b[i : i + 2, :3]}) for i in range(0, 5, 2))
    store.write(tmp_path / "layers.nc", batches, 5, {"model": "ours"})
    back = dict(store.read(tmp_path / "layers.nc"))
    np.testing.assert_array_equal(back["conv.a"], a)
    np.testing.assert_array_equal(back["b"], b[:, :3])


def test_broken_extraction_leaves_no_file(tmp_path):
    def batches():
        yield slice(0, 2), {"a": np.zeros((2, 3), "f4")}
        raise RuntimeError("the machine went away")

    with pytest.raises(RuntimeError, match="went away"):
        store.write(tmp_path / "layers.nc", batches(), 4, {})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("values", "note"), [([[1, 2], [1, 2]], "constant"), ([[1, np.nan], [0, 1]], "not finite"), ([[1, 2], [1, 3]], "")]
)
def test_flaws_are_named(values, note):
    assert store.flaw(np.array(values, dtype="f4")) == note
