"""What a person sees when a study cannot be run: one line with the culprit and the mend, and no half-written file."""

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("snakemake")]

FLAWED = """
import timm
import torch


class Flawed(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.pretrained_cfg = self.default_cfg = {"input_size": (3, 64, 64)}
        self.stem = torch.nn.Conv2d(3, 8, 8, stride=8)
        self.constant = Constant()
        self.broken = Broken()
        self.head = torch.nn.Linear(8, 10)

    def get_classifier(self):
        return self.head

    def forward(self, images):
        features = self.stem(images).mean((2, 3))
        self.constant(features)
        self.broken(features)
        return self.head(features)


class Constant(torch.nn.Module):
    def forward(self, features):
        return torch.ones_like(features)


class Broken(torch.nn.Module):
    def forward(self, features):
        return features / 0 * 0


@timm.models.register_model
def flawed_network(pretrained=False, **kwargs):
    return Flawed()
"""


def complaint(output: str) -> str:
    """The one line that memscore says."""
    lines = [line for line in output.splitlines() if line.startswith("memscore: ")]
    assert lines, output
    return lines[0]


def test_unknown_config_key(tiny_study, run_snakemake):
    path = tiny_study / "config/config.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | {"bath_size": 3}))
    code, output = run_snakemake(tiny_study, "--cores", "1")
    assert code != 0
    assert "'bath_size'" in complaint(output)
    assert "Traceback" not in output


def test_unknown_timm_model(tiny_study, run_snakemake):
    (tiny_study / "models.tsv").write_text("model\ttimm_name\tweights\nours\tresnet5o\tuntrained\n")
    code, output = run_snakemake(tiny_study, "--cores", "1")
    assert code != 0
    assert "models.tsv" in complaint(output)
    assert "'resnet5o'" in complaint(output)


def test_images_that_cannot_be_read(finished_study, run_snakemake):
    (finished_study / "images/07.png").write_bytes(b"")
    code, output = run_snakemake(finished_study, "--cores", "2", "--forcerun", "pixels", "--quiet", "rules")
    assert code != 0
    assert "images/07.png" in output
    assert "the file is empty" in output
    assert not list(finished_study.glob("resources/pixels/datasets/**/*.npy"))


def test_weights_that_do_not_fit(tiny_study, run_snakemake):
    torch.save({"one": torch.zeros(3), "two": torch.zeros(4)}, tiny_study / "mine.pth")
    (tiny_study / "models.tsv").write_text("model\ttimm_name\tweights\nours\ttest_resnet\tmine.pth\n")
    code, output = run_snakemake(
        tiny_study, "--cores", "1", "--quiet", "rules", "--", "resources/weights/ours.safetensors"
    )
    assert code != 0
    assert "mine.pth: holds 2 tensors" in output
    assert not list(tiny_study.glob("resources/weights/*"))


def test_flawed_layers_are_reported_and_the_study_goes_on(finished_study, configure, run_snakemake):
    (finished_study / "flawed.py").write_text(FLAWED)
    configure(finished_study, model_plugins=["flawed.py"], layers={"every": 1})
    (finished_study / "models.tsv").write_text("model\ttimm_name\tweights\nours\tflawed_network\tuntrained\n")
    code, output = run_snakemake(finished_study, "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    layers = pd.read_csv(finished_study / "results/layers.csv").set_index("layer")
    assert layers.loc["constant", "note"] == "constant"
    assert layers.loc["broken", "note"] == "not finite"
    scores = layers[["memorability", "simulated.IT.score"]]
    assert np.isnan(scores.loc[["constant", "broken"]]).all(axis=None)
    assert np.isfinite(scores.loc["stem"]).all()
