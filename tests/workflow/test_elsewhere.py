"""The workflow where others use it: as a module, on another folder's study, in a path that is not plain ASCII."""

import os
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import yaml

pytestmark = pytest.mark.workflow

MODULE = """
configfile: "config/config.yaml"

module memscore:
    snakefile: {snakefile!r}
    config: config

use rule * from memscore as memscore_*
"""

OUR_RULE = """
rule ours:
    default_target: True
    input: "results/memorability.csv"
    output: "last.txt"
    script: "ours.py"
"""

OUR_SCRIPT = """
import our_package
last = open(snakemake.input[0]).readlines()[-1]
open(snakemake.output[0], "w").write(last)
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
def study_elsewhere(staged_original, tmp_path):
    """(folder of a tiny study without the workflow, the workflow's own folder): both have spaces and accents."""
    study = shutil.copytree(staged_original, tmp_path / "mémoire d'été" / "study")
    workflow = tmp_path / "wörk flow" / "memscore"
    workflow.mkdir(parents=True)
    for name in ("Snakefile", "workflow", "envs"):
        shutil.move(study / name, workflow / name)
    return study, workflow


def test_as_a_module(study_elsewhere, run_snakemake):
    """With a rule and a package of the user's own: each job finds its package, which no other of that name hides."""
    study, workflow = study_elsewhere
    (study / "Snakefile").write_text(
        f"import os\nos.environ['PYTHONPATH'] = {str(study / 'lib')!r}\n"
        + MODULE.format(snakefile=str(workflow / "workflow/Snakefile"))
        + OUR_RULE
    )
    (study / "ours.py").write_text(OUR_SCRIPT)
    (study / "lib").mkdir()
    (study / "lib/our_package.py").touch()
    (study / "lib/memscore.py").write_text("raise ImportError('another memscore than the rules lie beside')")
    code, output = run_snakemake(study, "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    assert (study / "last.txt").read_text().startswith("tiny,penultimate,")
    assert len(pd.read_csv(study / "results/memorability.csv")) == 3


def test_a_module_on_a_cluster_stages_on_the_login_node(study_elsewhere, run_snakemake):
    """Whatever its rules are called: a dry run does not show which are local, and Snakemake decides by name."""
    study, workflow = study_elsewhere
    (study / "Snakefile").write_text(
        MODULE.format(snakefile=str(workflow / "workflow/Snakefile"))
        + "for each in workflow.rules:\n    print(each.name, each.norun or each.name in workflow._localrules)\n"
    )
    code, output = run_snakemake(study, "--dry-run", "--quiet", "rules")
    assert code == 0, output
    local = dict(re.findall(r"^memscore_(\w+) (True|False)$", output, re.MULTILINE))
    assert {rule for rule, is_local in local.items() if is_local == "False"} == {
        "check_images",
        "pixels",
        "finetune",
        "peer",
        "predictor",
        "predict_images",
        "recognition",
        "write_activations",
        "memorability",
        "brain",
        "generalise",
        "audit_layer",
        "stimulus_page",
    }
    assert {local[rule] for rule in local if rule.startswith("stage_")} == {"True"}


def test_both_snakefiles_are_one_workflow(study_elsewhere, run_snakemake):
    """The same rules and the same default; and the root's too is what a module makes when nothing is asked for."""
    study, workflow = study_elsewhere
    (study / "Snakefile").write_text(MODULE.format(snakefile=str(workflow / "Snakefile")))
    snakefiles = [workflow / "Snakefile", workflow / "workflow/Snakefile", study / "Snakefile"]
    listed, planned = [], []
    for snakefile in snakefiles:
        for arguments, outputs in ((["--list-rules"], listed), (["--summary"], planned)):
            code, output = run_snakemake(study, "--snakefile", str(snakefile), *arguments)
            assert code == 0, output
            outputs.append(output.replace("memscore_", ""))
    assert "all\n" in listed[0]
    assert "results/summary.rst" in planned[0]
    assert len(set(listed)) == len(set(planned)) == 1


def test_a_snakefile_without_its_package_says_so(study_elsewhere, run_snakemake):
    """As of `github(...)`, from where Snakemake fetches what rules name, and no package."""
    study, workflow = study_elsewhere
    for command in ("init --quiet", "add .", "-c user.name=a -c user.email=a@b commit --quiet --message all"):
        subprocess.run(["git", *command.split()], cwd=workflow, check=True)
    (study / "Snakefile").write_text(
        MODULE.replace("{snakefile!r}", "gitfile({!r}, path='workflow/Snakefile', ref='HEAD')").format(str(workflow))
    )
    code, output = run_snakemake(study, "--dry-run")
    assert code == 1
    assert "memscore: no folder git+file:" in output
    assert "give the snakefile: of a clone" in output
    assert "Traceback" not in output


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
