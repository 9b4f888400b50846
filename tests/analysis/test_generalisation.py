"""`snakemake generalisation`, for real: from one data set to another and back."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

pytestmark = pytest.mark.workflow

RHOS = ["within.mine", "within.theirs", "across.mine.theirs", "across.theirs.mine"]


@pytest.fixture
def two_sets(staged_study, add_dataset, configure):
    add_dataset(staged_study)
    configure(staged_study, generalisation=["mine", "theirs"])
    return staged_study


def test_two_data_sets_generalise(two_sets, run_snakemake, add_lab_network):
    """People of both remember what is bright, and an untrained network sees brightness: both ways lead to the other."""
    add_lab_network(two_sets, layers="constant,broken")
    code, output = run_snakemake(two_sets, "generalisation", "--cores", "2")
    assert code == 0, output

    table = pd.read_csv(two_sets / "results/generalisation.csv").set_index(["model", "layer"])
    assert [column for column in table if column.startswith(("within", "across"))] == RHOS
    assert (table.loc["tiny", RHOS] > 0.5).all(axis=None), table[RHOS]
    assert table.loc["tiny", "simulated.IT.raw"].notna().all()
    assert table.loc["tiny", "note"].isna().all()
    assert (table[["left_out.mine.theirs", "left_out.theirs.mine"]] == 0).all(axis=None)
    assert table.loc["lab", RHOS].isna().all(axis=None)
    note = table.loc[("lab", "constant"), "note"]
    assert "within.mine: constant; " in note
    assert "across.theirs.mine: constant where fitted" in note

    within = pd.read_csv(two_sets / "results/memorability/theirs/tiny/conv1.0.csv").iloc[0]
    assert "memorability_split_3" in within
    assert table.loc[("tiny", "conv1.0"), "within.theirs"] == within["memorability"]

    correlations = pd.read_csv(two_sets / "results/generalisation_correlations.csv")
    assert set(correlations["rho"]) == set(RHOS)
    assert set(correlations["benchmark"]) == {"simulated.V1", "simulated.IT"}
    figures = {path.name for path in (two_sets / "results/figures").iterdir()}
    assert figures == {"across_against_within.svg", "generalisation_by_region.svg"}
    assert not (two_sets / "results/layers.csv").exists()
    assert run_snakemake(two_sets, "generalisation", "--dry-run")[1].count("Nothing to be done") == 1


def test_without_a_brain_there_is_the_table_alone(two_sets, run_snakemake, configure):
    configure(two_sets, brain=None)
    code, output = run_snakemake(two_sets, "generalisation", "--dry-run", "--quiet", "rules")
    assert code == 0, output
    planned = set(re.findall(r"^(\w+) +\d+$", output, re.MULTILINE))
    assert {"generalise", "generalisation_table", "generalisation_figure"} < planned
    assert not planned & {"brain", "collect_brain", "generalisation_correlations", "generalisation_by_region"}


def test_each_layer_is_fitted_on_one_set_alone(two_sets, run_snakemake):
    """Other scores of `theirs` change what is fitted on it, and of what is fitted on `mine` only the comparison."""
    target = "results/generalisation/{}/{}/tiny/conv1.0.csv"
    paths = [target.format(*pair) for pair in (("mine", "theirs"), ("theirs", "mine"))]
    code, output = run_snakemake(two_sets, "--cores", "2", *paths)
    assert code == 0, output
    before = [pd.read_csv(two_sets / path)["memorability"][0] for path in paths]
    scores = pd.read_csv(two_sets / "theirs.csv")
    scores.assign(memorability=1 - scores["memorability"]).to_csv(two_sets / "theirs.csv", index=False)
    code, output = run_snakemake(two_sets, "--cores", "2", *paths)
    assert code == 0, output
    after = [pd.read_csv(two_sets / path)["memorability"][0] for path in paths]
    np.testing.assert_allclose(after, np.negative(before), rtol=0, atol=1e-9)


def lend(folder, n) -> None:
    """Into their data set, photographs of mine with their people's scores: every other one saved again."""
    mine, theirs = (pd.read_csv(folder / f"{name}.csv") for name in ("mine", "theirs"))
    for row in mine.iloc[:n].itertuples():
        source = folder / row.path
        if row.Index % 2:
            with Image.open(source) as image:
                image.resize((64, 64)).save(folder / f"their_images/lent{row.Index}.png")
        else:
            shutil.copy(source, folder / f"their_images/lent{row.Index}.png")
        theirs.loc[len(theirs)] = {"path": f"their_images/lent{row.Index}.png", "memorability": 1 - row.memorability}
    theirs.to_csv(folder / "theirs.csv", index=False)


def across(folder, run_snakemake, fitted, tested) -> pd.Series:
    target = f"results/generalisation/{fitted}/{tested}/tiny/penultimate.csv"
    code, output = run_snakemake(folder, "--cores", "2", "--quiet", "rules", "--", target)
    assert code == 0, output
    return pd.read_csv(folder / target).iloc[0]


def test_what_both_data_sets_have_is_not_fitted(two_sets, run_snakemake):
    """Each way; and the number is that of a data set that never had those images."""
    lend(two_sets, 8)
    there = across(two_sets, run_snakemake, "mine", "theirs")
    back = across(two_sets, run_snakemake, "theirs", "mine")
    assert (there["n_left_out"], back["n_left_out"]) == (8, 8)
    mine = pd.read_csv(two_sets / "mine.csv")
    mine.iloc[8:].to_csv(two_sets / "mine.csv", index=False)
    apart = across(two_sets, run_snakemake, "mine", "theirs")
    assert apart["n_left_out"] == 0
    assert apart["memorability"] == pytest.approx(there["memorability"], abs=1e-6)


def test_one_data_set_under_two_names_is_refused(two_sets, run_snakemake):
    shutil.copy(two_sets / "mine.csv", two_sets / "theirs.csv")
    code, output = run_snakemake(two_sets, "generalisation", "--cores", "1")
    assert code != 0
    assert "48 of 48 images of the data set that is fitted are in the tested one too; the other 0 are too few" in output
