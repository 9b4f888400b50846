"""Writing files so that a killed job leaves nothing that looks finished."""

import csv
import errno
import hashlib
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from secrets import token_hex
from socket import gethostname
from typing import BinaryIO

from memscore import wanted
from memscore.errors import InputError

# More than any image set has, LaMem's 3 GB among them: what is larger is an attack or a mistake.
MOST_BYTES = 200 * 10**9
TEMPORARY = re.compile(r"\..+-\d+-[0-9a-f]{8}\..+")
HOUR = 3600  # seconds
# Columns of results that name something.
NAMES = (
    "model",
    "layer",
    "control",
    "benchmark",
    "region",
    "scope",
    "best",
    "other",
    "dataset",
    "fitted",
    "tested",
    "rho",
    "stimulus_id",
)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to `path` when the block ends without an error.

    The temporary name keeps the suffix, because writers choose their format by it. An OSError names `path`; in a job
    whose run is over, an InputError says so, and what is there stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_for(path)
    try:
        yield temporary
        wanted.check()
        os.replace(temporary, path)
    except OSError as error:
        # Without a number it has words of its own, which a name would replace.
        if error.errno and error.filename in (None, str(temporary), temporary):
            error.filename = str(path)
        raise
    finally:
        temporary.unlink(missing_ok=True)


def temporary_for(path: Path) -> Path:
    """A hidden name beside `path`. Two containers, or two nodes, may have one process number: it is no other's."""
    return path.with_name(f".{gethostname()}-{os.getpid()}-{token_hex(4)}.{path.name}")


def sweep(*folders: str) -> None:
    """Remove what killed jobs left half-written below `folders`: temporary files and folders untouched for an hour.

    Jobs of a run whose scheduler was killed may still write: what they write is young.
    """
    for folder in filter(os.path.isdir, folders):
        limit = now_in(folder) - HOUR
        for place, inner, names in os.walk(folder):
            for name in filter(TEMPORARY.fullmatch, [*inner, *names]):
                path = Path(place, name)
                if newest(path) < limit:
                    with suppress(OSError):  # Another user's, in a folder that is shared.
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
            inner[:] = [name for name in inner if not TEMPORARY.fullmatch(name)]


def check_writable(*folders: str) -> None:
    """Raise InputError for the first of `folders` that is there and may not be written to."""
    for folder in filter(os.path.isdir, folders):
        try:
            tempfile.TemporaryFile(dir=folder).close()
        except OSError as error:
            if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
                raise InputError(
                    f"{folder}: {error.strerror}; make it writable, and give the same command again"
                ) from None


def now_in(folder: str) -> float:
    """The time by the clock that a folder's files get theirs from: a file server's may be hours from this machine's."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            return os.fstat(file.fileno()).st_mtime
    except OSError:  # A full disk, or a folder to read only.
        return time.time()


def newest(path: Path) -> float:
    """When a file, or anything in a folder, was last written; a file that vanished meanwhile is as good as new."""
    try:
        return max(each.lstat().st_mtime for each in (path, *path.rglob("*")))
    except FileNotFoundError:
        return time.time()


@contextmanager
def enough_room(path: str | Path, advice: str) -> Iterator[None]:
    """Where the disk (or the user's share of it) is full, the InputError names `path` and says what `advice` says."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InputError(f"{path}: no room left on the disk; {advice}") from error


def claim(file: BinaryIO, n_bytes: int, what: str) -> None:
    """Claim the space of a job's temporary file at once: a disk that is full later would kill it without a word."""
    try:
        reserve(file, n_bytes)
    except OSError as error:
        raise InputError(
            f"no room for {n_bytes / 1e9:.1f} GB of {what} in the job's tmpdir ({error.strerror}); lower "
            "scratch_gb under resources in the config, or name another with --default-resources tmpdir=..."
        ) from error


def reserve(file: BinaryIO, n_bytes: int) -> None:
    """Take a file's space on its disk, where the system can; OSError where there is not as much."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, n_bytes)


def encoding_of(path: str | Path) -> str:
    """Encoding of a text file of others: UTF-8 (with or without a byte order mark), or else Latin-1."""
    try:
        Path(path).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8-sig"


def sha256(path: str | Path) -> str:
    """Hex digest of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_rows(path: str | Path, rows: list[dict]) -> None:
    """Write dictionaries with equal keys as CSV; NaN and None become empty cells."""
    with replacing(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows({k: "" if v is None or v != v else v for k, v in row.items()} for row in rows)


def read_frame(path: str | Path):
    """A table of results: names are text whatever they look like (`NA`, `007`), and only an empty cell is missing.

    One that is cut short is removed, and an InputError says so: the same command makes it again.
    """
    import pandas as pd

    raw = Path(path).read_bytes()
    if wrong := cut_short(raw):
        Path(path).unlink(missing_ok=True)
        raise InputError(f"{path}: {wrong}; it is removed: give the same command again, which makes it anew")
    return pd.read_csv(
        BytesIO(raw),
        dtype=dict.fromkeys(NAMES, str),
        keep_default_na=False,
        na_values=[""],
        float_precision="round_trip",
    )


def cut_short(raw: bytes) -> str | None:
    """What is wrong with a table of results that was not written to its end; None where nothing is."""
    if not raw:
        return "the file is empty"
    if not raw.endswith(b"\n"):
        return "it ends in the middle of a row"
    if b"\0" in raw:  # What some file systems leave of a file after a power cut.
        return "it holds zeros instead of text"
    return None


def write_frame(path: str | Path, frame) -> None:
    """Write a pandas table as CSV without its index."""
    with replacing(path) as temporary:
        frame.to_csv(temporary, index=False)
