"""Fetching one file over HTTP, whole and verified or not at all.

While it comes it is called `<name>.part`, and a break goes on from there (`Range` with `If-Range`, RFC 9110), where
the server can and still has the same file. Whoever publishes no hash is trusted the first time: `<name>.sha256` keeps
what came, as `sha256sum -c` reads it, and nothing else is accepted later.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import requests
import urllib3

from memscore.errors import InputError
from memscore.files import MOST_BYTES, enough_room, replacing, sha256
from memscore.job import every_few_seconds
from memscore.storage import one_at_a_time

TIMEOUT_SECONDS = (10, 60)  # for a connection to each of the server's addresses, and for the next bytes
CHUNK_BYTES = 1 << 20
MEGABYTE = 10**6
RECORD = re.compile(r"# (?P<size>\d+) bytes.*\n(?P<digest>[0-9a-f]{64})  .*\n")


def download(
    url: str,
    path: str | Path,
    blob_id: str | None = None,
    pinned: str | None = None,
    say: Callable[[str], None] = lambda message: None,
) -> Path:
    """Fetch a file to `path`, unless it is there; of several processes one fetches it, and the others wait.

    blob_id : of a file of a Git repository, what `git hash-object` gives
    pinned : SHA-256 of any other file; None trusts what comes first, and from then on only that

    Raises InputError where the server cannot be reached, does not have the file, or sends something else.
    """
    with one_at_a_time(Path(path), say):
        return _download(url, Path(path), blob_id, pinned, say)


def _download(url: str, path: Path, blob_id: str | None, pinned: str | None, say: Callable[[str], None]) -> Path:
    part = Path(f"{path}.part")
    size, recorded = (None, None) if blob_id else _recorded(path)
    digest, kind = (git_blob_id, "Git blob") if blob_id else (sha256, "SHA-256")
    expected = blob_id or pinned or recorded
    found = digest(path) if path.is_file() else None
    if found and expected and found != expected and not blob_id:
        raise InputError(f"{path}: has SHA-256 {found}, {_origin(path, pinned)} {expected}; delete it to fetch it anew")
    if found is None or (expected and found != expected):
        part.parent.mkdir(parents=True, exist_ok=True)
        _fetch(url, part, size if expected == recorded else None, say)
        found = digest(part)
        if expected and found != expected:
            part.unlink()
            advice = "try again" if blob_id else _advice(path, pinned)
            raise InputError(f"{url}: not the file it was ({kind} {found}, expected {expected}); {advice}")
        os.replace(part, path)
    if not blob_id and found != recorded:
        with enough_room(path, "make room and start again"), replacing(f"{path}.sha256") as temporary:
            temporary.write_text(f"# {path.stat().st_size} bytes from {url}\n{found}  {path.name}\n")
    return path


def _recorded(path: Path) -> tuple[int | None, str | None]:
    """(bytes, SHA-256) of what was downloaded to `path` first; None for both if nothing was."""
    record = Path(f"{path}.sha256")
    if not record.is_file():
        return None, None
    match = RECORD.fullmatch(record.read_text(encoding="utf-8", errors="replace"))
    if not match:
        raise InputError(f"{record}: not the record of a download; delete it to trust the next one")
    return int(match["size"]), match["digest"]


def _origin(path: Path, pinned: str | None) -> str:
    return "sha256: in the config says" if pinned else f"{path.name}.sha256 recorded"


def _advice(path: Path, pinned: str | None) -> str:
    where = "correct sha256: in the config" if pinned else f"delete {path}.sha256"
    return f"try again, or if its authors changed it, {where}"


def _fetch(url: str, part: Path, size: int | None, say: Callable[[str], None]) -> None:
    """Bring `part` to the whole of what is at `url`; `size` in bytes is what it must have, None if nobody knows."""
    try:
        with enough_room(part, "make room and start again, it goes on from there"):
            _receive(url, part, size, say)
    except requests.HTTPError as error:
        status = error.response.status_code
        advice = "try again later" if status >= 500 else "is the address right?"
        raise InputError(f"{url}: the server answers {status}; {advice}") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        kept = part.stat().st_size if part.is_file() and _validator(url, part) else 0
        if not kept:
            _discard(part)
        so_far = f"{kept / MEGABYTE:.1f} MB are kept, try again to go on from there" if kept else "try again"
        raise InputError(
            f"{url}: cannot be downloaded ({type(error).__name__}); {so_far}, or run staging where there is "
            "internet, such as a login node, or give a copy as directory:"
        ) from error
    Path(f"{part}.json").unlink(missing_ok=True)


def _receive(url: str, part: Path, size: int | None, say: Callable[[str], None]) -> None:
    """One request, from where `part` ends if the server still has the file that it began with."""
    validator = _validator(url, part)
    done = part.stat().st_size if validator and part.is_file() else 0
    # A compressed transfer would not be the bytes of the file, and could not be resumed.
    headers = {"Accept-Encoding": "identity"}
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": validator}
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS) as response:
        span = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        resumes = response.status_code == 206 and span is not None and int(span[1]) == done
        if done and not resumes and response.status_code in (206, 416):
            _discard(part)
            return _receive(url, part, size, say)
        response.raise_for_status()
        if resumes:
            total = int(span[2])
            say(f"{url}: goes on after {done / MEGABYTE:.1f} of {total / MEGABYTE:.1f} MB")
        else:
            done, length = 0, response.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else None
            part.unlink(missing_ok=True)
            _remember(url, part, response.headers)
        if size is not None and total is not None and total != size:
            raise InputError(f"{url}: has {total} bytes, not {size} as before; {_advice(part.with_suffix(''), None)}")
        _refuse_flood(total or 0, url, part)
        progress = every_few_seconds(say, part.stem, total, done, MEGABYTE, " MB")
        with open(part, "ab") as file:
            # As sent: where a server declares .gz an encoding, requests would unpack it.
            for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                file.write(chunk)
                done += len(chunk)
                _refuse_flood(done, url, part)
                progress(done)
    if total is not None and part.stat().st_size != total:
        # More than all: two jobs fetched it at once.
        if part.stat().st_size > total:
            _discard(part)
        raise requests.ConnectionError(f"{done} bytes of {total}")


def _refuse_flood(n_bytes: int, url: str, part: Path) -> None:
    """What the server declares may be more than any image set has, and so may what it sends without declaring it."""
    if n_bytes > MOST_BYTES:
        _discard(part)
        raise InputError(f"{url}: sends more than {MOST_BYTES / 1e9:g} GB; is the address right?")


def _validator(url: str, part: Path) -> str | None:
    """By what the server knows the file that `part` is the beginning of; None if it cannot go on."""
    try:
        begun = json.loads(Path(f"{part}.json").read_text())
        return begun["validator"] if begun["url"] == url else None
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def _remember(url: str, part: Path, headers) -> None:
    """Keep the strong ETag or else the time of the file: what `If-Range` may name."""
    etag = headers.get("ETag", "")
    validator = etag if etag.startswith('"') else headers.get("Last-Modified")
    Path(f"{part}.json").unlink(missing_ok=True)
    if validator:
        with replacing(f"{part}.json") as temporary:
            temporary.write_text(json.dumps({"url": url, "validator": validator}))


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    Path(f"{part}.json").unlink(missing_ok=True)


def git_blob_id(path: str | Path) -> str:
    """The id that Git gives a file's content, as `git hash-object` prints it."""
    path = Path(path)
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def git_tree_id(folder: str | Path) -> str:
    """The id that Git gives a folder of plain files and folders, as `git ls-tree` prints it; an executable is plain."""
    entries = []
    for path in Path(folder).iterdir():
        mode, identity = ("40000", git_tree_id(path)) if path.is_dir() else ("100644", git_blob_id(path))
        # Git sorts a folder as if its name ended in a slash.
        key = os.fsencode(path.name) + (b"/" if path.is_dir() else b"")
        entries.append((key, f"{mode} ".encode() + os.fsencode(path.name) + b"\0" + bytes.fromhex(identity)))
    content = b"".join(entry for _, entry in sorted(entries))
    return hashlib.sha1(f"tree {len(content)}\0".encode() + content, usedforsecurity=False).hexdigest()
