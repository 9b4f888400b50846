"""Whether the run that a job belongs to still wants its results.

A job may outlive its run, on a cluster or on this machine, and end after the next run has made the same files with
other settings. Each run notes its name in the folder that it works in (`lock`), and its jobs look for the note before
they put anything in its place.
"""

import os
import time
from pathlib import Path

from memscore.errors import InputError

RUN = "MEMSCORE_RUN"  # in the environment of a run's jobs: the path of its note
BEAT = 20  # seconds after which a run writes its note again, should it be gone


def check() -> None:
    """Raise InputError in a job whose run is over.

    Snakemake takes all notes away when one of two runs in a folder ends; the other's is there again after a beat.
    """
    note, deadline = os.environ.get(RUN), time.monotonic() + 3 * BEAT
    while note and not there(note):
        if time.monotonic() >= deadline:
            raise InputError("the run that started this job is over: its results are not wanted any more")
        time.sleep(1)


def there(path: str | Path) -> bool:
    """Whether a file is there. A network file system looks anew at what is opened, and not at what is asked for."""
    try:
        with open(path, "rb"):
            return True
    except OSError:
        return False
