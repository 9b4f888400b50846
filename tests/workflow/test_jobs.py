"""Which jobs a study has, what makes them run again, and that no number depends on how they are run."""

import re

import numpy as np
import pandas as pd
import pytest

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("snakemake")]


def planned(run_snakemake, folder, *arguments: str) -> dict[str, int]:
    """Jobs of a dry-run by rule."""
    code, output = run_snakemake(folder, "--dry-run", "--cores", "2", *arguments)
    assert code == 0, output
    table = output.split("Job stats:")[-1].split("\n\n")[0] if "Job stats:" in output else ""
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, flags=re.M) if rule != "total"}


def table(folder) -> pd.DataFrame:
    return pd.read_csv(folder / "results/layers.csv")


def test_default_study_has_one_job_per_model_and_layer(make_study_folder, tmp_path, run_snakemake):
    folder = make_study_folder(tmp_path / "study")
    jobs = planned(run_snakemake, folder)
    assert jobs["memorability"] == jobs["brain"] == 3 * 10
    assert jobs["activations"] == 2 * 3 * 10
    assert jobs["pixels"] == 2
    assert (jobs["stage_benchmark"], jobs["stage_weights"]) == (4, 3)


def test_every_leaf_layer_can_be_asked_for(make_study_folder, configure, tmp_path, run_snakemake):
    folder = make_study_folder(tmp_path / "study")
    configure(folder, layers={"every": 1}, layers_per_job=8)
    jobs = planned(run_snakemake, folder, "memorability_scores")
    assert jobs["memorability"] == jobs["activations"] > 3 * 10
    assert "brain" not in jobs


def test_finished_study_has_nothing_to_do(finished_study, run_snakemake):
    assert planned(run_snakemake, finished_study) == {}


def test_a_new_model_runs_its_own_jobs_and_the_aggregation(finished_study, run_snakemake):
    with open(finished_study / "models.tsv", "a") as file:
        file.write("second\ttest_resnet\tuntrained\n")
    jobs = planned(run_snakemake, finished_study)
    own = {"stage_weights": 1, "activations": 6, "memorability": 3, "brain": 3}
    again = ("collect_memorability", "collect_brain", "layers", "correlations", "figures", "summary", "all")
    assert jobs == own | dict.fromkeys(again, 1)


def test_layers_per_job_does_not_change_the_table(finished_study, configure, run_snakemake):
    before = (finished_study / "results/layers.csv").read_bytes()
    configure(finished_study, layers_per_job=2)
    jobs = planned(run_snakemake, finished_study)
    assert jobs["memorability"] == 2
    code, output = run_snakemake(finished_study, "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    assert (finished_study / "results/layers.csv").read_bytes() == before


@pytest.mark.parametrize(
    ("cores", "batch_size", "tolerance"), [("1", 16, 0.0), ("2", 5, 1e-5)], ids=["cores", "batch size"]
)
def test_numbers_do_not_depend_on_how_it_is_run(finished_study, configure, run_snakemake, cores, batch_size, tolerance):
    before = table(finished_study)
    configure(finished_study, batch_size=batch_size)
    code, output = run_snakemake(finished_study, "--cores", cores, "--quiet", "rules", "--forcerun", "pixels")
    assert code == 0, output
    numbers = before.select_dtypes("number").columns
    difference = np.nanmax(np.abs(table(finished_study)[numbers] - before[numbers]))
    assert difference <= tolerance, difference


@pytest.mark.parametrize(("half", "target"), [("brain", "memorability_scores"), ("memorability", "brain_scores")])
def test_each_half_works_alone(finished_study, configure, run_snakemake, half, target):
    configure(finished_study, **{half: None})
    code, output = run_snakemake(finished_study, "--cores", "2", "--quiet", "rules", "--", target)
    assert code == 0, output
    code, output = run_snakemake(finished_study, "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    columns = list(table(finished_study))
    assert ("memorability" in columns) == (half == "brain")
    assert ("simulated.IT.score" in columns) == (half == "memorability")


def test_slurm_profile_asks_for_a_gpu_where_networks_run(tiny_study, run_snakemake):
    code, output = run_snakemake(tiny_study, "--dry-run", "--profile", "slurm")
    assert code == 0, output
    jobs = re.findall(r"^(?:local)?rule (\w+):$(.*?)(?=^\S)", output.replace("\n\n", "\nend\n"), flags=re.M | re.S)
    with_gpu = {rule for rule, text in jobs if "gres=gpu:1" in text}
    assert with_gpu == {"activations"}
    local = set(re.findall(r"^localrule (\w+):", output, flags=re.M))
    assert {"stage_dataset", "stage_stimuli", "stage_benchmark", "stage_weights"} <= local
