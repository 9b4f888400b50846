"""Runs on the tests' Slurm, and what is waited for in them."""

from runs import Run
from stand_in import JOBS, TABLE

PATIENT = ("--slurm-init-seconds-before-status-checks", "1")


def run_on_slurm(study, *options: str, targets: tuple[str, ...] = ("memorability_scores",), **more) -> Run:
    return Run(study, "--profile", "slurm", *PATIENT, *options, "--", *targets, **more)


def hold(study):
    """Without the scores of two layers and what came of them; jobs wait until they are let go."""
    for path in (TABLE, *JOBS[:2]):
        (study / path).unlink()
    (study / "hold").touch()
    return study


def let_go(study) -> None:
    for file in (study / "hold", *study.glob("reached.*")):
        file.unlink(missing_ok=True)
