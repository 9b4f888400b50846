"""`snakemake finetuned`, for real: a small network, 48 images, and what must not be seen in training."""

import re
import shutil
import signal
import time

import numpy as np
import pandas as pd
import psutil
import pytest
import timm
import torch
from runs import Run
from safetensors import safe_open
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.workflow

RECIPE = {"splits": [1, 2], "epochs": 2, "batch_size": 8, "learning_rate": 0.003}
WEIGHTS = "resources/weights/tiny.tuned-1.safetensors"


@pytest.fixture
def trained_study(staged_study, configure):
    """The tiny study with a network that has weights of its own; an untrained one beside it is not tuned."""
    torch.manual_seed(3)
    save_file(timm.create_model("test_resnet").state_dict(), staged_study / "tiny.safetensors")
    (staged_study / "models.tsv").write_text(
        "model\ttimm_name\tweights\tlayers\n"
        "tiny\ttest_resnet\ttiny.safetensors\tconv1.0,penultimate\n"
        "control\ttest_resnet\tuntrained\tpenultimate\n"
    )
    configure(staged_study, finetune=RECIPE)
    return staged_study


def trainings(run_snakemake, folder, *arguments) -> set[str]:
    code, output = run_snakemake(folder, "--dry-run", "finetuned", *arguments)
    assert code == 0, output
    return set(re.findall(r"Fine-tune (\S+) on split (\d)", output))


def test_networks_are_tuned_and_take_the_road_of_all(trained_study, run_snakemake):
    assert trainings(run_snakemake, trained_study) == {("tiny", "1"), ("tiny", "2")}
    code, output = run_snakemake(trained_study, "finetuned", "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    table = pd.read_csv(trained_study / "results/finetuned.csv").set_index("split")
    assert list(table["model"]) == ["tiny", "tiny"]
    assert (table["n_epochs"] == 2).all()
    before = pd.read_csv(trained_study / "results/memorability/mine/tiny/penultimate.csv").iloc[0]
    for split in (1, 2):
        after = pd.read_csv(trained_study / f"results/memorability/mine/tiny.tuned-{split}/penultimate.csv").iloc[0]
        of_splits = [name for name in after.index if "_split_" in name]
        assert of_splits == [f"{name}_split_{split}" for name in ("memorability", "validation", "components")]
        assert table.loc[split, "pls_after"] == after["memorability"]
        assert table.loc[split, "pls_before"] == before[f"memorability_split_{split}"]
        brain = pd.read_csv(trained_study / f"results/brain/simulated/tiny.tuned-{split}/penultimate.csv")
        raw = brain.set_index("benchmark")["raw"]["simulated.IT"]
        assert table.loc[split, "simulated.IT.raw_after"] == raw
        assert table.loc[split, "simulated.IT.raw_after"] != table.loc[split, "simulated.IT.raw_before"]
        epochs = pd.read_csv(trained_study / f"results/finetune/tiny/split_{split}.epochs.csv")
        assert list(epochs["epoch"]) == [1, 2]
    best = pd.read_csv(trained_study / "results/best_layers.csv")
    assert list(table["best_layer_before"]) == list(best.loc[best["model"] == "tiny", "test_rho"])
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


def kill_training(folder, number) -> bool:
    """Send a signal to the job that trains in this folder, once it has saved a checkpoint of this very try."""
    checkpoint, started, deadline = folder / "resources/finetune/tiny/split_1.pt", time.time(), time.time() + 300
    while time.time() < deadline:
        if checkpoint.exists() and checkpoint.stat().st_mtime > started:
            for process in psutil.process_iter(["cmdline", "cwd"]):
                command = process.info["cmdline"] or []
                if process.info["cwd"] == str(folder) and command and command[-1].endswith(".finetune.py"):
                    process.send_signal(number)
                    return True
        time.sleep(0.01)
    return False


@pytest.mark.thorough
def test_killed_twice_it_ends_with_the_same_weights(trained_study, run_snakemake, configure, tmp_path):
    """kill -9 and a scheduler's SIGTERM, each in the middle of a try: one command sees it through."""
    configure(trained_study, finetune={"splits": [1], "epochs": 150, "patience": 150})
    arguments = [WEIGHTS, "--cores", "1", "--quiet", "rules"]
    stopped = shutil.copytree(trained_study, tmp_path / "stopped")
    code, output = run_snakemake(trained_study, *arguments)
    assert code == 0, output
    run = Run(stopped, *arguments)
    assert kill_training(stopped, signal.SIGKILL)
    time.sleep(1)  # The killed try's checkpoint is older than what the next one is waited for with.
    assert kill_training(stopped, signal.SIGTERM)
    said = run.ends_well()
    assert said.count("goes on after step") == 2
    assert "the next try goes on from there" in said
    tensors, again = load_file(trained_study / WEIGHTS), load_file(stopped / WEIGHTS)
    assert all(torch.equal(tensors[name], again[name]) for name in tensors)


def test_another_model_or_split_is_tuned_alone(trained_study, run_snakemake, configure, planned):
    configure(trained_study, finetune={"splits": [1]})
    code, output = run_snakemake(trained_study, "finetuned", "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    configure(trained_study, finetune={"splits": [1, 2]})
    tables = {"finetuned", "finetuned_networks", "finetuned_layers", "finetuned_against_layers", "beside_published"}
    figures = {"before_and_after", "training_curves", "beside_published"}
    assert planned(trained_study, "finetuned") == {
        "resources/weights/tiny.tuned-2.safetensors",
        *(f"results/finetune/tiny/split_2{part}.csv" for part in ("", ".epochs", ".predicted")),
        *(f"results/memorability/mine/tiny.tuned-2/penultimate.{suffix}" for suffix in ("csv", "npz")),
        "results/brain/simulated/tiny.tuned-2/penultimate.csv",
        *(f"results/{name}.csv" for name in tables),
        *(f"results/figures/{name}.svg" for name in figures),
    }
    # A table with one more split: what is of its images, and nothing of the brain's.
    configure(
        trained_study, finetune=RECIPE, datasets={"mine": {"source": "table", "table": "mine.csv", "n_splits": 3}}
    )
    again = planned(trained_study, "finetuned")
    assert "results/memorability/mine/tiny/penultimate.csv" in again
    assert not [
        path for path in again if path.startswith(("resources/weights/tiny.safe", "results/brain/simulated/tiny/"))
    ]
    configure(trained_study, datasets={"mine": {"source": "table", "table": "mine.csv", "n_splits": 2}})
    with open(trained_study / "models.tsv", "a") as table:
        table.write("other\ttest_resnet\ttiny.safetensors\tpenultimate\n")
    assert trainings(run_snakemake, trained_study) == {("tiny", "2"), ("other", "1"), ("other", "2")}
    # All layers of a tuned network are its layers once more, and training it is not.
    configure(trained_study, finetune={"layers": "studied"})
    assert trainings(run_snakemake, trained_study) == {("tiny", "2"), ("other", "1"), ("other", "2")}
    code, output = run_snakemake(trained_study, "finetuned", "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    layers = pd.read_csv(trained_study / "results/finetuned_layers.csv")
    assert list(layers.loc[layers["model"] == "tiny.tuned-1", "layer"]) == ["conv1.0", "penultimate"]
    assert (layers["depth"] == [0, 1, 0, 1, 1, 1]).all()
    assert layers[["memorability", "simulated.IT.score"]].notna().all(axis=None)
    configure(trained_study, finetune={"epochs": 3})
    assert trainings(run_snakemake, trained_study) == {(model, split) for model in ("tiny", "other") for split in "12"}


def test_what_cannot_be_tuned_is_said(trained_study, run_snakemake, configure):
    configure(trained_study, finetune={"splits": [3]})
    code, output = run_snakemake(trained_study, "results/finetune/tiny/split_3.csv", "--cores", "1", "--retries", "0")
    assert code != 0
    assert "no split_3; it has split_1, split_2: correct finetune: splits in the config" in output
    configure(trained_study, finetune={"models": ["tinny"]})
    code, output = run_snakemake(trained_study, "finetuned", "--dry-run")
    assert code != 0
    assert "config: finetune: models: 'tinny' is not in the model table (tiny, control)" in output
    configure(trained_study, finetune={"models": ["control"]})
    assert trainings(run_snakemake, trained_study) == set()
