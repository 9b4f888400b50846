"""Layers one after the other, from pixels to what a regression takes, without leaving the node."""

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import numpy as np
import torch

from memscore.device import of_networks
from memscore.errors import InputError
from memscore.files import claim
from memscore.job import every_few_seconds
from memscore.networks import room, weights
from memscore.networks.extraction import extract, unsteady


def layers_of_job(
    snakemake, say: Callable[[str], None], *pixels: str
) -> Iterator[tuple[str, np.ndarray | torch.Tensor]]:
    """(layer, its activations (n_stimuli, n_features)) of all of a job's layers, in as few passes as there is room for.

    The job is one of a rule with `NETWORK_INPUT` and `NETWORK_PARAMS`. Where the network runs on a GPU a layer comes as
    a tensor there, else as an array.

    pixels : files of stimulus sets, whose stimuli come one behind the other
    """
    params, given, config, tmpdir = snakemake.params, snakemake.input, snakemake.config, snakemake.resources.tmpdir
    device, batch_size = of_networks(config["device"]), config["batch_size"]
    sets = [np.load(file, mmap_mode="r") for file in pixels]
    n_stimuli = sum(map(len, sets))
    calls = {layer["name"]: layer["calls"] for layer in params.layers}
    sizes = room.layers(params.layers, n_stimuli, params.sketch, params.pca)
    beside = room.overhead(sizes.values(), sets[0].shape[1:3], batch_size)
    # What more the scheduler gives a job that is tried again is not for layers: it ran out of something else.
    allowed = {name: 1e9 * config["resources"][f"{name}_gb"] for name in ("memory", "scratch")}
    capacity = allowed | {"memory": allowed["memory"] - beside}
    if device.startswith("cuda"):
        capacity = {"GPU memory": torch.cuda.mem_get_info(device)[0] - beside} | capacity
    place, passes = room.passes(sizes.values(), capacity)
    model = weights.load(params.network["timm_name"], given.weights, given.plugins)
    for number, names in enumerate(passes, start=1):
        batches = extract(
            model,
            {name: calls[name] for name in names},
            sets,
            params.network["mean"],
            params.network["std"],
            batch_size=batch_size,
            sketch=params.sketch,
            seed=params.seed,
            references=np.load(given.references[0], mmap_mode="r") if params.pca else None,
            scratch=tmpdir,
            device=device,
            precision=params.precision,
        )
        with naming(params.network["timm_name"]):
            check_steady(model, {name: calls[name] for name in names}, sets[0].shape[1:3], params.network, device)
            held = hold(
                batches,
                n_stimuli,
                device if place == "GPU memory" else "cpu",
                tmpdir if place == "scratch" else None,
                sum(sizes[name].held for name in names),
                every_few_seconds(say, f"pass {number} of {len(passes)}: images", n_stimuli),
            )
        for name in names:  # What is scored makes room.
            layer = held.pop(name)
            yield name, layer.to(device) if device.startswith("cuda") else layer.numpy()


@contextmanager
def naming(network: str) -> Iterator[None]:
    """Whose layer an InputError is about."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{network}: {error}") from error


def check_steady(
    model: torch.nn.Module, layers: Mapping[str, int], size: Sequence[int], network: Mapping, device: str
) -> None:
    """Raise InputError for the first layer whose activations are not an image's own."""
    found = unsteady(model, layers, size, network["mean"], network["std"], device)
    for layer, why in found.items():
        others = f" (and {len(found) - 1} more of the {len(layers)})" if len(found) > 1 else ""
        raise InputError(f"layer {layer}{others}: {why}; or name other layers in the model table")


def arrays_of_job(snakemake, say: Callable[[str], None], *pixels: str) -> Iterator[tuple[str, np.ndarray]]:
    """`layers_of_job` for what wants NumPy's arrays."""
    for name, layer in layers_of_job(snakemake, say, *pixels):
        yield name, layer.cpu().numpy() if torch.is_tensor(layer) else layer


def hold(
    batches: Iterator[tuple[slice, Mapping[str, torch.Tensor]]],
    n_stimuli: int,
    device: str = "cpu",
    scratch: str | Path | None = None,
    n_bytes: int = 0,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, torch.Tensor]:
    """Batches of `extract` put together: each layer's activations (n_stimuli, n_features), float32, on `device`.

    scratch : a folder, to keep them there, in a file that is gone with them; `n_bytes`, the most that they take, are
        claimed first, and the InputError says so where they cannot be had
    """
    held, starts, used = {}, {}, 0
    # What is mapped of the file outlives it.
    with nullcontext() if scratch is None else tempfile.TemporaryFile(dir=scratch) as file:
        if file:
            claim(file, n_bytes, "the layers of a forward pass")
        for rows, recorded in batches:
            for name, values in recorded.items():
                wanted = rows.stop - rows.start, held[name].shape[1] if name in held else values.shape[1]
                if values.shape != wanted:
                    raise InputError(
                        f"layer {name}: gives {tuple(values.shape)} values for {wanted[0]} images, "
                        f"not {wanted}: its rows are not images'; name other layers in the model table"
                    )
                if name not in held:
                    shape = n_stimuli, values.shape[1]
                    if file:
                        held[name] = torch.from_numpy(np.memmap(file, np.float32, "r+", offset=used, shape=shape))
                        starts[name], used = used, used + held[name].nbytes
                    else:
                        held[name] = torch.empty(shape, device=device)
                if file:  # Written through the map, every page of 4 kB would stop for the file system.
                    file.seek(starts[name] + 4 * rows.start * values.shape[1])
                    file.write(values.cpu().contiguous().numpy())
                else:
                    held[name][rows].copy_(values, non_blocking=True)
            if any(values.is_cuda for values in recorded.values()):
                torch.cuda.synchronize()
            progress(rows.stop)
    return held
