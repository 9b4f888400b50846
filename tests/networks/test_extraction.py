"""Activations against torch's own hooks in a full, uninterrupted pass; their reduction; their file.

Networks have random weights and see random pixels at 64 px. Between them they have modules that run several times
(Res2Net, DLA), one classifier, two or none, and classifiers that are convolutions (DPN, DLA).
"""

import copy
import functools
import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from timm.models import register_model
from timm.models.cait import Cait
from timm.models.deit import VisionTransformerDistilled
from timm.models.mvitv2 import MultiScaleVit, MultiScaleVitCfg
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from torch.nn import functional

from memscore import device, study
from memscore.errors import InputError
from memscore.networks import architectures, extraction, streaming
from memscore.networks.architectures import PENULTIMATE
from memscore.networks.reduction import Sketch
from memscore.scores import memorability, pls

PACKAGE = Path(extraction.__file__).parents[2]
N_IMAGES = 16
# The first of each module of timm, whatever it is, so that a new family is tested as it comes.
FAMILIES = {module: names[0] for module in timm.models.list_modules() if (names := timm.list_models(module=module))}
SIZES = {"img_size": 64, "patch_size": 16, "embed_dim": 48, "depth": 2, "num_heads": 3}


def described(model):
    model.pretrained_cfg = {"input_size": (3, 64, 64), "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.3, 0.4)}
    return model


@register_model
def small_vit(pretrained=False, **kwargs):
    return described(VisionTransformer(num_classes=10, **SIZES))


@register_model
def small_headless_vit(pretrained=False, **kwargs):
    return described(VisionTransformer(num_classes=0, **SIZES))


@register_model
def small_distilled_vit(pretrained=False, **kwargs):
    return described(VisionTransformerDistilled(num_classes=10, **SIZES))


@register_model
def small_cait(pretrained=False, **kwargs):
    return described(Cait(num_classes=10, depth_token_only=1, **SIZES))


@register_model
def small_swin(pretrained=False, **kwargs):
    sizes = {"img_size": 64, "embed_dim": 12, "depths": (2, 2), "num_heads": (2, 3), "window_size": 4}
    return described(SwinTransformer(num_classes=10, **sizes))


@register_model
def small_mvit(pretrained=False, **kwargs):
    sizes = MultiScaleVitCfg(depths=(1, 2), embed_dim=(12, 24), num_heads=(2, 3))
    return described(MultiScaleVit(sizes, img_size=64, num_classes=10))


TRANSFORMERS = ["small_vit", "small_headless_vit", "small_distilled_vit"]
CONVOLUTIONAL = ["resnet10t", "tf_efficientnet_lite0", "mobilenetv3_small_050", "dpn68", "res2net50_26w_4s", "dla46_c"]
NETWORKS = CONVOLUTIONAL + TRANSFORMERS


@functools.cache
def original(name):
    """(model, description) with the same random weights every time, statistics of BatchNorm included."""
    torch.manual_seed(1)
    model = timm.create_model(name).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)  # Some networks start with zeros.
            torch.nn.init.normal_(module.bias, 0, 0.1)
    return model, architectures.describe(name, 64)


def network(name):
    """A copy of the model that no other test has laid hooks on, its description, and its layers with their calls."""
    model, description = original(name)
    return copy.deepcopy(model), description, {layer["name"]: layer["calls"] for layer in description["layers"]}


def pixels(n=N_IMAGES, seed=0):
    """Pictures with some structure, not white noise: coarse random patches, scaled up."""
    patches = np.random.default_rng(seed).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
    return patches.repeat(8, 1).repeat(8, 2)


def images(description, raw):
    """What enters the network, written once more."""
    scaled = torch.from_numpy(raw.astype(np.float32) / 255).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(description[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    return (scaled - mean) / std


def run(model, description, layers, raw=None, **options):
    """Whole arrays from `extraction.extract`, whose rows are checked on the way."""
    raw = pixels() if raw is None else raw
    options = {"batch_size": len(raw)} | options
    batches = list(extraction.extract(model, layers, raw, description["mean"], description["std"], **options))
    rows = np.concatenate([np.arange(len(raw))[rows] for rows, _ in batches])
    np.testing.assert_array_equal(rows, np.arange(len(raw)))
    return {layer: np.concatenate([batch[layer] for _, batch in batches]) for layer in layers}


def extract(name, layers=None, raw=None, **options):
    model, description, calls = network(name)
    return run(model, description, calls if layers is None else {la: calls[la] for la in layers}, raw, **options)


@functools.cache
def everything(name):
    return extract(name)


def tensors_in(output):
    if isinstance(output, torch.Tensor):
        return [output]
    parts = list(output.values()) if isinstance(output, dict) else output
    return [tensor for part in parts for tensor in tensors_in(part)]


def full_pass(name):
    """Every module's output in its last call, cloned, flattened in torch's order, channel by channel, and joined."""
    model, description, _ = network(name)
    outputs = {}
    for module_name, module in model.named_modules():

        def keep(_, __, output, module_name=module_name):
            outputs[module_name] = np.concatenate(
                [tensor.detach().clone().reshape(len(tensor), -1).numpy() for tensor in tensors_in(output)], 1
            )

        module.register_forward_hook(keep)
    with torch.no_grad():
        model.to(memory_format=torch.channels_last)(images(description, pixels()))
    return outputs


def assert_close(ours, theirs, relative=1e-5):
    """Equal to `relative` of the layer's own size."""
    assert ours.shape == theirs.shape
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=relative * max(np.abs(theirs).max(), 1e-30))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_equals_torchs_own_hook(name):
    outputs = full_pass(name)
    model, description, _ = network(name)
    ours = everything(name)
    assert list(ours) == [layer["name"] for layer in description["layers"]]
    for layer in description["layers"]:
        assert ours[layer["name"]].shape == (N_IMAGES, layer["n_features"]), layer
        if layer["name"] != PENULTIMATE:
            assert_close(ours[layer["name"]], outputs[layer["name"]])
    leaves = {
        leaf
        for leaf, module in model.named_modules()
        if not any(module.children())
        and not isinstance(module, (torch.nn.Identity, torch.nn.Dropout, torch.nn.Flatten))
    }
    assert set(ours) == (leaves & set(outputs)) | {PENULTIMATE}, "a layer that computes something is left out"


class Parts(torch.nn.Module):
    """Leaves whose output is a tuple, a nested tuple with a None (an LSTM, an attention) or a dictionary."""

    class Pair(torch.nn.Module):
        def forward(self, x):
            return x * 2, (x[:, :3] + 1, None)

    class Named(torch.nn.Module):
        def forward(self, x):
            return {"b": x - 1, "a": [x[:, :2], x[:, 2:4] ** 2]}

    def __init__(self):
        super().__init__()
        self.pair, self.named, self.lstm = self.Pair(), self.Named(), torch.nn.LSTM(3, 5, batch_first=True)

    def forward(self, x):
        flat = x.flatten(1)
        pair = self.pair(flat)
        return self.lstm(self.named(pair[0])["b"].unflatten(1, (-1, 3)))[0]


def test_modules_that_return_several_tensors():
    """All of them, one behind the other, in the order of the tuple or dictionary."""
    raw = np.random.default_rng(0).integers(0, 256, (5, 2, 2, 3), dtype=np.uint8)
    model, description = Parts().eval(), {"mean": [0.5] * 3, "std": [0.25] * 3}
    ours = run(model, description, {"pair": 1, "named": 1}, raw)
    x = images(description, raw).flatten(1).numpy()
    assert_close(ours["pair"], np.concatenate([2 * x, x[:, :3] + 1], 1))
    assert_close(ours["named"], np.concatenate([2 * x - 1, 2 * x[:, :2], (2 * x[:, 2:4]) ** 2], 1))


def test_modules_that_run_often():
    """These networks have what they were chosen for."""
    assert network("res2net50_26w_4s")[2]["layer1.0.relu"] == 5
    assert network("dla46_c")[2]["level2.tree1.relu"] == 3


@pytest.mark.parametrize("name", NETWORKS)
def test_penultimate_is_what_enters_the_classifier(name):
    model, description, _ = network(name)
    heads = model.get_classifier()
    heads = [head for head in (heads[:1] if isinstance(heads, tuple) else [heads]) if list(head.parameters())]
    entering = []
    for head in heads:
        head.register_forward_pre_hook(lambda _, inputs: entering.append(inputs[0].detach().clone()))
    with torch.no_grad():
        batch = images(description, pixels())
        output = model(batch)
        expected = torch.cat([tensor.flatten(1) for tensor in entering], 1) if heads else output
        before_head = model.forward_head(model.forward_features(batch), pre_logits=True).flatten(1)
    ours = everything(name)[PENULTIMATE]
    assert_close(ours, expected.numpy(), 1e-4)
    if isinstance(model.get_classifier(), tuple):
        return  # timm gives the mean of the two tokens there.
    assert_close(ours, before_head.numpy(), 1e-4)


# Their last linear maps by hand, by module of timm: what a family does that is not "the one that runs last".
HEADS = {
    "crossvit": ["head.0", "head.1"],
    "efficientvim": ["heads.0", "heads.1", "heads.2", "heads.3"],
    "efficientformer": ["head"],
    "efficientformer_v2": ["head"],
    "swiftformer": ["head"],
    "levit": ["head.linear"],
    "repvit": ["head.head.l"],
    "volo": ["head"],
}


# What is the same for all images, or, of Sequencer, the last state of both directions beside the rows of images.
NOT_OF_IMAGES = {
    "sequencer": {f"stages.{i}.blocks.0.rnn_tokens.rnn_{way}" for i in range(4) for way in "vh"},
    "swin_transformer_v2": {f"cpb_mlp.{i}" for i in range(3)},
    "swin_transformer_v2_cr": {f"meta_mlp.{part}" for part in ("fc1", "act", "fc2")},
    "vision_transformer_relpos": {f"rel_pos.mlp.{part}" for part in ("fc1", "act", "fc2")},
    "xcit": {"pos_embed.token_projection"},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_penultimate_layer_of_every_family(family, monkeypatch):
    """As wide as the last linear map that runs has inputs; at depth 1; nothing but the classifier lies behind."""
    with torch.device("meta"):
        model = timm.create_model(FAMILIES[family])
    if family == "sequencer":  # Shapes of its recurrent blocks, twenty seconds' worth, are worked out step by step.
        for stage in model.stages:
            stage.blocks = stage.blocks[:1]
    ran, given = [], []
    for name, module in model.named_modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d)):
            module.register_forward_hook(lambda module, _, __, name=name: ran.append((name, module)))
    model.register_forward_hook(lambda _, __, output: given.append(output))
    monkeypatch.setattr(architectures, "create", lambda *_: model)  # To build some of them takes seconds.
    described = architectures.describe(FAMILIES[family])
    ran = ran[len(ran) // 2 :]  # of the second of two passes
    chosen = {layer["name"]: layer for layer in study.select_layers(described["layers"], {"every": 1})}
    assert {name.rpartition(".attn.")[2] for name in described["left_out"]} == NOT_OF_IMAGES.get(family, set())
    penultimate = chosen[PENULTIMATE]
    assert penultimate["depth"] == 1
    behind = [layer for layer in chosen.values() if layer["index"] > penultimate["index"]]
    if penultimate["module_type"] == "output":  # Published without a classifier.
        assert behind == []
        assert penultimate["n_features"] == given[0][0].numel()
        return
    heads = [module for name, module in ran if name in HEADS.get(family, [ran[-1][0]])]
    assert penultimate["calls"] == len(heads) > 0
    assert penultimate["n_features"] == sum(getattr(head, "in_features", None) or head.in_channels for head in heads)
    assert {layer["module_type"] for layer in chosen.values()}.isdisjoint({"Flatten", "Flat", "Sequential", "Identity"})


@pytest.mark.parametrize(
    ("name", "n_heads", "width"), [("deit_tiny_distilled_patch16_224", 1, 192), ("efficientvim_m1_dist", 4, 960)]
)
def test_penultimate_layer_of_distilled_networks(name, n_heads, width):
    """What enters the heads of the classification, not those of the distillation."""
    layers = {layer["name"]: layer for layer in architectures.describe(name)["layers"]}
    assert (layers[PENULTIMATE]["calls"], layers[PENULTIMATE]["n_features"]) == (n_heads, width)


def alone(model, description, raw):
    """Every module's output in its last call as (n_images, n_features), of each image by itself."""
    rows = []
    for image in images(description, raw).split(1):
        seen, hooks = {}, []
        for name, module in model.named_modules():

            def keep(_, __, output, name=name, seen=seen):
                tensors = [tensor for tensor in architectures.flat_tensors(output) if tensor.numel()]
                seen[name] = [tensor.detach().clone() for tensor in tensors]

            hooks.append(module.register_forward_hook(keep))
        with torch.no_grad():
            model(image)
        for hook in hooks:
            hook.remove()
        rows.append(seen)
    flat = [{n: np.concatenate([t.flatten().numpy() for t in tensors]) for n, tensors in seen.items()} for seen in rows]
    return {name: np.stack([seen[name] for seen in flat]) for name in flat[0] if rows[0][name]}


@pytest.mark.parametrize("name", ["small_swin", "small_mvit"])
def test_windows_and_heads_are_their_images(name):
    """Of layers with several rows an image, all of an image's are one row."""
    model, description, calls = network(name)
    raw = pixels(5)
    expected = alone(model, description, raw)
    several = [layer["name"] for layer in description["layers"] if ".attn." in layer["name"]]
    assert len(several) > 5
    assert description["left_out"] == {}
    for layer, values in run(model, description, calls, raw, batch_size=3).items():
        assert values.shape == (5, next(la["n_features"] for la in description["layers"] if la["name"] == layer))
        if layer != PENULTIMATE:
            assert_close(values, expected[layer])


@pytest.mark.parametrize("name", ["small_swin", "small_mvit"])
def test_windows_and_heads_are_scored_alike_in_memory_and_on_scratch(name, tmp_path, monkeypatch):
    model, description, _ = network(name)
    monkeypatch.setattr(streaming.weights, "load", lambda *_: model)
    np.save(tmp_path / "pixels.npy", pixels(20))
    layers = [layer for layer in description["layers"] if ".attn." in layer["name"] or layer["name"] == PENULTIMATE]
    network_of = {"timm_name": name} | {key: description[key] for key in ("mean", "std")}
    params = SimpleNamespace(layers=layers, network=network_of, sketch=300, seed=0, pca=None, precision="float32")
    scores, train = np.random.default_rng(0).random(20), np.arange(20) < 15

    def job(memory_gb):
        config = {"device": "cpu", "batch_size": 6, "resources": {"memory_gb": memory_gb, "scratch_gb": 1}}
        given = SimpleNamespace(weights="", plugins=[])
        job = SimpleNamespace(params=params, config=config, input=given, resources=SimpleNamespace(tmpdir=tmp_path))
        held = dict(streaming.layers_of_job(job, lambda _: None, tmp_path / "pixels.npy"))
        return {
            la: (x.tobytes(), memorability.score(x, scores, train[None], ~train[None], 3).rho) for la, x in held.items()
        }

    in_memory, on_scratch = job(16), job(2)
    assert list(in_memory) == list(on_scratch) == [layer["name"] for layer in layers]
    assert in_memory == on_scratch
    assert all(np.isfinite(rho).all() for _, rho in in_memory.values())


# A small one of each module of timm that has layers with several rows an image.
SEVERAL_ROWS = (
    "botnet26t_256 davit_tiny efficientvit_m0 gcvit_xxtiny hieradet_small levit_128s mobilevit_xxs mvitv2_tiny "
    "swin_tiny_patch4_window7_224 swinv2_tiny_window8_256 swinv2_cr_tiny_224 tiny_vit_5m_224 tnt_s_legacy_patch16_224"
).split()


@pytest.mark.thorough
@pytest.mark.parametrize("name", SEVERAL_ROWS)
def test_several_rows_an_image_are_in_the_order_of_images(name):
    """In every network of timm's that has such; of a plugin's they are looked at when it is described."""
    torch.manual_seed(1)
    model = timm.create_model(name).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    described = architectures.describe(name)
    raw = np.random.default_rng(0).integers(0, 256, (2, *described["input_size"], 3), dtype=np.uint8)
    calls = {layer["name"]: layer["calls"] for layer in described["layers"]}
    expected = alone(model, described, raw)
    for layer, values in run(model, described, calls, raw).items():
        if layer != PENULTIMATE:
            assert_close(values, expected[layer], 1e-3)
    assert extraction.unsteady(model, calls, described["input_size"], described["mean"], described["std"]) == {}


class TokensFirst(torch.nn.Module):
    """Four tokens an image, in front of the images, or both in one dimension."""

    def __init__(self, flat):
        super().__init__()
        self.flat = flat
        self.stem, self.mix = torch.nn.Conv2d(3, 8, 32, 32), torch.nn.Linear(8, 8)
        self.fc = torch.nn.Linear(8, 5)

    def get_classifier(self):
        return self.fc

    def forward(self, x):
        tokens = self.stem(x).flatten(2).permute(2, 0, 1)
        mixed = self.mix(tokens.flatten(0, 1) if self.flat else tokens)
        return self.fc(mixed.reshape(4, len(x), 8).mean(0))


@register_model
def tokens_first(pretrained=False, **kwargs):
    return described(TokensFirst(flat=False))


@register_model
def tokens_first_and_flat(pretrained=False, **kwargs):
    return described(TokensFirst(flat=True))


@pytest.mark.parametrize(("name", "why"), [("tokens_first", "first dimension"), ("tokens_first_and_flat", "the order")])
def test_rows_that_are_not_images_are_left_out_and_said_why(name, why):
    """As many tokens as images in a batch, they would be scored without a word."""
    told = architectures.describe(name)
    assert [layer["name"] for layer in told["layers"]] == ["stem", PENULTIMATE, "fc"]
    with pytest.raises(InputError, match=rf"^layers: pattern 'mi\*' matches mix, which cannot be studied: .*{why}"):
        study.select_layers(told["layers"], {"every": 1}, "stem,mi*", told["tokens"], told["left_out"])


def test_rows_that_are_not_images_are_refused_wherever_they_come():
    model = TokensFirst(flat=False)
    with pytest.raises(InputError, match=r"^layer mix: its output for 3 images has shape \(4, 3, 8\), .* name other"):
        run(model, {"mean": [0.5] * 3, "std": [0.5] * 3}, {"mix": 1}, pixels(3))


class DependsOnNumbers(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body, self.fc = torch.nn.Conv2d(3, 4, 3), torch.nn.Linear(4, 5)

    def get_classifier(self):
        return self.fc

    def forward(self, x):
        return self.fc(self.body(x).mean((2, 3)) if x.sum().item() >= 0 else None)


@register_model
def depends_on_numbers(pretrained=False, **kwargs):
    return described(DependsOnNumbers())


def test_networks_that_need_numbers_are_described_with_numbers():
    assert [layer["n_features"] for layer in architectures.describe("depends_on_numbers")["layers"]] == [
        4 * 62**2,
        4,
        5,
    ]


# Tokens of transformers.


@pytest.mark.parametrize(("name", "before"), [("small_vit", 1), ("small_distilled_vit", 2)])
def test_class_token_and_mean_of_the_others(name, before):
    """Of any module that gives tokens; in the place where it ends; only where a name has an @."""
    model, description, _ = network(name)
    every = study.select_layers(description["layers"], {"every": 1}, "", description["tokens"])
    assert [layer["name"] for layer in every] == [layer["name"] for layer in description["layers"]]
    asked = "blocks.?@*,blocks.0.norm1@mean,blocks.1.mlp.fc2,penultimate"
    chosen = study.select_layers(description["layers"], {"every": 1}, asked, description["tokens"])
    ends = [f"blocks.{i}@{part}" for i in (0, 1) for part in ("cls", "mean")]
    assert [layer["name"] for layer in chosen] == [
        "blocks.0.norm1@mean",
        *ends[:2],
        "blocks.1.mlp.fc2",
        *ends[2:],
        PENULTIMATE,
    ]
    places = {layer["name"]: (layer["index"], layer["depth"]) for layer in [*every, *chosen]}
    assert places["blocks.1@cls"] == places["blocks.1@mean"] == places["blocks.1.mlp.fc2"]
    expected = alone(model, description, pixels(5))
    ours = run(model, description, {layer["name"]: layer["calls"] for layer in chosen}, pixels(5), batch_size=3)
    for layer in chosen:
        module, _, part = layer["name"].partition("@")
        if part:
            tokens = expected[module].reshape(5, before + 16, 48)
            assert_close(ours[layer["name"]], tokens[:, 0] if part == "cls" else tokens[:, before:].mean(1))
            assert layer["n_features"] == 48


def names_of_tokens(name):
    return {layer["name"] for layer in architectures.describe(name)["tokens"]}


def test_tokens_that_are_not_there_have_no_names():
    """A mean pooled transformer has no class token; CaiT adds it behind its blocks; a CNN has no tokens."""
    pooled, cait = names_of_tokens("test_vit_relpos"), names_of_tokens("small_cait")
    assert "blocks.1@mean" in pooled
    assert not [name for name in pooled if "@cls" in name or "rel_pos" in name]
    assert {"norm@cls", "norm@mean"} <= cait
    assert not {"blocks.1@cls", "blocks.1@mean"} & cait
    told = architectures.describe("resnet10t", 64)
    assert told["tokens"] == []
    with pytest.raises(InputError, match=r"'layer1@mean' matches nothing: @cls and @mean are of transformers"):
        study.select_layers(told["layers"], {"every": 1}, "layer1@mean", told["tokens"])


# Networks that draw lots, or see other images.


class Drawing(torch.nn.Module):
    """`kind` : what `middle` does, between two convolutions."""

    class Middle(torch.nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.kind, self.own = kind, np.random.default_rng(0)

        def forward(self, x):
            match self.kind:
                case "dropout":
                    return functional.dropout(x, 0.1)
                case "flip":
                    return x.flip(3) if random.random() < 0.5 else x
                case "noise of its own":
                    return x + torch.from_numpy(self.own.normal(0, 0.05, x.shape)).float()
                case "batch":
                    return (x - x.mean(0)) / 2
            return x

    def __init__(self, kind):
        super().__init__()
        self.first, self.middle, self.last = torch.nn.Conv2d(3, 4, 3), self.Middle(kind), torch.nn.Conv2d(4, 4, 3)

    def forward(self, x):
        return self.last(self.middle(self.first(x)))


STEADY = {"first": 1, "middle": 1, "last": 1}


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("dropout", "it depends on random numbers"),
        ("flip", "it depends on random numbers"),
        ("noise of its own", "drawn at random"),
        ("batch", "or mix them"),
    ],
)
def test_layers_that_are_not_an_images_own_are_named_and_refused(kind, why):
    words = rf"^layer middle \(and 1 more of the 3\): .*{why}.*; or name other layers in the model table$"
    network_of = {"mean": [0.5] * 3, "std": [0.25] * 3}
    model = Drawing(kind)
    with pytest.raises(InputError, match=words):
        streaming.check_steady(model, STEADY, (32, 32), network_of, "cpu")
    streaming.check_steady(model, {"first": 1}, (32, 32), network_of, "cpu")
    streaming.check_steady(Drawing("nothing"), STEADY, (32, 32), network_of, "cpu")


@pytest.mark.parametrize("name", ["resnet10t", *TRANSFORMERS, "small_swin", "small_mvit"])
def test_networks_that_draw_nothing_are_steady(name):
    model, description, calls = network(name)
    assert extraction.unsteady(model, calls, (64, 64), description["mean"], description["std"]) == {}


class Overwriter(torch.nn.Module):
    """Every tensor is overwritten by what follows, and no change of memory format happens to copy it before."""

    def __init__(self):
        super().__init__()
        self.fc1, self.relu, self.fc2 = torch.nn.Linear(12, 9), torch.nn.ReLU(inplace=True), torch.nn.Linear(9, 4)
        self.last = torch.nn.Linear(4, 2)

    def forward(self, x):
        hidden = self.relu(self.fc1(x.flatten(1)))
        output = self.fc2(hidden)
        hidden.fill_(99)
        result = self.last(output)
        output.fill_(98)
        return result


@pytest.mark.parametrize("sketch", [None, 1000, 2])
def test_nothing_recorded_is_overwritten(sketch):
    torch.manual_seed(0)
    model = Overwriter()
    raw = np.random.default_rng(0).integers(0, 256, (5, 2, 2, 3), dtype=np.uint8)
    with torch.no_grad():
        fc1 = model.fc1((torch.from_numpy(raw).permute(0, 3, 1, 2).flatten(1) / 255 - 0.5) / 0.25)
        relu = functional.relu(fc1)
        fc2 = model.fc2(relu)
        expected = {"fc1": fc1, "relu": relu, "fc2": fc2, "last": model.last(fc2)}
    description = {"mean": [0.5] * 3, "std": [0.25] * 3}
    ours = run(model, description, dict.fromkeys(expected, 1), raw, sketch=sketch)
    for layer, values in expected.items():
        whole = values.numpy() if not sketch or values.shape[1] <= sketch else slow_sketch(layer, values.numpy(), 2)
        assert_close(ours[layer], whole.astype(np.float32))


@pytest.mark.parametrize("name", NETWORKS)
def test_one_layer_at_a_time_equals_all_together(name):
    """To the bit: how layers are dealt out to jobs must not show in the results."""
    together = everything(name)
    layers = list(together)
    for layer in [*layers[:: max(1, len(layers) // 4)], PENULTIMATE, layers[-1]]:
        np.testing.assert_array_equal(extract(name, [layer])[layer], together[layer], layer)
    for layer, values in extract(name, layers[len(layers) // 2 :]).items():
        np.testing.assert_array_equal(values, together[layer], layer)


@pytest.mark.parametrize("name", ["resnet10t", "dpn68", "small_distilled_vit"])
@pytest.mark.parametrize("sketch", [None, 100])
def test_batch_size(name, sketch):
    raw = pixels(7)
    whole = extract(name, raw=raw, sketch=sketch)
    for batch_size in (1, 3):
        for layer, values in extract(name, raw=raw, batch_size=batch_size, sketch=sketch).items():
            assert_close(values, whole[layer])


def test_batches_are_yielded_one_by_one():
    """Nothing is computed ahead, and a batch is as large as asked, the last one smaller."""
    model, description, _ = network("resnet10t")
    seen = []
    model.conv1.register_forward_hook(lambda _, __, output: seen.append(len(output)))
    options = (pixels(), description["mean"], description["std"])
    batches = extraction.extract(model, {PENULTIMATE: 1}, *options, batch_size=7)
    for expected in ([7], [7, 7], [7, 7, 2]):
        next(batches)
        assert seen == expected
    assert next(batches, None) is None


@pytest.mark.parametrize("name", NETWORKS)
def test_the_pass_stops_at_the_last_wanted_layer(name):
    """Whatever comes after it in the description is not executed; what comes before is."""
    _, description, layers = network(name)
    order = [layer for layer in layers if layer != PENULTIMATE]
    for position in (0, len(order) // 3, len(order) - 2):
        model = network(name)[0]
        finished = set()
        for layer in order:
            model.get_submodule(layer).register_forward_hook(lambda *_, layer=layer, done=finished: done.add(layer))
        run(model, description, {order[position]: layers[order[position]]}, pixels(2))
        # A module that runs often stands at its last call, and may have run before.
        later = {layer for layer in order[position + 1 :] if layers[layer] == 1}
        assert later
        assert not finished & later
        assert {layer for layer in order[:position] if layers[layer] == 1} <= finished


def test_penultimate_stops_before_the_classifier():
    model, description, _ = network("resnet10t")
    model.fc.register_forward_hook(lambda *_: pytest.fail("the classifier ran"))
    run(model, description, {PENULTIMATE: 1}, pixels(2))


def test_a_layer_that_runs_less_often_than_described_is_refused():
    model, description, _ = network("resnet10t")
    with pytest.raises(InputError, match=r"conv1\.0"):
        run(model, description, {"conv1.0": 2}, pixels(2))


def test_a_model_may_be_used_again():
    """By another extraction or in a plain pass: no hook stays on it."""
    model, description, _ = network("resnet10t")
    run(model, description, {"conv1.0": 1}, pixels(2))
    with torch.no_grad():
        assert model(images(description, pixels(2))).shape == (2, 1000)
    again = run(model, description, {PENULTIMATE: 1})[PENULTIMATE]
    np.testing.assert_array_equal(again, everything("resnet10t")[PENULTIMATE])


def test_the_model_is_in_evaluation_mode():
    """A model handed over in training mode would use batch statistics and dropout, and change its own."""
    model, description, _ = network("resnet10t")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    ours = run(model.train(), description, {PENULTIMATE: 1})[PENULTIMATE]
    np.testing.assert_array_equal(ours, everything("resnet10t")[PENULTIMATE])
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


@pytest.mark.parametrize("references", [None, 12])
def test_bfloat16_is_the_same_network_computed_roughly(references):
    """Layers differ by its three digits, and what is made of them is summed in single precision."""
    options = {"sketch": 500, "references": None if references is None else pixels()[:references]}
    exact = extract("resnet10t", **options)
    rough = extract("resnet10t", **options, precision="bfloat16")
    for layer, values in rough.items():
        assert values.dtype == np.float32
        distances = [np.linalg.norm(each[:, None] - each[None], axis=2) for each in (values, exact[layer])]
        assert np.abs(distances[0] - distances[1]).max() < 0.1 * distances[1].max(), layer
    folded = (values.view(np.uint32) & 0xFFFF for layer, values in rough.items() if values.shape[1] in (500, 11))
    assert all(digits.any() for digits in folded), "rounded to bfloat16 after the reduction"


def test_device_of_networks():
    assert device.of_networks("cpu") == "cpu"
    assert device.of_networks("auto") == ("cuda" if torch.cuda.is_available() else "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no GPU"):
            device.of_networks("cuda")


# Reduction.


def slow_sketch(layer, x, d, seed=0):
    """The sketch from its description, one feature at a time; by names and seeds, in any process, the same."""
    name = int.from_bytes(hashlib.sha256(layer.encode()).digest()[:8], "little")
    signs = np.random.default_rng([seed, name]).integers(0, 2, x.shape[1], dtype=np.int8)
    prime = max(n for n in range(1, d + 1) if not any(n % k == 0 for k in range(2, n)))
    folded = np.zeros((len(x), prime))
    for j in range(x.shape[1]):
        folded[:, j % prime] += x[:, j].astype(np.float64) * (1 if signs[j] else -1)
    return folded


@pytest.mark.parametrize("n_features", [11, 19, 20, 21, 100, 1003])
@pytest.mark.parametrize(("d", "layer", "seed"), [(10, "blocks.1", 0), (7, "blocks.1", 1), (1, "blocks.2", 0)])
def test_sketch_equals_a_slow_one(n_features, d, layer, seed):
    x = np.random.default_rng(0).standard_normal((6, n_features)).astype(np.float32)
    np.testing.assert_allclose(Sketch(layer, d, seed)(torch.from_numpy(x)), slow_sketch(layer, x, d, seed), atol=5e-5)


@pytest.mark.parametrize("memory_format", [torch.channels_last, torch.contiguous_format])
def test_maps_are_sketched_channels_last_and_kept_whole_in_torchs_order(memory_format):
    """However they lie in memory."""
    x = torch.randn(3, 8, 5, 6).contiguous(memory_format=memory_format)
    expected = slow_sketch("layer", x.numpy().transpose(0, 2, 3, 1).reshape(3, -1), 32)
    np.testing.assert_allclose(Sketch("layer", 32, 0)(x), expected, atol=5e-5)
    np.testing.assert_array_equal(Sketch("layer", None, 0)(x), x.numpy().reshape(3, -1))


@pytest.mark.parametrize(("n_features", "d"), [(5, 10), (10, 10), (10, None), (10, 11)])
def test_layers_no_larger_than_the_sketch_are_kept_whole(n_features, d):
    x = torch.randn(4, n_features)
    kept = Sketch("layer", d, 0)(x)
    assert torch.equal(kept, x)
    x.zero_()
    assert kept.abs().sum() > 0, "a view would be overwritten"


@pytest.mark.parametrize("d", [None, 16])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_sketch_returns_float32(d, dtype):
    assert Sketch("layer", d, 0)(torch.ones(2, 3, 4, 4, dtype=dtype)).dtype == torch.float32


def test_sketched_layer_is_the_sketch_of_the_layer():
    """In the hook, in batches, as on the whole array."""
    model, description, calls = network("resnet10t")
    chosen = [*list(calls)[::8], PENULTIMATE]
    calls = {layer: calls[layer] for layer in chosen}
    channels_last = {layer: lambda x: x.movedim(1, -1).flatten(1).clone() for layer in calls}
    with torch.no_grad(), extraction.Recorder(model, calls, channels_last) as record:
        whole = record(images(description, pixels()))
    for layer, values in extract("resnet10t", chosen, sketch=100, batch_size=7).items():
        flat = whole[layer].numpy()
        assert_close(values, (flat if flat.shape[1] <= 100 else slow_sketch(layer, flat, 100)).astype(np.float32), 1e-4)


@pytest.mark.parametrize("channels", [2048, 1024, 960, 1000, 64])
def test_layers_of_any_shape_are_kept_as_precisely(channels):
    """Root mean square error of squared distances: sqrt(2 / width) = 2.2%, even of maps that are the same all over."""
    side = 7 if channels >= 960 else 28
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((40, channels, 1, 1))).float()
    x = x.expand(-1, -1, side, side)
    true = torch.pdist(x.flatten(1).double()) ** 2
    errors = [torch.pdist(Sketch("layer", 4096, seed)(x).double()) ** 2 / true - 1 for seed in range(10)]
    error = torch.stack(errors).square().mean().sqrt()
    assert 0.018 < error < 0.026, error


def test_sketch_keeps_inner_products_in_expectation():
    """Over many layer names, the mean is within 4.5 standard errors, and the spread falls as 1/d."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 2000)) + 0.3
    x[1] = 0.8 * x[0] + 0.6 * x[1]
    true = x @ x.T
    spread = {}
    for d in (50, 200, 800):
        folds = [Sketch(f"layer{draw}", d, 0)(torch.from_numpy(x)).double().numpy() for draw in range(300)]
        products = np.stack([folded @ folded.T for folded in folds])
        error = products.std(0) / np.sqrt(len(products))
        assert (np.abs(products.mean(0) - true) < 4.5 * error).all()
        spread[d] = products.var(0).mean()
    assert 2.5 < spread[50] / spread[200] < 6.5
    assert 2.5 < spread[200] / spread[800] < 6.5


@pytest.mark.parametrize(
    ("value", "flaw"), [(np.nan, "not finite"), (-np.inf, "not finite"), (None, ""), (0.0, ""), (1e30, "")]
)
def test_flaw(value, flaw):
    values = np.random.default_rng(0).standard_normal((9, 4)).astype(np.float32)
    values[4, 2] = values[4, 2] if value is None else value
    assert pls.flaw(values) == flaw
    assert pls.flaw(np.tile(np.float32([0.1, 5, -3]), (9, 1))) == "constant"


PEAK = """
import numpy as np
import torch

from memscore.networks import extraction

model = torch.nn.Sequential(*[torch.nn.Conv2d(3, 64, 3, padding=1), *[torch.nn.ReLU() for _ in range(7)]])
layers = {str(k): 1 for k in range(8)}
for n_images in (16, 64):
    pixels = np.broadcast_to(np.zeros(3, np.uint8), (n_images, 128, 128, 3))
    for _ in extraction.extract(model, layers, pixels, [0.5] * 3, [0.25] * 3, batch_size=4, sketch=64):
        pass
    # Not of getrusage, which begins with what the process had that started this one.
    print(open("/proc/self/status").read().partition("VmHWM:")[2].split()[0])
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_images():
    """8 layers of a million features: 32 MB an image, were any of it kept."""
    # What is freed goes back to the system at once: how much stays otherwise is a matter of chance.
    frees = {"MALLOC_MMAP_THRESHOLD_": "100000", "MALLOC_TRIM_THRESHOLD_": "100000"}
    environment = os.environ | frees | {"PYTHONPATH": str(PACKAGE)}
    ran = subprocess.run([sys.executable, "-c", PEAK], env=environment, capture_output=True, text=True, check=True)
    few, many = map(int, ran.stdout.split())
    assert many < 1.01 * few
