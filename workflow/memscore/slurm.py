"""What Slurm's commands say: what became of jobs, why they wait, how many there may be.

States and reasons are Slurm's words (man squeue: JOB STATE CODES, JOB REASON CODES). Rests on the standard library,
since it is imported while the workflow is parsed.
"""

import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from getpass import getuser
from time import monotonic, sleep

from memscore.errors import InputError

SECONDS = 60  # a command may take
AT_ONCE = 500  # job numbers on one command line
ASKING = 10  # seconds from one question to the next
FIELDS = "%i|%j|%T|%r|%N|%Z|%k"  # of `Job`
# A job in one of these has ended; what Slurm starts again itself is PENDING, and never seen in them.
ENDS = frozenset(
    "BOOT_FAIL CANCELLED COMPLETED DEADLINE FAILED LAUNCH_FAILED NODE_FAIL OUT_OF_MEMORY PREEMPTED RECONFIG_FAIL "
    "TIMEOUT".split()
)
# Why a job waits that will wait for ever unless somebody does something. Others end, or their nodes come back.
FOR_EVER = re.compile(
    r"PerJob|PerNode|MaxWall|TimeLimit|NodeLimit|(?<!Run)MinutesLimit|NotAllowed|NotSatisfied|NeverSatisfied|Invalid"
    r"|not permitted|not known|BadConstraints|ReservationDeleted|Partition(Config|Down|Inactive)|[Hh]eld"
)
# Why sbatch takes no job now, and will later.
FOR_NOW = re.compile(
    r"\w*SubmitJobs?\w*Limit|queue full|temporarily un\w+|Unable to contact slurm controller"
    r"|Socket timed out|Zero Bytes were transmitted|standby mode|Required partition not available"
)
# What it says of such limits where it names none, and, where it names another, of jobs that are too large for ever.
A_LIMIT = "job submit limit"


@dataclass(frozen=True)
class Job:
    """A line of the queue; `folder` is the working directory, `comment` what Snakemake's executor says of it."""

    number: str
    name: str
    state: str
    reason: str
    nodes: str
    folder: str
    comment: str

    @property
    def rule(self) -> str:
        return self.comment.removeprefix("rule_").partition("_wildcards_")[0]

    @property
    def waits(self) -> bool:
        return self.state in ("PENDING", "CONFIGURING", "SPECIAL_EXIT", "RESV_DEL_HOLD")

    @property
    def over(self) -> bool:
        return self.state in ENDS

    @property
    def for_ever(self) -> bool:
        return self.waits and FOR_EVER.search(self.reason) is not None


def ask(*command: str, seconds: float = SECONDS) -> tuple[str | None, str]:
    """(what a command of Slurm's says, what it complains of); None where it is not there, or fails.

    Settings of the user's own are left out.
    """
    own = ("SINFO_", "SQUEUE_", "SACCT_", "SCANCEL_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(own)}
    try:
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=seconds, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return None, str(error)
    return ran.stdout if ran.returncode == 0 else None, ran.stderr.strip()


def run(*command: str, seconds: float = SECONDS) -> str | None:
    """What a command of Slurm's says; None where it is not there, or fails."""
    return ask(*command, seconds=seconds)[0]


def word(state: str) -> str:
    """`CANCELLED` of `CANCELLED by 0`, `OUT_OF_ME+` as it is cut: the state, without what Slurm says beside it."""
    found = re.match(r"[A-Z_]+\+?", state.strip())
    cut = found[0] if found else ""
    return next((end for end in sorted(ENDS) if end.startswith(cut[:-1])), cut[:-1]) if cut.endswith("+") else cut


def queue(*options: str, cluster: str = "", seconds: float = SECONDS) -> dict[str, Job] | None:
    """The user's jobs by number, those that ended lately among them; None where Slurm's controller does not answer.

    cluster : another one than this host's, or several, as `--clusters` has them
    """
    command = ("squeue", "--me", "--noheader", "--states=all", f"--format={FIELDS}", *_where(cluster), *options)
    said = run(*command, seconds=seconds)
    if said is None:
        return None
    lines = [line.split("|", 6) for line in said.splitlines() if line.count("|") >= 6]
    return {number: Job(number, name, word(state), *rest) for number, name, state, *rest in lines}


def ends(numbers: Collection[str], cluster: str = "") -> dict[str, str]:
    """How those of these jobs ended that the queue has forgotten, by the accounts of a cluster that keeps some."""
    found = {}
    for some in _in_parts(numbers):
        command = ("sacct", "-X", "--noheader", "--parsable2", "--format=JobIDRaw,State", *_where(cluster))
        said = run(*command, f"--jobs={','.join(some)}") or ""
        pairs = [line.split("|") for line in said.splitlines() if line.count("|") == 1]
        found |= {number: word(state) for number, state in pairs if word(state) in ENDS}
    return found


def wait_for_controller(say: Callable[[str], None]) -> None:
    """Until Slurm's controller answers.

    Raises InputError where there is no Slurm, or not one that is understood.
    """
    if shutil.which("squeue") is None:
        raise InputError("no squeue here: is this a login node of a Slurm cluster, and its commands on PATH?")
    waited = False
    while (answer := ask("squeue", "--me", "--noheader"))[0] is None:
        complaint = (answer[1].splitlines() or ["no word"])[-1]
        if re.search("unrecognized option|invalid option", answer[1]):
            raise InputError(f"squeue --me fails: {complaint}")
        if not waited:
            say(f"Slurm's controller does not answer ({complaint}): waiting for it")
        waited = True
        sleep(ASKING)


def cancel(numbers: Collection[str], seconds: float, cluster: str = "") -> set[str]:
    """Cancel jobs, and wait until they have ended; those that have not in these seconds."""
    left, deadline = set(numbers), monotonic() + seconds
    while left:
        for some in _in_parts(left):
            run("scancel", *_where(cluster), *some)
        listed = queue(cluster=cluster)
        if listed is not None:
            left = {number for number in left if number in listed and not listed[number].over}
        if monotonic() >= deadline:
            break
        if left:
            sleep(1)
    return left


def cancel_named(name: str, cluster: str = "") -> bool:
    """Cancel all jobs of a name; whether Slurm took it."""
    return run("scancel", f"--user={getuser()}", f"--name={name}", *_where(cluster)) is not None


@lru_cache
def most_jobs(account: str = "", qos: str = "") -> int | None:
    """How many jobs the user may have in this cluster's queue under an account and a QOS; None where nothing says."""
    name = re.search(r"^ClusterName += (\S+)", run("scontrol", "show", "config", seconds=ASKING) or "", re.MULTILINE)
    asked = [
        f"user={getuser()}",
        *([f"cluster={name[1]}"] if name else []),
        *([f"account={account}"] if account else []),
    ]
    rows = _rows("user", *asked, "withassoc", "format=Account,DefaultAccount,MaxSubmit,DefaultQOS")
    rows = [row for row in rows if account or row[0] == row[1]]
    names = {qos} if qos else {row[3] for row in rows} - {""}
    limits = [row[2] for row in rows]
    if names:
        rows = _rows("qos", "where", f"name={','.join(sorted(names))}", "format=Name,MaxSubmitPU,GrpSubmit,MaxSubmitPA")
        limits += [cell for row in rows for cell in row[1:]]
    return min((int(limit) for limit in limits if limit.isdigit()), default=None)


def refused_for_now(said: str, any_in_queue: bool) -> str | None:
    """Why sbatch refused a job that it will take later; None of one that it never will.

    any_in_queue : whether jobs are there whose end may make room
    """
    if found := FOR_NOW.search(said):
        return found[0]
    unnamed = A_LIMIT in said and not re.search(r"error: \w+Limit\b", said)
    return A_LIMIT if unnamed and any_in_queue else None


def _where(cluster: str) -> list[str]:
    return [f"--clusters={cluster}"] if cluster else []


def _in_parts(numbers: Collection[str]) -> Iterable[list[str]]:
    ordered = sorted(numbers)
    return (ordered[first : first + AT_ONCE] for first in range(0, len(ordered), AT_ONCE))


def _rows(*asked: str) -> list[list[str]]:
    """Of four columns each."""
    said = run("sacctmgr", "--noheader", "--parsable2", "show", *asked, seconds=ASKING) or ""
    return [line.split("|") for line in said.splitlines() if line.count("|") == 3]


def jobs(n: int) -> str:
    return f"{n} job{'s' if n != 1 else ''}"


def reasons(listed: Iterable[Job]) -> Counter:
    """How many of these jobs wait, by (rule, reason)."""
    return Counter((job.rule, job.reason) for job in listed if job.waits)
