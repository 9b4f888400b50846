"""Whose lock is on a folder: that of a Snakemake which was killed goes, so that the same command is enough.

Snakemake takes a lock's files away when it ends, and a killed one cannot. Each run leaves a note among them that says
which process holds which files, and touches it while it lives. The note's name is the run's, which its jobs at Slurm
have too, and by which they know whether they are still `wanted`.
"""

import atexit
import hashlib
import json
import os
import re
import shutil
import sys
import threading
from contextlib import suppress
from pathlib import Path
from socket import gethostname

from memscore import files, wanted

LOCKS = Path(".snakemake/locks")
NAME = re.compile(r"memscore-[0-9a-f]{12}")
SILENT = 10 * wanted.BEAT  # A run of which so long nothing was heard may be dead.
_ended = threading.Event()
_dead = set()


def name() -> str:
    """Of this process's run; no other has it, on this host or another."""
    pid = os.getpid()
    return f"memscore-{hashlib.sha1(f'{host()} {pid} {started(pid)}'.encode()).hexdigest()[:12]}"


def note(always: bool = False) -> None:
    """Say beside the lock's files whose they are: called by a run that has just locked the folder.

    always : without files of a lock too (`--nolock`), of a run whose jobs another could take for a dead one's
    """
    held, pid, path = _held(), os.getpid(), _path()
    if (held or always) and not path.exists():
        process = {"host": host(), "pid": pid, "started": started(pid), "held": held}
        with suppress(OSError):  # A run without a note is a run all the same.
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(process), encoding="utf-8")
            os.environ[wanted.RUN] = str(path)
            _ended.clear()
            atexit.register(end)
            threading.Thread(target=_beat, args=(path, path.read_bytes()), daemon=True).start()


def end() -> None:
    """The run of this process is over: its note goes, and is not written again."""
    _ended.set()
    with suppress(OSError):
        _path().unlink(missing_ok=True)


def release() -> None:
    """Remove the locks of dead processes of this host; say on stderr what was done, or who holds the folder.

    What nobody noted, or another host did, stays, and Snakemake's own refusal with it.
    """
    for each in _notes():
        if not is_dead(each):
            _say(f"another Snakemake has locked this folder: {_who_holds(each)}")
    if abandoned():
        _dead.update(each["name"] for each in _notes())
        shutil.rmtree(LOCKS, ignore_errors=True)
        _say("the Snakemake that had locked this folder was killed: its lock is removed")


def abandoned() -> bool:
    """Whether all locks of this folder are of processes of this host that are dead."""
    notes = _notes()
    noted = {name for each in notes for name in each["held"]}
    return bool(notes) and all(map(is_dead, notes)) and noted >= set(_held())


def living() -> set[str]:
    """Names of the runs that hold locks here; of one that cannot be read or is on another host, nobody knows better."""
    dead = {each["name"] for each in _notes() if is_dead(each)}
    return {path.stem for path in LOCKS.glob("*.run")} - dead


def known_dead() -> set[str]:
    """Names of runs whose lock this process has removed."""
    return set(_dead)


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


def _path() -> Path:
    return (LOCKS / f"{name()}.run").absolute()


def _held() -> list[str]:
    return sorted(path.name for path in LOCKS.glob("*.lock"))


def _notes() -> list[dict]:
    """What runs noted, with their names and when they were last heard of; none where one is being written."""
    try:
        return [
            json.loads(path.read_text(encoding="utf-8")) | {"name": path.stem, "heard": path.stat().st_mtime}
            for path in LOCKS.glob("*.run")
        ]
    except (OSError, ValueError):
        return []


def _who_holds(process: dict) -> str:
    """Which process, and what to do about it; of one on another host nobody knows here whether it lives."""
    where = f"process {process['pid']} on {process['host'].split()[0]}"
    silent = files.now_in(str(LOCKS)) - process["heard"]
    if process["host"] == host() or silent < SILENT:
        return f"{where}; wait for its end, or stop it with Ctrl-C, and give the same command again"
    return (
        f"{where}, of which nothing was heard for {silent / 60:.0f} minutes; if it is dead (there: ps -p "
        f"{process['pid']}), remove its lock with snakemake --unlock, and give the same command again, which cancels "
        "the jobs that it left on Slurm"
    )


def _beat(path: Path, content: bytes) -> None:
    while not _ended.wait(wanted.BEAT):
        with suppress(OSError):
            if not wanted.there(path):
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(content)
            os.utime(path)


def _say(message: str) -> None:
    print(f"memscore: {message}", file=sys.stderr)
