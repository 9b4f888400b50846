"""Where a data set's files are: published in one layout, unpacked in another, renamed by some system on the way."""

import os
import unicodedata
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from memscore import archives
from memscore.errors import InputError
from memscore.stimuli.state import is_utf8, walk


def folders_of(dataset: Mapping, say: Callable[[str], None]) -> list[Path]:
    """The folders with a data set's files: `directory:` as it is, or what `archive:` (one or several) holds."""
    if "directory" in dataset:
        return [Path(dataset["directory"])]
    return [archives.unpacked(archive, dataset.get("sha256"), say) for archive in archives_of(dataset)]


def archives_of(dataset: Mapping) -> list[str]:
    """The paths under `archive:`, which is one or a list."""
    named = dataset.get("archive", [])
    return [named] if isinstance(named, str) else list(named)


class Images:
    """The files of some folders and their subfolders by name; hidden ones and a Mac's extras are left out."""

    def __init__(self, folders: list[Path]):
        self.folders = folders
        self.paths: dict[str, list[str]] = {}
        for folder in folders:
            for parent, names in walk(folder.absolute()):
                for name in names:
                    self.paths.setdefault(canonical(name), []).append(os.path.join(parent, name))

    def find(self, name: str, *above: str) -> str | None:
        """Path of the image `name`, None if there is none.

        Of several that are called so, the one below the folders `above`, or else the one spelt exactly so. Raises
        InputError where several remain, or where the name on the disk is not UTF-8.
        """
        found = self.paths.get(canonical(os.path.basename(name)), [])
        for matches in (
            lambda path: path.split(os.sep)[-len(above) - 1 : -1] == list(above) if above else True,
            lambda path: path.endswith(os.sep + name),
        ):
            if len(found) > 1:
                found = [path for path in found if matches(path)] or found
        if len(found) > 1:
            raise InputError(f"{found[0]}: is also {found[1]}; which one {name} is, nothing says: remove one")
        if found and not is_utf8(found[0]):
            shown = os.fsencode(found[0]).decode("latin-1")
            raise InputError(f"{shown}: its name on the disk is not UTF-8; rename it (convmv -f latin1 -t utf8)")
        return found[0] if found else None


def as_spelt(folder: Path, path: str) -> Path | None:
    """The file that `path` means below `folder`, however accents and the suffix are spelt on the disk; None if none.

    Raises InputError where it means several and none exactly.
    """
    if os.path.isfile(folder / path):
        return folder / path
    found = Path(folder)
    for name in Path(path).parts:
        if not os.path.exists(found / name):
            there = [other for other in sorted(_names_in(found)) if canonical(other) == canonical(name)]
            if len(there) > 1:
                raise InputError(
                    f"{found / there[0]}: is also {there[1]}; which one {path} is, nothing says: remove one"
                )
            if not there:
                return None
            name = there[0]
        found /= name
    return found if found.is_file() else None


@cache
def _names_in(folder: Path) -> list[str]:
    return os.listdir(folder) if folder.is_dir() else []


def canonical(name: str) -> str:
    """Names that mean one file: accents composed or not, bytes of Latin-1, .JPG and .jpg."""
    if not is_utf8(name):
        name = os.fsencode(name).decode("latin-1")
    stem, suffix = os.path.splitext(unicodedata.normalize("NFC", name))
    return stem + suffix.lower()
