"""A Slurm cluster: what a site asks of it, how it tells of jobs, and what its partitions can hold.

Asked once, before the first job. Imported while the workflow is parsed, so it rests on the standard library and PyYAML.
"""

import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from memscore import lock, slurm, wanted
from memscore.errors import InputError

# Where a cluster has GPUs, one of them for each job that runs a network.
DEFAULT = {"cpu": {}, "gpu": {"gres": "gpu:1"}}
KEYS = ("slurm_partition", "slurm_account", "qos", "constraint", "gres", "clusters", "reservation", "slurm_extra")
CANCELLED_WITHIN = 300  # seconds; jobs on a node that nobody can reach may never end


@dataclass(frozen=True)
class Nodes:
    """Alike nodes of a partition; `minutes` is what it lets a job run, None for as long as it likes."""

    partition: str
    cpus: int
    mem_mb: int
    gpus: Mapping[str, int]
    minutes: int | None


@dataclass
class Site:
    """What jobs ask of a cluster beside memory, time and threads: `cpu`, and `gpu` for those that run networks.

    nodes : what the cluster has, once it was asked; until then, and elsewhere, none
    default : the partition of jobs that name none
    """

    asks: Mapping[str, Mapping]
    nodes: list[Nodes] = field(default_factory=list)
    default: str = ""

    def within(self, kind: str) -> list[Nodes]:
        """Nodes that may get a job of this kind."""
        if not self.nodes:  # So it is while jobs are planned, fifty thousand of them in a large study.
            return []
        names = str(self.asks[kind].get("slurm_partition", self.default)).split(",")
        gpus = _amounts({"gres": self.asks[kind].get("gres")})
        return [each for each in self.nodes if each.partition in names and _holds(each, gpus)]

    @property
    def clusters(self) -> set[str]:
        """Where jobs are sent: "" is this host's own cluster."""
        return {str(asks.get("clusters") or "") for asks in self.asks.values()}

    def resources(self, kind: str) -> dict:
        """Of a rule: the site's keys, for Snakemake's Slurm executor. They mean nothing elsewhere."""
        return dict(self.asks[kind])

    def minutes(self, kind: str, wanted: int, attempt: int = 1) -> int:
        """A job's `runtime`, which grows with each try, up to what its partition lets a job run."""
        most = [each.minutes for each in self.within(kind)]
        return _grown(wanted, attempt, [] if None in most else most)

    def memory(self, kind: str, wanted: int, attempt: int = 1) -> int:
        """A job's `mem_mb`, which grows with each try, up to what its partition's largest node has."""
        return _grown(wanted, attempt, [each.mem_mb for each in self.within(kind)])


def read_site(*candidates: Path) -> Site:
    """The first of these files that is there, or one GPU for each job that runs a network.

    Raises InputError for what is no mapping of `cpu` and `gpu` to keys of the Slurm executor.
    """
    path = next(filter(Path.is_file, candidates), None)
    if path is None:
        return Site(DEFAULT)
    try:
        read = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(read, dict) or not all(isinstance(asks, dict | None) for asks in read.values()):
        raise InputError(f"{path}: must have sections cpu: and gpu:, each with keys like slurm_partition: <name>")
    # An account may be a number, to which the executor is not used.
    asks = {kind: {k: str(v) for k, v in (read.get(kind) or {}).items() if v is not None} for kind in DEFAULT}
    unknown = [
        *(set(read) - set(DEFAULT)),
        *(f"{kind}: {key}" for kind in asks for key in asks[kind] if key not in KEYS),
    ]
    if unknown:
        raise InputError(f"{path}: unknown {', '.join(unknown)}; sections are cpu and gpu, keys {', '.join(KEYS)}")
    return Site(asks)


def cancel_left(say: Callable[[str], None], cluster: str = "") -> None:
    """Cancel what runs in this folder left on the cluster that are dead, or whose lock was removed."""
    jobs = _answer(cluster)
    left = left_over(jobs, lock.living())
    if {lock.NAME.search(jobs[number].name)[0] for number in left} - lock.known_dead():
        # A living run's note may be gone for a moment, when another run of the folder has just ended.
        say(f"Slurm has {slurm.jobs(len(left))} of a run in this folder that holds no lock: waiting a minute for it")
        time.sleep(3 * wanted.BEAT)
        left = left_over(jobs := _answer(cluster), lock.living())
    if not left:
        return
    say(f"a run in this folder that is over left {slurm.jobs(len(left))} on Slurm ({_some(left)}): cancelling them")
    still = slurm.cancel(left, CANCELLED_WITHIN, cluster)
    if still:
        say(f"{len(still)} of them have not ended yet ({_some(still)}): what they write will not be taken")


def _answer(cluster: str) -> dict[str, slurm.Job]:
    while (jobs := slurm.queue(cluster=cluster)) is None:
        time.sleep(slurm.ASKING)
    return jobs


def left_over(jobs: Mapping[str, slurm.Job], living: Collection[str]) -> list[str]:
    """Numbers of the jobs of this folder that belong to none of the living runs."""
    names = {number: lock.NAME.search(job.name) for number, job in jobs.items() if not job.over}
    here = os.path.realpath(".")
    return [
        number
        for number, name in names.items()
        if name and name[0] not in living and os.path.realpath(jobs[number].folder) == here
    ]


def ask(site: Site) -> None:
    """Fill in what the cluster has. Where `sinfo` does not answer, nothing is known and nothing is checked."""
    said = slurm.run("sinfo", "--all", "--exact", "--noheader", "-o", "%P|%c|%m|%G|%l") or ""
    lines = [line for line in said.splitlines() if line.count("|") == 4]
    site.nodes = [nodes for nodes in map(parse_nodes, lines) if nodes.cpus]
    site.default = next((line.partition("*|")[0] for line in lines if "*|" in line), "")


def parse_nodes(line: str) -> Nodes:
    """`partition|CPUs|MB|generic resources|time limit` as `sinfo --exact` writes them."""
    partition, cpus, mem_mb, gres, limit = line.split("|")
    gpus = {}
    for kind, n in re.findall(r"\bgpu(?::([^:,(]*[^:,(\d][^:,(]*))?(?::no_consume)?:(\d+)(?=[(,]|$)", gres):
        for name in {"", kind}:
            gpus[name] = gpus.get(name, 0) + int(n)
    return Nodes(partition.rstrip("*"), int(cpus.rstrip("+")), int(mem_mb.rstrip("+")), gpus, parse_minutes(limit))


def parse_minutes(limit: str) -> int | None:
    """`[days-]hours:minutes:seconds`, `minutes:seconds`, or `infinite` (None)."""
    found = re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)
    if found is None:
        return None
    days, hours, minutes, _ = (int(part or 0) for part in found.groups())
    return (24 * days + hours) * 60 + minutes


def impossible(site: Site, jobs: Iterable[tuple[str, Mapping]]) -> list[str]:
    """A sentence for each rule with jobs that no node of their partition can ever hold: Slurm would let them wait.

    jobs : (rule, {threads, mem_mb, runtime, gres, slurm_partition, what of it is known}) of each job that is to run
    """
    different = {}
    for rule, asks in jobs:
        if not (asks.get("clusters") or asks.get("cluster")):  # Another cluster's nodes are not known.
            partition = str(asks.get("slurm_partition") or site.default)
            different.setdefault((rule, partition), set()).add(tuple(_amounts(asks)))
    found = []
    for (rule, partition), jobs_of in different.items():
        nodes = [each for each in site.nodes if each.partition in partition.split(",")]
        never = [amounts for amounts in jobs_of if not any(_holds(each, amounts) for each in nodes)]
        if site.nodes and not nodes:
            names = ", ".join(sorted({each.partition for each in site.nodes}))
            found.append(f"rule {rule} asks for partition {partition!r}, and this cluster has {names}")
        elif nodes and never:
            asked = ", ".join(f"{n} {what}" for what, n in max(never))
            has = " or ".join(dict.fromkeys(_described(each) for each in nodes))
            found.append(f"rule {rule} asks for {asked}, and a node of partition {partition} has at most {has}")
    return found


def _grown(wanted: int, attempt: int, most: list[int]) -> int:
    """Never less than the first try asked for: whether that can be had is `impossible`'s to say."""
    return max(wanted, min(wanted * attempt, max(most))) if most else wanted * attempt


def _amounts(asks: Mapping) -> list[tuple[str, int]]:
    """Of what a job asks for, what can be counted, in a reader's words."""
    amounts = [("CPUs", asks.get("cpus_per_task") or asks.get("threads"))]
    amounts += [("MB of memory", asks.get("mem_mb")), ("minutes", asks.get("runtime"))]
    for kind, n in re.findall(r"\bgpu(?::([^:,]*[^:,\d][^:,]*))?(?::(\d+))?(?=,|$)", str(asks.get("gres") or "")):
        amounts.append((f"GPUs {kind}".rstrip(), int(n or 1)))
    return [(what, n) for what, n in amounts if isinstance(n, int)]


def _holds(nodes: Nodes, amounts: Iterable[tuple[str, int]]) -> bool:
    has = {"CPUs": nodes.cpus, "MB of memory": nodes.mem_mb, "minutes": nodes.minutes}
    has |= {f"GPUs {kind}".rstrip(): n for kind, n in nodes.gpus.items()}
    return all(has.get(what, 0) is None or n <= has.get(what, 0) for what, n in amounts)


def _described(nodes: Nodes) -> str:
    kinds = {kind: n for kind, n in nodes.gpus.items() if kind} or nodes.gpus
    gpus = " + ".join(f"{n} GPUs {kind}".rstrip() for kind, n in kinds.items()) or "no GPU"
    minutes = "any time" if nodes.minutes is None else f"{nodes.minutes} minutes"
    return f"{nodes.cpus} CPUs, {nodes.mem_mb} MB of memory, {gpus}, {minutes}"


def _some(numbers: Collection[str], most: int = 5) -> str:
    return ", ".join(sorted(numbers)[:most]) + (", ..." if len(numbers) > most else "")
