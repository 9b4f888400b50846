"""What layers a timm model has, how it wants its input, and building it: a lab's own architectures included."""

import difflib
import importlib.metadata
import importlib.util
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from math import prod
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
# What a transformer's tokens are made of, by what stands behind the `@` of a layer's name: a text for the tables.
TOKENS = {"cls": "class token", "mean": "mean of tokens"}


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

    The model is built and run on the meta device, which costs no arithmetic and no weights, so layers stand in the
    order in which they are computed. It sees two images, then three: what does not follow their number are not images'
    rows. `input_size` is the side of the input in pixels; None, or a network of fixed input, takes the network's own.
    Returns a dictionary with

    layers : list of {name, module_type, n_features, calls}; the penultimate layer stands before the
        classifier it feeds, `calls` is how often a module runs in one pass
    tokens : list of the same with `index`, that of the last layer before; names end in `@cls` or `@mean`
    left_out : {name: why} of layers whose rows cannot be given to images
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


def _describe(timm_name: str, input_size: int | None, plugins: Sequence[str], device: str = "meta") -> dict:
    import torch

    try:
        with torch.device(device):
            model = create(timm_name, plugins)
        return _describe_built(model.eval(), timm_name, input_size, plugins, device)
    except InputError as error:
        if device == "meta" and "meta" in str(error).lower():  # It looks at numbers on its way.
            return _describe(timm_name, input_size, plugins, "cpu")
        raise


def _describe_built(model, timm_name: str, input_size: int | None, plugins: Sequence[str], device: str) -> dict:
    timm = load_timm()
    own, data = own_input(model)
    fixed = input_size is None or own.get("fixed_input_size", False)
    height, width = size = data["input_size"][1:] if fixed else (input_size, input_size)
    try:
        two, three = (outputs(model, n_images, size, device) for n_images in (2, 3))
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{timm_name} does not run on two images of {height} x {width} pixels: {reason(error)}; set input_size to "
            "its own size"
        ) from error
    plugin = timm.is_model(timm_name) and not timm.model_entrypoint(timm_name).__module__.startswith("timm.")
    left_out = {name: why for name in two if (why := strange(two[name], three.get(name)))}
    if plugin:  # Of timm's networks the tests know it.
        several = {name: seen for name, seen in two.items() if any(shape[:1] > (2,) for shape in seen["shapes"])}
        calls = {name: seen["calls"] for name, seen in several.items() if name not in left_out}
        left_out |= disordered(create(timm_name, plugins), calls, size, data) if calls else {}
    layers, tokens = listed({name: seen for name, seen in two.items() if name not in left_out})
    return {
        "layers": layers,
        "tokens": tokens,
        "left_out": left_out,
        "input_size": list(size),
        "mean": list(data["mean"]),
        "std": list(data["std"]),
        "interpolation": data["interpolation"],
        "resettable": hasattr(model, "reset_classifier"),
        "plugin": plugin,
    }


def outputs(model, n_images: int, size: Sequence[int], device: str) -> dict[str, dict]:
    """{module_type, shapes, calls} of what every layer gives for a batch, by name, in the order of their last calls.

    A layer's activation is that of its last call, and so is its place; several classifiers have one penultimate layer
    between them.
    """
    import torch

    calls, order, hooks, last_map = Counter(), {}, [], ""
    names = {module: name for name, module in model.named_modules()}

    def record(name, module_type, shapes):
        calls[name] += 1
        before = order.pop(name, None)
        shapes = before["shapes"] + shapes if before and name == PENULTIMATE else shapes
        order[name] = {"module_type": module_type, "shapes": shapes, "calls": calls[name]}

    def record_penultimate(module, tensors):
        nonlocal last_map
        last_map = names[module]
        what = "output" if module is model else f"input of {type(module).__name__}"
        record(PENULTIMATE, what, shapes_of(tensors))

    for name, module in leaf_modules(model):
        hooks.append(
            module.register_forward_hook(
                lambda module, _, output, name=name: record(
                    name, type(module).__name__, shapes_of(flat_tensors(output))
                )
            )
        )
    hooks += hook_tokens(model, n_images, record) + hook_penultimate(model, record_penultimate)
    try:
        with torch.inference_mode():
            model(torch.zeros(n_images, 3, *size, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    if last_map in order and not hasattr(model, "get_classifier"):  # Known at the end, it stands before what it feeds.
        order[last_map] = order.pop(last_map)
    return order


def listed(of_two: dict[str, dict]) -> tuple[list[dict], list[dict]]:
    """(layers, tokens) of a description, from the `outputs` of two images."""
    layers, tokens = [], []
    for name, seen in of_two.items():
        n_features = sum(prod(shape) for shape in seen["shapes"]) // 2
        each = {"name": name, "module_type": seen["module_type"], "n_features": n_features, "calls": seen["calls"]}
        if part_of(name):
            tokens.append({**each, "index": max(len(layers) - 1, 0)})
        else:
            layers.append(each)
    return layers, tokens


def shapes_of(tensors) -> list[tuple[int, ...]]:
    """Their shapes."""
    return [tuple(tensor.shape) for tensor in tensors]


def strange(two: dict, three: dict | None) -> str:
    """Why a layer's rows are not those of images, by what it gives for two and for three of them; empty where they are.

    Several rows an image, as of windows or heads, are its own if all of an image's come one behind the other.
    """
    if three is None or two["calls"] != three["calls"] or len(two["shapes"]) != len(three["shapes"]):
        return "how often it runs, or how many tensors it gives, depends on the number of images"
    if not two["shapes"]:
        return "it gives no tensor"
    for small, large in zip(two["shapes"], three["shapes"], strict=True):
        follows = small and large and small[0] % 2 == 0 and small[0] * 3 == large[0] * 2
        if not follows or small[1:] != large[1:]:
            return f"its first dimension is not that of images: {small} for two and {large} for three of them"
    return ""


def disordered(model, layers: dict[str, int], size: Sequence[int], data: dict) -> dict[str, str]:
    """Of layers with several rows an image, those whose rows are not in the order of images, by name, and why."""
    import torch

    from memscore.networks.extraction import unsteady  # which hooks networks by what is here

    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():  # Some networks begin with zeros, behind which all images are the same.
            parameter.add_(0.02 * torch.randn_like(parameter))
    return unsteady(model, layers, size, data["mean"], data["std"])


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


def hook_penultimate(model, record: Callable[[object, list], None]) -> list:
    """Call `record(module, tensors)` with the penultimate layer: what enters `module`, the classifier's last map.

    A model without a classifier (`num_classes=0`) gives its output. Convolutional classifiers that come before
    the pooling give their input's spatial mean. Returns the hooks' handles.
    """
    if not hasattr(model, "get_classifier"):
        return hook_last_map(model, record)
    maps = last_linear_maps(model)
    if not maps:
        return [model.register_forward_hook(lambda module, _, output: record(module, flat_tensors(output)))]
    return [last.register_forward_pre_hook(lambda module, inputs: record(module, [pooled(inputs[0])])) for last in maps]


def hook_last_map(model, record: Callable[[object, list], None]) -> list:
    """`hook_penultimate` of a network that names no classifier: it is the map whose output is the network's."""
    last = None

    def keep(module, inputs, output):
        nonlocal last
        last = module, inputs[0], output

    def find(_, __, output):
        nonlocal last
        (module, entered, given), last = last or (None, None, None), None
        if module is None or not same_numbers(given, output):
            raise InputError(
                f"{type(model).__name__} has no get_classifier(), and what it returns is not the output of a linear or "
                "convolutional layer, so its penultimate layer is not known; give it get_classifier(self), which "
                "returns its last linear layer, or torch.nn.Identity() where the penultimate layer is its output"
            )
        record(module, [pooled(entered)])

    return [
        *(module.register_forward_hook(keep) for module in model.modules() if is_linear(module)),
        model.register_forward_hook(find),
    ]


def same_numbers(tensor, output) -> bool:
    """Whether a network's output is this tensor, perhaps in another shape."""
    given = flat_tensors(output)
    if len(given) != 1 or given[0].numel() != tensor.numel():
        return False
    return tensor.untyped_storage()._cdata == given[0].untyped_storage()._cdata  # also on the meta device


def is_linear(module) -> bool:
    """Whether it is a linear or convolutional map."""
    import torch

    return isinstance(module, (torch.nn.Linear, torch.nn.modules.conv._ConvNd))


def part_of(layer: str) -> str:
    """`cls` or `mean` of a name like `blocks.3@cls`; empty for a layer as it is."""
    part = layer.rpartition("@")[2]
    return part if layer.endswith(f"@{part}") and part in TOKENS else ""


def of_tokens(model):
    """The part of a network that says how many of its tokens come before those of patches (`num_prefix_tokens`, timm's
    name), and makes these (`patch_embed`): a timm transformer, or what a plugin puts around one; None without."""
    return next((m for m in model.modules() if hasattr(m, "num_prefix_tokens") and hasattr(m, "patch_embed")), None)


def hook_tokens(model, n_images: int, record: Callable[[str, str, list], None]) -> list:
    """Call `record(name, what, shapes)` for `<module>@mean`, and `@cls` where there is a class token, of each module
    whose output is (batch, tokens, channels): those of patches with all that come before them."""
    of = of_tokens(model)
    if of is None:
        return []
    n_patches, has_class = None, getattr(of, "cls_token", None) is not None

    def count(_, __, output):
        nonlocal n_patches
        shape = flat_tensors(output)[0].shape
        n_patches = prod(shape[1:-1])

    def look(name, module, output):
        first, *others = shapes_of(flat_tensors(output)) or [()]
        if others or len(first) != 3 or first[0] != n_images:
            return
        # Of networks without a class token some have fewer patches from stage to stage.
        if of.num_prefix_tokens not in (0, first[1] - (n_patches or 0)):
            return
        for part in TOKENS if has_class and of.num_prefix_tokens else ("mean",):
            record(f"{name}@{part}", f"{TOKENS[part]} of {type(module).__name__}", [(first[0], first[2])])

    return [of.patch_embed.register_forward_hook(count)] + [
        module.register_forward_hook(lambda module, _, output, name=name: look(name, module, output))
        for name, module in model.named_modules()
        if name and type(module).__name__ not in PASS_THROUGH - {"Sequential"}
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
        linear = [part for _, part in parts if is_linear(part)]
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
