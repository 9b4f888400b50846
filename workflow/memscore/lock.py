"""Whose lock is on a folder: that of a Snakemake which was killed goes, so that the same command is enough.

Snakemake takes a lock's files away when it ends, and a killed one cannot. Each run leaves a note among them that says
which process holds which files.
"""

import json
import os
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from socket import gethostname

LOCKS = Path(".snakemake/locks")


def note() -> None:
    """Say beside the lock's files whose they are: called by a run that has just locked the folder."""
    held, pid = _held(), os.getpid()
    if held:
        process = {"host": host(), "pid": pid, "started": started(pid), "held": held}
        with suppress(OSError):  # A run without a note is a run all the same.
            (LOCKS / f"{gethostname()}-{pid}.run").write_text(json.dumps(process), encoding="utf-8")


def release() -> None:
    """Remove the locks of dead processes of this host; say on stderr what was done, or who holds the folder.

    What nobody noted, or another host did, stays, and Snakemake's own refusal with it.
    """
    for each in _notes():
        if not is_dead(each):
            _say(
                f"another Snakemake has locked this folder: process {each['pid']} on {each['host'].split()[0]}; wait "
                "for its end, or stop it with Ctrl-C and give the same command again"
            )
    if abandoned():
        shutil.rmtree(LOCKS, ignore_errors=True)
        _say("the Snakemake that had locked this folder was killed: its lock is removed")


def abandoned() -> bool:
    """Whether all locks of this folder are of processes of this host that are dead."""
    notes = _notes()
    noted = {name for each in notes for name in each["held"]}
    return bool(notes) and all(map(is_dead, notes)) and noted >= set(_held())


def is_dead(process: dict) -> bool:
    """Whether a noted process ran on this host and is gone; False where nobody can tell."""
    if process["host"] != host():
        return False
    try:
        os.kill(process["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # Someone else's, who may have its number by now.
        pass
    return started(process["pid"]) != process["started"]


def host() -> str:
    """This host; on Linux with the namespace that its process numbers count in, since containers may share a name."""
    try:
        return f"{gethostname()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return gethostname()


def started(pid: int) -> str | None:
    """When a process started, in the kernel's own count, so that its number taken by another is not believed.

    None of a process that has ended, and where the system does not tell.
    """
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return None if state in ("Z", "X") else fields[18]


def _held() -> list[str]:
    return sorted(path.name for path in LOCKS.glob("*.lock"))


def _notes() -> list[dict]:
    """What runs noted; none where one of them cannot be read, since it is being written."""
    try:
        return [json.loads(path.read_text(encoding="utf-8")) for path in LOCKS.glob("*.run")]
    except (OSError, ValueError):
        return []


def _say(message: str) -> None:
    print(f"memscore: {message}", file=sys.stderr)
