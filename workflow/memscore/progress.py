"""How far a run has come, by what is on disk: its files, and the marks, memory and newest log of Snakemake.

Only reads, and so answers while a run goes on. A job goes by one of its outputs, a path as Snakemake has it; times are
in seconds, points in time in seconds since 1970. What is not known is left out.
"""

import json
import os
import re
import time
from base64 import b64decode
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from memscore import lock, slurm

MEMORY = Path(".snakemake")
FOLDERS = ("results", "resources")
# On a network file system each small file is a wait for the server.
READERS = 16
SQUEUE_SECONDS = 5
LATELY = 3600
LAST_LINE = 100  # bytes, or more
NAMED = 10
TOP = 5
COLUMNS = ("done", "of", "running", "queued", "failed", "run time")


@dataclass(frozen=True)
class Progress:
    """What is known of the jobs of each stage.

    stages : the jobs of each
    sizes : bytes on disk of every file in the study's folders
    running, queued : since when, of the jobs that run, and of those in a cluster's queue
    waiting : the latter as Slurm lists them
    times : (start, end) of the jobs that are done, as far as they are known
    failed : the log files of each job that failed in the last run
    log : of that run; None where there was none
    started : when the run started that holds Snakemake's lock; None where none does, or it was killed
    now : when this was so
    """

    stages: Mapping[str, list[str]]
    sizes: Mapping[str, int]
    running: Mapping[str, float]
    queued: Mapping[str, float]
    waiting: list[slurm.Job]
    times: Mapping[str, tuple[float, float]]
    failed: Mapping[str, str]
    log: Path | None
    started: float | None
    now: float

    def done(self, jobs: Collection[str]) -> list[str]:
        """Those of these jobs whose output is there, and is not being made again."""
        return [job for job in jobs if job in self.sizes and job not in self.running and job not in self.queued]

    def spent(self, jobs: Collection[str]) -> dict[str, float]:
        """How long each of these jobs took, or has run so far."""
        took = {job: self.times[job][1] - self.times[job][0] for job in jobs if job in self.times}
        return took | {job: max(0, self.now - self.running[job]) for job in jobs if job in self.running}


def look(stages: Mapping[str, list[str]], clusters: Collection[str] = ("",)) -> Progress:
    """The state of these jobs in the working directory; `clusters` may have them in their queues."""
    jobs, now = {job for each in stages.values() for job in each}, time.time()
    started, sizes = since(), disk(*FOLDERS)
    marked = {} if started is None else marks(jobs, started)
    numbers = {number for _, number in marked.values() if number}
    asked = [slurm.queue(cluster=name, seconds=SQUEUE_SECONDS) for name in clusters] if numbers else []
    listed = None if None in asked else {number: job for jobs in asked for number, job in jobs.items()}
    # Where Slurm does not say within seconds, none is known to run.
    held = numbers if listed is None else {number for number in numbers & listed.keys() if listed[number].waits}
    queued = {job: at for job, (at, number) in marked.items() if number in held}
    waiting = [listed[number] for number in held] if listed else []
    running = {job: at for job, (at, _) in marked.items() if job not in queued}
    log = last_log()
    failed = {job: file for job, file in (failures(log) if log else {}).items() if job in jobs}
    failed = {job: file for job, file in failed.items() if job not in sizes and job not in marked}
    times = run_times(jobs & sizes.keys() - marked.keys())
    return Progress(stages, sizes, running, queued, waiting, times, failed, log, started, now)


def disk(*folders: str) -> dict[str, int]:
    """Bytes on disk of each file below these folders, each looked at once."""
    found, folders = {}, list(folders)
    while folders:
        with suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # what runs removes what it made for a moment
                    if entry.is_dir():
                        folders.append(entry.path)
                    else:
                        found[entry.path] = 512 * entry.stat(follow_symlinks=False).st_blocks
    return found


def since() -> float | None:
    """When the run started that holds Snakemake's lock; None where none does, or it was killed."""
    if lock.abandoned():
        return None
    with suppress(FileNotFoundError):
        return min((file.stat().st_mtime for file in (MEMORY / "locks").glob("*.lock")), default=None)
    return None


def kept(folder: Path) -> Iterator[tuple[str, str]]:
    """(output, file) of what Snakemake keeps of outputs here, named by them in base64, long ones cut into folders."""
    for place, _, names in os.walk(folder):
        above = "".join(part.removeprefix("@") for part in Path(place).relative_to(folder).parts)
        for name in names:
            with suppress(ValueError):
                yield b64decode(above + name, b"-_", validate=True).decode(), os.path.join(place, name)


def marks(jobs: Collection[str], started: float) -> dict[str, tuple[float, str | None]]:
    """(since when, number in a cluster's queue) of the jobs that Snakemake has marked since a run started.

    Snakemake marks a job when it is submitted, with its number, and again on its node when it starts, without. Older
    marks are of runs that were killed.
    """
    found = {}
    for job, file in kept(MEMORY / "incomplete"):
        with suppress(FileNotFoundError):
            at = os.stat(file).st_mtime
            if job in jobs and at >= started:
                found[job] = at, read(file).get("external_jobid")
    return found


def run_times(jobs: Collection[str]) -> dict[str, tuple[float, float]]:
    """(start, end) of these jobs, where both are known."""
    files = {job: file for job, file in kept(MEMORY / "metadata") if job in jobs}
    with ThreadPoolExecutor(READERS) as readers:
        noted = zip(files, readers.map(run_time, files.values()), strict=True)
        return {job: span for job, span in noted if span}


def run_time(file: str) -> tuple[float, float] | None:
    """(start, end) of a job by the end of its log, or else by Snakemake's note of it, which names the log.

    Snakemake notes when a job of a cluster was found to be done, and not when it started.
    """
    note = read(file)
    for log in note.get("log") or []:
        with suppress(OSError), open(log, "rb") as content:
            end = os.fstat(content.fileno()).st_mtime
            content.seek(max(0, os.fstat(content.fileno()).st_size - LAST_LINE))
            if took := re.search(rb"^took ([\d.]+) s$", content.read(), re.MULTILINE):
                return end - float(took[1]), end
    start, end = note.get("starttime"), note.get("endtime")
    return (start, end) if start and end and start < end else None


def read(file: str) -> dict:
    """A note of Snakemake's; empty where it is gone or half-written."""
    try:
        with open(file, "rb") as content:
            return json.load(content)
    except (OSError, ValueError):
        return {}


def last_log() -> Path | None:
    """Snakemake's log of its last run that had jobs: it keeps one of anything that it is asked."""
    for log in sorted((MEMORY / "log").glob("*.snakemake.log"), reverse=True):
        with suppress(OSError):
            if "Select jobs to execute" in log.read_text(errors="replace"):
                return log
    return None


def failures(log: Path) -> dict[str, str]:
    """The log files of each job that failed, if only once, by each of its outputs."""
    found = {}
    for block in re.findall(r"^Error in rule .*\n((?:    .*\n)+)", log.read_text(errors="replace") + "\n", re.M):
        lines = dict(line.strip().partition(": ")[::2] for line in block.splitlines())
        logs = lines.get("log", "").partition(" (check log")[0]
        found |= dict.fromkeys(filter(None, lines.get("output", "").split(", ")), logs)
    return found


def at_once(progress: Progress) -> float:
    """How many jobs ran at a time in the last hour of this run, or of the last; 0 where none is known."""
    spans = [*progress.times.values(), *((at, progress.now) for at in progress.running.values())]
    if not spans:
        return 0
    end = max(end for _, end in spans)
    first = min((start for start, _ in spans if start >= (progress.started or 0)), default=end)
    start = max(end - LATELY, first)
    busy = sum(max(0, min(last, end) - max(first, start)) for first, last in spans)
    return max(1, busy / max(end - start, 1))


def left(progress: Progress) -> tuple[float, list[str]]:
    """(how long the jobs that are left take one by one, the stages that have some and no job yet to judge by).

    As long as the jobs of their stage took on average. The last stage is what the others are for: of a study that has
    it, what is missing was cleaned away.
    """
    total, unknown = 0.0, []
    last = list(progress.stages.values())[-1]
    if progress.started is None and len(progress.done(last)) == len(last):
        return total, unknown
    for name, jobs in progress.stages.items():
        n = len(jobs) - len(progress.done(jobs))
        took = [progress.times[job][1] - progress.times[job][0] for job in jobs if job in progress.times]
        if n and took:
            total += n * sum(took) / len(took)
        elif n:
            unknown.append(name)
    return total, unknown


def report(
    stages: Mapping[str, list[str]],
    networks: Collection[str],
    on_gpus: bool,
    clusters: Collection[str] = ("",),
    scratch: Callable[[str], int] = lambda job: 0,
) -> list[str]:
    """The state of a study in lines of text.

    stages : its jobs by stage
    networks : the stages that run networks; on_gpus : on one GPU a job
    clusters : where its jobs are sent; "" is this host's own
    scratch : bytes that a job asks for in its tmpdir
    """
    progress = look({name: jobs for name, jobs in stages.items() if jobs}, clusters)
    jobs = [job for each in progress.stages.values() for job in each]
    running = [job for name, each in progress.stages.items() if name in networks for job in each]
    hours = sum(progress.spent(running).values()) / 3600
    return [
        f"{os.getcwd()}, {time.strftime('%Y-%m-%d %H:%M', time.localtime(progress.now))}",
        "",
        *table(progress, jobs),
        "",
        f"{hours:.1f} GPU-hours so far" if on_gpus else f"{hours:.1f} hours of jobs that run networks so far",
        *space(progress, scratch),
        *longest(progress, jobs),
        *estimate(progress),
        *why_queued(progress),
        *failed(progress),
        *whether_it_runs(progress),
    ]


def table(progress: Progress, all_jobs: list[str]) -> list[str]:
    """A row of numbers for each stage and for all."""
    width = max(map(len, progress.stages), default=0)
    lines = ["  ".join([" " * width, *(f"{column:>8}" for column in COLUMNS)])]
    for name, jobs in [*progress.stages.items(), ("all", all_jobs)]:
        states = (progress.running, progress.queued, progress.failed)
        counts = [len(progress.done(jobs)), len(jobs), *(sum(job in state for job in jobs) for state in states)]
        spent = progress.spent(jobs).values()
        cells = [*map(str, counts), span(sum(spent)) if spent else ""]
        lines.append("  ".join([f"{name:<{width}}", *(f"{cell:>8}" for cell in cells)]).rstrip())
    return lines


def space(progress: Progress, scratch: Callable[[str], int]) -> list[str]:
    """Disk in use, and what the jobs that run have asked for in scratch: their files there have no name."""
    used = dict.fromkeys(FOLDERS, 0)
    for file, size in progress.sizes.items():
        used[file.partition("/")[0]] += size
    asked = sum(map(scratch, progress.running))
    lines = ["Disk: " + ", ".join(f"{folder}/ {size / 1e9:.2f} GB" for folder, size in used.items())]
    return [f"{lines[0]}; scratch of running jobs: {asked / 1e9:.2f} GB or less"] if asked else lines


def longest(progress: Progress, jobs: list[str]) -> list[str]:
    """What takes most of the run time: folders, such as a network's jobs on one stimulus set, and single jobs."""
    spent = progress.spent(jobs)
    folders = defaultdict(float)
    for job, seconds in spent.items():
        folders[f"{os.path.dirname(job)}/"] += seconds
    total, lines = sum(spent.values()), []
    for title, each in (("Most of the run time", folders), ("Longest jobs", spent)) if total else ():
        lines += ["", title]
        for name in sorted(each, key=each.get, reverse=True)[:TOP]:
            lines.append(f"  {span(each[name]):>8}  {each[name] / total:4.0%}  {name}")
    return lines


def estimate(progress: Progress) -> list[str]:
    """What is left, if it goes on as it went."""
    (seconds, unknown), n = left(progress), at_once(progress)
    if not seconds:
        return []
    lines = [
        "",
        f"Left, an estimate by the mean run time of what is done: {span(seconds)} of jobs, or {span(seconds / n)} with "
        f"{n:.1f} at once as lately",
    ]
    return lines + ([f"and what has no job done yet to judge by: {', '.join(unknown)}"] if unknown else [])


def why_queued(progress: Progress) -> list[str]:
    """What the jobs in a cluster's queue wait for, in Slurm's words."""
    never = {job.reason for job in progress.waiting if job.for_ever}
    lines = [
        f"  {slurm.jobs(n)} of rule {rule}: {reason}{', which does not go away by itself' if reason in never else ''}"
        for (rule, reason), n in slurm.reasons(progress.waiting).most_common()
    ]
    return ["", "Queued, says Slurm", *lines] if lines else []


def failed(progress: Progress) -> list[str]:
    """The jobs that failed, by their log files; of a run with --quiet rules Snakemake notes none, but that some did."""
    files = list(dict.fromkeys(progress.failed.values()))
    more = [f"  and {len(files) - NAMED} more: {progress.log}"] if len(files) > NAMED else []
    if files:
        return ["", "Failed, says", *(f"  {file}" for file in files[:NAMED]), *more]
    log = progress.log.read_text(errors="replace") if progress.log else ""
    unnamed = "RuleException" in log and "Error in rule" not in log
    return ["", f"Some jobs failed at least once; which, --quiet rules left out: {progress.log}"] if unnamed else []


def whether_it_runs(progress: Progress) -> list[str]:
    """A lock stays when a run is killed on another host: its log tells how long ago anything was heard of it."""
    if progress.started is None:
        return ["", "No run is going on"]
    heard = f"; last heard of {span(progress.now - progress.log.stat().st_mtime)} ago" if progress.log else ""
    return ["", f"A run holds the lock{heard}"]


def span(seconds: float) -> str:
    """A duration in the unit that suits it."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(seconds, 0):.0f} s"
