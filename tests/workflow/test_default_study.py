"""The default study, whole and for real: it must find the answer that was built into it."""

import numpy as np
import pandas as pd
import pytest

from memscore.analysis import statistics
from memscore.report import after_training

AREAS = ["V1", "V2", "V4", "IT"]
BENCHMARKS = [f"simulated.{area}" for area in AREAS]
MARGIN = 0.2  # of IT's correlation with memorability over the next area's

pytestmark = [pytest.mark.workflow, pytest.mark.thorough, pytest.mark.xdist_group("default study")]


def check_known_answer(layers: pd.DataFrame) -> None:
    """Assert what must come out of the default study."""
    trained, control = layers[layers["trained"]], layers[~layers["trained"]]

    best = [trained.groupby("model")[f"simulated.{area}.score"].idxmax() for area in AREAS]
    peaks = [trained.loc[rows, "depth"].mean() for rows in best]
    assert (np.diff(peaks) > 0).all(), f"similarity does not peak ever deeper from V1 to IT: {peaks}"

    correlations = statistics.relate(layers, BENCHMARKS)
    pooled = correlations[correlations["scope"] == "all trained"].set_index("benchmark")
    assert pooled.loc["simulated.IT", "partial_low"] > 0, "IT does not stand out at equal depth"
    pooled = pooled["spearman"]
    others = [pooled[f"simulated.{area}"] for area in AREAS if area != "IT"]
    assert pooled["simulated.IT"] > max(others) + MARGIN, f"IT does not stand out: {pooled.to_dict()}"

    for column in ("memorability", "simulated.V4.score", "simulated.IT.score"):
        best = trained.groupby("model")[column].max().min()
        assert control[column].max() < best, f"the untrained control is not behind in {column}"


@pytest.fixture(scope="module")
def default_study(tmp_path_factory, make_study_folder, configure, start_snakemake):
    """The finished default study, all layers of a network in one job, as a user starts it."""
    folder = make_study_folder(tmp_path_factory.mktemp("default"))
    configure(folder, layers_per_job=None)
    code, output = start_snakemake(folder, "--cores", "2", "--quiet", "rules")
    assert code == 0, output
    return folder


@pytest.fixture(scope="module")
def layers(default_study):
    return pd.read_csv(default_study / "results/layers.csv")


def test_finds_the_known_answer(default_study, layers):
    check_known_answer(layers)
    written = pd.read_csv(default_study / "results/correlations.csv")
    pd.testing.assert_frame_equal(written, statistics.relate(layers, BENCHMARKS), check_dtype=False)


def test_shuffled_memorability_is_not_believed(layers):
    shuffled = np.random.default_rng(0).permutation(layers["memorability"])
    with pytest.raises(AssertionError, match=r"stand out|memorability"):
        check_known_answer(layers.assign(memorability=shuffled))


def test_swapped_areas_are_not_believed(layers):
    scores = [f"simulated.{area}.score" for area in ("V1", "IT")]
    with pytest.raises(AssertionError, match="peak"):
        check_known_answer(layers.rename(columns=dict(zip(scores, scores[::-1], strict=True))))


def test_networks_are_trained_too_and_the_report_says_what_came_of_it(default_study):
    table = pd.read_csv(default_study / "results/finetuned.csv")
    assert list(table["model"]) == ["lite0", "lite1"]
    assert list(table["split"]) == [1, 1]
    # It learns from 200 tiles, and no more than what is there to be learnt.
    assert (table.groupby("model")["head_rho"].mean() > 0.3).all()
    assert (table["head_rho"] < 0.88).all()
    page = (default_study / "results/summary.rst").read_text(encoding="utf-8")
    against = pd.read_csv(default_study / "results/finetuned_against_layers.csv")
    assert against["head_rho"][0] == pytest.approx(table["head_rho"].mean())
    assert against["best_layer"][0] == pytest.approx(table["best_layer_before"].mean())
    assert after_training.beats(against) in page
    assert "2 networks with a known accuracy cannot tell" in page
    for name in ("before_and_after", "training_curves", "beside_published"):
        assert (default_study / f"results/figures/{name}.svg").is_file()


def test_report_builds_and_states_the_answer(default_study, run_snakemake):
    code, output = run_snakemake(default_study, "--report", "results/report.html")
    assert code == 0, output
    page = (default_study / "results/report.html").read_text(encoding="utf-8")
    for words in (
        "Which representations inside a network",
        "are more like <strong>IT</strong>",
        "viewers of this study are simulated",
    ):
        assert words in page
