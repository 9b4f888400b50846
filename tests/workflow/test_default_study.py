"""The default study, whole and for real: it must find the answer that was built into it."""

import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr

AREAS = ["V1", "V2", "V4", "IT"]
MARGIN = 0.2  # of IT's correlation with memorability over the next area's

pytestmark = [pytest.mark.workflow, pytest.mark.xdist_group("studies")]


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
    code, output = run_snakemake(folder, "results/correlations.csv", *arguments)
    assert code == 0, output


def test_finds_the_known_answer(default_study):
    check_known_answer(default_study)


def test_networks_are_trained_too_and_the_report_says_what_came_of_it(default_study):
    table = pd.read_csv(default_study / "results/finetuned.csv")
    assert list(table["model"]) == ["lite0", "lite1"]
    assert list(table["split"]) == [1, 1]
    # It learns from 200 tiles, and no more than what is there to be learnt.
    assert (table.groupby("model")["head_rho"].mean() > 0.3).all()
    assert (table["head_rho"] < 0.88).all()
    page = (default_study / "results/summary.rst").read_text(encoding="utf-8")
    ahead = (table["head_rho"] > table["best_layer_before"]).sum()
    assert ("does not beat PLS" if ahead < 2 else "better than PLS") in page
    assert f"{table['head_rho'].mean():.2f} against {table['best_layer_before'].mean():.2f}" in page
    assert "2 networks with a known accuracy cannot tell" in page
    for name in ("before_and_after", "training_curves", "beside_published"):
        assert (default_study / f"results/figures/{name}.svg").is_file()


def test_report_builds_and_states_the_answer(default_study, run_snakemake):
    code, output = run_snakemake(default_study, "--report", "results/report.html")
    assert code == 0, output
    page = (default_study / "results/report.html").read_text(encoding="utf-8")
    for words in ("Which representations inside a network", "are more like", "viewers of this study are simulated"):
        assert words in page


def test_ten_layers_a_job_give_the_same_table(default_study, variant, run_snakemake):
    rerun(variant, run_snakemake)
    assert (variant / "results/layers.csv").read_bytes() == (default_study / "results/layers.csv").read_bytes()


def test_shuffled_memorability_is_not_believed(variant, run_snakemake):
    path = variant / "resources/stimuli/datasets/tiles/stimuli.csv"
    table = pd.read_csv(path)
    table["memorability"] = np.random.default_rng(0).permutation(table["memorability"])
    table.to_csv(path, index=False)
    rerun(variant, run_snakemake)
    with pytest.raises(AssertionError, match=r"stand out|memorability"):
        check_known_answer(variant)


def test_swapped_areas_are_not_believed(variant, run_snakemake):
    paths = [variant / f"resources/benchmarks/simulated.{area}.nc" for area in ("V1", "IT")]
    swapped = [xr.load_dataset(path) for path in reversed(paths)]
    for path, benchmark in zip(paths, swapped, strict=True):
        benchmark.to_netcdf(path)
    rerun(variant, run_snakemake)
    with pytest.raises(AssertionError, match="peak"):
        check_known_answer(variant)
