"""The default study, whole and for real: it must find the answer that was built into it."""

import shutil

import numpy as np
import pandas as pd
import pytest

AREAS = ["V1", "V2", "V4", "IT"]
MARGIN = 0.2  # of IT's correlation with memorability over the next area's

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("snakemake")]


def check_known_answer(folder) -> None:
    """Assert what must come out of the default study."""
    layers = pd.read_csv(folder / "results/layers.csv")
    trained, control = layers[layers["trained"]], layers[~layers["trained"]]

    best = [trained.groupby("model")[f"simulated.{area}.score"].idxmax() for area in AREAS]
    peaks = [trained.loc[rows, "depth"].mean() for rows in best]
    assert (np.diff(peaks) > 0).all(), f"similarity does not peak ever deeper from V1 to IT: {peaks}"

    correlations = pd.read_csv(folder / "results/correlations.csv")
    pooled = correlations[correlations["scope"] == "all trained"].set_index("benchmark")["spearman"]
    others = [pooled[f"simulated.{area}"] for area in AREAS if area != "IT"]
    assert pooled["simulated.IT"] > max(others) + MARGIN, f"IT does not stand out: {pooled.to_dict()}"

    for column in ("memorability", "simulated.V4.score", "simulated.IT.score"):
        best = trained.groupby("model")[column].max().min()
        assert control[column].max() < best, f"the untrained control is not behind in {column}"


@pytest.fixture(scope="module")
def default_study(tmp_path_factory, make_study_folder, run_snakemake):
    """The finished default study: one job per (model, layer)."""
    folder = make_study_folder(tmp_path_factory.mktemp("default"))
    code, output = run_snakemake(folder, "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    return folder


@pytest.fixture
def variant(default_study, tmp_path, make_study_folder):
    """A copy of the staged default study, whose results are to be computed anew."""
    folder = make_study_folder(tmp_path / "variant")
    shutil.copytree(default_study / "resources", folder / "resources", dirs_exist_ok=True)
    return folder


def rerun(folder, run_snakemake) -> None:
    """Score all layers of a network in one job, from what is staged in `folder`."""
    arguments = ["--cores", "2", "--quiet", "rules", "--rerun-triggers", "mtime", "--config", "layers_per_job=10"]
    code, output = run_snakemake(folder, *arguments)
    assert code == 0, output


def test_finds_the_known_answer(default_study):
    check_known_answer(default_study)
