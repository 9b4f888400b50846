"""What is kept of what a study's numbers rest on."""

import json
import subprocess

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

from memscore.report import provenance


def git(folder, *arguments):
    who = ("-c", "user.name=lab", "-c", "user.email=lab@example.org")
    subprocess.run(["git", "-C", folder, *who, *arguments], check=True, capture_output=True)


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository of one committed file, as if the package lay in it."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "code.py").write_text("1\n")
    git(folder, "init")
    git(folder, "add", "code.py")
    git(folder, "commit", "-m", "all")
    monkeypatch.setattr(provenance, "REPOSITORY", folder)
    return folder


def test_a_clean_tree_and_a_changed_one_are_told_apart(checkout):
    clean = provenance.of_code()
    assert len(clean["commit"]) == 40
    assert clean["clean"] is True
    (checkout / "code.py").write_text("2\n")
    assert provenance.of_code() == clean | {"clean": False}


@pytest.mark.parametrize("missing", ["its own repository", "git"])
def test_code_without_a_commit_of_its_own_is_no_error(checkout, monkeypatch, missing):
    """A copy inside another repository has not that one's commit."""
    if missing == "git":
        monkeypatch.setenv("PATH", str(checkout))
    else:
        (checkout / "copy").mkdir()
        monkeypatch.setattr(provenance, "REPOSITORY", checkout / "copy")
    assert provenance.of_code() == {"commit": None, "clean": None}


def test_layers_are_counted_once_by_what_they_were_scored_on():
    scores = pd.DataFrame({"model": ["a", "a", "a", "b"], "layer": ["x", "x", "y", "x"]})
    scores["device"] = ["cpu", "cpu", "NVIDIA H100", np.nan]
    assert provenance.by_device(scores) == {"cpu": 1, "NVIDIA H100": 1, "unknown": 1}
    assert provenance.by_device(scores.drop(columns="device")) == {"unknown": 3}


@pytest.fixture
def stimuli(tmp_path):
    """stimuli(folder, grey): a staged table of two images, one of that grey."""

    def stage(folder, grey=10, memorability=0.5):
        folder = tmp_path / folder
        folder.mkdir()
        for name, value in (("a.png", grey), ("b.png", 200)):
            Image.new("RGB", (4, 4), (value,) * 3).save(folder / name)
        table = pd.DataFrame({"stimulus_id": ["a", "b"], "memorability": [memorability, 0.7]})
        table["path"] = [str(folder / name) for name in ("a.png", "b.png")]
        table.to_csv(folder / "stimuli.csv", index=False)
        return provenance.of_stimuli(str(folder / "stimuli.csv"))

    return stage


def test_stimuli_are_the_same_in_any_folder_and_no_others_are(stimuli):
    here, there, darker = stimuli("here"), stimuli("there"), stimuli("darker", grey=9)
    better = stimuli("better", memorability=0.6)
    assert here == there
    assert here["n_stimuli"] == 2
    assert darker["images_sha256"] != here["images_sha256"]
    assert darker["table_sha256"] == here["table_sha256"]
    assert better["table_sha256"] != here["table_sha256"]
    assert better["images_sha256"] == here["images_sha256"]


def test_recordings_are_known_by_their_values(tmp_path):
    """Two files of the same recordings differ in their bytes."""

    def staged(name, rate=1.0, site="a"):
        rates = {"rate": (("stimulus", "neuroid"), [[rate], [2.0]])}
        sites = {"neuroid_id": ("neuroid", np.array([site], object))}
        xr.Dataset(rates, coords=sites, attrs={"source": "lab"}).to_netcdf(tmp_path / name)
        return provenance.of_benchmark(str(tmp_path / name))

    assert staged("one.nc") == staged("two.nc")
    assert staged("one.nc")["stimulus"] == 2
    assert len({staged("x.nc", *other)["values_sha256"] for other in ((1.0,), (1.5,), (1.0, "b"))}) == 3


@pytest.mark.parametrize(
    ("commit", "clean", "words"),
    [
        ("0123456789abcdef", True, "at commit 0123456789."),
        ("0123456789abcdef", False, "at commit 0123456789 with changes that are not committed."),
        (None, None, "Made by memscore 1."),
    ],
)
def test_the_page_says_which_code(tmp_path, commit, clean, words):
    file = tmp_path / "provenance.json"
    provenance.write(file, {"memscore": "1", "commit": commit, "clean": clean})
    text = provenance.described(file)
    assert words in text
    assert provenance.sha256(file) in text
    assert json.loads(file.read_text())["commit"] == commit
