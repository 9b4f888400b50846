"""LNSIM: the memorability of 2,632 outdoor photographs, public without an account.

Lu, Xu, Yang & Wang, "Understanding and Predicting the Memorability of Outdoor Natural Scenes" (IEEE Transactions on
Image Processing 29, 2020). Its repository holds `Image_data/0001.jpg` … and, in `Random_splits`, the scores by two
random halves of the people, 25 times over: matrices `subject_hrs1` and `subject_hrs2` (25, 2632), whose column i - 1
belongs to image i. At the pinned commit the photographs are there one by one; later ones have a zip in two volumes.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from memscore import archives, storage
from memscore.download import download, git_tree_id
from memscore.errors import InputError
from memscore.stimuli import tables
from memscore.stimuli.sources.folders import Images, folders_of
from memscore.stimuli.sources.table import with_splits

COMMIT = "27e8e4a54d2ef30afa84b30aa640778d16a7ddf2"
URL = f"https://github.com/JiaxinLu-home/Natural-Scene-Memorability-Dataset/archive/{COMMIT}.zip"
# Git tree ids of its folders at COMMIT: what GitHub packs may differ from day to day in bytes, not in files.
TREES = {
    "Image_data": "9c6a006e57698b6accab180f90c7345de8174e74",
    "Random_splits": "711c130b87eea84038741164d07d307a7db4e689",
}
HALVES = {"half_a": "subject_hrs1", "half_b": "subject_hrs2"}
N_IMAGES, N_HALVINGS = 2_632, 25
VOLUME = re.compile(r"\.z\d\d$", re.IGNORECASE)


def stage_dataset(
    table_path: Path, dataset: Mapping, seed: int, say: Callable[[str], None] = lambda message: None
) -> None:
    """Write the stimulus table of LNSIM, with made splits: from `directory:`, from `archive:`, or downloaded.

    An image's score is the mean of all its half scores; these are kept as `half_a_<k>` and `half_b_<k>`. Images stay
    where they are, or where the archive was unpacked.

    dataset : as in the config
    """
    downloaded = not dataset.keys() & {"directory", "archive"}
    if downloaded:
        url = dataset.get("url", URL)
        archive = download(url, downloads() / url.rpartition("/")[2], pinned=dataset.get("sha256"), say=say)
        dataset = {**dataset, "archive": str(archive)}
    folder = root(folders_of(dataset, say)[0])
    if downloaded and "url" not in dataset:
        verify(folder)
    halves = {column: read_halves(folder / "Random_splits" / f"{name}.mat", name) for column, name in HALVES.items()}
    images = find_images(folder, say)
    names = [f"{number:04d}" for number in range(1, N_IMAGES + 1)]
    paths = [images.find(f"{name}.jpg") for name in names]
    missing = [name for name, path in zip(names, paths, strict=True) if path is None]
    if missing:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(f"{images.folders[0]}: no image {missing[0]}.jpg{more}; copy the photographs again")
    table = pd.DataFrame({"stimulus_id": names, "path": paths})
    table["memorability"] = np.mean([half.mean(0) for half in halves.values()], axis=0)
    columns = {f"{column}_{k + 1}": row for column, half in halves.items() for k, row in enumerate(half)}
    table = with_splits(pd.concat([table, pd.DataFrame(columns)], axis=1), dataset, seed, folder)
    tables.write_table(table_path, table)


def downloads() -> Path:
    """The folder for its archive."""
    return storage.downloads() / "lnsim"


def root(folder: Path) -> Path:
    """The folder that holds `Random_splits`: the one given, or one inside it."""
    for found in (folder, *sorted(path for path in folder.iterdir() if path.is_dir())):
        if (found / "Random_splits").is_dir():
            return found
    raise InputError(f"{folder}: holds no folder Random_splits with subject_hrs1.mat; is it LNSIM, and whole?")


def verify(folder: Path) -> None:
    """Raise InputError where a folder's files are not those of the pinned commit."""
    for name, expected in TREES.items():
        found = git_tree_id(folder / name) if (folder / name).is_dir() else "none"
        if found != expected:
            raise InputError(
                f"{folder / name}: not as published (Git tree {found}, expected {expected}); delete {folder} and what "
                f"is in {downloads()}, and fetch it again"
            )


def read_halves(path: Path, name: str) -> np.ndarray:
    """The matrix `name` of a .mat file: a half's scores in [0, 1], float array of shape (25, 2632)."""
    from scipy.io import loadmat

    if not path.is_file():
        raise InputError(f"{path}: no such file; copy Random_splits whole")
    try:
        matrix = loadmat(path, variable_names=[name]).get(name)
    except Exception as error:  # a damaged file makes many kinds in scipy's reader
        problem = str(error).partition("\n")[0]
        raise InputError(f"{path}: cannot be read as a .mat file ({problem}); copy it again") from error
    shape = getattr(matrix, "shape", "no matrix")
    if shape != (N_HALVINGS, N_IMAGES):
        raise InputError(f"{path}: {name} is {shape}, expected {(N_HALVINGS, N_IMAGES)}; copy it again")
    if not ((matrix >= 0) & (matrix <= 1)).all():
        row, column = np.argwhere(~((matrix >= 0) & (matrix <= 1)))[0]
        raise InputError(f"{path}: {name} of image {column + 1} is {matrix[row, column]}; expected a score in [0, 1]")
    return matrix.astype(float)


def find_images(folder: Path, say: Callable[[str], None]) -> Images:
    """The photographs: in `Image_data`, or packed in a zip in there."""
    images = Images([folder / "Image_data"])
    packed = images.find("images.zip")
    if not packed or images.find("0001.jpg"):
        return images
    volumes = sorted(path for path in Path(packed).parent.iterdir() if VOLUME.search(path.name))
    return Images([archives.unpacked_volumes([*volumes, Path(packed)], say)])
