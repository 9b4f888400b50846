"""What a run would make, as Snakemake itself says."""

import re

import pytest


@pytest.fixture
def planned(run_snakemake):
    """planned(folder, *arguments): the files that a run would make."""

    def plan(folder, *arguments) -> set[str]:
        code, output = run_snakemake(folder, "--summary", *arguments)
        assert code == 0, output
        rows = [line.split("\t") for line in output.splitlines() if "\t" in line]
        columns = {name: i for i, name in enumerate(rows[0])}
        made = [row[columns["output_file"]] for row in rows[1:] if row[columns["plan"]] != "no update"]
        assert len(made) == len(set(made)), "a file is made twice"
        return set(made)

    return plan


@pytest.fixture
def job_counts(run_snakemake):
    """job_counts(folder, *arguments): the number of jobs of each rule in a dry run."""

    def count(folder, *arguments) -> dict[str, int]:
        code, output = run_snakemake(folder, "--dry-run", *arguments)
        assert code == 0, output
        table = output.partition("Job stats:")[2].partition("\n\n")[0]
        counts = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}
        assert counts.pop("total", 0) == sum(counts.values())
        assert bool(counts) != ("Nothing to be done" in output)
        return counts

    return count
