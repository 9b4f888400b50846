"""A look before a run: one HTML page that shows a stimulus set, its scores and its flaws, with nothing beside it."""

import base64
import io
import tempfile
from collections.abc import Mapping
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image

from memscore.errors import InputError
from memscore.report import figures
from memscore.stimuli import pixels, selection, tables
from memscore.stimuli.duplicates import Duplicates

TEMPLATES = Path(__file__).parents[2] / "report"
THUMBNAIL = 150  # pixels of the longer side
N_SHOWN = 24  # images of each contact sheet
N_PAIRS_SHOWN = 12
N_BAD_SHOWN = 50
N_SIZES_SHOWN = 5


def write(
    name: str,
    table: pd.DataFrame,
    images: pd.DataFrame,
    others: Mapping[str, pd.DataFrame],
    folder: Path,
    flaws: Mapping,
    seed: int,
) -> tuple[str, pd.DataFrame]:
    """(HTML of the page, all pairs of duplicates within the set and with others).

    table, images : the stimulus table as staged, and `inspection.inspect` of it; its paths start from `folder`
    others : images of the other sets in use, by the set's name
    flaws : `on_bad_image` and `drop_duplicates` of a dataset; empty for what the recorded populations saw
    seed : of the sample that is shown of a set without scores
    """
    good, used = images[images["problem"] == ""], selection.readable(table, images)
    bad = selection.bad_images(images)
    splits = used[tables.split_columns(used)]
    found = Duplicates(images, others)
    pairs, straddling = found.pairs(splits), found.straddling(splits)
    page = {
        "name": name,
        "n_stimuli": len(table),
        "n_bad": len(bad),
        "bad": bad.head(N_BAD_SHOWN).to_dict("records"),
        "sizes": sizes(good),
        "splits": [split_row(column, splits, straddling) for column in splits],
        "histogram": histogram(used),
        "scores": score_range(used),
        "sheets": sheets(used, folder, seed),
        "n_exact": int((found.same_file(found.own)[found.own] > 0).sum()),
        "n_twins": int((found.twins(found.own)[found.own] > 0).sum()),
        "between": [(other, between(found, other)) for other in others],
        "n_pairs": len(pairs),
        "pairs": shown_pairs(pairs, used, folder),
        "flaws": flaws,
    }
    return rendered("stimuli.html", page), pairs


def rendered(template: str, page: Mapping) -> str:
    """HTML of a template of `workflow/report`."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(page)


def sizes(images: pd.DataFrame) -> list[tuple[str, int]]:
    """(`width × height`, number of images) of the commonest sizes, then of all others."""
    counts = (images["width"] + " × " + images["height"]).value_counts()
    others = counts[N_SIZES_SHOWN:]
    rest = [(f"{len(others)} other sizes", int(others.sum()))] if len(others) else []
    return [*((str(size), int(n)) for size, n in counts[:N_SIZES_SHOWN].items()), *rest]


def split_row(column: str, splits: pd.DataFrame, straddling: pd.DataFrame) -> dict:
    """How many readable images each part of a split has, and how many of train have a duplicate in test."""
    parts = (*tables.SPLIT_VALUES, tables.UNUSED)
    counts = {part: int((splits[column] == part).sum()) for part in parts}
    return {"split": column, "straddling": int(straddling[column].sum()), **counts}


def between(found: Duplicates, other: str) -> int:
    """How many of the set's own images have a duplicate in another set."""
    return int((found.twins((found.images["set"] == other).to_numpy())[found.own] > 0).sum())


def scores(table: pd.DataFrame) -> pd.Series | None:
    return table["memorability"].astype(float) if "memorability" in table and len(table) else None


def score_range(table: pd.DataFrame) -> dict[str, str] | None:
    """Mean, standard deviation, lowest and highest score; None without scores."""
    values = scores(table)
    if values is None:
        return None
    found = {"mean": values.mean(), "SD": values.std(), "lowest": values.min(), "highest": values.max()}
    return {name: f"{value:.3f}" for name, value in found.items()}


def histogram(table: pd.DataFrame) -> str | None:
    """Data URI of the histogram of the scores."""
    if scores(table) is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "histogram.svg")
        figures.score_histogram(scores(table), path)
        return data_uri(path.read_bytes(), "svg+xml")


def sheets(table: pd.DataFrame, folder: Path, seed: int) -> list[dict]:
    """The most and the least memorable images, or a sample of those without scores: title and cells."""
    values = scores(table)
    if values is None:
        n = min(N_SHOWN, len(table))
        rows = np.sort(np.random.default_rng(seed).permutation(len(table))[:n])
        return [
            {
                "title": f"{n} of {len(table):,} images, drawn at random",
                "cells": [cell(table.loc[row], folder) for row in rows],
            }
        ]
    # No image is shown in both.
    n = min(N_SHOWN, ceil(len(table) / 2))
    best_first = values.sort_values(ascending=False, kind="stable").index
    return [
        {"title": f"The {n} {which} memorable", "cells": [cell(table.loc[row], folder) for row in rows]}
        for which, rows in (("most", best_first[:n]), ("least", best_first[::-1][:n]))
    ]


def cell(stimulus: pd.Series, folder: Path) -> dict:
    """One image of a contact sheet."""
    score = f"{float(stimulus['memorability']):.3f}" if "memorability" in stimulus else ""
    return {"id": stimulus["stimulus_id"], "score": score, "uri": thumbnail(folder / stimulus["path"])}


def shown_pairs(pairs: pd.DataFrame, table: pd.DataFrame, folder: Path) -> list[dict]:
    """The first pairs within the set, those that straddle a split before others, with both images."""
    inside = pairs[pairs["other_set"] == ""].sort_values("straddles", key=lambda text: text == "", kind="stable")
    stimulus = table.set_index("stimulus_id", drop=False)
    return [
        {"images": [cell(stimulus.loc[row[key]], folder) for key in ("stimulus_id", "other_id")], **row}
        for row in inside.head(N_PAIRS_SHOWN).to_dict("records")
    ]


def thumbnail(path: Path) -> str:
    """Data URI of a small JPEG; empty for an image that has gone since it was looked at."""
    try:
        image = pixels.load_image(path)
    except InputError:
        return ""
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return data_uri(buffer.getvalue(), "jpeg")


def data_uri(content: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
