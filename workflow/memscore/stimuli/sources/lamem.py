"""LaMem as published: 58,741 images, five splits, and scores that belong to their split.

Khosla, Raju, Torralba & Oliva, "Understanding and Predicting Image Memorability at a Large Scale" (ICCV 2015). Its
archive holds `images/*.jpg` and `splits/{train,val,test}_{1..5}.txt`, lines `name score`. Each split has scores of its
own: of the 58,741 images, 57,926 have another score in split 2 than in split 1 (0.055 apart on average, r = 0.83,
whatever side they are on). A published result trains and tests on the scores of its split, so both are kept:
`memorability_<k>` as in split k, and `memorability`, their mean.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from memscore import storage
from memscore.download import download
from memscore.errors import InputError
from memscore.files import encoding_of
from memscore.stimuli import tables
from memscore.stimuli.sources.folders import Images, folders_of

URL = "http://memorability.csail.mit.edu/lamem.tar.gz"
SPLIT_FILE = re.compile(r"(train|val|test)_(\d+)\.txt")
N_IMAGES, SIZES = 58_741, {"train": 45_000, "val": 3_741, "test": 10_000}


def stage_dataset(
    table_path: Path, dataset: Mapping, seed: int, say: Callable[[str], None] = lambda message: None
) -> None:
    """Write the stimulus table of LaMem: from `directory:`, from `archive:`, or downloaded (from `url:` if given).

    Images stay where they are, or where the archive was unpacked. Raises InputError for the first line of a split
    that cannot be used; what is merely not as many as published is said.
    """
    if not dataset.keys() & {"directory", "archive"}:
        url = dataset.get("url", URL)
        archive = download(url, storage.downloads() / url.rpartition("/")[2], pinned=dataset.get("sha256"), say=say)
        dataset = {"archive": str(archive)}
    folder = root(folders_of(dataset, say)[0])
    columns = {k: read_split(files) for k, files in complete_splits(folder, say).items()}
    names = sorted(set().union(*columns.values()))
    images = find_images(names, columns, folder)
    table = pd.DataFrame({"stimulus_id": names, "path": images})
    scores = {f"memorability_{k}": [column[name].score for name in names] for k, column in columns.items()}
    table["memorability"] = pd.DataFrame(scores).mean(axis=1)
    sides = {f"split_{k}": [column[name].side for name in names] for k, column in columns.items()}
    table = pd.concat([table, pd.DataFrame(scores), pd.DataFrame(sides)], axis=1)
    say_counts(table, say)
    tables.write_table(table_path, table)


class Entry(NamedTuple):
    """One line of a split: on which side an image is, its score, and where that stands."""

    side: str
    score: float
    line: str


def root(folder: Path) -> Path:
    """The folder that holds `splits`: the one given, or one inside it."""
    for splits in sorted([folder / "splits", *folder.glob("*/splits")], key=lambda path: len(path.parts)):
        if splits.is_dir():
            return splits.parent
    raise InputError(f"{folder}: holds no folder splits with train_1.txt and so on; is it LaMem, and whole?")


def complete_splits(folder: Path, say: Callable[[str], None]) -> dict[int, dict[str, Path]]:
    """Files by side of each split that has all three, by the split's number."""
    found: dict[int, dict[str, Path]] = {}
    for path in sorted((folder / "splits").iterdir()):
        if match := SPLIT_FILE.fullmatch(path.name):
            found.setdefault(int(match[2]), {})[match[1]] = path
    for number in [number for number, files in found.items() if len(files) < len(SIZES)]:
        there = ", ".join(path.name for path in found.pop(number).values())
        say(f"{folder}/splits: split {number} is left out, of its three files there is only {there}")
    if not found:
        raise InputError(f"{folder}/splits: no split has all of train_1.txt, val_1.txt, test_1.txt; copy it again")
    return dict(sorted(found.items()))


def read_split(files: Mapping[str, Path]) -> dict[str, Entry]:
    """What a split says of each image by its name; no image may be there twice, on one side or on two."""
    entries: dict[str, Entry] = {}
    for side, path in files.items():
        for line, name, score in read_lines(path):
            if name in entries:
                raise InputError(f"{line}: {name} is also in {entries[name].line}; it belongs into one of them")
            entries[name] = Entry(side, score, line)
    return entries


def read_lines(path: Path) -> Iterator[tuple[str, str, float]]:
    """(`file: line n`, name, score) of each line `name score`; blank lines do not count."""
    # Not splitlines(), which takes some letters of Latin-1 for ends of a line.
    for number, text in enumerate(path.read_text(encoding=encoding_of(path)).split("\n"), start=1):
        if text.strip():
            line = f"{path}: line {number}"
            name, _, score = text.strip().replace("\t", " ").rpartition(" ")
            if not name:
                raise InputError(f"{line}: {text.strip()!r} is not a file name, a space and a score; copy it again")
            yield line, name.strip(), parse_score(score, line)


def parse_score(text: str, line: str) -> float:
    """A number in [0, 1]."""
    try:
        score = float(text)
    except ValueError:
        score = float("nan")
    if not 0 <= score <= 1:
        advice = "write a point for the decimal comma" if "," in text else "copy the file again"
        raise InputError(f"{line}: score is {text}, it must be a number in [0, 1]; {advice}")
    return score


def find_images(names: list[str], columns: Mapping[int, Mapping[str, Entry]], folder: Path) -> list[str]:
    """Path of each image; each must be there, and every split must say what it is."""
    images = Images([folder / "images"])
    paths = [images.find(name) for name in names]
    missing = [name for name, path in zip(names, paths, strict=True) if path is None]
    if missing:
        line = next(column[missing[0]].line for column in columns.values() if missing[0] in column)
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(f"{line}: no image {folder / 'images' / missing[0]}{more}; copy the images again")
    for number, column in columns.items():
        if len(column) < len(names):
            name = next(name for name in names if name not in column)
            line = next(other[name].line for other in columns.values() if name in other)
            raise InputError(f"{line}: {name} is not in split {number}; all splits must have the same images")
    return paths


def say_counts(table: pd.DataFrame, say: Callable[[str], None]) -> None:
    """Say what differs from what was published."""
    if len(table) != N_IMAGES:
        say(f"LaMem has {len(table):,} images here, {N_IMAGES:,} were published")
    for column in tables.split_columns(table):
        counts = table[column].value_counts()
        here = {side: int(counts.get(side, 0)) for side in SIZES}
        if here != SIZES:
            shown = [" / ".join(f"{n:,}" for n in sizes.values()) for sizes in (here, SIZES)]
            say(f"LaMem's {column} has {shown[0]} images to train, validate and test, {shown[1]} were published")
