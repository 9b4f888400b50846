"""bench/gpu.py on the processor: what is measured on a card is measured right."""

import importlib
import sys

import pandas as pd
import pytest

pytestmark = pytest.mark.thorough


def test_gpu_bench_at_toy_size(repository, tmp_path, monkeypatch):
    """On the card's own device every difference is zero, or rounding where NumPy's sums meet torch's."""
    monkeypatch.syspath_prepend(repository / "bench")
    options = ["--device", "cpu", "--quick", "--output", str(tmp_path / "gpu.csv")]
    monkeypatch.setattr(sys, "argv", ["bench/gpu.py", *options])
    gpu = importlib.import_module("gpu")
    monkeypatch.setattr(gpu, "NETWORKS", ["test_resnet"] * len(gpu.NETWORKS))
    gpu.main()
    rows = pd.read_csv(tmp_path / "gpu.csv").set_index("part")
    assert set(rows.index) == {"scores", "flaws", "sketch", "feed", "extraction", "activations", "rho"}
    assert rows.loc["scores", "difference"].dropna().between(0, 1e-9).all()
    assert (rows.loc[["flaws", "sketch", "activations"], "difference"] == 0).all()
    assert list(rows.loc["flaws", "note"]) == ["constant", "not finite"]
    assert rows.loc["scores", "note"].str.contains("scikit-learn|brainscore-vision|a layer").all()
    assert rows.loc["rho", "difference"] > 0
    assert (rows.loc[["scores", "sketch", "feed", "extraction"], "seconds"] > 0).all()
