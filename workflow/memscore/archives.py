"""Unpacking other people's archives: files and folders below one folder, or nothing."""

import gzip
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO

from memscore.errors import InputError
from memscore.files import MOST_BYTES, enough_room, sha256, temporary_for
from memscore.job import every_few_seconds

UNPACKED = Path("resources/unpacked")
CHUNK_BYTES = 1 << 20
MEGABYTE = 10**6
SUFFIX = re.compile(r"(\.tar)?\.[A-Za-z0-9]+$")
# What the standard library raises for archives that are cut off, damaged or of another kind; and encrypted.
DAMAGED = (tarfile.TarError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, LZMAError, EOFError)
BROKEN = (*DAMAGED, RuntimeError, NotImplementedError)


def unpacked(archive: str | Path, pinned: str | None = None, say: Callable[[str], None] = lambda message: None) -> Path:
    """The folder with what a tar (.gz, .bz2, .xz) or zip holds, unpacked unless it is there.

    It is named by the archive's content: an archive that changes is unpacked anew, one that two stimulus sets share
    only once. pinned : SHA-256 that it must have, None for any
    """
    digest = sha256(archive)
    if pinned and digest != pinned:
        raise InputError(f"{archive}: has SHA-256 {digest}, sha256: in the config says {pinned}; correct one of them")
    folder = UNPACKED / f"{SUFFIX.sub('', Path(archive).name)}-{digest[:12]}"
    if not folder.is_dir():
        unpack(archive, folder, say)
    return folder


def unpack(archive: str | Path, folder: Path, say: Callable[[str], None] = lambda message: None) -> None:
    """Unpack a whole archive to a folder that is not there yet.

    Raises InputError, and leaves nothing, for an archive that is not whole, that holds anything but files and folders
    below it, or more than `MOST_BYTES` of them. Checked here, since tarfile's filters came with Python 3.11.4.
    """
    temporary = temporary_for(folder)
    temporary.mkdir(parents=True)
    try:
        with enough_room(folder, "make room and start again"), open(archive, "rb") as file:
            progress = every_few_seconds(say, f"unpacking {archive}", os.path.getsize(archive), 0, MEGABYTE, " MB")
            room = MOST_BYTES
            for name, declared, content in _members(file, str(archive)):
                _refuse_bomb(declared <= room, str(archive))
                # What is declared may be less than what comes.
                room -= _write(temporary / _inside(name, str(archive)), content, room)
                _refuse_bomb(room >= 0, str(archive))
                progress(file.tell())
        # Another job may have unpacked the same archive meanwhile.
        if not folder.is_dir():
            os.replace(temporary, folder)
    except BROKEN as error:
        raise InputError(f"{archive}: not a whole archive ({_first_line(error)}); copy or download it again") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise InputError(f"{archive}: has a file where it has a folder ({error}); pack it again") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _members(file: IO[bytes], source: str) -> Iterator[tuple[str, int, IO[bytes] | None]]:
    """(name, bytes declared, its content, None of a folder) of every member; refuses what is no file or folder."""
    if file.read(2) == b"PK":
        with zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                # The upper half is the Unix mode; systems without one leave it empty.
                kind = stat.S_IFMT(info.external_attr >> 16)
                _refuse_unless(kind in (0, stat.S_IFREG, stat.S_IFDIR), source, info.filename)
                if info.is_dir():
                    yield _text(info), 0, None
                else:
                    with archive.open(info) as content:
                        yield _text(info), info.file_size, content
        return
    file.seek(0)
    with tarfile.open(fileobj=file) as archive:
        for info in archive:
            _refuse_unless(info.isreg() or info.isdir(), source, info.name)
            yield _utf8(os.fsencode(info.name)), info.size, archive.extractfile(info)
        # What compression says of the whole stands at its end.
        while archive.fileobj.read(CHUNK_BYTES):
            pass


def _refuse_unless(plain: bool, source: str, name: str) -> None:
    if not plain:
        raise InputError(f"{source}: {name!r} is a link or a device; only files and folders are unpacked")


def _refuse_bomb(fits: bool, source: str) -> None:
    if not fits:
        raise InputError(f"{source}: holds more than {MOST_BYTES / 1e9:g} GB; unpack it by hand if you trust it")


def _text(info: zipfile.ZipInfo) -> str:
    """Name of a member; unless it is marked as UTF-8, zipfile has read its bytes as code page 437."""
    return info.filename if info.flag_bits & 0x800 else _utf8(info.filename.encode("cp437"))


def _utf8(name: bytes) -> str:
    """Old archives have names in Latin-1, which no table in UTF-8 could name."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        return name.decode("latin-1")


def _inside(name: str, source: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{source}: {name!r} would be written outside its folder; do not trust this archive")
    return path


def _write(path: Path, content: IO[bytes] | None, room: int) -> int:
    """Write a member, or as much of it as shows that it has more than `room` bytes; how many were written."""
    if content is None:
        path.mkdir(parents=True, exist_ok=True)
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        while file.tell() <= room and (chunk := content.read(CHUNK_BYTES)):
            file.write(chunk)
        return file.tell()


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
