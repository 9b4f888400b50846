"""The workflow where others use it: as a module, on another folder's study, in a path that is not plain ASCII."""

import os
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import yaml

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("snakemake")]

MODULE = """
configfile: "config/config.yaml"

module memscore:
    snakefile: {snakefile!r}
    config: config

use rule * from memscore as memscore_*

rule ours:
    default_target: True
    input: "results/memorability.csv"
    output: "last.txt"
    shell: "tail -n 1 {{input}} > {{output}}"
"""

WITHOUT_TIMM = """
import importlib.metadata as metadata

known = metadata.version


def version(name):
    if name == "timm":
        raise metadata.PackageNotFoundError(name)
    return known(name)


metadata.version = version
"""


@pytest.fixture
def study_elsewhere(make_tiny_study, tmp_path):
    """(folder of a tiny study without the workflow, the workflow's own folder): both have spaces and accents."""
    study = make_tiny_study(tmp_path / "mémoire d'été" / "study")
    workflow = tmp_path / "wörk flow" / "memscore"
    workflow.mkdir(parents=True)
    for name in ("Snakefile", "workflow", "envs"):
        shutil.move(study / name, workflow / name)
    return study, workflow


def test_as_a_module(study_elsewhere, run_snakemake):
    """With rules of the user's own after it; and a job that is run alone, as on a node, finds the package."""
    study, workflow = study_elsewhere
    (study / "Snakefile").write_text(MODULE.format(snakefile=str(workflow / "workflow/Snakefile")))
    code, output = run_snakemake(study, "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    assert (study / "last.txt").read_text().startswith("tiny,penultimate,")
    assert len(pd.read_csv(study / "results/memorability.csv")) == 3


def test_on_a_study_in_another_directory(study_elsewhere, run_snakemake, tmp_path):
    """Everything is read and written there, and the report's first page is that study's."""
    study, workflow = study_elsewhere
    (workflow / "results").mkdir()
    (workflow / "results/summary.rst").write_text("The front page of another study.")
    before = sorted(path for path in workflow.rglob("*") if "__pycache__" not in path.parts)
    where = ("--snakefile", str(workflow / "Snakefile"), "--directory", str(study))
    code, output = run_snakemake(tmp_path, *where, "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    code, output = run_snakemake(tmp_path, *where, "--report", str(study / "report.html"))
    assert code == 0, output
    page = (study / "report.html").read_text(encoding="utf-8")
    assert "Highest score and the layer that reaches it" in page
    assert "The front page of another study" not in page
    assert sorted(path for path in workflow.rglob("*") if "__pycache__" not in path.parts) == before


def test_config_of_the_workflow_catalog(repository, make_study_folder, run_snakemake, tmp_path):
    """What the catalog's checks dry-run: a whole config, whose keys are those of the default one."""
    folder = make_study_folder(tmp_path / "clone")
    shutil.copytree(repository / ".test", folder / ".test", ignore=shutil.ignore_patterns("resources", ".snakemake"))
    own, default = (
        yaml.safe_load((folder / name).read_text()) for name in (".test/config/config.yaml", "config/config.yaml")
    )
    assert list(own) == list(default)
    code, output = run_snakemake(folder, "--directory", ".test", "--dry-run", "--quiet", "rules")
    assert code == 0, output
    assert "memorability" in output
    usage = yaml.safe_load((repository / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["software-stack-deployment"]["conda"] is True


def test_without_timm_it_says_what_to_install(tiny_study):
    """With `--sdm conda` jobs have environments of their own, and Snakemake's need not have timm."""
    (tiny_study / "without").mkdir()
    (tiny_study / "without/sitecustomize.py").write_text(WITHOUT_TIMM)
    ran = subprocess.run(
        [sys.executable, "-m", "snakemake", "--dry-run"],
        cwd=tiny_study,
        env=os.environ | {"PYTHONPATH": str(tiny_study / "without")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode != 0
    (line,) = [line for line in ran.stderr.splitlines() if line.startswith("memscore:")]
    assert "models.tsv: model 'tiny'" in line
    assert "pip install timm" in line
    assert "Traceback" not in ran.stderr
