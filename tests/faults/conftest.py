"""Faults: each test breaks something on purpose, and the same command goes on to the results of an undisturbed run.

What they saw is the table of docs/reliability.md: `make reliability` writes it.
"""

import pytest
from runs import wait_for
from stand_in import JOBS, STAND_IN, TABLE


@pytest.fixture
def study(finished_original, finished_study):
    """The finished study, which would be scored again without a network."""
    for name in ("memorability", "brain"):
        script = finished_study / f"workflow/scripts/scores/{name}.py"
        script.write_text(STAND_IN.format(finished=str(finished_original)))
    return finished_study


@pytest.fixture
def unscored(study):
    """Without its scores of memorability."""
    for path in (TABLE, *JOBS):
        (study / path).unlink()
    return study


@pytest.fixture
def one_unscored(study):
    """Without one layer's score of memorability and its predictions, and the table of them."""
    for path in (TABLE, JOBS[0], JOBS[0].replace(".csv", ".npz")):
        (study / path).unlink()
    return study


@pytest.fixture
def reached(slurm, study):
    """reached(): numbers of the Slurm jobs that score, once both of them, or n, are at work."""

    def jobs(n=2):
        wait_for(lambda: len(list(study.glob("reached.*"))) >= n, "job at work")
        return slurm.running("rule_memorability")

    return jobs


@pytest.fixture
def undisturbed(finished_original, results_of):
    return results_of(finished_original)


@pytest.fixture
def fault(record_property):
    """fault(what, outcome): the test's row in the table; called last, when everything has held.

    outcome : what a user sees and has to do, as the test saw it
    """

    def record(what: str, outcome: str) -> None:
        record_property("fault", [what, outcome])

    return record
