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
    return summary.write(layers, pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), list(benchmarks), dataset, simulated)


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
    assert (
        f"``middle`` of net predicts it best: ρ = 0.60{summary.MANY}, at depth 0.50. Untrained, net-untrained" in page
    )
    assert "brain" not in page.lower()


def test_no_ceiling_is_said_everywhere_and_is_no_nan():
    layers = make_layers("cowley2023.V4").assign(**{"cowley2023.V4.ceiling": np.nan, "cowley2023.V4.score": np.nan})
    page = half(layers, ["cowley2023.V4"])
    assert "r = 0.60 (no ceiling: some or all sites have no repeats), at depth 0.50" in page
    assert "ceilings (split-half reliability): V4 some or all sites have no repeats" in page
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
# Spearman over networks and its interval, as it is and at equal depth; how far shifted profiles reach, if not so far.
IT, V4 = {"IT": ((0.87, 0.57, 0.97), (0.6, 0.3, 0.8))}, {"V4": ((0.5, 0.2, 0.6), (0.4, 0.1, 0.6))}
ALONE = """V4 is the only area compared: whether memorability goes with this area more than with another, one area alone
    cannot say."""
SHIFTED = "Profiles shifted along depth correlate at most 0.40 in 97.5% of shifts."
FEW = "With fewer than 5 networks, intervals are over stretches of depth: they say nothing of other networks."
MISSING = """There is no interval where layers are so few, or so like their neighbours, that they make up fewer than
    four independent stretches of depth, or where it would say nothing."""


def one_line(text):
    return " ".join(text.split())


def make_correlations(areas, scope="all trained", n_models=5, depth=0.3):
    over = "networks" if n_models >= 5 else "depth"
    row = {"scope": scope, "n_models": n_models, "n_layers": 20, "interval_over": over, "depth": depth}
    n_units = n_models if n_models >= 5 else 4
    rows = []
    for area, (spearman, partial, *shifted) in areas.items():
        units = {"n_units": 1 if np.isnan(spearman[1]) else n_units}
        values = units | dict(zip((*SPEARMAN, *PARTIAL), (*spearman, *partial), strict=True))
        rows.append(
            row | {"benchmark": f"lab.{area}", "shifted_low": -0.4, "shifted_high": (*shifted, 0.4)[0]} | values
        )
    return pd.DataFrame(rows)


SPEARMAN, PARTIAL = (tuple(f"{name}{end}" for end in ("", "_low", "_high")) for name in ("spearman", "partial"))


def make_differences(best, pairs):
    """Leads, which are the same at equal depth."""
    rows = [
        {"best": f"lab.{best}", "other": f"lab.{other}"} | dict(zip(NUMBERS, (*v, *v), strict=True))
        for other, v in pairs
    ]
    return pd.DataFrame(rows, columns=["best", "other", *NUMBERS]).assign(n_units=5)


NUMBERS = tuple(f"{name}{end}" for name in ("difference", "partial_difference") for end in ("", "_low", "_high"))


def kinds(*control):
    """A trained layer, and an untrained one where there is a control."""
    return pd.DataFrame({"model": ["net", "net-untrained"], "trained": [True, False]})[: 1 + len(control)]


def control_scores(*of_each):
    """Of each control its ρ, and the difference to the trained network's with its interval."""
    columns = ["control_rho", "difference", "difference_low", "difference_high"]
    return pd.DataFrame(list(of_each), columns=columns).assign(model="net", trained_rho=0.47)


# What is known of each area over trained networks, of the best one's lead, how many networks there are; what is said.
CASES = {
    "one ahead": (
        IT | V4,
        {"V4": AHEAD},
        5,
        f"""Over 20 layers of 5 trained networks, the layers that predict memorability well are those most like **IT**:
        Spearman 0.87 [0.57, 0.97], at equal depth 0.60 [0.30, 0.80]. {SHIFTED} V4 comes next with 0.50 [0.20, 0.60];
        the difference is 0.37 [0.10, 0.60], at equal depth 0.37 [0.10, 0.60].""",
    ),
    "order not certain": (
        IT | V4,
        {"V4": OPEN},
        5,
        f"""Over 20 layers of 5 trained networks, the layers that predict memorability better are more like **IT**:
        Spearman 0.87 [0.57, 0.97], at equal depth 0.60 [0.30, 0.80]. {SHIFTED} V4 comes next with 0.50 [0.20, 0.60];
        the difference is 0.37 [-0.02, 0.60], at equal depth 0.37 [-0.02, 0.60], so the order of the two is not
        certain.""",
    ),
    "order not known": (
        IT | V4,
        {"V4": NONE},
        5,
        f"""Over 20 layers of 5 trained networks, the layers that predict memorability better are more like **IT**:
        Spearman 0.87 [0.57, 0.97], at equal depth 0.60 [0.30, 0.80]. {SHIFTED} V4 comes next with 0.50 [0.20, 0.60]; no
        interval says how certain that order is.""",
    ),
    "four areas, ahead of one": (
        IT | V4 | {"V2": ((0.3, -0.1, 0.6), (0.1, -0.1, 0.3)), "V1": ((-0.5, -0.8, -0.1), (-0.4, -0.6, -0.1))},
        {"V4": AHEAD, "V2": OPEN, "V1": OPEN},
        5,
        f"""Over 20 layers of 5 trained networks, the layers that predict memorability better are more like **IT**:
        Spearman 0.87 [0.57, 0.97], at equal depth 0.60 [0.30, 0.80]. {SHIFTED} V4 comes next with 0.50 [0.20, 0.60];
        the difference is 0.37 [0.10, 0.60], at equal depth 0.37 [0.10, 0.60]; nor is the lead over V2 and V1 certain.
        Layers that predict memorability better are less like V1 (-0.50 [-0.80, -0.10]).""",
    ),
    "one area, negative": (
        {"V4": ((-0.43, -0.75, -0.05), (-0.3, -0.6, -0.1))},
        {},
        5,
        f"""Over 20 layers of 5 trained networks, the layers that predict memorability better are less like **V4**:
        Spearman -0.43 [-0.75, -0.05], at equal depth -0.30 [-0.60, -0.10]. Profiles shifted along depth correlate at
        least -0.40 in 97.5% of shifts. {ALONE}""",
    ),
    "gone at equal depth": (
        {"V4": ((0.8, 0.6, 0.9), (0.1, -0.2, 0.4))},
        {},
        5,
        f"""Over 20 layers of 5 trained networks, predicting memorability and being like **V4** correlate at Spearman
        0.80 [0.60, 0.90], at equal depth 0.10 [-0.20, 0.40]: at equal depth the interval holds zero, so both may change
        along depth and have nothing else in common. {SHIFTED} {ALONE}""",
    ),
    "the other way round at equal depth": (
        {"V4": ((0.6, 0.3, 0.8), (-0.5, -0.8, -0.2))},
        {},
        5,
        f"""Over 20 layers of 5 trained networks, predicting memorability and being like **V4** correlate at Spearman
        0.60 [0.30, 0.80], at equal depth -0.50 [-0.80, -0.20]: at equal depth it is the other way round, so depth, and
        not the area, makes the one or the other. {SHIFTED} {ALONE}""",
    ),
    "reached by shifted profiles": (
        {"V4": ((0.8, 0.6, 0.9), (0.4, 0.2, 0.6), 0.85)},
        {},
        5,
        f"""Over 20 layers of 5 trained networks, predicting memorability and being like **V4** correlate at Spearman
        0.80 [0.60, 0.90], at equal depth 0.40 [0.20, 0.60]: profiles shifted along depth reach as much, so it is not
        certain that they go together. {SHIFTED.replace("0.40", "0.85")} {ALONE}""",
    ),
    "too few layers": (
        {"V4": ((0.43, np.nan, np.nan), NONE, np.nan)},
        {},
        5,
        f"""Over 20 layers of 5 trained networks, predicting memorability and being like **V4** correlate at Spearman
        0.43 (no interval), at equal depth not known: the layers are too few, or too like their neighbours, to tell this
        from two trends along depth. The layers are too few to compare with profiles shifted along depth. {ALONE}
        {MISSING}""",
    ),
    "neighbours too alike, but not at equal depth": (
        {"V4": ((0.72, np.nan, np.nan), (0.63, 0.4, 0.8))},
        {},
        3,
        f"""Over 20 layers of 3 trained networks, the layers that predict memorability better are more like **V4**:
        Spearman 0.72 (no interval), at equal depth 0.63 [0.40, 0.80]. {SHIFTED} {ALONE} {FEW} {MISSING}""",
    ),
    "two areas, neither certain": (
        {"V4": ((0.2, -0.3, 0.6), (0.1, -0.3, 0.5)), "IT": ((0.1, -0.4, 0.5), (0.1, -0.3, 0.5))},
        {"IT": OPEN},
        3,
        f"""Over 20 layers of 3 trained networks, predicting memorability and being like **V4** correlate at Spearman
        0.20 [-0.30, 0.60], at equal depth 0.10 [-0.30, 0.50]: the interval holds zero, so it is not certain that they
        go together. {SHIFTED} IT comes next with 0.10 [-0.40, 0.50]; the difference is 0.37 [-0.02, 0.60], at equal
        depth 0.37 [-0.02, 0.60], so the order of the two is not certain. {FEW}""",
    ),
    "nothing scored": (
        {"V4": (NONE, NONE)},
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
    said = answer.relation(kinds(), correlations, differences, control_scores(), benchmarks)
    assert said == one_line(text)


def test_what_depth_alone_does_is_said():
    said = answer.along_depth(make_correlations(IT, depth=0.95).iloc[0])
    assert said == f"{SHIFTED} A smooth curve along depth alone follows memorability at r = 0.95."


CONTROL = "Over the layers of net-untrained, untrained, the correlation with V4"
STAYS, KEEPS_UP, FAR = (0.17, 0.3, 0.1, 0.5), (0.42, 0.05, -0.1, 0.2), (0.05, 0.42, 0.3, 0.55)
BEHIND = """Untrained controls stay behind in predicting memorability: at most ρ = 0.17 against 0.47 of net, difference
    over test images 0.30 [0.10, 0.50]."""
AS_WELL = """Untrained controls are not certainly worse at predicting memorability (at most ρ = 0.42 against 0.47 of
    net, difference over test images 0.05 [-0.10, 0.20]): it need not come from training."""


@pytest.mark.parametrize(
    ("controls", "relation", "text"),
    [
        ([STAYS, FAR], None, BEHIND),
        ([FAR, KEEPS_UP, STAYS], None, AS_WELL),
        (
            [STAYS],
            ((0.1, -0.3, 0.35), NONE),
            f"""{BEHIND} {CONTROL} is 0.10 [-0.30, 0.35]; trained less untrained is 0.33 [-0.12, 0.84]: not
            certainly more.""",
        ),
        (
            [STAYS],
            ((-0.5, -0.7, -0.1), NONE),
            f"{BEHIND} {CONTROL} is -0.50 [-0.70, -0.10]; trained less untrained is 0.93 [0.38, 1.31].",
        ),
        (
            [STAYS],
            ((0.75, 0.26, 0.93), NONE),
            f"""{BEHIND} {CONTROL} is 0.75 [0.26, 0.93]; trained less untrained is -0.32 [-0.74, 0.27]: not certainly
            more, and there the interval excludes zero too, so that it need not come from training.""",
        ),
        (
            [STAYS],
            ((0.4, np.nan, np.nan), (0.1, -0.2, 0.4)),
            f"""{BEHIND} {CONTROL} is 0.40 (no interval), at equal depth 0.10 [-0.20, 0.40]; trained less
            untrained is 0.20 [-0.21, 0.56]: not certainly more.""",
        ),
        (
            [STAYS],
            ((0.4, np.nan, np.nan), NONE),
            f"{BEHIND} {CONTROL} is 0.40 (no interval), at equal depth not known.",
        ),
    ],
)
def test_controls_have_their_say(controls, relation, text):
    tables = [make_correlations({"V4": ((0.43, 0.05, 0.75), (0.3, 0.02, 0.5))})]
    if relation:
        tables.append(make_correlations({"V4": relation}, scope="net-untrained", n_models=1))
    differences = make_differences("V4", [])
    said = answer.relation(kinds(*controls), pd.concat(tables), differences, control_scores(*controls), ["lab.V4"])
    assert said.endswith(one_line(f"{ALONE} {text}"))


def test_a_half_says_where_its_control_does_as_well():
    layers = make_layers("a.V4", memorability=True)
    layers["a.V4.error"] = 0.2
    assert "Untrained, net-untrained does as well, within the errors over splits: r = 0.30" in half(layers, ["a.V4"])


def test_two_benchmarks_of_one_area_are_told_apart():
    correlations = make_correlations({"V4": IT["IT"], "IT": V4["V4"]}).replace({"lab.IT": "cowley2023.V4"})
    differences = make_differences("V4", [("IT", AHEAD)]).replace({"lab.IT": "cowley2023.V4"})
    text = answer.relation(kinds(), correlations, differences, control_scores(), ["lab.V4", "cowley2023.V4"])
    assert "most like **lab.V4**" in text
    assert "cowley2023.V4 comes next" in text


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
    page = summary.write(layers, pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), [], "photos", REAL, row)
    assert "splits; human consistency 0.90 (split halves of responses, Spearman–Brown)." in page
    for unknown in (None, {"human_consistency": np.nan, "source": ""}):
        page = summary.write(layers, pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), [], "photos", REAL, unknown)
        assert "splits; human consistency not known." in page
    assert "consistency" not in half(make_layers("a.V4"), ["a.V4"])


def test_every_network_has_a_row_of_its_own():
    """However many there are, the tables keep their width."""
    values = V4 | IT
    correlations = pd.concat(make_correlations(values, scope=scope) for scope in ("all trained", "net"))
    table = summary.relation_table(correlations.assign(spearman=[0.5, 0.87, np.nan, 0.2]))
    assert "   * - Network\n     - lab.V4\n     - lab.IT\n" in table
    assert "   * - net\n     - –\n     - 0.20 [" in table
    assert "   * - at equal depth\n     - –\n     - 0.60 [0.30, 0.80]" in table
    layers = make_layers("a.V4", memorability=True)
    table = summary.best_layers(layers, ["a.V4"])
    assert table.count("* -") == 1 + 2 * 2
    assert "   * - net-untrained (untrained)\n     - memorability ρ\n     - 0.30\n     - ``middle``\n" in table
    assert "   * - \n     - a.V4\n     - 0.48\n     - ``middle``\n" in table
