"""Where what is downloaded and unpacked is kept: in the study, or in a folder that it shares with other studies."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

# The folder of the config's `downloads:`; None for the study's own. A setting of the process: no result depends on it.
shared: Path | None = None


def share(folder: str | None) -> None:
    """Keep what is downloaded and unpacked in this folder from now on; None for the study's own."""
    global shared
    shared = Path(folder).resolve() if folder else None


def downloads() -> Path:
    """The folder for what is downloaded."""
    return shared or Path("resources/downloads")


def unpacked() -> Path:
    """The folder for what is unpacked of archives."""
    return shared / "unpacked" if shared else Path("resources/unpacked")


@contextmanager
def one_at_a_time(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Run the block when no other process, of any study, is in one for the same `path`.

    A killed process holds no lock. Where nobody may write, as in a folder that an administrator filled, there is none.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        yield
        return
    # Other users of the folder open it to write, too.
    lock = FileLock(path.with_name(f".{path.name}.lock"), mode=0o666)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{path}: another process makes it; waiting until it is there")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
