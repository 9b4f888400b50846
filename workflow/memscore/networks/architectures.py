"""What layers a timm model has, how it wants its input, and building it: a lab's own architectures included."""

import difflib
import importlib.metadata
import importlib.util
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from memscore import versions
from memscore.errors import InputError
from memscore.files import replacing, sha256
from memscore.networks.lean import load_all_of_torchvision, load_timm

PENULTIMATE = "penultimate"
# Leaf modules that pass their input on unchanged once a network is evaluated, or only order it anew: nobody's
# representation.
UNCHANGED = {"Identity", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "DropPath", "DropBlock2d", "Sequential"}
REARRANGED = {"Flatten", "Unflatten", "Flat", "Permute", "PixelShuffle", "PixelUnshuffle", "ChannelShuffle"}
REARRANGED |= {"SpaceToDepth", "Unroll", "Reroll", "SelectSeq", "ZeroPad2d"}
PASS_THROUGH = UNCHANGED | REARRANGED


def load_plugins(plugins: Sequence[str]) -> None:
    """Import files that register architectures with `@timm.models.register_model`, each version of a file once."""
    for plugin in plugins:
        if not Path(plugin).is_file():
            raise InputError(f"model_plugins: no file {plugin}; give a path as seen from the repository root")
        name = f"memscore_plugin_{sha256(plugin)}"
        if name in sys.modules:
            continue
        load_all_of_torchvision()
        spec = importlib.util.spec_from_file_location(name, plugin)
        if spec is None:
            raise InputError(f"model_plugins: {plugin} is no Python file; its name must end in .py")
        module = sys.modules[name] = importlib.util.module_from_spec(spec)  # timm looks its models' modules up
        try:
            spec.loader.exec_module(module)
        except Exception as error:
            del sys.modules[name]
            raise InputError(f"model_plugins: {plugin} cannot be imported: {reason(error)}") from error


def catalogue_key(timm_name: str, input_size: int | None, plugins: Sequence[str]) -> dict:
    """What a stored description depends on: it is made anew when any of it changes."""
    try:
        version = importlib.metadata.version("timm")
    except importlib.metadata.PackageNotFoundError:
        raise InputError(
            "timm, which knows its layers, is not in the environment that runs Snakemake; pip install timm there, also "
            "where jobs have their own (--software-deployment-method conda)"
        ) from None
    return {
        "timm_name": timm_name,
        "input_size": input_size,
        "timm_version": version,
        "version": versions.of("architectures"),
        "plugins": {plugin: sha256(plugin) for plugin in plugins if Path(plugin).is_file()},
    }


def describe(
    timm_name: str, input_size: int | None = None, plugins: Sequence[str] = (), cache: str | Path | None = None
) -> dict:
    """Layers and input of a timm model, from `cache` (a directory) when it was described before.

    The model is built and run once on the meta device, which costs no arithmetic and no weights, so layers
    stand in the order in which they are computed. `input_size` is the side of the input in pixels; None, or a
    network of fixed input, takes the network's own. Returns a dictionary with

    layers : list of {name, module_type, n_features, calls}; the penultimate layer stands before the
        classifier it feeds, `calls` is how often a module runs in one pass
    input_size : (height, width); mean, std : per channel; interpolation : PIL's name for the resampling
    plugin : whether the model comes from one of the plugins
    resettable : whether its classifier can be replaced, timm's way
    """
    key = catalogue_key(timm_name, input_size, plugins)
    size = input_size or "own"
    stored = Path(cache) / f"{timm_name.replace('/', '--')}-{size}.json" if cache else None
    if stored and stored.is_file():
        try:
            known = json.loads(stored.read_text())
        except ValueError:
            known = {}
        if isinstance(known, dict) and known.get("key") == key:
            return known
    description = {"key": key, **_describe(timm_name, input_size, plugins)}
    if stored:
        with replacing(stored) as temporary:
            temporary.write_text(json.dumps(description))
    return description


def _describe(timm_name: str, input_size: int | None, plugins: Sequence[str]) -> dict:
    import torch

    timm = load_timm()
    with torch.device("meta"):
        model = create(timm_name, plugins)
    own, data = own_input(model)
    fixed = input_size is None or own.get("fixed_input_size", False)
    height, width = data["input_size"][1:] if fixed else (input_size, input_size)
    calls, order = Counter(), {}

    def record(name, module_type, tensors):
        calls[name] += 1
        # A layer's activation is that of its last call, and so is its place; several classifiers have one
        # penultimate layer between them.
        before = order.pop(name, {"n_features": 0})["n_features"] if name == PENULTIMATE else 0
        order.pop(name, None)
        n_features = before + sum(tensor[0].numel() for tensor in tensors)
        order[name] = {"name": name, "module_type": module_type, "n_features": n_features}

    for name, module in leaf_modules(model):
        module.register_forward_hook(
            lambda module, _, output, name=name: record(name, type(module).__name__, flat_tensors(output))
        )
    hook_penultimate(model, lambda module_type, tensors: record(PENULTIMATE, module_type, tensors))
    try:
        with torch.inference_mode():
            model.eval()(torch.zeros(1, 3, height, width, device="meta"))
    except Exception as error:
        raise InputError(
            f"{timm_name} does not run on {height} x {width} pixels: {reason(error)}; set input_size to its own size"
        ) from error
    return {
        "layers": [{**layer, "calls": calls[name]} for name, layer in order.items()],
        "input_size": [height, width],
        "mean": list(data["mean"]),
        "std": list(data["std"]),
        "interpolation": data["interpolation"],
        "resettable": hasattr(model, "reset_classifier"),
        "plugin": timm.is_model(timm_name) and not timm.model_entrypoint(timm_name).__module__.startswith("timm."),
    }


def own_input(model) -> tuple[dict, dict]:
    """What timm knows of a model, and of the images that it takes: `input_size`, `mean`, `std`, `interpolation` …"""
    own = getattr(model, "pretrained_cfg", None) or {"input_size": (3, 224, 224)}  # what timm itself assumes
    return own, load_timm().data.resolve_data_config({}, pretrained_cfg=own)


def on_hub(timm_name: str) -> bool:
    """Whether the Hugging Face hub is asked what a network is (`hf-hub:<owner>/<name>`, perhaps `@<revision>`)."""
    return timm_name.startswith(("hf-hub:", "hf_hub:"))


def hub_options(timm_name: str) -> dict:
    """What the hub says of a network: timm's own name of its architecture, and options that build it without asking.

    Raises InputError where the hub is out of reach or has no such network.
    """
    try:
        config, architecture, options = load_timm().models.load_model_config_from_hf(timm_name.partition(":")[2])
    except Exception as error:
        raise InputError(
            f"{timm_name}: the hub does not say what it is: {reason(error)}; run Snakemake once with network, or give "
            "timm's own name of its architecture and a weights file"
        ) from error
    return {"timm_name": architecture, "pretrained_cfg": config, **(options or {})}


def whole_name(timm_name: str) -> str:
    """timm's name with the tag of the weights that it stands for: `resnet50.a1_in1k` of `resnet50`.

    A name that is not timm's, of a plugin or of the hub, is itself.
    """
    known = load_timm().models.get_pretrained_cfg(timm_name, allow_unregistered=True) if "." not in timm_name else None
    return f"{timm_name}.{known.tag}" if known is not None and known.tag else timm_name


def create(timm_name: str, plugins: Sequence[str] = (), pretrained: bool = False, **options):
    """A timm model by name, plugins included; its weights are random unless `pretrained`.

    options : timm's, such as `num_classes` and `img_size`
    """
    timm = load_timm()
    load_plugins(plugins)
    if on_hub(timm_name):
        options = hub_options(timm_name) | options
        timm_name = options.pop("timm_name")
    if not timm.is_model(timm_name):
        near = ", ".join(difflib.get_close_matches(timm_name.lower(), timm.list_models(), 5))
        raise InputError(
            f"timm {timm.__version__} knows no model {timm_name!r}"
            + (f"; similar names: {near}" if near else "; timm.list_models() prints what it knows")
        )
    try:
        return timm.create_model(timm_name, pretrained=pretrained, **options)
    except Exception as error:
        where = "weights cannot be loaded from the hub" if pretrained else "network cannot be built"
        mend = (
            "stage on a machine with network, or give a file in the model table"
            if pretrained
            else "correct its timm_name or its plugin"
        )
        raise InputError(f"{timm_name}: {where}: {reason(error)}; {mend}") from error


def leaf_modules(model) -> list[tuple[str, object]]:
    """(name, module) of every leaf whose output may differ from its input in an evaluated network."""
    return [
        (name, module)
        for name, module in model.named_modules()
        if not any(module.children()) and type(module).__name__ not in PASS_THROUGH
    ]


def hook_penultimate(model, record: Callable[[str, list], None]) -> list:
    """Call `record(what, tensors)` with the penultimate layer: what enters the classifier's last linear map.

    A model without a classifier (`num_classes=0`) gives its output. Convolutional classifiers that come before
    the pooling give their input's spatial mean. Returns the hooks' handles.
    """
    maps = last_linear_maps(model)
    if not maps:
        return [model.register_forward_hook(lambda _, __, output: record("output", flat_tensors(output)))]
    return [
        last.register_forward_pre_hook(
            lambda module, inputs: record(f"input of {type(module).__name__}", [pooled(inputs[0])])
        )
        for last in maps
    ]


def last_linear_maps(model) -> list:
    """The last linear or convolutional map of a model's classifier; none where it has no classifier.

    Of a distilled network's two heads it is the classification head's. Networks that add up the classifiers of several
    branches (CrossViT, EfficientViM) have one of each: together they are one linear map of all that enters them.
    """
    import torch

    given = model.get_classifier() if hasattr(model, "get_classifier") else torch.nn.Identity()
    if isinstance(given, (tuple, list)):  # (classification, distillation)
        given = given[0]
    maps = []
    for head in given if isinstance(given, torch.nn.ModuleList) else [given]:
        parts = [(name, part) for name, part in head.named_modules() if "dist" not in name]
        linear = [part for _, part in parts if isinstance(part, (torch.nn.Linear, torch.nn.modules.conv._ConvNd))]
        maps += linear[-1:] or [head] * any(True for _ in head.parameters())
    return maps


def pooled(activation):
    """The spatial mean of an activation (n, channels, height, width); what has no space stays as it is."""
    return activation.mean((-2, -1)) if activation.ndim == 4 else activation


def flat_tensors(output) -> list:
    """The tensors in a module's output, which may be a tuple or a dictionary of them (DPN, DLA)."""
    import torch

    if torch.is_tensor(output):
        return [output]
    parts = output.values() if isinstance(output, dict) else output if isinstance(output, (tuple, list)) else ()
    return [tensor for part in parts for tensor in flat_tensors(part)]


def reason(error: Exception) -> str:
    """The first line of what an exception says, without terminal colours."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    return text.splitlines()[0].strip()[:160] if text else type(error).__name__
