"""What every script of the workflow does around its work: log, progress, and errors a person can read."""

import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from threadpoolctl import threadpool_limits

from memscore.errors import InputError

PROGRESS_SECONDS = 5.0


@contextmanager
def job(snakemake) -> Iterator[Callable[[str], None]]:
    """Run a script's work; yields `say(message)`, which writes a line to the log and to the terminal.

    Numerical libraries keep to the job's threads: jobs do not crowd each other, and no sum depends on the
    machine's number of cores. An `InputError` ends the script with its one line; anything else leaves its
    traceback in the log too. The last line of one that ends well says how long it took, which Snakemake does not know
    of a cluster's jobs.
    """
    start = time.monotonic()
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", encoding="utf-8", buffering=1) as file, threadpool_limits(snakemake.threads):

        def say(message: str) -> None:
            print(message, file=file)
            print(f"memscore: {message}", file=sys.stderr, flush=True)

        try:
            yield say
            print(f"took {time.monotonic() - start:.1f} s", file=file)
        except InputError as error:
            say(f"error: {error}")
            sys.exit(1)
        except Exception:
            traceback.print_exc(file=file)
            raise


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
