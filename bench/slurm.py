"""What a job costs on Slurm beyond its work: until it is submitted, started, and seen to have ended.

    PYTHONPATH=workflow:tests .venv/bin/python bench/slurm.py

A real Slurm with accounts on this machine (tests/slurm_machine.py) and jobs that do nothing, through the repository's
profile: as many as there are layers, and fewer that share them. Writes results/bench/slurm.csv; a job's start (two
Pythons) competes for this machine's cores, which on a cluster it does not.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from statistics import median

import slurm_machine

from memscore.files import write_rows

ROOT = Path(__file__).resolve().parents[1]

SNAKEFILE = """
rule all:
    input: expand("done/{{i}}", i=range({n}))

rule layer:
    output: "done/{{i}}"
    resources: mem_mb=2000, runtime=5
    shell: "touch {{output}}"
"""


def run(n: int, layers: int, *options: str) -> dict:
    """n jobs for this many layers: seconds of the whole, and medians over jobs of each part."""
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as daemons:
        Path(folder, "Snakefile").write_text(SNAKEFILE.format(n=n))
        with slurm_machine.slurm_here(Path(daemons), accounts=True) as slurm:
            command = [sys.executable, "-m", "snakemake", "--profile", str(ROOT / "slurm"), "--jobs", str(n), *options]
            started = datetime.now()
            ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
            if ran.returncode:
                sys.exit(ran.stdout + ran.stderr)
            took = (datetime.now() - started).total_seconds()
            jobs = slurm("sacct", "-X", "-n", "-P", "-o", "JobID,Submit,Start,End").splitlines()
        return {"jobs": n, "layers": layers, "seconds": round(took, 1)} | parts(ran.stdout + ran.stderr, jobs)


def parts(log: str, jobs: list[str]) -> dict:
    """Seconds between submissions, until a job starts, of a job, until its end is seen: of the log and of `sacct`."""
    times = {job: [datetime.fromisoformat(t) for t in times] for job, *times in (line.split("|") for line in jobs)}
    seen = dict(re.findall(r"^Job (\d+) has been submitted with SLURM jobid (\d+)", log, re.MULTILINE))
    ended = {
        seen[job]: datetime.strptime(when, "%a %b %d %H:%M:%S %Y")
        for when, job in re.findall(r"^\[(.+)\]\nFinished jobid: (\d+) ", log, re.MULTILINE)
        if job in seen
    }
    submitted = sorted(times[job][0] for job in ended)
    return {
        "between_submissions": round((submitted[-1] - submitted[0]).total_seconds() / max(len(submitted) - 1, 1), 2),
        "until_start": median((times[job][1] - times[job][0]).total_seconds() for job in ended),
        "job": median((times[job][2] - times[job][1]).total_seconds() for job in ended),
        "until_seen": median((when - times[job][2]).total_seconds() for job, when in ended.items()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--layers-per-job", type=int, nargs="+", default=[1, 8, 32])
    asked, options = parser.parse_known_args()
    if (reason := slurm_machine.why_not(accounts=True)) is not None:
        sys.exit(f"bench/slurm.py: {reason}")
    os.environ.pop("PYTHONPATH", None)
    rows = [run(-(-n // per), n, *options) for n in asked.layers for per in asked.layers_per_job]
    write_rows("results/bench/slurm.csv", rows)
    print(Path("results/bench/slurm.csv").read_text())


if __name__ == "__main__":
    main()
