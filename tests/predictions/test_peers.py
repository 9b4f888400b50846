"""Predictors of others, on the study's images."""

import importlib.util

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.stats import spearmanr

from memscore.errors import InputError
from memscore.files import read_frame, write_rows
from memscore.predictions import peers

INSTALLED = importlib.util.find_spec("resmem") is not None


def test_rho_is_of_each_splits_test_images(tmp_path):
    rng = np.random.default_rng(0)
    ids = [f"{i}" for i in range(30)]
    sides = [rng.permutation(["train"] * 10 + ["test"] * 20) for _ in range(2)]
    scores = rng.uniform(0, 1, 30)
    stimuli = pd.DataFrame({"stimulus_id": ids, "path": ids, "memorability": scores})
    stimuli = stimuli.assign(split_1=sides[0], split_2=sides[1])
    predicted = pd.DataFrame({"stimulus_id": ids, "predicted": scores + rng.normal(0, 0.2, 30)})
    write_rows(tmp_path / "resmem.csv", predicted.sample(frac=1, random_state=0).to_dict("records"))
    found = peers.rho_by_split(read_frame(tmp_path / "resmem.csv"), stimuli, [2, 1], "mine.csv")
    expected = {
        f"split_{k}": spearmanr(predicted["predicted"][sides[k - 1] == "test"], scores[sides[k - 1] == "test"])[0]
        for k in (2, 1)
    }
    assert found == pytest.approx(expected)


@pytest.mark.skipif(INSTALLED, reason="resmem is installed here")
def test_what_is_not_installed_says_how():
    with pytest.raises(InputError, match=r"pip install --no-deps resmem==1\.1\.6"):
        peers.resmem([], True, "cpu", print)


@pytest.mark.skipif(not INSTALLED, reason="resmem is installed on request only (489 MB)")
def test_resmem_predicts_as_its_authors_say(tmp_path):
    from resmem import ResMem, transformer

    rng = np.random.default_rng(0)
    files = [tmp_path / f"{i}.png" for i in range(3)]
    for file in files:
        Image.fromarray(rng.integers(0, 255, (90, 120, 3), dtype=np.uint8)).save(file)
    predicted = peers.resmem(files, True, "cpu", lambda done: None)
    model = ResMem(pretrained=True).eval()
    for file, value in zip(files, predicted, strict=True):
        alone = model(transformer(Image.open(file).convert("RGB")).view(-1, 3, 227, 227)).item()
        assert value == pytest.approx(alone, abs=1e-5)
