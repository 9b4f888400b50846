"""Stimulus sets: their table, their splits, and their pixels at a network's input size."""

import os
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps

from memscore.errors import InputError
from memscore.files import replacing

SPLIT_VALUES = ("train", "val", "test")
SPLIT_SCORE = re.compile(r"memorability_\d+")
UNUSED = "unused"  # in no part of a split, such as a training image with a duplicate in test
IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
# LaMem's proportions: 45,000 / 3,741 / 10,000 of 58,741.
LAMEM_TRAIN, LAMEM_VAL = 45_000 / 58_741, 3_741 / 58_741
RESAMPLING = {name.lower(): value for name, value in Image.Resampling.__members__.items()}


def read_table(path: str | Path) -> pd.DataFrame:
    """The stimulus table at `path`, checked by `check_table`; `stimulus_id` is always text."""
    table = parse_table(path)
    check_table(table, path)
    return table


def parse_table(path: str | Path, encoding: str = "utf-8-sig") -> pd.DataFrame:
    """A CSV, TSV or semicolon-separated table as it stands; ids and paths are text, even `007` and `NA`."""
    try:
        with open(path, encoding=encoding) as file:
            header = file.readline()
        if not header.strip():
            raise ValueError("no stimuli, the file is empty")
        separator = next((mark for mark in "\t,;" if mark in header), ",")
        numeric = {name: [""] for name in ("memorability", "n_responses")}
        text = {"stimulus_id": str, "path": str}
        return pd.read_csv(path, sep=separator, encoding=encoding, dtype=text, keep_default_na=False, na_values=numeric)
    except FileNotFoundError:
        raise InputError(f"{path}: no such table; correct its path in the config") from None
    except ValueError as error:
        problem = str(error).partition("\n")[0]
        raise InputError(f"{path}: cannot be read as a table ({problem}); save it as CSV in UTF-8") from error


def read_text(path: str | Path) -> pd.DataFrame:
    """A CSV of the workflow's own with every cell as it is written: numbers go from table to table unchanged."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def check_table(table: pd.DataFrame, source: str | Path) -> None:
    """Raise InputError for the first row or column that cannot be used. Line 1 is the header."""

    def refuse(bad: pd.Series, what: Callable[[pd.Series], str]) -> None:
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            more = f" (and {bad.sum() - 1} more lines)" if bad.sum() > 1 else ""
            raise InputError(f"{source}: line {row + 2}: {what(table.iloc[row])}{more}")

    for column in ("stimulus_id", "path"):
        if column not in table:
            raise InputError(f"{source}: no column {column!r}; it has {', '.join(table.columns)}")
    if table.empty:
        raise InputError(f"{source}: no stimuli; it has a header and nothing else")
    for column in ("path", "stimulus_id"):
        empty = table[column].isna() | (table[column] == "")
        refuse(empty, lambda row, column=column: f"{column} is empty; fill it in or remove the line")
    refuse(
        table.stimulus_id.duplicated(),
        lambda row: f"stimulus_id {row.stimulus_id!r} occurs before; ids must be unique",
    )
    for column in score_columns(table):
        score = pd.to_numeric(table[column], errors="coerce")
        refuse(~score.between(0, 1), lambda row, column=column: f"{column} of {_not_a_score(row, column)}")
    for split in split_columns(table):
        refuse(
            ~table[split].isin([*SPLIT_VALUES, UNUSED]),
            lambda row, split=split: f"{split} is {row[split]!r}; it must be train, val or test",
        )


def _not_a_score(row: pd.Series, column: str) -> str:
    comma = ", with a point for the decimal comma" if "," in str(row[column]) else ""
    return f"{row.stimulus_id!r} is {row[column]}; it must be a number in [0, 1]{comma}"


def score_columns(table: pd.DataFrame) -> list[str]:
    """`memorability` and, of data sets whose splits have scores of their own, `memorability_1`, … ."""
    return [c for c in table if c == "memorability" or SPLIT_SCORE.fullmatch(c)]


def split_columns(table: pd.DataFrame) -> list[str]:
    """`split_1`, `split_2`, … in order."""
    return sorted((c for c in table if c.startswith("split_")), key=lambda c: (len(c), c))


def memorability_splits(table: pd.DataFrame, source: str, n_components: int) -> tuple[np.ndarray, np.ndarray]:
    """(train, test), each a boolean array of shape (n_splits, n_stimuli), from the split columns.

    Raises InputError where a split trains on fewer stimuli than the regression has components.
    """
    columns = split_columns(table)
    for column in columns:
        n_train = int((table[column] == "train").sum())
        n_test = int((table[column] == "test").sum())
        if n_train <= n_components:
            raise InputError(
                f"{source}: {column} trains on {n_train} stimuli, PLS with {n_components} components needs more "
                f"than {n_components}; add stimuli or lower memorability: components"
            )
        if n_test < 3:
            raise InputError(f"{source}: {column} tests on {n_test} stimuli; a rank correlation needs at least 3")
    return (
        np.stack([(table[column] == "train").to_numpy() for column in columns]),
        np.stack([(table[column] == "test").to_numpy() for column in columns]),
    )


def memorability_scores(table: pd.DataFrame) -> np.ndarray:
    """What each split predicts, float array of shape (n_splits, n_stimuli): its own scores, or `memorability`."""
    own = [column.replace("split_", "memorability_", 1) for column in split_columns(table)]
    return np.stack([table[column if column in table else "memorability"].to_numpy(dtype=float) for column in own])


def lamem_like_splits(n_stimuli: int, n_splits: int, seed: int) -> pd.DataFrame:
    """Random splits in LaMem's proportions: columns `split_1` … with train, val or test for each stimulus."""
    n_train, n_val = round(LAMEM_TRAIN * n_stimuli), round(LAMEM_VAL * n_stimuli)
    n_test = n_stimuli - n_train - n_val
    names = np.repeat(SPLIT_VALUES, [n_train, n_val, n_test])
    rng = np.random.default_rng(seed)
    return pd.DataFrame({f"split_{k + 1}": rng.permutation(names) for k in range(n_splits)})


def write_table(path: str | Path, table: pd.DataFrame) -> None:
    """Check a stimulus table and write it."""
    check_table(table, path)
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)


def images_of_table(path: str | Path) -> list[Path]:
    """The images that the stimulus table at `path` names."""
    return [Path(path).parent / image for image in read_table(path).path]


def images_in_folder(folder: str | Path) -> list[Path]:
    """The images in a folder and its subfolders, without hidden files."""
    files = [Path(parent, name) for parent, _, names in os.walk(folder, followlinks=True) for name in names]
    seen = (file for file in files if not any(part.startswith(".") for part in file.relative_to(folder).parts))
    return [file for file in seen if file.suffix.lower() in IMAGE_SUFFIXES]


def references(images: list[Path], n: int, source: str) -> pd.DataFrame:
    """The stimulus table of `n` of the images, evenly spaced in the order of their paths.

    Of ImageNet's validation images, in a folder per class, 1,000 are the first of each class: what Brain-Score
    takes. Raises InputError if there are fewer than `n`; `source` is where they came from.
    """
    images = sorted({image.absolute() for image in images})
    if len(images) < n:
        raise InputError(
            f"config: reduction: pca_images: {source} has {len(images)} images, pca: {n} needs as many; "
            "name more images, or lower pca"
        )
    chosen = [str(images[i * len(images) // n]) for i in range(n)]
    return pd.DataFrame({"stimulus_id": chosen, "path": chosen})


def load_image(path: str | Path) -> Image.Image:
    """An image as viewers saw it, in RGB.

    Upright by its EXIF tag, transparent parts on white, 16-bit scaled to 8. Raises InputError for what is
    missing, truncated, empty or not an image.
    """
    try:
        with Image.open(path) as image:
            image.load()
            image = ImageOps.exif_transpose(image)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{path}: no such image; correct the path in the stimulus table") from None
    except Exception as error:
        empty = Path(path).is_file() and Path(path).stat().st_size == 0
        reason = "the file is empty" if empty else str(error).partition("\n")[0]
        raise InputError(f"{path}: cannot be read as an image ({reason}); replace it or remove its line") from error
    if image.mode == "F":
        raise InputError(f"{path}: holds floating-point numbers, whose white is not known; save it with 8 or 16 bits")
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


def write_pixels(
    path: str | Path,
    images: list[Path],
    size: tuple[int, int],
    interpolation: str,
    progress: Callable[[int], None] = lambda done: None,
    threads: int = 1,
) -> None:
    """Decode and resize images into a uint8 .npy of shape (n_stimuli, height, width, 3).

    The whole image is resized to the network's input, as Brain-Score does and as LaMem's square images ask:
    a centre crop would hide part of what the viewer remembered.
    """
    height, width = size

    def decode(image: Path) -> np.ndarray | InputError:
        try:
            return np.asarray(load_image(image).resize((width, height), RESAMPLING[interpolation]))
        except InputError as error:
            return error

    bad = []
    with replacing(path) as temporary, ThreadPoolExecutor(threads) as pool:
        pixels = np.lib.format.open_memmap(temporary, "w+", np.uint8, (len(images), height, width, 3))
        for row, decoded in enumerate(pool.map(decode, images)):
            if isinstance(decoded, InputError):
                bad.append(str(decoded))
            else:
                pixels[row] = decoded
            progress(row + 1)
        pixels.flush()
        del pixels
        if bad:
            raise InputError(bad[0] + (f" (and {len(bad) - 1} more images)" if len(bad) > 1 else ""))
