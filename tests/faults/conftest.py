"""Faults: each test breaks something on purpose, and the same command goes on to the results of an undisturbed run.

What they saw is the table of docs/reliability.md: `make reliability` writes it.
"""

from pathlib import Path

import pytest


@pytest.fixture
def fault(record_property):
    """fault(what, outcome): the test's row in the table; called last, when everything has held.

    outcome : what a user sees and has to do, as the test saw it
    """

    def record(what: str, outcome: str) -> None:
        record_property("fault", [what, outcome])

    return record


@pytest.fixture(scope="session")
def results_of():
    """results_of(folder): {path: bytes} of every table and figure that a study has written."""

    def read(folder: Path) -> dict[str, bytes]:
        files = [path for path in (folder / "results").rglob("[!.]*") if path.suffix in (".csv", ".svg")]
        return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(files)}

    return read
