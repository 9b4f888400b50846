"""Brain-Score's benchmarks from the server to the staged files, through BrainIO's own packaging and downloads.

The server is moto's S3 on loopback, behind one that counts requests and fails on demand (tests/conftest.py).
"""

import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("brainscore_vision")

import benchmarks2026
import boto3
import brainscore_vision
from botocore import UNSIGNED
from botocore.config import Config
from brainscore_core.supported_data_standards.brainio import fetch
from brainscore_vision.benchmark_helpers import screen
from brainscore_vision.metrics.regression_correlation.metric import (
    CrossRegressedCorrelation,
    pearsonr_correlation,
    pls_regression,
)
from staged import refusal

from memscore.scores import audit, brain
from memscore.stimuli import benchmarks, tables
from memscore.stimuli.pixels import write_pixels
from memscore.stimuli.sources import brainscore

pytestmark = [
    pytest.mark.parity,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Pandas doesn't allow columns:UserWarning"),
    pytest.mark.filterwarnings("ignore:Maximum number of iterations reached"),
]

# As in test_brainscore.py: with tol 1e-22 only rounding is left. How near that is to Brain-Score's own tolerance, which
# stops its iteration early, is shown there.
CONVERGED, CEILING = 1e-9, 1e-9
N_FEATURES = 60


@pytest.fixture
def server(s3, brainio_server, tmp_path, monkeypatch):
    """The server, its benchmarks in Brain-Score's registry, and Brain-Score as it is right after its import."""
    for name, make in benchmarks2026.registrations(s3.packaged).items():
        monkeypatch.setitem(brainscore_vision.benchmark_registry, name, make)
    monkeypatch.setenv("BS_INSTALL_DEPENDENCIES", "no")
    monkeypatch.setenv("RESULTCACHING_DISABLE", "0")
    monkeypatch.setenv("TQDM_DISABLE", "1")
    monkeypatch.setattr(fetch, "_local_data_path", None)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    monkeypatch.setattr(screen, "root_path", tmp_path / "home/.brain-score/stimuli_on_screen")
    return brainio_server


def stage(name, folder):
    """What the two staging jobs do; (stimulus table, benchmark file)."""
    table = folder / "resources/stimuli/benchmarks" / name.partition(".")[0] / "stimuli.csv"
    if not table.is_file():
        brainscore.stage_stimuli(table, name)
    file = folder / f"resources/benchmarks/{name}.nc"
    ids = tables.read_table(table)["stimulus_id"]
    benchmarks.write_benchmark(file, benchmarks.in_order_of(brainscore.load_benchmark(name, table), list(ids)))
    return table, file


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


class Candidate(audit.Candidate):
    """Remembers what it was asked for and what it saw."""

    def start_recording(self, region, time_bins):
        self.region = region

    def look_at(self, stimulus_set, number_of_trials):
        self.seen = stimulus_set
        return super().look_at(stimulus_set, number_of_trials)


@pytest.mark.parametrize("name", ["Test2026.V4-pls", "Texture2026.V1-pls"])
def test_staged_files_score_as_the_benchmark_itself(server, tmp_path, name):
    table_path, file = stage(name, tmp_path)
    assert files(tmp_path / "home") == []
    assert os.environ["RESULTCACHING_DISABLE"] == "1"
    table, staged = tables.read_table(table_path), benchmarks.read_benchmark(file)
    rng = np.random.default_rng(5)
    responses = np.nan_to_num(staged["responses"].values)
    values = responses @ rng.standard_normal((responses.shape[1], N_FEATURES))
    values += 15 * rng.standard_normal(values.shape)
    ours = brain.similarity(values, staged)

    benchmark = brainscore_vision.benchmark_registry[name]()
    candidate = Candidate(values, list(table["stimulus_id"]), visual_degrees=8)
    ceiling = benchmark.ceiling
    benchmark._ceiling_func = lambda: ceiling
    stratum = benchmarks2026.STRATA[name.partition(".")[0]]
    benchmark._similarity_metric = CrossRegressedCorrelation(
        pls_regression({"tol": 1e-22, "max_iter": 10_000}), pearsonr_correlation(), {"stratification_coord": stratum}
    )
    theirs = benchmark(candidate)
    assert (candidate.region, staged["region"]) == (benchmark.region, benchmark.region)
    assert ours.ceiling == pytest.approx(float(theirs.ceiling), abs=CEILING)
    assert 0.1 < ours.raw < 0.95
    assert ours.raw == pytest.approx(float(theirs.raw), abs=CONVERGED)
    assert ours.score == pytest.approx(float(theirs), abs=1e-8)
    assert ours.error == pytest.approx(float(theirs.attrs["error"]), abs=1e-8)

    ids, splits = benchmark._similarity_metric.cross_validation._split.build_splits(benchmark._assembly)
    ids = np.array([str(stimulus) for (stimulus,) in ids[ids.dims[0]].values])
    for k, (train, test) in enumerate(splits):
        for part, rows in (("train", train), ("test", test)):
            mine = staged["stimulus_id"].values[staged[part].values[0, k].astype(bool)]
            assert set(mine) == set(ids[rows])
    expected = ceiling.raw.transpose("split", "neuroid")
    column = list(expected["neuroid_id"].values)
    theirs = expected.values[:, [column.index(neuroid) for neuroid in staged["neuroid_id"].values]]
    np.testing.assert_allclose(staged["neuroid_ceiling"].values, theirs, rtol=0, atol=CEILING)

    side = 48 if name.startswith("Texture") else 24
    for stimulus, path in zip(table["stimulus_id"], table["path"], strict=True):
        mine = Image.open(table_path.parent / path)
        assert mine.size == (side, side)
        np.testing.assert_array_equal(mine, Image.open(candidate.seen.get_stimulus(int(stimulus))))
    if side == 48:
        assert (np.asarray(mine)[:12] == 128).all()
        assert (np.asarray(mine)[:, -12:] == 128).all()
        assert np.asarray(mine)[12:36, 12:36].std() > 50


def test_what_is_staged_needs_neither_server_nor_cache(server, tmp_path):
    """And stays where the second job fails alone, since the recordings cannot be had."""
    table_path, file = stage("Test2026.V4-pls", tmp_path)
    table, loaded = tables.read_table(table_path), benchmarks.read_benchmark(file)
    assert [int(i) for i in table["stimulus_id"]] != sorted(int(i) for i in table["stimulus_id"])
    shutil.rmtree(tmp_path / "brainio")
    server.fault = 403
    server.requests.clear()
    features = np.random.default_rng(0).standard_normal((len(table), N_FEATURES))
    assert np.isfinite(brain.similarity(features, loaded).raw)
    pixels = tmp_path / "pixels.npy"
    write_pixels(pixels, [table_path.parent / path for path in table["path"]], (32, 32), "bicubic")
    assert np.load(pixels).std() > 10
    assert server.requests == []

    file.unlink()
    kept = files(tmp_path / "resources")
    assert "credentials" in refusal(stage, "Test2026.V4-pls", tmp_path)
    assert files(tmp_path / "resources") == kept


def test_each_file_is_downloaded_once_and_looked_for_where_its_unpacking_broke_off(server, tmp_path):
    stage("Test2026.V4-pls", tmp_path)
    fetched = [path.partition("?")[0] for method, path in server.requests if method == "GET"]
    names = ("assy_Test2026.nc", "stimulus_Test2026.csv", "stimulus_Test2026.zip")
    assert sorted(fetched) == [f"/{benchmarks2026.BUCKET}/{name}" for name in names]
    cached = [path for path in files(tmp_path / "brainio") if path.endswith((".nc", ".csv", ".zip"))]
    assert len(cached) == 3

    server.stop()
    stage("Test2026.V4-pls", tmp_path / "another study")
    name = "resources/benchmarks/Test2026.V4-pls.nc"
    assert (tmp_path / name).read_bytes() == (tmp_path / "another study" / name).read_bytes()

    next((tmp_path / "brainio").rglob("shown_*.png")).unlink()
    message = refusal(stage, "Test2026.IT-pls", tmp_path)
    assert "AssertionError" in message
    assert f"stopped while it unpacked, remove {tmp_path}/brainio" in message


FAULTS = {
    "changed": ["a download is broken", "SHA-1", "remove", "run again"],
    404: ["are not there", "credentials", "404"],
    403: ["are not there", "credentials", "403"],
    "checksum": ["a download came through broken", "checksum", "run again"],  # where S3 tells one, boto itself refuses
    503: ["the server has trouble", "503", "run again later"],
    "hang up": ["does not answer or hangs up", "login node"],
    "refuse": ["does not answer or hangs up", "login node", "brainio"],
}


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_server_that_fails(server, tmp_path, monkeypatch, fault):
    address = server.url
    if fault == "refuse":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    else:
        server.checksums = fault == "checksum"
        server.fault = "changed" if server.checksums else fault
    study = tmp_path / "study"
    message = refusal(stage, "Test2026.V4-pls", study)
    assert message.startswith("Test2026.V4-pls: ")
    assert len(message) < 500
    assert all(words in message for words in FAULTS[fault]), message
    assert files(study) == []
    assert files(tmp_path / "home") == []

    server.fault = None
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    if fault == "changed":
        assert "a download is broken" in refusal(stage, "Test2026.V4-pls", study)
        shutil.rmtree(message.partition("remove ")[2].partition(" and run")[0])
    brainscore.stage_stimuli(study / "stimuli.csv", "Test2026.V4-pls")
    assert len(files(study)) == benchmarks2026.N_STIMULI + 1


@pytest.mark.parametrize("status", [403, 404])
def test_private_benchmark_names_its_public_variant(server, tmp_path, status):
    server.fault = status
    assert refusal(stage, "MajajHong2015.IT-pls", tmp_path / "study") == (
        "MajajHong2015.IT-pls: its data are private and need Brain-Score's credentials; its public variant is "
        "MajajHong2015public.IT-pls"
    )
    assert files(tmp_path / "study") == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("MajajHong2015public.IT-pl", r"no benchmark 'MajajHong2015public.IT-pl'; similar names: .*IT-pls"),
        ("Test2026.V4-pl", r"no benchmark 'Test2026.V4-pl'; similar names: Test2026.V4-pls"),
        ("MajajHong2015public.IT-reverse_pls", "is not a cross-validated PLS benchmark"),
        ("MajajHong2015public.IT-temporal-pls", "is not a cross-validated PLS benchmark"),
        ("Allen2022_fmri.IT-ridge", "is not a cross-validated PLS benchmark"),
        ("Rajalingham2018-i2n", "is not a cross-validated PLS benchmark"),
    ],
)
def test_unknown_and_other_benchmarks_are_refused_before_anything_is_downloaded(server, tmp_path, name, words):
    message = refusal(stage, name, tmp_path)
    assert name in message
    assert re.search(words, message)
    assert server.requests == []


@pytest.mark.parametrize("change", [{"n_components": 10}, {"scale": True}])
def test_another_regression_under_a_pls_name(server, s3, tmp_path, monkeypatch, change):
    def other():
        benchmark = benchmarks2026.benchmark("Test2026", "V4", s3.packaged)
        vars(benchmark._similarity_metric.regression._regression).update(change)
        return benchmark

    monkeypatch.setitem(brainscore_vision.benchmark_registry, "Other2026.V4-pls", other)
    assert "Other2026.V4-pls is not a cross-validated PLS benchmark" in refusal(stage, "Other2026.V4-pls", tmp_path)


def test_site_without_a_response(server, tmp_path, monkeypatch):
    """Brain-Score cannot score it either: PLS takes no NaN."""
    original = benchmarks2026.load_assembly

    def with_gap(*arguments):
        assembly = original(*arguments)
        assembly.values[assembly["stimulus_id"].values == assembly["stimulus_id"].values[7], 2] = np.nan
        return assembly

    monkeypatch.setattr(benchmarks2026, "load_assembly", with_gap)
    assert "has no response to stimulus" in refusal(brainscore.load_benchmark, "Test2026.V4-pls", tmp_path)


def test_boto_gives_up_soon(server):
    with brainscore.brainscore("Test2026.V4-pls"):
        config = boto3.resource("s3").meta.client.meta.config
        unsigned = boto3.resource("s3", config=Config(signature_version=UNSIGNED)).meta.client.meta.config
    for each in (config, unsigned):
        assert (each.connect_timeout, each.read_timeout) == (brainscore.CONNECT_SECONDS, brainscore.READ_SECONDS)
        assert each.retries["total_max_attempts"] == brainscore.ATTEMPTS
