"""Activation files, which pass layers from the job that extracts them to the jobs that score them."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import netCDF4
import numpy as np

from memscore.files import replacing


def write(
    path: str | Path,
    batches: Iterator[tuple[slice, dict[str, np.ndarray]]],
    n_stimuli: int,
    attributes: Mapping[str, str],
    progress: Callable[[int], None] = lambda done: None,
) -> None:
    """Stream batches into a netCDF file: one float32 variable [stimulus, feature] per layer."""
    with replacing(path) as temporary, netCDF4.Dataset(temporary, "w") as file:
        file.setncatts(attributes)
        file.createDimension("stimulus", n_stimuli)
        for rows, activations in batches:
            for number, (layer, values) in enumerate(activations.items()):
                if layer not in file.variables:
                    file.createDimension(f"feature_{number}", values.shape[1])
                    file.createVariable(layer, "f4", ("stimulus", f"feature_{number}"))
                file[layer][rows] = values
            progress(rows.stop)


def read(path: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (layer, float32 array [stimulus, feature]), one layer at a time."""
    with netCDF4.Dataset(path) as file:
        file.set_auto_mask(False)
        for layer, variable in file.variables.items():
            yield layer, variable[:]
