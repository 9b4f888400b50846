"""A layer's activations as a file, for people who want them for themselves."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from memscore.files import enough_room, replacing


def write(
    path: str | Path, activations: np.ndarray, stimulus_ids: Sequence[str], attributes: Mapping[str, str]
) -> None:
    """Write activations (n_stimuli, n_features) as netCDF: `activations` [stimulus, feature] with `stimulus_id`."""
    labelled = xr.Dataset(
        {"activations": (("stimulus", "feature"), activations)},
        {"stimulus_id": ("stimulus", list(stimulus_ids))},
        dict(attributes),
    )
    with replacing(path) as temporary, enough_room(path, "free some, or link results to a larger disk"):
        labelled.to_netcdf(temporary)
