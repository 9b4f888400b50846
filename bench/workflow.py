"""How long planning a study takes, and how long a job takes to start: results/bench/workflow.csv.

    PYTHONPATH=workflow .venv/bin/python bench/workflow.py --repeats 5

Every measurement is a process of its own, and each is a dry-run or an import: no study is touched. What is to be
compared is measured in turns, and by the processor's seconds too, which other work on the machine moves less.
"""

import argparse
import csv
import json
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from memscore.files import write_rows

ROOT = Path(__file__).resolve().parents[1]

PAPER = ("--configfile", "config/paper.yaml")
ONE_LAYER_A_JOB = "layers_per_job=1"
ENOUGH_SECONDS = 120
# As many jobs as that plans, without anything in them.
BARE = """
rule all:
    input: expand("{job}.csv", job=range(JOBS))
rule scores:
    output: "{job}.csv"
    script: "scores.py"
"""
# The same with the files that a job which scores layers cannot do without: three that other jobs make, and its log.
WITH_FILES = """
rule all:
    input: expand("{job}.csv", job=range(JOBS))
rule made:
    output: "{name}.made"
    script: "scores.py"
rule scores:
    input: "weights.made", "pixels.made", "stimuli.made"
    output: "{job}.csv"
    log: "{job}.log"
    script: "scores.py"
"""
# What Snakemake puts before a script.
PREAMBLE = (
    "import pickle, sys; sys.path.insert(0, 'workflow'); from snakemake.logging import logger; "
    "from snakemake.iocontainers import Snakemake\n"
)


class Measurement(NamedTuple):
    """A command whose time is taken; `size` is a number of models, or what else it is of."""

    name: str
    size: int | str
    command: Sequence[str]


def snakemake(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "snakemake", "--nocolor", *arguments]


def dry_run(*arguments: str) -> list[str]:
    """Its statistics are printed, and no job."""
    return snakemake("--dry-run", "--quiet", "rules", "host", "reason", *arguments)


def processor() -> float:
    """Seconds that this process's children have had of the processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ran(command: Sequence[str]) -> tuple[float, float, str]:
    """(seconds, the processor's, all it printed) of a process in the repository; RuntimeError where it fails."""
    start, used = time.perf_counter(), processor()
    process = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{process.stdout[-2000:]}")
    return seconds, processor() - used, process.stdout


def n_jobs(output: str) -> int | str:
    """The total of a dry-run's statistics; empty for another command."""
    found = re.search(r"^total +(\d+)$", output, re.MULTILINE)
    return int(found[1]) if found else ""


def measure(measurements: Sequence[Measurement], repeats: int) -> list[dict]:
    """Rows of the table, measured in turns; what takes minutes is repeated less."""
    runs = [[] for _ in measurements]
    while len(runs[0]) < repeats and sum(seconds for seconds, *_ in runs[0]) < ENOUGH_SECONDS:
        for each, measurement in zip(runs, measurements, strict=True):
            each.append(ran(measurement.command))
    return [row(measurement, each) for measurement, each in zip(measurements, runs, strict=True)]


def row(measurement: Measurement, runs: Sequence[tuple[float, float, str]]) -> dict:
    """What is said of a measurement."""
    seconds = [round(seconds, 3) for seconds, _, _ in runs]
    return {
        "measurement": measurement.name,
        "size": measurement.size,
        "jobs": n_jobs(runs[0][2]),
        "seconds_median": round(statistics.median(seconds), 3),
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "processor_median": round(statistics.median(used for _, used, _ in runs), 3),
        "repeats": len(runs),
    }


def paper_models() -> list[str]:
    """The lines of the model table, its header first."""
    lines = (ROOT / "config/models/paper.tsv").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def planning(folder: Path) -> Iterator[list[Measurement]]:
    """Dry-runs of the 2023 study, whole, with every fourth of its models and with every second, beside bare ones.

    A dry-run of one bare job is what they all take to start.
    """
    header, *lines = paper_models()
    yield [bare(folder, "one bare job", BARE, 1)]
    yield beside_bare(folder, Measurement("dry-run of config/paper.yaml", len(lines), dry_run(*PAPER)))
    for step in (4, 2, 1):
        table = folder / f"every_{step}.tsv"
        table.write_text("\n".join([header, *lines[::step]]) + "\n", encoding="utf-8")
        command = dry_run(*PAPER, "--config", f"models={table}", ONE_LAYER_A_JOB)
        ours = Measurement("dry-run at one layer a job", len(lines[::step]), command)
        yield beside_bare(folder, ours) if step == 1 else [ours]


def beside_bare(folder: Path, ours: Measurement) -> list[Measurement]:
    """A dry-run of the study, and of as many jobs of a rule that has an output and a script, or files as well."""
    jobs = n_jobs(ran(ours.command)[2])
    names = {"as many bare jobs": BARE, "as many bare jobs with input and log": WITH_FILES}
    return [ours, *(bare(folder, name, text, jobs) for name, text in names.items())]


def bare(folder: Path, name: str, text: str, jobs: int) -> Measurement:
    """A Snakefile of its own, with this many jobs."""
    own = folder / f"{name} {jobs}"
    own.mkdir()
    (own / "scores.py").touch()
    (own / "Snakefile").write_text(text.replace("JOBS", str(jobs)), encoding="utf-8")
    command = dry_run("--snakefile", str(own / "Snakefile"), "--directory", str(own))
    return Measurement(f"dry-run of {name}", "", command)


def on_a_node() -> Measurement:
    """What a job of a cluster does before its work: Snakemake parses the study again, for this job alone."""
    first = next(csv.DictReader(paper_models(), delimiter="\t"))
    known = json.loads((ROOT / f"resources/layers/{first['timm_name']}-own.json").read_text())
    job = f"memorability:set=lamem,model={first['model']},layers={known['layers'][0]['name']}"
    arguments = ("--force", "--mode", "remote", "--cores", "1", "--allowed-rules", "memorability")
    command = dry_run(*PAPER, "--config", ONE_LAYER_A_JOB, *arguments, "--target-jobs", job, "--")
    return Measurement("parse for one job at one layer a job", len(paper_models()) - 1, command)


def nothing_to_do() -> Iterator[Measurement]:
    """A second run of the default study, if it is finished."""
    command = dry_run("--cores", "2")
    if (ROOT / "results/summary.rst").is_file() and "Nothing to be done" in ran(command)[2]:
        yield Measurement("no-op rerun of the default study", "", command)
    else:
        print("no-op rerun: left out, the default study is not finished here; `make demo` comes first")


def start_ups() -> Iterator[Measurement]:
    """From the start of a job's process until its script has imported what it works with."""
    for rule in ("memorability", "brain"):
        imports = (ROOT / f"workflow/scripts/scores/{rule}.py").read_text(encoding="utf-8").partition("\nwith job(")[0]
        yield Measurement("start-up of a job", rule, [sys.executable, "-c", PREAMBLE + imports])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    repeats = parser.parse_args().repeats
    # Parsing describes the layers of models that are not in resources/layers yet.
    ran(snakemake("--list-rules", *PAPER))
    rows = []

    def add(measurements: Sequence[Measurement]) -> None:
        for measured in measure(measurements, repeats):
            rows.append(measured)
            print(*(f"{key} {value}" for key, value in measured.items()), sep="  ", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        for each in (*start_ups(), on_a_node(), *nothing_to_do()):
            add([each])
        for together in planning(Path(folder)):
            add(together)
    write_rows(ROOT / "results/bench/workflow.csv", rows)


if __name__ == "__main__":
    main()
