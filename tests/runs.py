"""A `snakemake` under way, in processes of its own: for tests of what becomes of it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import forks


def wait_for(holds, what: str, seconds: float = 300):
    """Until something holds; what it then is."""
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"no {what} in {seconds} s"
        time.sleep(0.05)
    return found


class Run:
    """`snakemake` in the background, in a folder, in a session of its own as in a terminal.

    before : what its command begins with
    python : which runs it
    """

    under_way: ClassVar[list] = []

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        before: tuple[str, ...] = (),
        python: str = sys.executable,
        **environment: str,
    ):
        self.folder, self.log = folder, folder.parent / "output.txt"
        # What a shell starts in the background, as the tests may be, hears no Ctrl-C otherwise.
        command = [*before, "env", "--default-signal=INT", python, "-m", "snakemake", *arguments]
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, env=forks.environ() | environment, stdout=log, stderr=log, start_new_session=True
            )
        self.under_way.append(self)

    def said(self) -> str:
        return self.log.read_text()

    def wait_for(self, holds, seconds: float = 300) -> None:
        """Until something holds, while the run goes on."""
        deadline = time.monotonic() + seconds
        while not holds():
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.02)

    def jobs(self) -> list[int]:
        """Process numbers of the scripts that it has started on this machine."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                words = (process / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if len(words) > 1 and words[1].startswith(f"{self.folder}/.snakemake/scripts/".encode()):
                found.append(int(process.name))
        return found

    def kill(self) -> None:
        """It and its jobs, as when the machine goes down."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def end(self, seconds: float = 600) -> tuple[int, str]:
        """(exit status, everything it printed), when it has ended."""
        return self.process.wait(timeout=seconds), self.said()

    def ends_well(self) -> str:
        code, output = self.end()
        assert code == 0, output
        return output
