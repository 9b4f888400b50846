"""Runs on the tests' Slurm, and what is waited for in them."""

import time

from runs import Run
from stand_in import JOBS, TABLE

PATIENT = ("--slurm-init-seconds-before-status-checks", "1")


def run_on_slurm(study, *options: str, targets: tuple[str, ...] = ("memorability_scores",), **more) -> Run:
    return Run(study, "--profile", "slurm", *PATIENT, *options, "--", *targets, **more)


def wait_for(holds, what: str, seconds: float = 300):
    deadline = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < deadline, f"no {what} in {seconds} s"
        time.sleep(0.2)
    return found


def hold(study):
    """Without the scores of two layers and what came of them; jobs wait until they are let go."""
    for path in (TABLE, *JOBS[:2]):
        (study / path).unlink()
    (study / "hold").touch()
    return study


def let_go(study) -> None:
    for file in (study / "hold", *study.glob("reached.*")):
        file.unlink(missing_ok=True)
