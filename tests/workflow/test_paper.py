"""config/paper.yaml: the 2023 study is known whole before anything is downloaded."""

import json
import math
import re

import pytest
import yaml

from memscore import configuration

pytestmark = [pytest.mark.workflow, pytest.mark.slow, pytest.mark.xdist_group("paper")]

# Counted by hand. VGG-11: 8 convolutions with their ReLU, 5 poolings, 2 fully connected with theirs, global pooling,
# the classifier; ResNet-50: a stem of 4, 16 blocks of 9, 4 shortcuts of 2, the same 2 at the end. And each the
# penultimate layer.
KNOWN_LAYERS = {"vgg11": 16 + 5 + 4 + 2 + 1, "resnet50": 4 + 16 * 9 + 4 * 2 + 2 + 1}


@pytest.fixture(scope="module")
def dry_run(make_study_folder, run_snakemake, tmp_path_factory):
    """(folder, jobs by rule) of a dry run from a clean clone."""
    folder = make_study_folder(tmp_path_factory.mktemp("paper"))
    code, output = run_snakemake(folder, "--dry-run", "--quiet", "rules", "--configfile", "config/paper.yaml")
    assert code == 0, output
    return folder, {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", output, re.MULTILINE)}


@pytest.fixture(scope="module")
def paper(repository):
    """The config and the names of its networks."""
    config = yaml.safe_load((repository / "config/config.yaml").read_text())
    config |= yaml.safe_load((repository / "config/paper.yaml").read_text())
    assert config["datasets"]["lamem"] == {"source": "lamem"}
    return config, [row["timm_name"] for row in configuration.read_models(repository / config["models"])]


def layers_of(folder, timm_name):
    return json.loads((folder / f"resources/layers/{timm_name}-own.json").read_text())["layers"]


def test_64_networks_build_and_their_layers_enumerate(dry_run, paper):
    folder, _ = dry_run
    _, names = paper
    assert len(names) == len(set(names)) == 64
    assert any(name.startswith("dpn92.") for name in names)
    n_layers = {name.partition(".")[0]: len(layers_of(folder, name)) for name in names}
    assert min(n_layers.values()) > 20
    assert sum(n_layers.values()) > 15_000
    for name, n in KNOWN_LAYERS.items():
        assert n_layers[name] == n
    for name in names:
        assert "penultimate" in [layer["name"] for layer in layers_of(folder, name)]


def test_jobs_of_every_rule(dry_run, paper):
    folder, jobs = dry_run
    config, names = paper
    batches = sum(math.ceil(len(layers_of(folder, name)) / config["layers_per_job"]) for name in names)
    assert jobs["stage_weights"] == 64
    assert jobs["stage_benchmark"] == 4
    assert jobs["stage_stimuli"] == 2
    assert jobs["stage_dataset"] == jobs["check_images"] == jobs["select_stimuli"] == 1
    # Each trained on five splits, and scored again at its penultimate layer.
    assert jobs["finetune"] == 64 * 5
    assert jobs["memorability"] == batches + jobs["finetune"]
    assert jobs["brain"] == 2 * jobs["memorability"]  # over FreemanZiemba's and MajajHong's stimuli
