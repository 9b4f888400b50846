"""`snakemake status`: what it says of a study before, in and after a run, and that it leaves no trace."""

import re

import pytest
from runs import Run

pytestmark = pytest.mark.workflow

COLUMNS = ("done", "of", "running", "queued", "failed")


def rows_of(output) -> dict[str, dict[str, int]]:
    """The table's numbers by stage."""
    lines = re.findall(r"^(\S[^\d\n]*?) {2,}(\d+) +(\d+) +(\d+) +(\d+) +(\d+)", output, re.MULTILINE)
    return {name: dict(zip(COLUMNS, map(int, numbers), strict=True)) for name, *numbers in lines}


def files_of(folder) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


BOTH = {"generalisation": ["mine", "theirs"], "finetune": {"splits": None}}
EVERYTHING = {
    **BOTH,
    "finetune": {"splits": [1, 2]},
    "peers": ["resmem"],
    "object_recognition": "photos",
    "reduction": {"pca": 5, "pca_images": "theirs"},
    "layers_per_job": 2,
}


@pytest.mark.parametrize("changes", [{"brain": None}, {"memorability": None}, BOTH, EVERYTHING])
def test_before_a_run_every_job_is_counted(tiny_study, run_snakemake, configure, add_dataset, changes):
    """By stage and without a DAG, the jobs that a dry run plans; and no file is left."""
    add_dataset(tiny_study)
    (tiny_study / "photos").mkdir()
    with open(tiny_study / "models.tsv", "a") as table:
        table.write("other\ttest_resnet\ttimm\tpenultimate\n")
    configure(tiny_study, **changes)
    before = files_of(tiny_study)
    code, output = run_snakemake(tiny_study, "status")
    assert code == 0, output
    assert files_of(tiny_study) == before
    assert "No run is going on" in output
    assert "Left" not in output
    stages = rows_of(output)
    targets = ["all", "generalisation"] if "generalisation" in changes else ["all"]
    code, planned = run_snakemake(tiny_study, *targets, "--dry-run", "--quiet", "rules")
    assert code == 0, planned
    jobs = int(re.search(r"^total +(\d+)$", planned, re.MULTILINE)[1]) - len(targets)
    assert stages.pop("all") == {"done": 0, "of": jobs, "running": 0, "queued": 0, "failed": 0}, planned
    assert sum(stage["of"] for stage in stages.values()) == jobs


def test_while_a_run_goes_on_and_when_it_was_killed(tiny_study, run_snakemake, configure, add_lab_network):
    """Of a study in a run whose first job of a network takes a minute at its first layer."""
    (tiny_study / "models.tsv").write_text("model\ttimm_name\tweights\tlayers\n")
    add_lab_network(tiny_study, layers="conv,penultimate")
    configure(tiny_study, brain=None)
    wait = tiny_study / "wait"
    wait.write_text("xxx")
    run = Run(tiny_study, "--cores", "1", "memorability_scores")
    run.wait_for(lambda: wait.stat().st_size > 3)
    locks, before = files_of(tiny_study / ".snakemake/locks"), set(files_of(tiny_study))
    assert locks
    code, output = run_snakemake(tiny_study, "status", "--cores", "1")
    assert code == 0, output
    assert run.process.poll() is None
    assert files_of(tiny_study / ".snakemake/locks") == locks
    assert set(files_of(tiny_study)) == before
    run.kill()
    stages = rows_of(output)
    assert stages["memorability"] == {"done": 0, "of": 2, "running": 1, "queued": 0, "failed": 0}
    assert stages["staging"]["done"] == stages["staging"]["of"] > 0
    assert "A run holds the lock; last heard of" in output
    code, output = run_snakemake(tiny_study, "status")
    assert code == 0, output
    assert rows_of(output)["memorability"]["running"] == 0
    assert "No run is going on" in output


def test_a_failed_job_is_named_by_its_log(tiny_study, run_snakemake, configure):
    configure(tiny_study, brain=None, resources={"memory_gb": 2, "scratch_gb": 0.0001})
    arguments = ["--cores", "1", "--retries", "0", "--keep-going", "memorability_scores"]
    assert run_snakemake(tiny_study, *arguments)[0] != 0
    code, output = run_snakemake(tiny_study, "status")
    assert code == 0, output
    stage = rows_of(output)["memorability"]
    assert stage["failed"] > 0
    assert stage["done"] + stage["failed"] == stage["of"] == 3
    failed = output.partition("Failed, says")[2].split()
    assert "logs/memorability/mine/tiny/conv1.0.log" in failed
    assert "needs" in (tiny_study / "logs/memorability/mine/tiny/conv1.0.log").read_text()

    configure(tiny_study, resources={"memory_gb": 16, "scratch_gb": 20})
    assert run_snakemake(tiny_study, "--cores", "1", "memorability_scores")[0] == 0
    output = run_snakemake(tiny_study, "status")[1]
    assert rows_of(output)["memorability"] == {"done": 3, "of": 3, "running": 0, "queued": 0, "failed": 0}
    assert "Failed" not in output


def test_a_finished_study(finished_study, run_snakemake, configure):
    """On a cluster each job that runs a network has a GPU."""
    code, output = run_snakemake(finished_study, "status", "--profile", "slurm")
    assert code == 0, output
    stages = rows_of(output)
    assert stages["all"]["done"] == stages["all"]["of"] > 20
    assert "GPU-hours so far" in output
    assert "Left" not in output
    share = re.search(r"^ +[\d.]+ (?:s|min) +(\d+)%  results/(?:brain|memorability)/", output, re.MULTILINE)
    assert 0 < int(share[1]) < 100
    configure(finished_study, device="cpu")
    code, output = run_snakemake(finished_study, "status", "--configfile", "config/config.yaml")
    assert code == 0, output
    assert "hours of jobs that run networks so far" in output


def test_from_elsewhere_and_under_another_name(finished_study, run_snakemake, tmp_path):
    """On a study in another directory, and in a workflow that has this one as a module."""
    where = ("--snakefile", str(finished_study / "Snakefile"), "--directory", str(finished_study))
    code, output = run_snakemake(tmp_path, "status", *where)
    assert code == 0, output
    done = rows_of(output)["all"]["done"]
    assert done > 20
    (finished_study / "Snakefile").write_text(
        'configfile: "config/config.yaml"\n'
        f"module memscore:\n    snakefile: {str(finished_study / 'workflow/Snakefile')!r}\n    config: config\n"
        "use rule * from memscore as memscore_*\n"
    )
    code, output = run_snakemake(finished_study, "memscore_status")
    assert code == 0, output
    assert rows_of(output)["all"]["done"] == done
