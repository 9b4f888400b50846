"""Which state the image files of a stimulus set are in. Read while the DAG is built: nothing heavy is imported here."""

import csv
import hashlib
import os
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from memscore.errors import InputError


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
    return _digest((str(file), file) for file in _sorted_files(folder)) if folder else ""


def files_in(folder: str | Path) -> list[Path]:
    """All files in a folder and its subfolders but hidden ones, in the order of their paths.

    Raises InputError for a name that no table can hold.
    """
    found = _sorted_files(folder)
    for file in found:
        if not is_utf8(str(file)):
            shown = os.fsencode(file).decode("utf-8", "backslashreplace")
            raise InputError(f"{shown}: its name on the disk is not UTF-8; rename it (convmv -f latin1 -t utf8)")
    return found


def _sorted_files(folder: str | Path) -> list[Path]:
    return sorted(Path(parent, name) for parent, names in walk(folder) for name in names)


def walk(folder: str | Path) -> Iterator[tuple[str, list[str]]]:
    """A folder and each of its subfolders, with the names of the files there.

    Hidden ones and a Mac's extras are left out. Links are followed, but not up to a folder that holds them.
    """
    real = {str(folder): (os.path.realpath(folder),)}  # where each folder lies, and those that led to it
    for parent, below, names in os.walk(folder, followlinks=True):
        above = real.pop(parent)
        below[:] = sorted(name for name in below if not name.startswith(".") and name != "__MACOSX")
        for name in list(below):
            path = os.path.join(parent, name)
            target = os.path.realpath(path)
            if os.path.islink(path) and any(os.path.commonpath([target, each]) == target for each in above):
                below.remove(name)
            else:
                real[path] = (*above, target)
        yield parent, [name for name in names if not name.startswith(".")]


def is_utf8(name: str) -> bool:
    """Whether a name came from the disk without what stands for bytes that are no UTF-8."""
    return not any("\udc80" <= character <= "\udcff" for character in name)


@cache
def _of_images(table: str, state: tuple[str, str]) -> str:
    """`of_images` of the table that is in this state: planning asks for each of its files of pixels."""
    with open(table, newline="", encoding="utf-8") as file:
        return _digest((row["path"], Path(table).parent / row["path"]) for row in csv.DictReader(file))


def _digest(files: Iterable[tuple[str, Path]]) -> str:
    """A hash of the names that files go by and of the states that they are in."""
    digest = hashlib.sha256()
    for name, file in files:
        digest.update("\t".join([name, *of_file(file), "\n"]).encode(errors="surrogateescape"))
    return digest.hexdigest()
