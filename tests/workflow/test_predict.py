"""`snakemake predict`, for real: anyone's folder of photographs, and no network behind it."""

import shutil

import numpy as np
import pandas as pd
import pytest
import timm
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("predict")]

TABLE = "results/predictions/predictions.csv"


@pytest.fixture(scope="module")
def study(make_tiny_study, configure, tmp_path_factory):
    """The tiny study with a network of its own weights, which is tuned, and a folder of photographs."""
    folder = make_tiny_study(tmp_path_factory.mktemp("predict") / "study")
    torch.manual_seed(3)
    save_file(timm.create_model("test_resnet").state_dict(), folder / "tiny.safetensors")
    table = "model\ttimm_name\tweights\tlayers\ntiny\ttest_resnet\ttiny.safetensors\tpenultimate\n"
    (folder / "models.tsv").write_text(table)
    recipe = {"splits": [2], "epochs": 8, "batch_size": 8, "learning_rate": 0.003, "layer_decay": None}
    configure(folder, finetune=recipe | {"frozen_below": None}, brain=None)
    photographs = folder / "holiday"
    shutil.copytree(folder / "images", photographs / "known")
    rng = np.random.default_rng(0)
    image = Image.fromarray(rng.integers(0, 255, (80, 60, 3), dtype=np.uint8))
    image.save(photographs / "plain.jpg")
    image.save(photographs / "plain.png")
    image.convert("L").save(photographs / "grey.jpg")
    image.convert("CMYK").save(photographs / "cmyk.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    image.rotate(90, expand=True).save(photographs / "turned.png", exif=exif)
    (photographs / "broken.jpg").write_bytes((photographs / "plain.jpg").read_bytes()[:200])
    (photographs / "notes.txt").write_text("where we were")
    (photographs / ".hidden.jpg").write_bytes(b"")
    return folder


def test_predict(study, run_snakemake):
    code, output = run_snakemake(study, "all", "predict", "--cores", "2", "--config", "images=holiday")
    assert code == 0, output
    assert "Trained on memorability" in (study / "results/summary.rst").read_text(encoding="utf-8")
    assert "53 images, 2 files that cannot be read as one" in output
    table = pd.read_csv(study / TABLE)
    assert list(table.columns) == ["path", "predicted_memorability", "rank", "percentile", "note"]
    assert list(table["rank"].dropna()) == list(range(1, 54))
    assert set(table["path"][table["rank"].isna()]) == {"holiday/broken.jpg", "holiday/notes.txt"}
    assert table.loc[table["rank"].isna(), "note"].str.startswith("cannot be read as an image").all()
    by_path = table.set_index("path")["predicted_memorability"]
    assert by_path["holiday/turned.png"] == pytest.approx(by_path["holiday/plain.png"], abs=1e-6)
    assert by_path["holiday/grey.jpg"] != by_path["holiday/plain.jpg"]

    # What it says of test images is what they were evaluated by.
    with safe_open(study / "results/predictor.safetensors", "pt") as file:
        about = file.metadata()["memscore_predictor"]
    assert '"kind": "head"' in about
    evaluated = pd.read_csv(study / "results/finetune/tiny/split_2.predicted.csv", dtype={"stimulus_id": str})
    paths = ["holiday/known/" + name.rpartition("/")[2] for name in evaluated["stimulus_id"]]
    np.testing.assert_allclose(by_path[paths], evaluated["predicted"], atol=1e-5)

    page = (study / "results/predictions/predictions.html").read_text()
    assert "53 images" in page
    assert "2 files" in page
    assert page.count("<figure>") == 53
    assert "notes.txt" in page

    # Nothing is done again, until a photograph is added.
    assert "Nothing to be done" in run_snakemake(study, "predict", "--dry-run", "--config", "images=holiday")[1]
    shutil.copy(study / "holiday/plain.png", study / "holiday/another.png")
    output = run_snakemake(study, "predict", "--dry-run", "--config", "images=holiday")[1]
    assert "How memorable the images in holiday are" in output
    assert "The study's best predictor" not in output


def test_handed_on_it_needs_no_study_and_no_network(
    study, make_study_folder, run_snakemake, start_forks, configure, cut_off, tmp_path
):
    code, output = run_snakemake(study, "predict", "--cores", "2", "--config", "images=holiday")
    assert code == 0, output
    elsewhere = make_study_folder(tmp_path / "elsewhere")
    shutil.copytree(study / "resources/layers", elsewhere / "resources/layers")
    shutil.copy(study / "models.tsv", elsewhere)
    (elsewhere / "models.tsv").write_text("model\ttimm_name\tweights\ntiny\ttest_resnet\tuntrained\n")
    configure(elsewhere, models="models.tsv", input_size=64)
    shutil.copy(study / "results/predictor.safetensors", elsewhere / "theirs.safetensors")
    shutil.copytree(study / "holiday", elsewhere / "holiday")
    theirs = ("--config", "images=holiday", "predictor=theirs.safetensors")
    code, output = start_forks(*cut_off).snakemake(elsewhere, "predict", "--cores", "1", *theirs)
    assert code == 0, output
    assert not (elsewhere / "resources/stimuli").exists()
    table, known = pd.read_csv(elsewhere / TABLE).set_index("path"), pd.read_csv(study / TABLE).set_index("path")
    shared = [path for path in known.index if path in table.index]
    assert len(shared) >= 55
    np.testing.assert_allclose(
        table.loc[shared, "predicted_memorability"], known.loc[shared, "predicted_memorability"], atol=1e-6
    )


def test_an_empty_folder_is_said(study, run_snakemake):
    (study / "empty").mkdir()
    code, output = run_snakemake(study, "predict", "--cores", "2", "--config", "images=empty")
    assert code != 0
    assert "memscore: error: config: images: no files in empty; name a folder with photographs" in output
