"""Bad images and duplicates through the workflow, and the page that shows them before a run."""

import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr

pytestmark = pytest.mark.workflow

MINE = "resources/stimuli/datasets/mine"
STIMULI = f"{MINE}/stimuli.csv"
ACTIVATIONS = "results/activations/datasets/mine/tiny/conv1.0.nc"


def ran(run_snakemake, folder, *arguments) -> str:
    code, output = run_snakemake(folder, "--cores", "2", *arguments)
    assert code == 0, output
    return output


def mine(**more) -> dict:
    return {"mine": {"source": "table", "table": "mine.csv", "n_splits": 2} | more}


def test_skipped_images_are_left_out_everywhere(tiny_study, run_snakemake, configure):
    for i in (5, 24):
        (tiny_study / f"images/{i:02d}.png").write_text("no image")
    configure(tiny_study, datasets=mine(on_bad_image="skip"))
    output = ran(run_snakemake, tiny_study, ACTIVATIONS, "results/memorability/mine/tiny/conv1.0.csv")
    assert f"memscore: 2 of 48 images of mine cannot be used, listed in {MINE}/bad_images.csv: they are left" in output
    table = pd.read_csv(tiny_study / STIMULI)
    assert list(table["stimulus_id"]) == [f"images/{i:02d}.png" for i in range(48) if i not in (5, 24)]
    assert len(np.load(tiny_study / "resources/pixels/datasets/mine/64x64-bilinear.npy")) == 46
    assert xr.load_dataset(tiny_study / ACTIVATIONS).sizes["stimulus"] == 46
    assert len(pd.read_csv(tiny_study / MINE / "bad_images.csv")) == 2


def test_another_split_decodes_nothing_again(tiny_study, run_snakemake):
    ran(run_snakemake, tiny_study, STIMULI)
    table = pd.read_csv(tiny_study / "mine.csv").assign(split_1=["train"] * 40 + ["test"] * 8)
    table.to_csv(tiny_study / "mine.csv", index=False)
    before = pd.read_csv(tiny_study / MINE / "images.csv", dtype=str)
    # What is known of one image is falsified: it would be mended if the image were decoded.
    before.loc[7, "width"] = "999"
    before.to_csv(tiny_study / MINE / "images.csv", index=False)
    ran(run_snakemake, tiny_study, STIMULI)
    pd.testing.assert_frame_equal(pd.read_csv(tiny_study / MINE / "images.csv", dtype=str), before)
    assert list(pd.read_csv(tiny_study / STIMULI)["split_1"]) == list(table["split_1"])


def test_corrected_scores_below_zero_reach_the_jobs(tiny_study, run_snakemake, configure):
    table = pd.read_csv(tiny_study / "mine.csv")
    table["memorability"] -= 0.4
    table.to_csv(tiny_study / "mine.csv", index=False)
    scores = "results/memorability/mine/tiny/penultimate.csv"
    code, output = run_snakemake(tiny_study, "--cores", "1", "--quiet", "rules", "--", scores)
    assert code != 0
    assert "of scores corrected for false alarms say memorability: corrected in datasets" in output
    configure(tiny_study, datasets=mine(memorability="corrected"))
    ran(run_snakemake, tiny_study, scores)
    staged = pd.read_csv(tiny_study / STIMULI)
    assert np.allclose(staged["memorability"], table["memorability"])


def test_duplicates_are_dropped_from_train(tiny_study, run_snakemake, configure):
    shutil.copy(tiny_study / "images/03.png", tiny_study / "images/45.png")
    table = pd.read_csv(tiny_study / "mine.csv").assign(split_1=["train"] * 40 + ["test"] * 8)
    table.to_csv(tiny_study / "mine.csv", index=False)
    output = ran(run_snakemake, tiny_study, STIMULI)
    assert "mine: 2 of 48 images have a duplicate in the set, 2 an exact one; in train with one in test: 1 in" in output
    assert list(pd.read_csv(tiny_study / STIMULI)["split_1"]) == list(table["split_1"])
    pairs = pd.read_csv(tiny_study / MINE / "duplicates.csv")
    assert pairs[["stimulus_id", "other_id", "kind", "straddles"]].to_numpy().tolist() == [
        ["images/03.png", "images/45.png", "exact", "split_1"]
    ]

    configure(tiny_study, datasets=mine(drop_duplicates=True))
    output = ran(run_snakemake, tiny_study, STIMULI)
    assert "Rule: stage_dataset" not in output
    assert "Rule: check_images" not in output
    expected = table["split_1"].mask(table.index == 3, "unused")
    assert list(pd.read_csv(tiny_study / STIMULI)["split_1"]) == list(expected)


def test_the_page_of_every_stimulus_set(staged_study, run_snakemake):
    """Bad images do not keep it from being made: it shows them."""
    (staged_study / "images/24.png").write_text("no image")
    ran(run_snakemake, staged_study, "stimuli_report")
    page = (staged_study / "results/stimuli/datasets/mine.html").read_text(encoding="utf-8")
    assert "1 of them cannot be" in page
    assert "images/24.png" in page
    assert page.count("data:image/jpeg") >= 46
    brain = (staged_study / "results/stimuli/benchmarks/simulated.html").read_text(encoding="utf-8")
    assert "24 of 240 images, drawn at random" in brain
    for text in (page, brain):
        assert 'src="http' not in text
        assert "<link" not in text
    shutil.copy(staged_study / "images/03.png", staged_study / "images/24.png")
    ran(run_snakemake, staged_study, "--forcerun", "check_images", "--", "stimuli_report")
    page = (staged_study / "results/stimuli/datasets/mine.html").read_text(encoding="utf-8")
    assert "every image can be read" in page
    assert "the same file" in page
