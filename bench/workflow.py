"""How long planning a study takes, and how long a job takes to start: results/bench/workflow.csv.

    PYTHONPATH=workflow .venv/bin/python bench/workflow.py --repeats 5

Every measurement is a process of its own, and each is a dry-run or an import: no study is touched.
"""

import argparse
import csv
import json
import re
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


def ran(command: Sequence[str]) -> tuple[float, str]:
    """(seconds, all it printed) of a process in the repository; RuntimeError where it fails."""
    start = time.perf_counter()
    process = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seconds = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{process.stdout[-2000:]}")
    return seconds, process.stdout


def n_jobs(output: str) -> int | str:
    """The total of a dry-run's statistics; empty for another command."""
    found = re.search(r"^total +(\d+)$", output, re.MULTILINE)
    return int(found[1]) if found else ""


def measure(measurement: Measurement, repeats: int) -> dict:
    """One row of the table; what takes minutes is repeated less."""
    runs = []
    while len(runs) < repeats and sum(seconds for seconds, _ in runs) < ENOUGH_SECONDS:
        runs.append(ran(measurement.command))
    seconds = [round(seconds, 3) for seconds, _ in runs]
    return {
        "measurement": measurement.name,
        "size": measurement.size,
        "jobs": n_jobs(runs[0][1]),
        "seconds_median": round(statistics.median(seconds), 3),
        "seconds_min": min(seconds),
        "seconds_max": max(seconds),
        "repeats": len(runs),
    }


def paper_models() -> list[str]:
    """The lines of the model table, its header first."""
    lines = (ROOT / "config/models/paper.tsv").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.startswith("#")]


def planning(folder: Path) -> Iterator[Measurement]:
    """Dry-runs of the 2023 study, whole and with every second and every fourth of its models."""
    header, *lines = paper_models()
    yield Measurement("dry-run of config/paper.yaml", len(lines), dry_run(*PAPER))
    for step in (4, 2, 1):
        table = folder / f"every_{step}.tsv"
        table.write_text("\n".join([header, *lines[::step]]) + "\n", encoding="utf-8")
        command = dry_run(*PAPER, "--config", f"models={table}", ONE_LAYER_A_JOB)
        yield Measurement("dry-run at one layer a job", len(lines[::step]), command)


def bare(folder: Path, jobs: int) -> Measurement:
    """What Snakemake needs for that many jobs of a rule that has an output and a script and nothing else."""
    (folder / "scores.py").touch()
    snakefile = folder / "Snakefile"
    snakefile.write_text(BARE.replace("JOBS", str(jobs)), encoding="utf-8")
    command = dry_run("--snakefile", str(snakefile), "--directory", str(folder))
    return Measurement("dry-run of as many bare jobs", "", command)


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
    if (ROOT / "results/summary.rst").is_file() and "Nothing to be done" in ran(command)[1]:
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

    def add(measurement: Measurement) -> None:
        rows.append(measure(measurement, repeats))
        print(*(f"{key} {value}" for key, value in rows[-1].items()), sep="  ", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        for measurement in (*start_ups(), on_a_node(), *nothing_to_do(), *planning(Path(folder))):
            add(measurement)
        add(bare(Path(folder), rows[-1]["jobs"]))
    write_rows(ROOT / "results/bench/workflow.csv", rows)


if __name__ == "__main__":
    main()
