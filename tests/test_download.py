"""Downloads from a server on loopback: broken off and resumed, trusted once, and refused when they change."""

import errno
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest

from memscore import download, job
from memscore.errors import InputError

CONTENT = np.random.default_rng(0).bytes(3_000_000)


DATE = {"Last-Modified": "Wed, 25 Nov 2015 18:40:00 GMT"}
TAG = {"ETag": '"first"'}


class Shelf:
    """A file as web servers offer it; `sent` counts the bytes of each answer."""

    def __init__(self, content=CONTENT):
        self.content, self.ranges, self.sent, self.validators = content, True, [], TAG | DATE

    def answer(self, method, path, headers):
        if path != "/lamem.tar.gz":
            return 404, {}, b""
        match = re.fullmatch(r"bytes=(\d+)-", headers.get("Range", ""))
        first = int(match[1]) if match and self.ranges and headers["If-Range"] in self.validators.values() else 0
        if first >= len(self.content):
            return 416, {"Content-Range": f"bytes */{len(self.content)}"}, b""
        self.sent.append(len(self.content) - first)
        size = len(self.content)
        span = {"Content-Range": f"bytes {first}-{size - 1}/{size}"} if first else {}
        return 206 if first else 200, self.validators | span, self.content[first:]


@pytest.fixture
def shelf():
    return Shelf()


@pytest.fixture
def server(serve, shelf):
    return serve(shelf.answer)


@pytest.fixture
def target(tmp_path):
    return tmp_path / "downloads/lamem.tar.gz"


def fetch(server, target, **keywords):
    return download.download(f"{server.url}/lamem.tar.gz", target, **keywords)


def refuse(server, target, *words, **keywords) -> None:
    """A download is refused in one line with these words."""
    with pytest.raises(InputError) as caught:
        fetch(server, target, **keywords)
    message = str(caught.value)
    assert len(message.splitlines()) == 1, message
    for each in words:
        assert each in message


def break_off(server, target, *words) -> None:
    """A download breaks off half-way."""
    server.fault = "hang up"
    refuse(server, target, "cannot be downloaded", *words)
    server.fault = None


def names(target):
    """What lies there, but for locks."""
    there = target.parent.iterdir() if target.parent.is_dir() else []
    return sorted(path.name for path in there if path.suffix != ".lock")


def test_what_comes_first_is_trusted_and_recorded(server, shelf, target):
    fetch(server, target)
    assert target.read_bytes() == CONTENT
    assert names(target) == ["lamem.tar.gz", "lamem.tar.gz.sha256"]
    checked = subprocess.run(["sha256sum", "-c", "--strict", "lamem.tar.gz.sha256"], cwd=target.parent)
    assert checked.returncode == 0
    fetch(server, target)
    assert len(server.requests) == 1


def test_broken_off_and_resumed(server, shelf, target):
    break_off(server, target, "1.5 MB are kept", "try again to go on")
    assert names(target) == ["lamem.tar.gz.part", "lamem.tar.gz.part.json"]
    kept, said = (target.parent / "lamem.tar.gz.part").stat().st_size, []
    assert kept == len(CONTENT) // 2
    fetch(server, target, say=said.append)
    assert shelf.sent == [len(CONTENT), len(CONTENT) - kept]
    assert target.read_bytes() == CONTENT
    assert names(target) == ["lamem.tar.gz", "lamem.tar.gz.sha256"]
    assert said == [f"{server.url}/lamem.tar.gz: goes on after 1.5 of 3.0 MB"]


@pytest.mark.parametrize("validators", [TAG, DATE], ids=str)
def test_either_validator_will_do(server, shelf, target, validators):
    shelf.validators = validators
    break_off(server, target)
    fetch(server, target)
    assert shelf.sent == [len(CONTENT), len(CONTENT) // 2]


@pytest.mark.parametrize(
    ("before", "after", "ranges"),
    [
        pytest.param({}, {}, True, id="without a validator"),
        pytest.param({"ETag": 'W/"weak"'}, {"ETag": 'W/"weak"'}, True, id="a weak validator"),
        pytest.param(TAG, TAG, False, id="a server without ranges"),
        pytest.param(TAG, {"ETag": '"second"'}, True, id="another file"),
    ],
)
def test_two_halves_that_could_be_of_two_files_are_not_joined(server, shelf, target, before, after, ranges):
    shelf.validators, shelf.ranges = before, ranges
    strong = before == TAG
    break_off(server, target, "1.5 MB are kept" if strong else "try again, or")
    assert (names(target) != []) == strong
    shelf.validators, shelf.content = after, CONTENT[::-1]
    fetch(server, target)
    assert shelf.sent == [len(CONTENT)] * 2
    assert target.read_bytes() == CONTENT[::-1]


def test_another_address_starts_anew(server, serve, target):
    break_off(server, target)
    fetch(serve(Shelf(CONTENT[::-1]).answer), target)
    assert target.read_bytes() == CONTENT[::-1]


def test_killed_before_its_end_was_seen(server, shelf, target):
    """Everything had come, but a part that is whole cannot be gone on from."""
    fetch(server, target)
    target.rename(f"{target}.part")
    begun = {"url": f"{server.url}/lamem.tar.gz", "validator": TAG["ETag"]}
    (target.parent / "lamem.tar.gz.part.json").write_text(json.dumps(begun))
    fetch(server, target)
    assert target.read_bytes() == CONTENT
    assert names(target) == ["lamem.tar.gz", "lamem.tar.gz.sha256"]


@pytest.mark.parametrize(("fault", "words"), [(404, "is the address right?"), (503, "try again later")])
def test_an_error_keeps_what_has_come(server, target, fault, words):
    server.fault = fault
    refuse(server, target, f"answers {fault}", words)
    assert names(target) == []
    break_off(server, target)
    before = names(target)
    server.fault = fault
    refuse(server, target)
    assert names(target) == before != []


def test_pinned_hash(server, target):
    digest, other = hashlib.sha256(CONTENT).hexdigest(), "0" * 64
    refuse(server, target, "not the file it was", digest, other, "sha256: in the config", pinned=other)
    assert names(target) == []
    server.fault = "changed"
    refuse(server, target, "not the file it was", pinned=digest)
    assert names(target) == []
    server.fault = None
    fetch(server, target, pinned=digest)
    refuse(server, target, f"{target}: has SHA-256 {digest}, sha256: in the config says {other}; ", pinned=other)


def test_a_later_download_must_be_the_same(server, shelf, target):
    fetch(server, target)
    record = target.parent / "lamem.tar.gz.sha256"
    target.unlink()
    server.fault = "changed"
    refuse(server, target, "not the file it was", "its authors changed it", f"delete {record}")
    assert names(target) == [record.name]
    server.fault, shelf.content = None, CONTENT[:-1]
    refuse(server, target, f"has {len(CONTENT) - 1} bytes, not {len(CONTENT)}", f"delete {record}")
    record.unlink()
    fetch(server, target)
    assert target.read_bytes() == CONTENT[:-1]


def test_a_file_that_changes_on_disk_is_refused(server, target):
    fetch(server, target)
    target.write_bytes(CONTENT[:-1])
    recorded = f"lamem.tar.gz.sha256 recorded {hashlib.sha256(CONTENT).hexdigest()}; delete it to fetch it anew"
    refuse(server, target, f"{target}: has SHA-256 ", recorded)
    target.unlink()
    fetch(server, target)
    assert target.read_bytes() == CONTENT


def test_a_record_that_is_none_is_refused(server, target):
    fetch(server, target)
    (target.parent / "lamem.tar.gz.sha256").write_text("?")
    refuse(server, target, "lamem.tar.gz.sha256: not the record of a download; delete it")


def test_bytes_come_as_they_are_sent(serve, target):
    """Some servers call .tar.gz a compressed .tar."""
    packed = gzip.compress(b"content")
    fetch(serve(lambda *request: (200, {"Content-Encoding": "gzip"}, packed)), target)
    assert target.read_bytes() == packed


@pytest.mark.parametrize("declared", [True, False])
def test_what_has_no_end_is_not_kept(serve, target, monkeypatch, declared):
    """Whether the server says how much it sends or not."""
    headers = {} if declared else {"Content-Length": "", "Connection": "close"}
    server = serve(lambda method, path, _: (200, headers, CONTENT))
    monkeypatch.setattr(download, "MOST_BYTES", len(CONTENT) - 1)
    refuse(server, target, "sends more than")
    assert names(target) == []


def test_progress_has_a_rate(server, target, monkeypatch):
    monkeypatch.setattr(job, "PROGRESS_SECONDS", 0.0)
    said = []
    fetch(server, target, say=said.append)
    assert re.fullmatch(r"lamem\.tar\.gz: 1/3 MB \(\d+\.\d MB/s\)", said[0])
    assert said[-1].startswith("lamem.tar.gz: 3/3 MB")


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"cannot mount a small disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_disk_that_fills_up(server, shelf, small_disk):
    target = small_disk / "lamem.tar.gz"
    refuse(server, target, f"{target}.part: no room left on the disk; make room and start again")
    assert names(target) == ["lamem.tar.gz.part", "lamem.tar.gz.part.json"]
    kept = (small_disk / "lamem.tar.gz.part").stat().st_size
    assert 1_000_000 < kept < 2_100_000
    subprocess.run(["mount", "-o", "remount,size=20m", small_disk], check=True)
    fetch(server, target)
    assert shelf.sent == [len(CONTENT), len(CONTENT) - kept]
    assert target.read_bytes() == CONTENT


def test_other_errors_of_the_disk_are_not_about_room(server, target, monkeypatch):
    def read_only(*arguments, **keywords):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(download, "open", read_only, raising=False)
    with pytest.raises(OSError, match="Read-only"):
        fetch(server, target)


def test_tree_id_is_what_git_says(tmp_path):
    """Of names that Git sorts in its own way, and a folder in a folder."""
    for name in ("a.txt", "a/b.txt", "a0", "a-", "z/z/z.bin", "é.jpg"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode() * 3)
    git = ["git", "-c", "core.fileMode=false", "-c", "core.autocrlf=false"]
    for command in (["init", "-q"], ["add", "--all"], ["write-tree"]):
        done = subprocess.run([*git, *command], cwd=tmp_path, check=True, capture_output=True, text=True)
    shutil.rmtree(tmp_path / ".git")
    assert download.git_tree_id(tmp_path) == done.stdout.strip()
