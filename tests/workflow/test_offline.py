"""Compute nodes have no internet: what is staged is all that a study needs, and no other rule could fetch anything."""

import ast
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import timm
import torch
from safetensors.torch import save_file

import memscore

pytestmark = pytest.mark.workflow

PACKAGE = Path(memscore.__file__).parent
# Of the README: stage_stimuli goes before stage_benchmark, and Snakemake starts nothing after what --until names.
FETCH_FIRST = ("stage_dataset", "stage_benchmark", "stage_weights")
STAGING = ("stage_dataset", "stage_stimuli", "stage_benchmark", "stage_weights", "stage_references")
# Where a library keeps what it once downloaded.
CACHES = ("HOME", "HF_HOME", "TORCH_HOME", "XDG_CACHE_HOME", "BRAINIO_HOME", "BRAINSCORE_HOME")
# What talks to servers, in the package and beside it.
FETCHING = {"memscore.download", "memscore.stimuli.sources"}
CLIENTS = {"requests", "urllib", "urllib3", "http", "boto3", "botocore", "huggingface_hub", "brainscore_vision"}
# Functions that ask a hub, of modules of which nodes need others.
ASKING = {"stage_weights", "origin", "hub_revision", "hub_options"}


@pytest.fixture
def study(tiny_study, configure):
    """The tiny study with a network of its own weights, which is tuned, and a folder of photographs."""
    torch.manual_seed(3)
    save_file(timm.create_model("test_resnet").state_dict(), tiny_study / "tiny.safetensors")
    table = "model\ttimm_name\tweights\tlayers\ntiny\ttest_resnet\ttiny.safetensors\tpenultimate\n"
    (tiny_study / "models.tsv").write_text(table)
    configure(
        tiny_study,
        finetune={"splits": [1], "epochs": 1, "batch_size": 8},
        brain={"benchmarks": ["simulated.IT"]},
    )
    shutil.copytree(tiny_study / "images", tiny_study / "holiday")
    return tiny_study


def test_after_staging_no_network_and_no_cache_is_needed(
    study, run_snakemake, start_forks, cut_off, repository, tmp_path
):
    """A whole study: trained, scored, predicting, audited, reported."""
    assert f"--until {' '.join(FETCH_FIRST)}\n" in (repository / "README.md").read_text(encoding="utf-8")
    code, output = run_snakemake(study, "--cores", "2", "--quiet", "rules", "--until", *FETCH_FIRST)
    assert code == 0, output
    assert not (study / "results").exists()
    empty = {name: str(tmp_path / "empty" / name.lower()) for name in CACHES}
    for folder in empty.values():
        Path(folder).mkdir(parents=True)
    without_network, targets = start_forks(*cut_off, **empty), ("all", "predict", "audit")
    for arguments in (*targets, "--cores", "2", "--config", "images=holiday"), ("--report", "report.html"):
        code, output = without_network.snakemake(study, *arguments)
        assert code == 0, output
        assert not re.search(r"^localrule stage_", output, re.MULTILINE)
    assert pd.read_csv(study / "results/layers.csv")[["memorability", "simulated.IT.score"]].notna().all(axis=None)
    assert pd.read_csv(study / "results/finetuned.csv")[["head_rho", "pls_after"]].notna().all(axis=None)
    assert len(pd.read_csv(study / "results/predictions/predictions.csv")) == 48
    assert len(pd.read_csv(study / "results/audit.csv")) == 1
    assert (study / "report.html").stat().st_size > 10_000


def imported(path: Path) -> set[str]:
    """Modules that a file imports, `package.module` of `from package import module` too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def reached(path: Path) -> set[str]:
    """All that a file imports, and what modules of the package import that it imports."""
    found, left = set(), imported(path)
    while left:
        name = left.pop()
        found.add(name)
        module = PACKAGE.parent.joinpath(*name.split(".")).with_suffix(".py")
        left |= imported(module) - found if module.is_file() else set()
    return found


def could_fetch(script: Path) -> set[str]:
    """What of a script's imports, or of the functions it calls, talks to servers."""
    # Networks' weights are loaded by the module whose other functions stage them.
    modules = {name for name in reached(script) if not name.startswith("huggingface_hub")}
    fetching = {name for name in modules if name.startswith(tuple(FETCHING)) or name.partition(".")[0] in CLIENTS}
    return fetching | set(re.findall(r"\w+", script.read_text())) & ASKING


def test_only_staging_could_fetch_anything(rules):
    """`audit_layer` runs Brain-Score's own code, on the data that staging its benchmark left in Brain-Score's cache."""
    scripts = {name: PACKAGE.parent / "rules" / rule["script"] for name, rule in rules.items() if rule["script"]}
    fetching = {name for name, script in scripts.items() if could_fetch(script)}
    assert fetching - {"audit_layer"} == {"stage_dataset", "stage_stimuli", "stage_benchmark", "stage_weights"}
    assert {name for name in rules if name.startswith("stage_")} == set(STAGING)
    assert all(rules[name]["local"] for name in STAGING)


def test_clients_of_servers_are_where_they_are_known_to_be():
    """Whoever adds one says here who calls it, and sees that no node does."""
    clients = {
        str(path.relative_to(PACKAGE)): {name.partition(".")[0] for name in imported(path)} & CLIENTS
        for path in PACKAGE.rglob("*.py")
    }
    assert {file: names for file, names in clients.items() if names} == {
        "download.py": {"requests", "urllib3"},
        "networks/weights.py": {"huggingface_hub"},
        "stimuli/sources/brainscore.py": {"boto3", "botocore", "brainscore_vision"},
    }
    hub = [path for path in PACKAGE.rglob("*.py") if "load_model_config_from_hf" in path.read_text()]
    assert [path.name for path in hub] == ["architectures.py"]
