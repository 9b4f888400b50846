"""What every script of the workflow does around its work: log, progress, and errors a person can read."""

import errno
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from threadpoolctl import threadpool_limits

from memscore.errors import InputError

PROGRESS_SECONDS = 5.0
# What a disk refuses, and what its user can do about it.
REFUSED = dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room there")
REFUSED |= dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), "make it writable")

# In a process that was started as a job, what is imported before its work stays: looking for garbage among it takes a
# seventh of the start.
if hasattr(sys.modules["__main__"], "snakemake"):
    gc.disable()


@contextmanager
def job(snakemake) -> Iterator[Callable[[str], None]]:
    """Run a script's work; yields `say(message)`, which writes a line to the log and to the terminal.

    Numerical libraries keep to the job's threads: jobs do not crowd each other, and no sum depends on the
    machine's number of cores. An `InputError`, and a full or forbidden disk, end the script with one line; anything
    else leaves its traceback in the log too. So does SIGTERM a line, by which a scheduler ends a job. The last line of
    one that ends well says how long it took, which Snakemake does not know of a cluster's jobs.
    """
    start = time.monotonic()
    gc.freeze()
    gc.enable()
    # Unbuffered: where the disk is full, nothing is left to be written when it is closed.
    with _log(Path(snakemake.log[0])) as file, threadpool_limits(snakemake.threads):

        def note(text: str) -> None:
            with suppress(OSError):  # What a full disk loses of the log is on the terminal.
                file.write(text.encode())

        def say(message: str) -> None:
            print(f"memscore: {message}", file=sys.stderr, flush=True)
            note(f"{message}\n")

        def stopped(number: int, frame: object) -> None:
            note("stopped from outside (SIGTERM): cancelled, preempted, or out of its time\n")
            sys.exit(128 + number)

        before = signal.signal(signal.SIGTERM, stopped)
        try:
            yield say
            note(f"took {time.monotonic() - start:.1f} s\n")
        except InputError as error:
            say(f"error: {error}")
            sys.exit(1)
        except OSError as error:
            note(traceback.format_exc())
            if error.errno not in REFUSED:
                raise
            what = error.filename or "a file"
            say(f"error: {what}: {error.strerror}; {REFUSED[error.errno]}, and give the same command again")
            sys.exit(1)
        except Exception:
            note(traceback.format_exc())
            raise
        finally:
            signal.signal(signal.SIGTERM, before)


def _log(path: Path) -> BinaryIO:
    """A job's log; where it cannot be written, none."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return open(path, "wb", buffering=0)
    except OSError:
        return open(os.devnull, "wb")


def every_few_seconds(
    say: Callable[[str], None], what: str, total: int | None, start_at: int = 0, unit: int = 1, name: str = ""
) -> Callable[[int], None]:
    """`progress(done)`: says how far `what` has come, at most once per `PROGRESS_SECONDS`.

    total : of what is counted, None where nobody knows
    start_at : what was done before, and does not count for the rate
    unit, name : say thousands or MB instead: `unit` of what is counted are one `name`
    """
    start = last = time.monotonic()
    of = "" if total is None else f"/{total / unit:.0f}"

    def progress(done: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= PROGRESS_SECONDS:
            last = now
            rate = (done - start_at) / unit / (now - start)
            say(f"{what}: {done / unit:.0f}{of}{name} ({rate:.1f}{name}/s)")

    return progress
