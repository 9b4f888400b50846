"""Faults: each test breaks something on purpose, and the same command goes on to the results of an undisturbed run.

What they saw is the table of docs/reliability.md: `make reliability` writes it.
"""

import pytest


@pytest.fixture
def fault(record_property):
    """fault(what, outcome): the test's row in the table; called last, when everything has held.

    outcome : what a user sees and has to do, as the test saw it
    """

    def record(what: str, outcome: str) -> None:
        record_property("fault", [what, outcome])

    return record
