"""Which state the image files of a stimulus set are in. Read while the DAG is built: nothing heavy is imported here."""

import csv
import hashlib
import os
from collections.abc import Iterable
from functools import cache
from pathlib import Path


def of_file(path: str | Path) -> tuple[str, str]:
    """(bytes, nanoseconds since 1970 when it was last written), empty for a file that is not there."""
    try:
        status = os.stat(path)
    except OSError:
        return "", ""
    return str(status.st_size), str(status.st_mtime_ns)


def of_images(table: str) -> str:
    """A hash of the state of all images that a stimulus table names, without reading them; empty before it is there."""
    return _of_images(table, of_file(table)) if os.path.isfile(table) else ""


def of_folder(folder: str | None) -> str:
    """A hash of names and states of all files in a folder and its subfolders, hidden ones left out; empty of none."""
    return _digest((str(file), file) for file in files_in(folder)) if folder else ""


def files_in(folder: str | Path) -> list[Path]:
    """All files in a folder and its subfolders but hidden ones, in the order of their paths."""
    found = (Path(parent, name) for parent, _, names in os.walk(folder, followlinks=True) for name in names)
    return sorted(f for f in found if not any(part.startswith(".") for part in f.relative_to(folder).parts))


@cache
def _of_images(table: str, state: tuple[str, str]) -> str:
    """`of_images` of the table that is in this state: planning asks for each of its files of pixels."""
    with open(table, newline="", encoding="utf-8") as file:
        return _digest((row["path"], Path(table).parent / row["path"]) for row in csv.DictReader(file))


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    """A hash of the names that files go by and of the states that they are in."""
    digest = hashlib.sha256()
    for name, file in files:
        digest.update("\t".join([name, *of_file(file), "\n"]).encode())
    return digest.hexdigest()
