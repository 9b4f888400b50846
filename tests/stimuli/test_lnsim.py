"""LNSIM in every layout it was published in, served on loopback and staged; whole, broken, and the real one."""

import io
import os
import re
import shutil
import subprocess
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.io import loadmat, savemat
from scipy.stats import spearmanr
from staged import JPEG, refusal, resumable, stage

from memscore import download, storage
from memscore.stimuli import consistency, tables
from memscore.stimuli.sources import lnsim

pytestmark = pytest.mark.usefixtures("study_folder")

SHAPE = (25, 2632)
TOP = "Natural-Scene-Memorability-Dataset-27e8e4a"


def halves(seed=0):
    """Scores by the two halves of the people, 25 times over."""
    rng = np.random.default_rng(seed)
    memorability = rng.uniform(0.2, 0.9, SHAPE[1])
    return [np.clip(memorability + rng.normal(0, 0.1, SHAPE), 0, 1) for _ in range(2)]


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """The repository's folder, its photographs one by one; do not change it."""
    folder = tmp_path_factory.mktemp("published") / TOP
    (folder / "Image_data").mkdir(parents=True)
    (folder / "Random_splits").mkdir()
    (folder / "README.md").write_text("LNSIM")
    for number in range(1, SHAPE[1] + 1):
        # A comment makes no two files alike.
        (folder / f"Image_data/{number:04d}.jpg").write_bytes(JPEG + f"{number}".encode())
    for k, half in enumerate(halves(), start=1):
        savemat(folder / f"Random_splits/subject_hrs{k}.mat", {f"subject_hrs{k}": half}, do_compression=True)
    return folder


@pytest.fixture
def copy(published, tmp_path) -> Path:
    """Of links: a file is to be removed before another is written in its place."""
    return Path(shutil.copytree(published, tmp_path / "copy", copy_function=os.link))


def pack(folder: Path) -> bytes:
    """What GitHub makes of a commit: a zip with a folder on top."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, f"{TOP}/{path.relative_to(folder)}")
    return file.getvalue()


@pytest.fixture(scope="module")
def packed(published) -> bytes:
    return pack(published)


@pytest.fixture
def server(serve, packed, published, monkeypatch):
    """In the place of GitHub, which neither says how long an archive is nor goes on with one; this one can."""
    server = serve(resumable("/archive.zip", packed))
    monkeypatch.setattr(lnsim, "URL", f"{server.url}/archive.zip")
    monkeypatch.setattr(lnsim, "TREES", {name: download.git_tree_id(published / name) for name in lnsim.TREES})
    return server


def check(table: pd.DataFrame) -> None:
    """Every score belongs to its photograph."""
    first, second = halves()
    assert list(table["stimulus_id"]) == [f"{number:04d}" for number in range(1, SHAPE[1] + 1)]
    for number in (1, 2, 1000, SHAPE[1]):
        assert Path(table["path"][number - 1]).read_bytes().endswith(f"{number}".encode())
    np.testing.assert_allclose(table["memorability"], (first.mean(0) + second.mean(0)) / 2, rtol=0, atol=1e-12)
    for k in (1, 25):
        np.testing.assert_allclose(table[f"half_a_{k}"], first[k - 1], rtol=0, atol=1e-12)
        np.testing.assert_allclose(table[f"half_b_{k}"], second[k - 1], rtol=0, atol=1e-12)
    assert tables.split_columns(table) == [f"split_{k}" for k in range(1, 6)]
    counts = table["split_1"].value_counts()
    assert (counts["train"], counts["val"], counts["test"]) == (2016, 168, 448)


def test_downloaded_after_a_break_verified_and_staged(server, tmp_path):
    """And from the archive in a folder of one's own."""
    said = []
    server.fault = "hang up"
    assert "try again to go on from there" in refusal(stage, lnsim)
    server.fault = None
    check(stage(lnsim, said.append))
    assert any("goes on after" in message for message in said)
    stage(lnsim)
    (lnsim.downloads() / "archive.zip").rename(tmp_path / "archive.zip")
    check(stage(lnsim, archive=tmp_path / "archive.zip"))
    assert len(server.requests) == 2


def test_what_is_not_as_published_is_refused(server, monkeypatch):
    monkeypatch.setitem(lnsim.TREES, "Image_data", "0" * 40)
    message = refusal(stage, lnsim)
    assert "Image_data: not as published (Git tree" in message
    assert "delete" in message
    check(stage(lnsim, url=lnsim.URL))  # of an address of one's own, what it has is taken


def test_a_changed_byte_on_the_way_is_seen(server):
    server.fault = "changed"
    assert re.search("not a whole archive|not as published", refusal(stage, lnsim))


def test_where_it_is_unpacked(published):
    check(stage(lnsim, directory=published))
    assert [path.name for path in Path().rglob("*") if path.is_file()] == ["stimuli.csv"]


@pytest.fixture
def in_volumes(copy) -> Path:
    """As later commits have it: a zip in two volumes in the place of the photographs."""
    if not shutil.which("zip"):
        pytest.skip("no Info-ZIP zip on this machine, which makes zips in volumes")
    command = ["zip", "-q", "-r", "-0", "-s", "1200k", "images.zip", "Image_data"]
    subprocess.run(command, cwd=copy, check=True)
    shutil.rmtree(copy / "Image_data")
    (copy / "Image_data").mkdir()
    assert sorted(path.name for path in copy.glob("images.*")) == ["images.z01", "images.zip"]
    for path in copy.glob("images.*"):
        path.rename(copy / "Image_data" / path.name)
    return copy


def test_the_zip_in_volumes_of_later_commits(in_volumes, serve):
    """In a folder; and downloaded, in a zip of its own, from an address of one's own."""
    check(stage(lnsim, directory=in_volumes))
    [folder] = storage.unpacked().glob("[!.]*")
    assert folder.name.startswith("images-")
    content = pack(in_volumes)
    server = serve(lambda method, path, headers: (200, {"ETag": '"later"'}, content))
    check(stage(lnsim, url=f"{server.url}/later.zip"))
    (in_volumes / "Image_data/images.z01").unlink()
    assert "copy images.z01 and so on too" in refusal(stage, lnsim, directory=in_volumes)


def test_a_missing_photograph_is_named(copy):
    (copy / "Image_data/0007.jpg").unlink()
    (copy / "Image_data/2000.jpg").unlink()
    message = refusal(stage, lnsim, directory=copy)
    assert "Image_data: no image 0007.jpg (and 1 more); copy the photographs again" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "subject_hrs2.mat: no such file; copy Random_splits whole"),
        (b"no matrix", "subject_hrs2.mat: cannot be read as a .mat file"),
        ("half", "subject_hrs2.mat: cannot be read as a .mat file"),
        ({"subject_hrs2": np.ones((25, 2631))}, "subject_hrs2 is (25, 2631), expected (25, 2632); copy it again"),
        ({"subject_hrs1": np.ones(SHAPE)}, "subject_hrs2 is no matrix, expected (25, 2632)"),
        ({"subject_hrs2": np.full(SHAPE, 1.5)}, "subject_hrs2 of image 1 is 1.5; expected a score in [0, 1]"),
        ({"subject_hrs2": np.full(SHAPE, np.nan)}, "subject_hrs2 of image 1 is nan"),
    ],
    ids=["none", "no .mat", "half a file", "another shape", "another name", "no scores", "not a number"],
)
def test_bad_half_scores_are_refused(copy, content, words):
    path = copy / "Random_splits/subject_hrs2.mat"
    whole = path.read_bytes()
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "half":
        path.write_bytes(whole[: len(whole) // 2])
    elif content:
        savemat(path, content)
    assert words in refusal(stage, lnsim, directory=copy)


def test_a_folder_that_is_not_it(tmp_path):
    (tmp_path / "other/one").mkdir(parents=True)
    message = refusal(stage, lnsim, directory=tmp_path / "other")
    assert "holds no folder Random_splits with subject_hrs1.mat; is it LNSIM, and whole?" in message


# The real one


@pytest.mark.real_data
def test_real_scores_equal_an_independent_reading(real_data):
    table = stage(lnsim, directory=real_data / "lnsim")
    matrices = [loadmat(real_data / f"lnsim/Random_splits/subject_hrs{k}.mat")[f"subject_hrs{k}"] for k in (1, 2)]
    scores = np.concatenate(matrices).mean(0)
    for row in (0, 1, 1315, 2631):
        assert Path(table["path"][row]).name == f"{row + 1:04d}.jpg"
        assert table["memorability"][row] == pytest.approx(scores[row], abs=1e-12)
    assert table["memorability"].mean() == pytest.approx(0.60, abs=0.01)
    row = consistency.consistency(table, "lnsim", "lnsim", 0)
    rho = np.mean([spearmanr(a, b).statistic for a, b in zip(*matrices, strict=True)])
    assert row["split_half"] == pytest.approx(rho, abs=1e-12)
    assert row["split_half"] == pytest.approx(0.7785, abs=1e-3)
    assert row["human_consistency"] == pytest.approx(0.875, abs=1e-3)
    assert row["n_images"] == 2632
