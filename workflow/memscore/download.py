"""Fetching one file over HTTP, whole and verified or not at all."""

import hashlib
from pathlib import Path

import requests

from memscore.errors import InputError
from memscore.files import replacing

TIMEOUT_SECONDS = (10, 60)  # for a connection to each of the server's addresses, and for the next bytes
CHUNK_BYTES = 1 << 20


def download(url: str, path: str | Path, blob_id: str) -> Path:
    """Fetch a file of a Git repository to `path`, unless it is there; `blob_id` is what `git hash-object` gives.

    Raises InputError where the server cannot be reached, does not have the file, or sends something else.
    """
    path = Path(path)
    if path.is_file() and git_blob_id(path) == blob_id:
        return path
    with replacing(path) as temporary:
        try:
            with requests.get(url, stream=True, timeout=TIMEOUT_SECONDS) as response, open(temporary, "wb") as file:
                response.raise_for_status()
                for chunk in response.iter_content(CHUNK_BYTES):
                    file.write(chunk)
        except requests.HTTPError as error:
            status = error.response.status_code
            advice = "try again later" if status >= 500 else "is the address right?"
            raise InputError(f"{url}: the server answers {status}; {advice}") from error
        except requests.RequestException as error:
            raise InputError(
                f"{url}: cannot be downloaded ({type(error).__name__}); try again, or run staging where there is "
                "internet, such as a login node, or give a copy as directory:"
            ) from error
        found = git_blob_id(temporary)
        if found != blob_id:
            raise InputError(f"{url}: not the file it was (Git blob {found}, expected {blob_id}); try again")
    return path


def git_blob_id(path: str | Path) -> str:
    """The id that Git gives a file's content, as `git hash-object` prints it."""
    path = Path(path)
    digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
