"""Archives of others are unpacked whole and inside their folder, or not at all."""

import hashlib
import io
import shutil
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from memscore import archives, job, storage
from memscore.errors import InputError

NOISE = np.random.default_rng(0).bytes(400_000)
FILES = {"images/00000001.jpg": b"one", "images/a b.JPG": NOISE, "splits/train_1.txt": b"", "tête.jpg": b"t"}


def member(name, kind=tarfile.REGTYPE, **fields) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def write_tar(path, contents=FILES, extra=(), mode="w:gz", **options):
    with tarfile.open(path, mode, **options) as archive:
        archive.addfile(member("./", tarfile.DIRTYPE, mode=0o000))
        for name, content in contents.items():
            archive.addfile(member(name, size=len(content), mode=0o000), io.BytesIO(content))
        for info in extra:
            archive.addfile(info, io.BytesIO(bytes(info.size)))
    return path


def write_zip(path, contents=FILES, extra=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("images/", b"")
        for name, content in contents.items():
            archive.writestr(name, content)
        for info, content in extra:
            archive.writestr(info, content)
    return path


def files(folder) -> dict:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refusal(archive, folder) -> str:
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(InputError) as caught:
        archives.unpack(archive, folder)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    assert message.startswith(f"{archive}: ")
    assert sorted(folder.parent.rglob("*")) == before, "nothing is left"
    return message


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.tar", lambda path: write_tar(path, mode="w")),
        ("a.tar.gz", write_tar),
        ("a.tar.xz", lambda path: write_tar(path, mode="w:xz")),
        ("a.tgz", lambda path: write_tar(path, format=tarfile.GNU_FORMAT)),
        ("a.zip", write_zip),
        ("misnamed", write_zip),
    ],
)
def test_unpacked_as_packed(tmp_path, name, write):
    write(tmp_path / name)
    archives.unpack(tmp_path / name, tmp_path / "new/folder")
    assert files(tmp_path / "new/folder") == FILES
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["folder"]
    assert stat.S_IMODE((tmp_path / "new/folder/images").stat().st_mode) & 0o700 == 0o700


def test_names_in_latin_1_become_utf_8(tmp_path):
    names = ["forêt/été 1.JPG", "日本.jpg"]
    write_tar(tmp_path / "a.tar", {names[0]: b"x"}, mode="w", format=tarfile.GNU_FORMAT, encoding="latin-1")
    archives.unpack(tmp_path / "a.tar", tmp_path / "a")
    assert list(files(tmp_path / "a")) == names[:1]
    # A name of bytes, as old Info-ZIP wrote it: not marked as UTF-8.
    raw = write_zip(tmp_path / "b.zip", {"for?t.jpg": b"x", names[1]: b"y"}).read_bytes()
    (tmp_path / "b.zip").write_bytes(raw.replace(b"for?t", "forêt".encode("latin-1")))
    archives.unpack(tmp_path / "b.zip", tmp_path / "b")
    assert sorted(files(tmp_path / "b")) == ["forêt.jpg", names[1]]


@pytest.mark.parametrize("name", ["../evil.jpg", "images/../../evil.jpg", "/tmp/evil.jpg", "..", "images/.."])
def test_outside_its_folder_is_refused(tmp_path, name):
    write_tar(tmp_path / "a.tar.gz", extra=[member(name, size=3)])
    write_zip(tmp_path / "a.zip", extra=[(zipfile.ZipInfo(name), b"x")])
    for archive in (tmp_path / "a.tar.gz", tmp_path / "a.zip"):
        message = refusal(archive, tmp_path / "deep/folder")
        assert f"{name!r} would be written outside its folder" in message


NOT_PLAIN = {
    "link to a file": member("evil", tarfile.SYMTYPE, linkname="/etc/passwd"),
    "link to a folder": member("evil", tarfile.SYMTYPE, linkname="images"),
    "hard link": member("evil", tarfile.LNKTYPE, linkname="images/00000001.jpg"),
    "character device": member("evil", tarfile.CHRTYPE),
    "block device": member("evil", tarfile.BLKTYPE),
    "pipe": member("evil", tarfile.FIFOTYPE),
    "link in a zip": stat.S_IFLNK,
    "pipe in a zip": stat.S_IFIFO,
    "block device in a zip": stat.S_IFBLK,
}


@pytest.mark.parametrize("evil", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_links_and_devices_are_refused(tmp_path, evil):
    if isinstance(evil, tarfile.TarInfo):
        write_tar(tmp_path / "a", extra=[evil])
    else:
        info = zipfile.ZipInfo("evil")
        info.external_attr = (evil | 0o777) << 16
        write_zip(tmp_path / "a", extra=[(info, b"/etc/passwd")])
    assert "'evil' is a link or a device" in refusal(tmp_path / "a", tmp_path / "deep/folder")


def cut(share):
    return lambda whole: whole[: int(share * len(whole))]


def one_bit_flipped(whole):
    middle = len(whole) // 2
    return whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]


@pytest.mark.parametrize("write", [write_tar, write_zip])
@pytest.mark.parametrize(
    "spoil", [*map(cut, (0.0, 0.001, 0.5, 0.9, 0.999)), one_bit_flipped, lambda whole: b"<html>Log in</html>" * 99]
)
def test_what_is_not_whole_is_refused(tmp_path, write, spoil):
    path = write(tmp_path / "archive")
    path.write_bytes(spoil(path.read_bytes()))
    assert "not a whole archive" in refusal(path, tmp_path / "deep/folder")


def test_a_file_in_the_place_of_a_folder_is_refused(tmp_path):
    path = write_tar(tmp_path / "a.tar", {"images": b"x", "images/1.jpg": b"y"}, mode="w")
    assert "a file where it has a folder" in refusal(path, tmp_path / "deep/folder")


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_more_than_any_image_set_has_is_refused(tmp_path, monkeypatch, write):
    """By what the archive declares, before it is unpacked; what fits to the byte is."""
    archive, size = write(tmp_path / "a"), sum(map(len, FILES.values()))
    monkeypatch.setattr(archives, "MOST_BYTES", size - 1)
    assert "holds more than" in refusal(archive, tmp_path / "new")
    monkeypatch.setattr(archives, "MOST_BYTES", size)
    archives.unpack(archive, tmp_path / "new")
    assert files(tmp_path / "new") == FILES


def test_more_than_an_archive_declares_is_not_written(tmp_path):
    with open(tmp_path / "content", "wb") as file:
        file.write(bytes(3 * archives.CHUNK_BYTES))
    with open(tmp_path / "content", "rb") as content:
        assert archives._write(tmp_path / "out", content, room=10) > 10
    assert (tmp_path / "out").stat().st_size <= archives.CHUNK_BYTES


def made() -> list[Path]:
    """What is in the folder for what is unpacked, but for locks."""
    return [path for path in storage.unpacked().iterdir() if path.suffix != ".lock"]


def test_unpacked_once_by_content(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "shared", tmp_path)
    first = archives.unpacked(write_tar(tmp_path / "lamem.tar.gz"))
    assert str(first).startswith(f"{tmp_path}/unpacked/lamem-")
    (first / "mark").touch()
    assert archives.unpacked(tmp_path / "lamem.tar.gz") == first
    assert (first / "mark").exists()
    second = archives.unpacked(write_tar(tmp_path / "lamem.tar.gz", {"a": b"b"}))
    assert second != first
    assert files(second) == {"a": b"b"}


def test_pinned_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(storage, "shared", tmp_path)
    path = write_zip(tmp_path / "a.zip")
    assert archives.unpacked(path, hashlib.sha256(path.read_bytes()).hexdigest()).is_dir()
    with pytest.raises(InputError, match=r"a\.zip: has SHA-256 .* sha256: in the config says 000"):
        archives.unpacked(path, "0" * 64)


def test_progress(tmp_path, monkeypatch):
    monkeypatch.setattr(job, "PROGRESS_SECONDS", 0.0)
    for path in (write_tar(tmp_path / "a.tar.gz"), write_zip(tmp_path / "a.zip")):
        said = []
        archives.unpack(path, tmp_path / f"{path.name} unpacked", said.append)
        assert said[-1].startswith(f"unpacking {path}: 0/0 MB (")


# Zip in volumes


@pytest.fixture
def volumes(tmp_path):
    """Info-ZIP's own: 400 kB in volumes of 64 kB, photographs.z01 … photographs.zip."""
    if not shutil.which("zip"):
        pytest.skip("no Info-ZIP zip on this machine, which makes zips in volumes")
    source = tmp_path / "source"
    for name, content in FILES.items():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(content)
    packed = tmp_path / "packed"
    packed.mkdir()
    command = ["zip", "-q", "-r", "-s", "64k", packed / "photographs.zip", "."]
    subprocess.run(command, cwd=source, check=True)
    parts = sorted(packed.iterdir())
    assert [path.name for path in (*parts[:2], parts[-1])] == [f"photographs.{end}" for end in ("z01", "z02", "zip")]
    assert len(parts) > 5
    return parts


def test_a_zip_in_volumes_is_unpacked_as_one(volumes, tmp_path, monkeypatch):
    """Whole by the word of Info-ZIP; what its own `zip -s-` makes of these does not decompress (zip 3.0)."""
    monkeypatch.chdir(tmp_path)
    folder = archives.unpacked_volumes(volumes)
    assert files(folder) == FILES
    assert archives.unpacked_volumes(volumes) == folder
    assert made() == [folder]
    archives.join(volumes, tmp_path / "joined.zip")
    subprocess.run(["zip", "-q", "-T", "joined.zip"], check=True)


def test_volumes_that_are_not_all_there_are_refused(volumes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    damaged = bytearray(volumes[2].read_bytes())
    damaged[1000:1100] = bytes(100)
    (tmp_path / "damaged").write_bytes(damaged)
    for words, given in (
        ("others are beside it; copy photographs.z01 and so on too", volumes[1:]),
        ("photographs.z01: not a whole archive", [*volumes[:-1], volumes[0]]),
        ("photographs.zip: not a whole archive", [*volumes[:2], tmp_path / "damaged", *volumes[3:]]),
    ):
        with pytest.raises(InputError, match=words):
            archives.unpacked_volumes(given)
        assert made() == []
