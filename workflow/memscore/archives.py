"""Unpacking other people's archives: files and folders below one folder, or nothing."""

import gzip
import hashlib
import os
import re
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from typing import IO

from memscore import storage
from memscore.errors import InputError
from memscore.files import MOST_BYTES, enough_room, sha256, temporary_for
from memscore.job import every_few_seconds

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
    folder = storage.unpacked() / f"{SUFFIX.sub('', Path(archive).name)}-{digest[:12]}"
    with storage.one_at_a_time(folder, say):
        if not folder.is_dir():
            unpack(archive, folder, say)
    return folder


def unpacked_volumes(volumes: Sequence[Path], say: Callable[[str], None] = lambda message: None) -> Path:
    """The folder with what a zip in volumes holds (`.z01`, `.z02`, …, `.zip` last), unpacked unless it is there."""
    digest = hashlib.sha256("".join(map(sha256, volumes)).encode()).hexdigest()
    folder = storage.unpacked() / f"{volumes[-1].stem}-{digest[:12]}"
    with storage.one_at_a_time(folder, say):
        if not folder.is_dir():
            unpack_volumes(volumes, folder, say)
    return folder


def unpack_volumes(volumes: Sequence[Path], folder: Path, say: Callable[[str], None]) -> None:
    """Unpack a zip in volumes to a folder that is not there yet, as `unpack` does."""
    joined = temporary_for(folder.with_name(f"{folder.name}.zip"))
    joined.parent.mkdir(parents=True, exist_ok=True)
    try:
        with enough_room(folder, "make room and start again"):
            join(volumes, joined)
        unpack(joined, folder, say, called=volumes[-1])
    finally:
        joined.unlink(missing_ok=True)


def join(volumes: Sequence[Path], path: Path) -> None:
    """Write a zip's volumes into one file, as `zip -s- --out` does, whose directory says where members begin in it.

    PKWARE's APPNOTE 6.3, sections 4.3.12 and 4.3.16. Raises InputError where a volume is missing, or for ZIP64.
    """
    last, starts = volumes[-1], [0]
    with open(path, "w+b") as file:
        for volume in volumes:
            with open(volume, "rb") as part:
                shutil.copyfileobj(part, file, CHUNK_BYTES)
            starts.append(file.tell())
        file.seek(max(0, starts[-1] - 65_557))  # the end of a directory and the longest comment
        end = file.tell()
        tail = file.read()
        found = tail.rfind(b"PK\x05\x06")
        if found < 0 or len(tail) - found < 22:
            raise InputError(f"{last}: not a whole archive; copy or download it again")
        number, begun, _, n_members, size, offset = struct.unpack_from("<4H2I", tail, found + 4)
        if 0xFFFF in (number, n_members) or 0xFFFFFFFF in (size, offset):
            raise InputError(f"{last}: too large to join; join it by hand: zip -s- {last.name} --out joined.zip")
        if number + 1 != len(volumes):
            raise InputError(
                f"{last}: is volume {number + 1} of its archive, and {len(volumes) - 1} others are beside it; copy "
                f"{last.stem}.z01 and so on too"
            )
        directory_start = starts[begun] + offset
        file.seek(directory_start)
        directory = bytearray(file.read(size))
        at = 0
        while at + 46 <= len(directory):
            lengths = struct.unpack_from("<3H", directory, at + 28)
            (volume,), (begins,) = (struct.unpack_from(kind, directory, at + k) for kind, k in (("<H", 34), ("<I", 42)))
            struct.pack_into("<H", directory, at + 34, 0)
            struct.pack_into("<I", directory, at + 42, begins + starts[min(volume, number)])
            at += 46 + sum(lengths)
        file.seek(directory_start)
        file.write(directory)
        file.seek(end + found + 4)
        file.write(struct.pack("<4H2I", 0, 0, n_members, n_members, size, directory_start))


def unpack(
    archive: str | Path,
    folder: Path,
    say: Callable[[str], None] = lambda message: None,
    called: str | Path | None = None,
) -> None:
    """Unpack a whole archive to a folder that is not there yet.

    called : what its user calls it, where that is not `archive`

    Raises InputError, and leaves nothing, for an archive that is not whole, that holds anything but files and folders
    below it, or more than `MOST_BYTES` of them. Checked here, since tarfile's filters came with Python 3.11.4.
    """
    source = str(called or archive)
    temporary = temporary_for(folder)
    temporary.mkdir(parents=True)
    try:
        with enough_room(folder, "make room and start again"), open(archive, "rb") as file:
            progress = every_few_seconds(say, f"unpacking {source}", os.path.getsize(archive), 0, MEGABYTE, " MB")
            room = MOST_BYTES
            for name, declared, content in _members(file, source):
                _refuse_bomb(declared <= room, source)
                # What is declared may be less than what comes.
                room -= _write(temporary / _inside(name, source), content, room)
                _refuse_bomb(room >= 0, source)
                progress(file.tell())
        # Another job may have unpacked the same archive meanwhile.
        if not folder.is_dir():
            os.replace(temporary, folder)
    except BROKEN as error:
        raise InputError(f"{source}: not a whole archive ({_first_line(error)}); copy or download it again") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise InputError(f"{source}: has a file where it has a folder ({error}); pack it again") from error
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
