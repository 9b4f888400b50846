"""Memorability predicted by others: their own code, weights and transform, on the study's images."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from memscore.correlation import rank_correlation
from memscore.errors import InputError
from memscore.stimuli import splits
from memscore.stimuli.pixels import load_image

BATCH = 16


def resmem(images: Sequence[Path], upright: bool, device: str, progress: Callable[[int], None]) -> np.ndarray:
    """What ResMem (Needell & Bainbridge 2022; PyPI `resmem`) predicts, float array (n_images,) from 0 to 1.

    Its own transform is used: the whole image at 256 x 256 pixels, of which the central 227 x 227 are looked at.

    Raises InputError where the package is not installed, or an image cannot be read.
    """
    try:
        from resmem import ResMem, transformer
    except ImportError:
        raise InputError(
            "peers: resmem is not installed: pip install --no-deps resmem==1.1.6 (489 MB; its licence forbids "
            "commercial use), or leave it out of peers in the config"
        ) from None
    import torch

    model = ResMem(pretrained=True).eval().to(device)
    predicted = []
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            batch = [transformer(load_image(image, upright)) for image in images[start : start + BATCH]]
            predicted.append(model(torch.stack(batch).to(device)).flatten().cpu().numpy())
            progress(min(start + BATCH, len(images)))
    return np.concatenate(predicted).astype(float)


PEERS: Mapping[str, Callable] = {"resmem": resmem}
# What each was trained on, but for images that its authors kept to themselves.
TRAINED_ON = {"resmem": ("lamem", "memcat")}


def rho_by_split(predicted: pd.DataFrame, stimuli: pd.DataFrame, numbers: Sequence[int], source: str) -> dict:
    """Spearman's ρ of a peer's predictions on the test images of these splits, by split.

    predicted : columns `stimulus_id`, `predicted`; stimuli : the stimulus table, of the file `source`
    """
    of_image = predicted.set_index("stimulus_id")["predicted"]
    found = {}
    for number in numbers:
        table = splits.only(stimuli, number, source)
        tested = (table[f"split_{number}"] == "test").to_numpy()
        scores = splits.memorability_scores(table)[0][tested]
        found[f"split_{number}"] = rank_correlation(of_image[table["stimulus_id"][tested]].to_numpy(), scores)
    return found
