"""Cowley's V4 recordings, from a server on loopback and from a folder, whole and broken."""

import io
import re
import subprocess
import zipfile

import numpy as np
import pytest
from staged import jpeg, refusal, write_files

from memscore import download, storage
from memscore.stimuli import benchmarks, tables
from memscore.stimuli.pixels import load_image
from memscore.stimuli.sources import cowley2023

N_IMAGES, N_NEURONS, N_REPEATS = 60, 5, 4
FIRST, SECOND = "210101", "200202"


def archive(seed, folder="", numbers=range(1, N_IMAGES + 1)):
    """A zip of images, in a folder or not, with what a Mac adds."""
    rng = np.random.default_rng(seed)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for number in rng.permutation(list(numbers)):
            pixels = np.full((8, 8, 3), [number, seed, 128], dtype=np.uint8)
            target.writestr(f"{folder}image{number}.jpg", jpeg(pixels))
        target.writestr(f"__MACOSX/{folder}._image1.jpg", b"resource fork")
        target.writestr(f"{folder}.DS_Store", b"")
    return file.getvalue()


def array(values):
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def spikes(seed, n_images=N_IMAGES):
    """(neuron, image, repeat); some repeats were not shown."""
    rng = np.random.default_rng(seed)
    trials = rng.poisson(rng.gamma(2, 2, (N_NEURONS, n_images, 1)), (N_NEURONS, n_images, N_REPEATS)).astype(float)
    trials[:, ::3, 3] = np.nan
    return trials


@pytest.fixture
def data():
    """The repository's files by name: one session's zip is flat, the other's has a folder inside."""
    return {
        f"images/images_{FIRST}.zip": archive(1),
        f"responses_raw/responses_{FIRST}.npy": array(spikes(1)),
        f"images/images_{SECOND}.zip": archive(2, folder=f"images_{SECOND}/"),
        f"responses_raw/responses_{SECOND}.npy": array(spikes(2)),
    }


@pytest.fixture
def repository(serve, data, tmp_path, monkeypatch):
    """The authors' repository on loopback, pinned by the ids that Git itself gives its files."""

    def blob(name):
        command = ["git", "hash-object", "--stdin"]
        return subprocess.run(command, input=data[name], capture_output=True, check=True).stdout.decode().strip()

    rows = ["session,images,responses_raw"] + [
        f"{s},{blob(f'images/images_{s}.zip')},{blob(f'responses_raw/responses_{s}.npy')}" for s in (SECOND, FIRST)
    ]
    (tmp_path / "pinned.csv").write_text("\n".join(rows) + "\n")

    def answer(method, path, headers):
        name = path.removeprefix("/data/")
        return (200, {}, data[name]) if name in data else (404, {}, b"404: Not Found")

    server = serve(answer)
    monkeypatch.setattr(cowley2023, "REPOSITORY", f"{server.url}/data")
    monkeypatch.setattr(cowley2023, "PINNED", tmp_path / "pinned.csv")
    monkeypatch.setattr(storage, "shared", tmp_path / "study/downloads")
    return server


@pytest.fixture
def directory(data, tmp_path):
    """The user's copy of data_V4_responses."""
    return write_files(tmp_path / "copy", data)


def stage(tmp_path, sessions=(FIRST, SECOND), directory=None):
    """What the two staging jobs do; (stimulus table, benchmark)."""
    table = tmp_path / "study/resources/stimuli/benchmarks/cowley2023/stimuli.csv"
    source = {"sessions": list(sessions), "directory": directory and str(directory)}
    cowley2023.stage_stimuli(table, "cowley2023.V4", **source)
    benchmark = cowley2023.load_benchmark("cowley2023.V4", table, **source)
    return table, benchmarks.in_order_of(benchmark, list(tables.read_table(table)["stimulus_id"]))


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_two_sessions_downloaded_and_pooled(repository, tmp_path):
    table_path, benchmark = stage(tmp_path)
    table = tables.read_table(table_path)
    names = [f"{session}-{number:04d}" for session in (FIRST, SECOND) for number in range(1, N_IMAGES + 1)]
    assert list(table["stimulus_id"]) == names
    for seed, session in ((1, FIRST), (2, SECOND)):
        for number in (1, 9, 10, N_IMAGES):
            pixel = load_image(table_path.parent / f"images/{session}/image{number:04d}.jpg").getpixel((4, 4))
            np.testing.assert_allclose(pixel, [number, seed, 128], atol=4)

    assert list(benchmark["session"].values) == [FIRST, SECOND]
    assert list(benchmark["neuroid_session"].values) == [FIRST] * N_NEURONS + [SECOND] * N_NEURONS
    assert benchmark["neuroid_id"].values[0] == f"{FIRST}-00"
    responses = benchmark["responses"].values
    for i, seed in enumerate((1, 2)):
        images = slice(i * N_IMAGES, (i + 1) * N_IMAGES)
        sites = slice(i * N_NEURONS, (i + 1) * N_NEURONS)
        np.testing.assert_allclose(responses[images, sites], np.nanmean(spikes(seed), axis=2).T)
        assert np.isnan(np.delete(responses[:, sites], images, axis=0)).all()
        assert (benchmark["train"].values[i] + benchmark["test"].values[i])[:, images].all()
        assert not np.delete(benchmark["train"].values[i] | benchmark["test"].values[i], images, axis=1).any()
    assert np.isfinite(benchmark["ceiling"])

    stage(tmp_path)
    assert len(repository.requests) == 4
    broken = cowley2023.downloads() / f"responses_raw/responses_{FIRST}.npy"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-1])
    stage(tmp_path)
    assert broken.read_bytes() == whole
    assert len(repository.requests) == 5


def test_blob_id_is_what_git_says(tmp_path):
    for content in (b"", b"one\n", bytes(range(256)) * 9000):
        path = tmp_path / "file"
        path.write_bytes(content)
        git = subprocess.run(["git", "hash-object", path], capture_output=True, text=True, check=True).stdout.strip()
        assert download.git_blob_id(path) == git


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("changed", ["not the file it was (Git blob", "try again"]),
        (404, ["answers 404"]),
        ("refuse", ["cannot be downloaded", "login node", "directory:"]),
    ],
)
def test_server_that_fails(repository, tmp_path, fault, words):
    repository.fault = fault
    if fault == "refuse":
        repository.stop()
    message = refusal(stage, tmp_path)
    assert message.startswith(f"{repository.url}/data/images/images_{FIRST}.zip: ")
    assert all(word in message for word in words), message
    assert files(tmp_path / "study") == []


def test_session_that_there_is_not(repository, tmp_path):
    message = refusal(stage, tmp_path, (FIRST, "990101"))
    assert f"no session '990101' with images; there are {SECOND}, {FIRST}" in message
    assert not (tmp_path / "study/resources/stimuli").exists()


def test_known_sessions():
    """All that are pinned have both ids, and look like what the config's schema asks for."""
    header, *lines = cowley2023.PINNED.read_text().splitlines()
    assert header == "session,images,responses_raw"
    assert len(lines) > 3
    assert all(re.fullmatch(r"\d{6}(,[0-9a-f]{40}){2}", line) for line in lines)


def test_a_copy_needs_no_server_and_sessions_come_in_the_order_of_the_config(repository, directory, tmp_path):
    _, downloaded = stage(tmp_path, (SECOND, FIRST))
    repository.stop()
    _, copied = stage(tmp_path / "other", (SECOND, FIRST), directory)
    assert copied.equals(downloaded)
    assert list(copied["session"].values) == [SECOND, FIRST]
    assert str(copied["stimulus_id"].values[0]) == f"{SECOND}-0001"


def test_averages_have_no_ceiling(directory, tmp_path):
    """As where only responses_repeat_averaged was copied."""
    raw = directory / f"responses_raw/responses_{FIRST}.npy"
    averaged = directory / f"responses_repeat_averaged/responses_{FIRST}.npy"
    averaged.parent.mkdir()
    np.save(averaged, np.nanmean(np.load(raw), axis=2))
    _, from_raw = stage(tmp_path, [FIRST], directory)
    raw.unlink()
    _, from_averages = stage(tmp_path, [FIRST], directory)
    np.testing.assert_allclose(from_averages["responses"].values, from_raw["responses"].values)
    np.testing.assert_array_equal(from_averages["train"].values, from_raw["train"].values)
    assert np.isfinite(from_raw["ceiling"])
    assert np.isnan(from_averages["ceiling"])
    _, pooled = stage(tmp_path, [SECOND, FIRST], directory)
    assert np.isnan(pooled["ceiling"])


IMAGES, RAW = f"images/images_{SECOND}.zip", f"responses_raw/responses_{SECOND}.npy"


def damaged(content):
    """A zip with one image's bytes overwritten, its directory whole."""
    where = content.index(b".jpg") + 100
    return content[:where] + b"?" * 20 + content[where + 20 :]


@pytest.mark.parametrize(
    ("name", "spoil", "words"),
    [
        (IMAGES, None, ["directory: no file", "copy data_V4_responses whole"]),
        (RAW, None, ["directory: no file", "copy data_V4_responses whole"]),
        (IMAGES, lambda content: content[:-30], ["not a whole zip archive", "copy it again"]),
        (IMAGES, damaged, ["not a whole zip archive", "copy it again"]),
        (IMAGES, lambda content: archive(2, folder="photo_"), ["no images named image1.jpg"]),
        (RAW, lambda content: content[:-30], ["cannot be read as a NumPy array", "copy it again"]),
        (RAW, lambda content: b"", ["cannot be read as a NumPy array", "copy it again"]),
        (RAW, lambda content: array(np.nanmean(spikes(2), 2)), ["has shape (5, 60)", "(neuron, image, repeat)"]),
        (RAW, lambda content: array(spikes(2, 59)), [IMAGES, "59", "60"]),
        (RAW, lambda content: array(spikes(2, 61)), [IMAGES, "61", "60"]),
        (IMAGES, lambda content: archive(2, numbers=range(2, 62)), [RAW, "60", "image61.jpg"]),
    ],
)
def test_copy_that_is_not_whole(directory, tmp_path, name, spoil, words):
    path = directory / name
    whole = path.read_bytes()
    path.write_bytes(spoil(whole)) if spoil else path.unlink()
    message = refusal(stage, tmp_path, directory=directory)
    assert str(path) in message
    assert all(word in message for word in words), message
    assert files(tmp_path / "study") == []
