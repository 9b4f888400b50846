"""`snakemake finetuned`, for real: a small network, 48 images, and what must not be seen in training."""

import re

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("snakemake")]

RECIPE = {"splits": [1, 2], "epochs": 2, "batch_size": 8, "learning_rate": 0.003}
WEIGHTS = "resources/weights/tiny.tuned-1.safetensors"


@pytest.fixture
def trained_study(tiny_study, configure):
    """The tiny study with a network that has weights of its own; an untrained one beside it is not tuned."""
    torch.manual_seed(3)
    save_file(timm.create_model("test_resnet").state_dict(), tiny_study / "tiny.safetensors")
    (tiny_study / "models.tsv").write_text(
        "model\ttimm_name\tweights\tlayers\n"
        "tiny\ttest_resnet\ttiny.safetensors\tconv1.0,penultimate\n"
        "control\ttest_resnet\tuntrained\tpenultimate\n"
    )
    configure(tiny_study, finetune=RECIPE)
    return tiny_study


def planned(run_snakemake, folder, *arguments) -> set[str]:
    code, output = run_snakemake(folder, "--dry-run", "finetuned", *arguments)
    assert code == 0, output
    return set(re.findall(r"Fine-tune (\S+) on split (\d)", output))


def test_networks_are_tuned_and_take_the_road_of_all(trained_study, run_snakemake):
    assert planned(run_snakemake, trained_study) == {("tiny", "1"), ("tiny", "2")}
    code, output = run_snakemake(trained_study, "finetuned", "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    table = pd.read_csv(trained_study / "results/finetuned.csv").set_index("split")
    assert list(table["model"]) == ["tiny", "tiny"]
    assert (table["n_epochs"] == 2).all()
    before = pd.read_csv(trained_study / "results/memorability/mine/tiny/penultimate.csv").iloc[0]
    for split in (1, 2):
        after = pd.read_csv(trained_study / f"results/memorability/mine/tiny.tuned-{split}/penultimate.csv").iloc[0]
        of_splits = [name for name in after.index if "_split_" in name]
        assert of_splits == [f"memorability_split_{split}", f"components_split_{split}"]
        assert table.loc[split, "pls_after"] == after["memorability"]
        assert table.loc[split, "pls_before"] == before[f"memorability_split_{split}"]
        assert table.loc[split, "best_layer_before"] >= table.loc[split, "pls_before"]
        brain = pd.read_csv(trained_study / f"results/brain/simulated/tiny.tuned-{split}/penultimate.csv")
        raw = brain.set_index("benchmark")["raw"]["simulated.IT"]
        assert table.loc[split, "simulated.IT.raw_after"] == raw
        assert table.loc[split, "simulated.IT.raw_after"] != table.loc[split, "simulated.IT.raw_before"]
        epochs = pd.read_csv(trained_study / f"results/finetune/tiny/split_{split}.epochs.csv")
        assert list(epochs["epoch"]) == [1, 2]
    with safe_open(trained_study / WEIGHTS, "pt") as file:
        assert '"num_classes": 1' in file.metadata()["options"]
        assert "validation_rho" in file.metadata()["finetuned"]
    assert not (trained_study / "resources/finetune/tiny/split_1.pt").exists()
    assert "Nothing to be done" in run_snakemake(trained_study, "finetuned", "--dry-run")[1]

    # What is tested has no part in it: other pixels and other scores of the test images, and the same weights come out.
    tensors = load_file(trained_study / WEIGHTS)
    path = trained_study / "resources/stimuli/datasets/mine/stimuli.csv"
    stimuli = pd.read_csv(path, float_precision="round_trip")
    test = (stimuli["split_1"] == "test").to_numpy()
    stimuli.loc[test, "memorability"] = 1 - stimuli.loc[test, "memorability"]
    [pixels] = (trained_study / "resources/pixels/datasets/mine").glob("*.npy")
    changed = np.load(pixels)
    changed[test] = changed[test][::-1]
    stimuli.to_csv(path, index=False)
    np.save(pixels, changed)
    code, output = run_snakemake(trained_study, WEIGHTS, "--cores", "1", "--force", "--quiet", "rules")
    assert code == 0, output
    again = load_file(trained_study / WEIGHTS)
    assert all(torch.equal(tensors[name], again[name]) for name in tensors)
    scores = pd.read_csv(trained_study / "results/finetune/tiny/split_1.csv")["test_rho"][0]
    assert scores != table.loc[1, "head_rho"]


def test_another_model_is_tuned_alone(trained_study, run_snakemake, configure):
    code, output = run_snakemake(trained_study, "finetuned", "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    with open(trained_study / "models.tsv", "a") as table:
        table.write("other\ttest_resnet\ttiny.safetensors\tpenultimate\n")
    assert planned(run_snakemake, trained_study) == {("other", "1"), ("other", "2")}
    configure(trained_study, finetune={"epochs": 3})
    assert planned(run_snakemake, trained_study) == {(model, split) for model in ("tiny", "other") for split in "12"}


def test_what_cannot_be_tuned_is_said(trained_study, run_snakemake, configure):
    configure(trained_study, finetune={"splits": [3]})
    code, output = run_snakemake(trained_study, "results/finetune/tiny/split_3.csv", "--cores", "1", "--retries", "0")
    assert code != 0
    assert "no split_3; it has split_1, split_2: correct finetune: splits in the config" in output
    configure(trained_study, finetune={"splits": None})
    code, output = run_snakemake(trained_study, "finetuned", "--cores", "1")
    assert code == 0, output
    assert "Nothing to fine-tune" in output
