"""Activations of chosen layers, streamed: one forward pass, reduced inside the hooks, a batch at a time."""

import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from math import ceil
from pathlib import Path

import numpy as np
import torch

from memscore.errors import InputError
from memscore.networks.architectures import PENULTIMATE, flat_tensors, hook_penultimate, of_tokens, part_of
from memscore.networks.reduction import PrincipalComponents, Sketch


class _PassComplete(Exception):
    """Raised in the hook of the last wanted layer: nothing behind it needs computing."""


class Recorder:
    """Hooks on a model that keep the reduced activations of `layers` during one forward pass.

    Used in a `with` statement, at whose end the model is without them again.

    Parameters
    ----------
    layers : how often each wanted layer runs in a pass (`calls` of `architectures.describe`), by name; `penultimate`
        is what enters the classifier, `<module>@cls` a transformer's class token and `@mean` the mean of its others. A
        module that runs several times is recorded at its last call, as Brain-Score does.
    reduce : what makes of each layer's activation (n, ...) a copy (n, n_features), by the layer's name
    """

    def __init__(
        self,
        model: torch.nn.Module,
        layers: Mapping[str, int],
        reduce: Mapping[str, Callable[[torch.Tensor], torch.Tensor]],
    ):
        self._model = model
        self._calls = dict(layers)
        self._reduce = reduce

    def __enter__(self) -> "Recorder":
        self._hooks = []
        self._n_before = getattr(of_tokens(self._model), "num_prefix_tokens", 0)
        modules = dict(self._model.named_modules())
        for layer in self._calls:
            if layer == PENULTIMATE:
                self._hooks += hook_penultimate(self._model, lambda _, tensors: self._record(PENULTIMATE, tensors))
            else:
                part = part_of(layer)
                module = modules[layer.removesuffix(f"@{part}")]
                hook = module.register_forward_hook(
                    lambda _, __, output, layer=layer, part=part: self._record(layer, flat_tensors(output), part)
                )
                self._hooks.append(hook)
        return self

    def __exit__(self, *_) -> None:
        for hook in self._hooks:
            hook.remove()

    def _record(self, layer: str, tensors: list[torch.Tensor], part: str = "") -> None:
        self._calls_left[layer] -= 1
        if layer == PENULTIMATE:  # Several classifiers have one penultimate layer: all that enters them.
            self._entering.extend(tensors)
            tensors = self._entering
        if self._calls_left[layer] == 0:
            whole = by_image(layer, tensors, self._n_images)
            # What the network may compute roughly is summed exactly.
            with torch.autocast(whole.device.type, enabled=False):
                if part:
                    whole = whole[:, 0] if part == "cls" else whole[:, self._n_before :].float().mean(1)
                self._recorded[layer] = self._reduce[layer](whole)
            if len(self._recorded) == len(self._calls):
                raise _PassComplete

    def __call__(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Images (n, 3, height, width) to each layer's activations (n, n_features), float32."""
        self._calls_left, self._recorded, self._entering, self._n_images = dict(self._calls), {}, [], len(images)
        try:
            self._model(images)
        except _PassComplete:
            return self._recorded
        missing = sorted(set(self._calls) - set(self._recorded))
        raise InputError(f"layer {missing[0]} did not run as often as when the model was described")


def by_image(layer: str, tensors: Sequence[torch.Tensor], n_images: int) -> torch.Tensor:
    """All that a layer gives, as one tensor (n_images, ...): several tensors one behind the other, and of several rows
    an image (windows, heads) all of an image's.

    Raises InputError where the rows are not so many an image.
    """
    if not all(tensor.ndim and len(tensor) % n_images == 0 for tensor in tensors):
        shapes = ", ".join(str(tuple(tensor.shape)) for tensor in tensors)
        raise InputError(
            f"layer {layer}: its output for {n_images} images has shape {shapes}, so its rows are not images'; name "
            "other layers in the model table"
        )
    if len(tensors) == 1 and len(tensors[0]) == n_images:
        return tensors[0]
    return torch.cat([tensor.unflatten(0, (n_images, -1)).flatten(1) for tensor in tensors], 1)


def batches_of(sets: Sequence[np.ndarray], batch_size: int, device: str) -> Iterator[tuple[slice, torch.Tensor]]:
    """(rows, their pixels on the device), the next batch read from disk while the network works on this one."""

    def read(part: np.ndarray) -> torch.Tensor:
        images = torch.from_numpy(np.array(part))
        return images.pin_memory().to(device, non_blocking=True) if device.startswith("cuda") else images.to(device)

    parts = [pixels[start : start + batch_size] for pixels in sets for start in range(0, len(pixels), batch_size)]
    with ThreadPoolExecutor(1) as reader:
        ahead, done = reader.submit(read, parts[0]), 0
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            images = ahead.result()
            if following is not None:
                ahead = reader.submit(read, following)
            yield slice(done, done := done + len(part)), images


def exact_convolutions() -> None:
    """torch's default on a GPU, TF32, keeps three digits of a convolution and says float32."""
    torch.backends.cudnn.allow_tf32 = False


def normalised(pixels: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """uint8 images (n, 3, height, width) as a network wants them; mean, std : per channel, of values in [0, 1]."""
    shift, scale = (torch.tensor(values, device=pixels.device).view(1, 3, 1, 1) * 255 for values in (mean, std))
    return (pixels.float() - shift) / scale


def extract(
    model: torch.nn.Module,
    layers: Mapping[str, int],
    pixels: np.ndarray | Sequence[np.ndarray],
    mean: list[float],
    std: list[float],
    *,
    batch_size: int = 32,
    sketch: int | None = None,
    seed: int = 0,
    references: np.ndarray | None = None,
    scratch: str | Path | None = None,
    device: str = "cpu",
    precision: str = "float32",
) -> Iterator[tuple[slice, dict[str, torch.Tensor]]]:
    """Yield (rows, activations by layer (n, n_features), float32 on the device), a batch of stimuli after the other.

    pixels : uint8 array (n_stimuli, height, width, 3), may be memory-mapped; of several, their stimuli one behind the
        other
    mean, std : the network's own, per channel, for pixel values in [0, 1]
    sketch : number of features to which a layer is folded, or None for all; seed : of its signs
    references : pixels of reference images, to whose principal components what is left of each layer is then
        reduced; None reduces no further
    scratch : folder for the references' activations while this runs, None for the system's
    precision : `float32`, or `bfloat16` for torch's automatic mixed precision
    """
    sets = [pixels] if isinstance(pixels, np.ndarray) else pixels
    exact_convolutions()
    model = model.eval().to(device, memory_format=torch.channels_last)
    mixed = torch.autocast(torch.device(device).type, torch.bfloat16, enabled=precision == "bfloat16")

    def passes(sets, reduce):
        with torch.inference_mode(), mixed, Recorder(model, layers, reduce) as record:
            for rows, images in batches_of(sets, batch_size, device):
                recorded = record(normalised(images.permute(0, 3, 1, 2), mean, std))
                yield rows, {layer: recorded[layer] for layer in layers}

    sketches = {layer: Sketch(layer, sketch, seed) for layer in layers}
    if references is None:
        yield from passes(sets, sketches)
        return
    with ExitStack() as files:
        components = {}
        for layer in layers:
            file = files.enter_context(tempfile.TemporaryFile(dir=scratch))
            components[layer] = PrincipalComponents(len(references), file)
        for rows, sketched in passes([references], sketches):
            for layer, activations in sketched.items():
                components[layer].add(rows, activations.cpu().numpy())
        for layer in layers:
            components[layer].fit()
        yield from passes(
            sets, {layer: lambda x, layer=layer: components[layer](sketches[layer](x)) for layer in layers}
        )


# Of what `unsteady` compares: features of a layer, how much rounding may change, and how often lots are drawn.
COMPARED, ROUNDING, TIMES = 4096, 1e-3, 20


def unsteady(
    model: torch.nn.Module,
    layers: Mapping[str, int],
    size: Sequence[int],
    mean: Sequence[float],
    std: Sequence[float],
    device: str = "cpu",
) -> dict[str, str]:
    """Layers whose activations are not an image's own, by name, and why, in the order of `layers`.

    Two images go through together, then each alone: what draws lots, mixes images, or has its rows in another order
    than theirs differs. A network that draws lots may draw the same ones twice, so it goes through often.
    """
    patches = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    pair = patches.repeat(ceil(size[0] / 8), 1).repeat(ceil(size[1] / 8), 2)[:, : size[0], : size[1]]

    def passed(batch_size: int) -> dict[str, torch.Tensor]:
        batches = extract(model, layers, pair, mean, std, batch_size=batch_size, sketch=COMPARED, device=device)
        parts = [recorded for _, recorded in batches]
        return {layer: torch.cat([part[layer] for part in parts]) for layer in layers}

    before = lots(device)
    together = passed(2)
    draws = lots(device) != before
    why = (
        "it depends on random numbers, which the network draws; have it draw none in evaluation, as "
        "functional.dropout(x, training=self.training) does"
        if draws
        else "an image gives other activations alone than beside another: its rows are not in the order of the images, "
        "or mix them, or are drawn at random"
    )
    found = set()
    for _ in range(TIMES if draws else 1):
        for layer, alone in passed(1).items():
            if (alone - together[layer]).norm() > ROUNDING * together[layer].norm():  # false of what is not finite
                found.add(layer)
    return {layer: why for layer in layers if layer in found}


def lots(device: str) -> tuple:
    """Where the generators of random numbers that all share stand."""
    _, keys, *place = np.random.get_state()
    of_torch = [torch.get_rng_state()] + ([torch.cuda.get_rng_state(device)] if device.startswith("cuda") else [])
    return random.getstate(), keys.tobytes(), place, *(state.numpy().tobytes() for state in of_torch)
