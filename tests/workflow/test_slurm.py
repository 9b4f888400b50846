"""`snakemake --profile slurm` on a real Slurm: the numbers of a local run, and words instead of waiting for ever."""

import re
import shutil

import pandas as pd
import pytest

pytestmark = [pytest.mark.slurm, pytest.mark.workflow]

SLURM = ("--profile", "slurm", "--slurm-init-seconds-before-status-checks", "1")
SITE = "cpu: {slurm_partition: cpu}\ngpu: {slurm_partition: gpu, gres: 'gpu:1'}\n"


def jobs_of(slurm) -> pd.DataFrame:
    """Of every job: its rule, partition and how it was submitted."""
    rows = pd.DataFrame(slurm.accounts("Partition", "State", "SubmitLine"), columns=["partition", "state", "submitted"])
    return rows.assign(rule=rows["submitted"].str.extract(r"rule_(.+?)(?:_wildcards|\W|$)")[0])


def test_the_default_study_is_that_of_a_local_run(
    slurm, make_study_folder, configure, run_snakemake, start_snakemake, results_of, tmp_path
):
    """Every number and figure, to the byte; networks ran in the partition with GPUs, with one each."""
    here = make_study_folder(tmp_path / "here")
    configure(here, layers={"count": 2}, layers_per_job=None, finetune={"epochs": 1})
    there = shutil.copytree(here, tmp_path / "there")
    code, output = run_snakemake(here, "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    (there / "slurm/site.yaml").write_text(SITE)
    code, output = start_snakemake(there, *SLURM, "--quiet", "rules")
    assert code == 0, output
    jobs = jobs_of(slurm)
    networks = jobs["rule"].isin(["memorability", "brain", "finetune"])
    assert set(jobs["state"]) == {"COMPLETED"}
    assert set(jobs[~networks]["rule"]) == {"check_images", "pixels"}
    assert set(jobs[networks]["partition"]) == {"gpu"}
    assert jobs[networks]["submitted"].str.contains("--gres=gpu:1 ").all()
    assert set(jobs[~networks]["partition"]) == {"cpu"}
    assert len(results_of(there)) > 30
    assert results_of(there) == results_of(here)


def test_accounts_tell_of_what_the_queue_has_forgotten(slurm, tiny_study, start_snakemake):
    slurm.configure(MinJobAge=2)
    (tiny_study / "workflow/scripts/stimuli/check_images.py").write_text("raise ValueError\n")
    seldom = (*SLURM[:-1], "25", "--retries", "0")
    code, output = start_snakemake(tiny_study, *seldom, "--", "resources/stimuli/datasets/mine/stimuli.csv")
    assert code == 1
    assert slurm.jobs("--states=all") == []
    ((number,),) = slurm.accounts("JobIDRaw")
    assert f"Slurm job {number}: FAILED" in output


@pytest.mark.parametrize(
    ("changes", "site", "words"),
    [
        ({"resources": {"image_threads": 9}}, SITE, ["rule check_images", "9 CPUs", "partition cpu", "8 CPUs"]),
        ({}, SITE.replace("gpu:1", "gpu:3"), ["rule memorability", "3 GPUs", "partition gpu", "2 GPUs"]),
        ({}, SITE.replace("gpu:1", "gpu:a100:1"), ["rule brain", "1 GPUs a100", "2 GPUs"]),
        ({}, SITE.replace("partition: gpu", "partition: cards"), ["rule brain", "'cards'", "cpu, gpu"]),
    ],
)
def test_what_can_never_start_is_told_at_once(slurm, tiny_study, run_snakemake, configure, changes, site, words):
    configure(tiny_study, **changes)
    (tiny_study / "slurm/site.yaml").write_text(site)
    code, output = run_snakemake(tiny_study, *SLURM, "--quiet", "rules")
    assert code == 1
    said = [line for line in output.splitlines() if line.startswith("memscore: rule ")]
    assert any(all(word in line for word in words) for line in said), output
    assert "Traceback" not in output
    assert slurm.jobs() == []
    assert not list((tiny_study / "resources/stimuli").rglob("*.csv"))


def test_time_that_no_partition_gives_is_told(slurm, tiny_study, run_snakemake):
    """Slurm would take the job, and let it wait."""
    code, output = run_snakemake(tiny_study, *SLURM, "--set-resources", "brain:runtime=601", "--quiet", "rules")
    assert code == 1
    assert re.search(
        r"memscore: rule brain asks for .*601 minutes.*, and a node of partition cpu has .*600 minutes", output
    )


def test_a_failed_job_names_its_log_and_the_log_the_reason(slurm, finished_study, start_snakemake, configure):
    configure(finished_study, resources={"memory_gb": 2, "scratch_gb": 0.0001})
    rules = finished_study / "workflow/rules/scores.smk"
    rules.write_text(rules.read_text().replace("retries: RETRIES", "retries: 0"))
    target = "results/memorability/mine/tiny/conv1.0.csv"
    (finished_study / target).unlink()
    code, output = start_snakemake(finished_study, *SLURM, "--", target)
    assert code == 1
    error = output.partition("Error in rule memorability:")[2]
    (log,) = re.findall(r"log: (logs/\S+\.log)", error)[:1]
    reason = (finished_study / log).read_text()
    assert "error: layer conv1.0: needs 0.00079 GB" in reason
    assert "raise memory_gb or scratch_gb" in reason
