"""The front page: a study's own question, and an answer that claims no more than the intervals of its numbers."""

import numpy as np
import pandas as pd
import pytest

from memscore.report import answer, summary

REAL = {"brain": False, "viewers": False}


def make_layers(*benchmarks, memorability=False):
    """Three layers of a trained network and of its untrained control; the middle one is best."""
    table = {"model": ["net"] * 3 + ["net-untrained"] * 3, "trained": [True] * 3 + [False] * 3}
    table |= {"layer": ["stem", "middle", "head"] * 2, "depth": [0.0, 0.5, 1.0] * 2, "note": None}
    table = pd.DataFrame(table)
    values = np.array([0.2, 0.6, 0.4, 0.1, 0.3, 0.2])
    if memorability:
        table = table.assign(memorability=values, memorability_split_1=values)
    for benchmark in benchmarks:
        columns = {"raw": values, "ceiling": 0.75, "score": values**2 / 0.75, "error": 0.01}
        table = table.assign(**{f"{benchmark}.{name}": column for name, column in columns.items()})
    return table


def half(layers, benchmarks=(), dataset=None, simulated=REAL):
    return summary.write(layers, pd.DataFrame(), pd.DataFrame(), list(benchmarks), dataset, simulated)


def test_brain_alone_tells_the_most_similar_layer_and_the_control():
    page = half(make_layers("cowley2023.V4"), ["cowley2023.V4"])
    assert (
        "* **V4** (cowley2023.V4): of 3 layers of 1 trained network, ``middle`` of net is most similar: "
        "r = 0.60 (ceiling 0.75, score 0.48), at depth 0.50. "
        "Untrained, net-untrained reaches at most r = 0.30, in ``middle`` at depth 0.50." in page
    )
    assert "emorability" not in page
    assert "people" not in page


def test_memorability_alone_tells_the_best_predictor_and_the_control():
    page = half(make_layers(memorability=True), dataset="photos")
    assert "``middle`` of net predicts it best: ρ = 0.60, at depth 0.50. Untrained, net-untrained reaches" in page
    assert "brain" not in page.lower()


def test_no_ceiling_is_said_everywhere_and_is_no_nan():
    layers = make_layers("cowley2023.V4").assign(**{"cowley2023.V4.ceiling": np.nan, "cowley2023.V4.score": np.nan})
    page = half(layers, ["cowley2023.V4"])
    assert "r = 0.60 (no ceiling: some or all sites were recorded without repeats), at depth 0.50" in page
    assert "ceilings (split-half reliability): V4 none, as some or all sites have no repeats" in page
    assert "   * - net\n     - cowley2023.V4 (r)\n     - 0.60\n     - ``middle``\n" in page
    assert "nan" not in page


def test_every_benchmark_has_its_line_by_its_own_name():
    names = ["MajajHong2015public.V4-pls", "cowley2023.V4", "Cadena2017-pls"]
    page = half(make_layers(*names), names)
    assert page.count("is most similar") == 3
    assert "**Cadena2017-pls** (Cadena2017-pls)" not in page
    assert "**Cadena2017-pls**: of 3 layers" in page
    assert "MajajHong2015public.V4-pls 0.75, cowley2023.V4 0.75, Cadena2017-pls 0.75" in page


@pytest.mark.parametrize("trained", [True, False])
def test_one_kind_of_network_only(trained):
    layers = make_layers("a.V4", memorability=True)
    layers = layers[layers["trained"] == trained]
    for page in (half(layers, ["a.V4"]), half(layers.drop(columns=["a.V4.raw"]), dataset="photos")):
        assert ("Untrained, net-untrained" in page) != trained
        assert ("no layer of a trained network is scored" in page) != trained


def test_nothing_scored():
    layers = make_layers("a.V4").assign(**{"a.V4.raw": np.nan, "a.V4.score": np.nan, "note": "constant"})
    assert "no layer of a trained network is scored" in half(layers, ["a.V4"])


@pytest.mark.parametrize(("half_of", "words"), [("brain", "real brains"), ("viewers", "real people")])
def test_a_simulated_half_is_said_to_be(half_of, words):
    benchmarks, dataset = (["simulated.V4"], None) if half_of == "brain" else ([], "tiles")
    layers = make_layers(*benchmarks, memorability=not benchmarks)
    page = half(layers, benchmarks, dataset, REAL | {half_of: True})
    assert f"**The {half_of} of this study" in page
    assert f"says nothing about {words}." in page
    assert "are real" not in page


AHEAD, OPEN, NONE = (0.37, 0.10, 0.60), (0.37, -0.02, 0.60), (np.nan, np.nan, np.nan)
IT, V4 = {"IT": (0.87, 0.57, 0.97)}, {"V4": (0.5, 0.2, 0.6)}
ALONE = """V4 is the only area compared: whether memorability goes with this area more than with another, one area alone
    cannot say."""


def one_line(text):
    return " ".join(text.split())


def make_correlations(areas, scope="all trained", n_models=5):
    over = "networks" if n_models >= 5 else "layers"
    row = {"scope": scope, "n_models": n_models, "n_layers": 20, "interval_over": over}
    values = [dict(zip(("spearman", "spearman_low", "spearman_high"), value, strict=True)) for value in areas.values()]
    return pd.DataFrame([row | {"benchmark": f"lab.{area}"} | v for area, v in zip(areas, values, strict=True)])


def make_differences(best, pairs):
    rows = [{"best": f"lab.{best}", "other": f"lab.{other}"} | dict(zip(NUMBERS, v, strict=True)) for other, v in pairs]
    return pd.DataFrame(rows, columns=["best", "other", *NUMBERS])


NUMBERS = ("difference", "difference_low", "difference_high")


def with_control(trained, control):
    """Two splits of one trained layer and one untrained; None for no control."""
    rows = [("net", True, *trained)] + ([("net-untrained", False, *control)] if control else [])
    table = pd.DataFrame(rows, columns=["model", "trained", "memorability_split_1", "memorability_split_2"])
    return table.assign(memorability=table[["memorability_split_1", "memorability_split_2"]].mean(axis=1))


# What is known of each area over trained networks, of the best one's lead, how many networks there are; what is said.
CASES = {
    "one ahead": (
        IT | V4,
        {"V4": AHEAD},
        5,
        """Over 20 layers of 5 trained networks, the layers that predict memorability well are those most like **IT**:
        Spearman 0.87 [0.57, 0.97]. V4 comes next with 0.50 [0.20, 0.60]; the difference, 0.37 [0.10, 0.60], excludes
        zero.""",
    ),
    "order not certain": (
        IT | V4,
        {"V4": OPEN},
        5,
        """Over 20 layers of 5 trained networks, the layers that predict memorability better are more like **IT**:
        Spearman 0.87 [0.57, 0.97]. V4 comes next with 0.50 [0.20, 0.60]; the difference, 0.37 [-0.02, 0.60], includes
        zero, so the order of the two is not certain.""",
    ),
    "order not known": (
        IT | V4,
        {"V4": NONE},
        5,
        """Over 20 layers of 5 trained networks, the layers that predict memorability better are more like **IT**:
        Spearman 0.87 [0.57, 0.97]. V4 comes next with 0.50 [0.20, 0.60]; too few layers are scored on both to say how
        certain that order is.""",
    ),
    "four areas, ahead of one": (
        IT | V4 | {"V2": (0.3, -0.1, 0.6), "V1": (-0.5, -0.8, -0.1)},
        {"V4": AHEAD, "V2": OPEN, "V1": OPEN},
        5,
        """Over 20 layers of 5 trained networks, the layers that predict memorability better are more like **IT**:
        Spearman 0.87 [0.57, 0.97]. V4 comes next with 0.50 [0.20, 0.60]; the difference, 0.37 [0.10, 0.60], excludes
        zero; nor is the lead over V2 and V1 certain. Layers that predict memorability better are less like V1
        (-0.50 [-0.80, -0.10]).""",
    ),
    "one area, negative": (
        {"V4": (-0.43, -0.75, -0.05)},
        {},
        5,
        f"""Over 20 layers of 5 trained networks, the layers that predict memorability better are less like **V4**:
        Spearman -0.43 [-0.75, -0.05]. {ALONE}""",
    ),
    "too few layers": (
        {"V4": (0.43, np.nan, np.nan)},
        {},
        5,
        f"""Over 20 layers of 5 trained networks, predicting memorability and being like **V4** correlate at Spearman
        0.43 (too few layers for an interval): it is not certain that they go together. {ALONE}""",
    ),
    "one network": (
        {"V4": (0.43, 0.05, 0.75)},
        {},
        1,
        f"""Over 20 layers of 1 trained network, the layers that predict memorability better are more like **V4**:
        Spearman 0.43 [0.05, 0.75]. {ALONE} With fewer than 5 networks, intervals are over their layers: they say
        nothing of others.""",
    ),
    "two areas, neither certain": (
        {"V4": (0.2, -0.3, 0.6), "IT": (0.1, -0.4, 0.5)},
        {"IT": OPEN},
        3,
        """Over 20 layers of 3 trained networks, predicting memorability and being like **V4** correlate at Spearman
        0.20 [-0.30, 0.60]: the interval holds zero, so it is not certain that they go together. IT comes next with 0.10
        [-0.40, 0.50]; the difference, 0.37 [-0.02, 0.60], includes zero, so the order of the two is not certain. With
        fewer than 5 networks, intervals are over their layers: they say nothing of others.""",
    ),
    "nothing scored": (
        {"V4": NONE},
        {},
        5,
        "Memorability and brain similarity were not both scored for three or more layers of trained networks.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_the_answer_claims_no_more_than_its_intervals(case):
    areas, leads, n_models, text = CASES[case]
    differences = make_differences(next(iter(areas)), leads.items())
    correlations = make_correlations(areas, n_models=n_models)
    benchmarks = [f"lab.{area}" for area in areas]
    said = answer.relation(with_control((0.5, 0.44), None), correlations, differences, benchmarks)
    assert said == one_line(text)


BEHIND = "Untrained controls stay behind in predicting memorability: at most ρ = 0.17 against 0.47 trained."
AS_WELL = """Untrained controls predict memorability as well (at most ρ = {} against 0.47 trained): it need not come
    from training."""


@pytest.mark.parametrize(
    ("control", "relation", "text"),
    [
        ((0.19, 0.15), None, BEHIND),
        ((0.45, 0.45), None, AS_WELL.format("0.45")),
        ((0.5, 0.5), None, AS_WELL.format("0.50")),
        (
            (0.19, 0.15),
            (0.1, -0.3, 0.4),
            f"{BEHIND} Over the layers of net-untrained, untrained, the correlation with V4 is 0.10 [-0.30, 0.40].",
        ),
        (
            (0.19, 0.15),
            (0.6, 0.3, 0.8),
            f"""{BEHIND} Over the layers of net-untrained, untrained, the correlation with V4 is 0.60 [0.30, 0.80]: as
            high, so that training does not explain the relation.""",
        ),
    ],
)
def test_controls_have_their_say(control, relation, text):
    tables = [make_correlations({"V4": (0.43, 0.05, 0.75)})]
    if relation:
        tables.append(make_correlations({"V4": relation}, scope="net-untrained", n_models=1))
    layers = with_control((0.5, 0.44), control)
    said = answer.relation(layers, pd.concat(tables), make_differences("V4", []), ["lab.V4"])
    assert said.endswith(one_line(f"{ALONE} {text}"))


def test_a_half_says_where_its_control_does_as_well():
    layers = make_layers("a.V4", memorability=True)
    layers["a.V4.error"] = 0.2
    assert "Untrained, net-untrained does as well, within the errors over splits: r = 0.30" in half(layers, ["a.V4"])


def test_two_benchmarks_of_one_area_are_told_apart():
    correlations = make_correlations({"V4": (0.87, 0.6, 0.9), "IT": (0.5, 0.2, 0.6)}).replace(
        {"lab.IT": "cowley2023.V4"}
    )
    differences = make_differences("V4", [("IT", AHEAD)]).replace({"lab.IT": "cowley2023.V4"})
    text = answer.relation(with_control((0.5, 0.44), None), correlations, differences, ["lab.V4", "cowley2023.V4"])
    assert "most like **lab.V4**" in text
    assert "cowley2023.V4 comes next" in text


def test_intervals_of_few_networks_are_said_to_be_over_layers():
    few = make_correlations({"V4": (0.5, 0.2, 0.6)}, n_models=2)
    assert "(all trained: over layers; " in summary.relation_table(few)


@pytest.mark.parametrize(
    ("source", "benchmarks", "words"),
    [
        ("lnsim", ["cowley2023.V4"], ["outdoor photographs of LNSIM", "neurons of macaque V4"]),
        ("lamem", ["MajajHong2015public.IT-pls"], ["scores of LaMem", "recordings of MajajHong2015public, as"]),
        ("table", [], ["what the table of *photos* says"]),
        ("simulated", ["simulated.V4"], []),
    ],
)
def test_what_is_real_is_said(source, benchmarks, words):
    said = summary.real("photos", source, benchmarks)
    assert bool(said) == bool(words)
    for each in words:
        assert each in said


def test_human_consistency_is_told_or_said_to_be_unknown():
    layers = make_layers(memorability=True)
    row = {"human_consistency": 0.895, "source": "split halves of responses"}
    page = summary.write(layers, pd.DataFrame(), pd.DataFrame(), [], "photos", REAL, row)
    assert "splits; human consistency 0.90 (split halves of responses, Spearman–Brown)." in page
    for unknown in (None, {"human_consistency": np.nan, "source": ""}):
        page = summary.write(layers, pd.DataFrame(), pd.DataFrame(), [], "photos", REAL, unknown)
        assert "splits; human consistency not known." in page
    assert "consistency" not in half(make_layers("a.V4"), ["a.V4"])


def test_every_network_has_a_row_of_its_own():
    """However many there are, the tables keep their width."""
    values = {"V4": (0.5, 0.2, 0.6), "IT": (0.87, 0.6, 0.9)}
    correlations = pd.concat(make_correlations(values, scope=scope) for scope in ("all trained", "net"))
    table = summary.relation_table(correlations.assign(spearman=[0.5, 0.87, np.nan, 0.2]))
    assert "   * - Network\n     - lab.V4\n     - lab.IT\n" in table
    assert "   * - net\n     - –\n     - 0.20 [" in table
    layers = make_layers("a.V4", memorability=True)
    table = summary.best_layers(layers, ["a.V4"])
    assert table.count("* -") == 1 + 2 * 2
    assert "   * - net-untrained (untrained)\n     - memorability ρ\n     - 0.30\n     - ``middle``\n" in table
    assert "   * - \n     - a.V4\n     - 0.48\n     - ``middle``\n" in table
