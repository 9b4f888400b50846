"""Predictions to look at: one HTML page of images from the most to the least memorable, with nothing beside it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from memscore.report.stimulus_page import rendered, thumbnail

MOST_SHOWN = 300


def write(rows: Sequence[Mapping], about: Mapping, folder: str) -> str:
    """HTML of the page. rows : of `Predictor.of_files`; about : what the predictor says of itself"""
    images = [row for row in rows if row["rank"] is not None]
    places = np.linspace(0, len(images) - 1, min(len(images), MOST_SHOWN)).round().astype(int)
    page = {
        "folder": folder,
        "about": about,
        "n_images": len(images),
        "n_unlike": sum(bool(row["note"]) for row in images),
        "shown": [{**images[place], "uri": thumbnail(Path(images[place]["path"]))} for place in places],
        "unread": [row for row in rows if row["rank"] is None],
    }
    return rendered("predictions.html", page)
