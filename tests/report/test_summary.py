"""The front page: a study's own question and its answer, whole or half, with or without a ceiling."""

import numpy as np
import pandas as pd
import pytest

from memscore.report import summary

REAL = {"brain": False, "viewers": False}


def make_layers(*benchmarks, memorability=False):
    """Three layers of a trained network and of its untrained control; the middle one is best."""
    table = pd.DataFrame(
        {
            "model": ["net"] * 3 + ["net-untrained"] * 3,
            "trained": [True] * 3 + [False] * 3,
            "layer": ["stem", "middle", "head"] * 2,
            "depth": [0.0, 0.5, 1.0] * 2,
            "note": None,
        }
    )
    values = np.array([0.2, 0.6, 0.4, 0.1, 0.3, 0.2])
    if memorability:
        table = table.assign(memorability=values, memorability_split_1=values)
    for benchmark in benchmarks:
        columns = {"raw": values, "ceiling": 0.75, "score": values**2 / 0.75, "error": 0.01}
        table = table.assign(**{f"{benchmark}.{name}": column for name, column in columns.items()})
    return table


def without_ceiling(layers, benchmark):
    return layers.assign(**{f"{benchmark}.ceiling": np.nan, f"{benchmark}.score": np.nan})


def half(layers, benchmarks=(), dataset=None, simulated=REAL):
    return summary.write(layers, pd.DataFrame(), pd.DataFrame(), list(benchmarks), dataset, simulated)


def make_correlations(**spearman):
    row = {"scope": "all trained", "n_models": 5, "n_layers": 20, "interval_over": "networks"}
    values = {"simulated." + area: value for area, value in spearman.items()}
    return pd.DataFrame(
        [
            row | {"benchmark": b, "spearman": v, "spearman_low": v - 0.3, "spearman_high": v + 0.1}
            for b, v in values.items()
        ]
    )


def make_difference(low, high):
    return pd.DataFrame([{"difference": 0.37, "difference_low": low, "difference_high": high}])


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
    layers = without_ceiling(make_layers("cowley2023.V4"), "cowley2023.V4")
    page = half(layers, ["cowley2023.V4"])
    assert "r = 0.60 (no ceiling: recordings without repeats), at depth 0.50" in page
    assert "ceilings (split-half reliability): V4 none, without repeats" in page
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


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.10, 0.60, "The difference, 0.37 [0.10, 0.60], excludes zero."),
        (-0.02, 0.60, "The difference, 0.37 [-0.02, 0.60], includes zero, so the order of the two is not certain."),
        (np.nan, np.nan, "Too few layers are scored on both to say how certain that order is."),
    ],
)
def test_order_of_the_two_best_rests_on_their_difference(low, high, words):
    correlations = make_correlations(V4=0.5, IT=0.87)
    text = summary.relation(correlations, make_difference(low, high), ["simulated.V4", "simulated.IT"])
    assert "most like **IT**: Spearman 0.87 [0.57, 0.97], against 0.50 [0.20, 0.60] for V4, the next. " in text
    assert text.endswith(words)


def test_few_networks_speak_of_themselves():
    """Their intervals are over layers, which the page must not pass off as what holds of other networks."""
    few = make_correlations(V4=0.5, IT=0.87).assign(n_models=2, interval_over="layers")
    text = summary.relation(few, make_difference(0.1, 0.6), ["simulated.V4", "simulated.IT"])
    assert text.endswith("With fewer than 5 networks, intervals are over their layers: they say nothing of others.")
    assert "(all trained: over layers; " in summary.relation_table(few)
    assert "say nothing of others" not in summary.relation(make_correlations(IT=0.87), pd.DataFrame(), ["simulated.IT"])


def test_two_benchmarks_of_one_area_are_told_apart():
    correlations = make_correlations(V4=0.5, IT=0.87).replace({"simulated.IT": "cowley2023.V4"})
    text = summary.relation(correlations, make_difference(0.1, 0.6), ["simulated.V4", "cowley2023.V4"])
    assert "**cowley2023.V4**" in text
    assert "for simulated.V4, the next" in text


@pytest.mark.parametrize(("areas", "words"), [({"V4": 0.5}, "0.50 [0.20, 0.60]."), ({"V4": np.nan}, "not both scored")])
def test_one_area_or_none_has_no_difference(areas, words):
    assert words in summary.relation(make_correlations(**areas), pd.DataFrame(), ["simulated.V4"])


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
    correlations = pd.concat(make_correlations(V4=0.5, IT=0.87).assign(scope=scope) for scope in ("all trained", "net"))
    table = summary.relation_table(correlations.assign(spearman=[0.5, 0.87, np.nan, 0.2]))
    assert "   * - Network\n     - simulated.V4\n     - simulated.IT\n" in table
    assert "   * - net\n     - –\n     - 0.20 [" in table
    layers = make_layers("a.V4", memorability=True)
    table = summary.best_layers(layers, ["a.V4"])
    assert table.count("* -") == 1 + 2 * 2
    assert "   * - net-untrained (untrained)\n     - memorability ρ\n     - 0.30\n     - ``middle``\n" in table
    assert "   * - \n     - a.V4\n     - 0.48\n     - ``middle``\n" in table
