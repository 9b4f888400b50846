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


OUTSIDE = ["../evil.jpg", "images/../../evil.jpg", "/tmp/evil.jpg", "..", "images/.."]
NOT_PLAIN = {
    "link to a file": member("evil", tarfile.SYMTYPE, linkname="/etc/passwd"),
    "link to a folder": member("images2", tarfile.SYMTYPE, linkname="images"),
    "hard link": member("evil", tarfile.LNKTYPE, linkname="images/00000001.jpg"),
    "character device": member("evil", tarfile.CHRTYPE),
    "block device": member("evil", tarfile.BLKTYPE),
    "pipe": member("evil", tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_outside_its_folder_is_refused(tmp_path, name):
    write_tar(tmp_path / "a.tar.gz", extra=[member(name, size=3)])
    message = refusal(tmp_path / "a.tar.gz", tmp_path / "deep/folder")
    assert repr(name) in message
    assert "outside its folder" in message
    write_zip(tmp_path / "a.zip", extra=[(zipfile.ZipInfo(name), b"x")])
    assert repr(name) in refusal(tmp_path / "a.zip", tmp_path / "deep/folder")


@pytest.mark.parametrize("info", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_links_and_devices_are_refused(tmp_path, info):
    message = refusal(write_tar(tmp_path / "a.tar.gz", extra=[info]), tmp_path / "deep/folder")
    assert repr(info.name) in message
    assert "a link or a device" in message


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFBLK])
def test_links_in_a_zip_are_refused(tmp_path, kind):
    info = zipfile.ZipInfo("evil")
    info.external_attr = (kind | 0o777) << 16
    message = refusal(write_zip(tmp_path / "a.zip", extra=[(info, b"/etc/passwd")]), tmp_path / "deep/folder")
    assert "'evil' is a link or a device" in message


def test_a_link_that_the_system_wrote(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/evil").symlink_to("/etc")
    subprocess.run(["tar", "-czf", tmp_path / "a.tar.gz", "-C", tmp_path / "in", "."], check=True)
    assert "evil' is a link" in refusal(tmp_path / "a.tar.gz", tmp_path / "deep/folder")


@pytest.mark.parametrize("write", [write_tar, write_zip])
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.9, 0.999])
def test_cut_off_is_refused(tmp_path, write, share):
    path = write(tmp_path / "archive")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert "not a whole archive" in refusal(path, tmp_path / "deep/folder")


@pytest.mark.parametrize("write", [write_tar, write_zip])
def test_damaged_is_refused(tmp_path, write):
    path = write(tmp_path / "archive")
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(whole)
    assert "not a whole archive" in refusal(path, tmp_path / "deep/folder")


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.tar.gz").write_text("<html>Please log in</html>" * 100)
    assert "not a whole archive" in refusal(tmp_path / "a.tar.gz", tmp_path / "deep/folder")


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
    assert first.parent == tmp_path / "unpacked"
    assert first.name.startswith("lamem-")
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
    command = ["zip", "-q", "-r", "-s", "64k", str(packed / "photographs.zip"), "."]
    subprocess.run(command, cwd=source, check=True)
    names = sorted(packed.iterdir())
    assert [path.name for path in names[:2]] == ["photographs.z01", "photographs.z02"]
    assert len(names) > 5
    return [*names[:-1], packed / "photographs.zip"]


def test_a_zip_in_volumes_is_unpacked_as_one(volumes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = archives.unpacked_volumes(volumes)
    assert files(folder) == FILES
    assert archives.unpacked_volumes(volumes) == folder
    assert made() == [folder]


def test_volumes_joined_are_one_whole_zip(volumes, tmp_path):
    """By the word of Info-ZIP; what its own `zip -s-` makes of these does not decompress (zip 3.0)."""
    joined = tmp_path / "joined.zip"
    archives.join(volumes, joined)
    subprocess.run(["zip", "-q", "-T", str(joined)], check=True)
    with zipfile.ZipFile(joined) as archive:
        assert {archive.read(name) for name in archive.namelist() if not name.endswith("/")} == set(FILES.values())


def test_volumes_that_are_not_all_there_are_refused(volumes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cases = {
        "others are beside it; copy photographs.z01 and so on too": volumes[1:],
        "not a whole archive": [*volumes[:-1], volumes[0]],
    }
    for words, given in cases.items():
        with pytest.raises(InputError, match=words):
            archives.unpacked_volumes(given)
        assert made() == []
    middle = bytearray(volumes[2].read_bytes())
    middle[1000:1100] = bytes(100)
    volumes[2].write_bytes(middle)
    with pytest.raises(InputError, match=r"photographs.zip: not a whole archive"):
        archives.unpacked_volumes(volumes)
    assert made() == []
