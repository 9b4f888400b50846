"""Figures: they are written whole or not at all, survive thin tables, and keep a region's colour."""

import itertools
import xml.etree.ElementTree as ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from PIL import Image

from memscore.errors import InputError
from memscore.report import figures
from memscore.report.figures import drawing
from memscore.report.figures.along_depth import _quartiles, _spread, memorability_error

BENCHMARKS = ["simulated.V1", "simulated.V2", "simulated.V4", "MajajHong2015public.IT-pls"]
PEOPLE = {"human_consistency": 0.68, "source": "published: Khosla et al. 2015"}
UNKNOWN = {"human_consistency": np.nan, "source": ""}
DRAW = {
    "scatter": lambda layers, correlations, path, benchmarks=BENCHMARKS, banner="": figures.memorability_against_brain(
        layers, benchmarks, correlations, path, banner, PEOPLE
    ),
    "depth": lambda layers, correlations, path, benchmarks=BENCHMARKS, banner="": figures.along_depth(
        layers, benchmarks, path, banner, PEOPLE
    ),
    "region": lambda layers, correlations, path, benchmarks=BENCHMARKS, banner="": figures.correlation_by_region(
        correlations, benchmarks, path, banner, untrained=["net0-untrained"]
    ),
}
each_figure = pytest.mark.parametrize("draw", DRAW.values(), ids=DRAW)


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Fewer pixels, faster tests."""
    monkeypatch.setitem(drawing.STYLE, "savefig.dpi", 60)


def make_layers(n_trained=2, n_untrained=1, n_layers=6, benchmarks=BENCHMARKS):
    rng = np.random.default_rng(0)
    tables = []
    for i in range(n_trained + n_untrained):
        trained = i < n_trained
        name = f"net{i}" if trained else f"net{i - n_trained}-untrained"
        depth = np.linspace(0, 1, n_layers)
        table = pd.DataFrame({"model": name, "depth": depth, "trained": trained})
        table["layer"] = [f"blocks.{k}.conv" for k in range(n_layers)]
        table["memorability"] = 0.5 * depth + rng.normal(0, 0.05, n_layers)
        for k in (1, 2, 3):
            table[f"memorability_split_{k}"] = table["memorability"] + rng.normal(0, 0.02, n_layers)
        for benchmark in benchmarks:
            raw = rng.uniform(0.1, 0.6, n_layers)
            values = {"raw": raw, "ceiling": 0.8, "score": raw**2 / 0.8, "error": 0.01}
            table = table.assign(**{f"{benchmark}.{value}": column for value, column in values.items()})
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def make_correlations(layers, benchmarks=BENCHMARKS, spearman=0.5):
    scopes = (["all trained"] if layers["trained"].any() else []) + list(layers["model"].unique())
    row = {"n_models": 1, "n_layers": 6, "spearman": spearman, "spearman_low": spearman - 0.2}
    row |= {"spearman_high": spearman + 0.2, "pearson": 0.4, "pearson_low": 0.2, "pearson_high": 0.6}
    return pd.DataFrame([{"benchmark": b, "scope": scope, **row} for b in benchmarks for scope in scopes])


def assert_image(path):
    if path.suffix == ".svg":
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
        return
    with Image.open(path) as image:
        image.load()
        extrema = image.convert("L").getextrema()
    assert min(image.size) > 100
    assert extrema[0] < 100 < extrema[1]  # Something is drawn.


def texts(monkeypatch):
    """Every text of the figures that are saved from now on."""
    found = []

    def note(figure, *args, **kwargs):
        found.extend(text.get_text() for text in figure.findobj(drawing.matplotlib.text.Text))
        return savefig(figure, *args, **kwargs)

    savefig = drawing.Figure.savefig
    monkeypatch.setattr(drawing.Figure, "savefig", note)
    return found


@each_figure
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_writes_an_image(draw, suffix, tmp_path):
    layers = make_layers()
    path = tmp_path / "new" / f"figure{suffix}"
    draw(layers, make_correlations(layers), path)
    assert_image(path)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@each_figure
@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_same_tables_same_bytes(draw, suffix, tmp_path):
    layers = make_layers()
    paths = [tmp_path / f"{i}{suffix}" for i in range(2)]
    for path in paths:
        draw(layers.copy(), make_correlations(layers), path, banner="simulated")
    assert paths[0].read_bytes() == paths[1].read_bytes()


@each_figure
def test_the_users_own_style_changes_nothing(draw, tmp_path):
    layers = make_layers()
    draw(layers, make_correlations(layers), tmp_path / "plain.svg")
    with drawing.matplotlib.rc_context({"lines.linewidth": 9, "axes.facecolor": "red", "font.size": 20}):
        draw(layers, make_correlations(layers), tmp_path / "styled.svg")
    assert (tmp_path / "plain.svg").read_bytes() == (tmp_path / "styled.svg").read_bytes()


@each_figure
def test_a_failure_leaves_the_old_file_and_nothing_else(draw, tmp_path, monkeypatch):
    layers = make_layers()
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")

    def half_written(figure, temporary, **kwargs):
        temporary.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(drawing.Figure, "savefig", half_written)
    with pytest.raises(OSError, match="disk full"):
        draw(layers, make_correlations(layers), path)
    assert [p.name for p in tmp_path.iterdir()] == ["figure.png"]
    assert path.read_bytes() == b"old"


def without(column, rows=slice(None)):
    layers = make_layers()
    layers.loc[rows, column] = np.nan
    return layers


THIN = {
    "no memorability for one model": without("memorability", slice(0, 5)),
    "no memorability at all": without("memorability"),
    "no score for one benchmark": without(["simulated.V1.raw", "simulated.V1.score"]),
    "no ceiling for one benchmark": without(["simulated.V1.ceiling", "simulated.V1.score"]),
    "no split columns": make_layers().drop(columns=[f"memorability_split_{k}" for k in (1, 2, 3)]),
    "one split": make_layers().drop(columns=[f"memorability_split_{k}" for k in (2, 3)]),
    "one model": make_layers(1, 0),
    "one layer": make_layers(1, 0, 1),
    "no control": make_layers(2, 0),
    "no trained model": make_layers(0, 2),
    "one model too many for lines": make_layers(9, 1, 3),
    "many layers": make_layers(1, 1, 90),
}


@each_figure
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("layers", THIN.values(), ids=THIN)
def test_survives_thin_tables(draw, layers, tmp_path):
    draw(layers, make_correlations(layers), tmp_path / "figure.png", banner="simulated brain and viewers")
    assert_image(tmp_path / "figure.png")


@each_figure
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [0, 1, 5, 8])
def test_any_number_of_benchmarks(draw, n, tmp_path):
    benchmarks = [*BENCHMARKS, "lab.V4", "lab.FFA", "lab.PPA", "noregion"][:n]
    layers = make_layers(benchmarks=benchmarks)
    correlations = make_correlations(layers, benchmarks or BENCHMARKS)
    draw(layers, correlations, tmp_path / "figure.png", benchmarks)
    assert_image(tmp_path / "figure.png")


@each_figure
@pytest.mark.filterwarnings("error")
def test_says_that_nothing_is_scored(draw, tmp_path, monkeypatch):
    layers = without(["memorability", *(f"{b}.{value}" for b in BENCHMARKS for value in ("raw", "score"))])
    found = texts(monkeypatch)
    draw(layers, make_correlations(layers, spearman=np.nan), tmp_path / "figure.png")
    assert "no scored layer" in found


@each_figure
def test_draws_the_banner(draw, tmp_path, monkeypatch):
    layers = make_layers()
    found = texts(monkeypatch)
    draw(layers, make_correlations(layers), tmp_path / "figure.png", banner="simulated brain and viewers")
    assert "simulated brain and viewers" in found


def test_scatter_states_the_correlation_and_its_interval(tmp_path, monkeypatch):
    layers = make_layers()
    found = texts(monkeypatch)
    DRAW["scatter"](layers, make_correlations(layers, spearman=-0.5), tmp_path / "figure.png")
    assert "simulated\n$r_s$ = −0.50, 95% CI [−0.70, −0.30]\n6 trained layers" in found


@each_figure
def test_a_region_has_its_colour_and_controls_are_grey(draw, tmp_path):
    layers = make_layers()
    draw(layers, make_correlations(layers), tmp_path / "figure.svg")
    svg = (tmp_path / "figure.svg").read_text()
    for colour in (*drawing.REGION_COLOURS.values(), drawing.GREY):
        assert colour.lower() in svg


def test_region_colours():
    colours = drawing.region_colours(["a.V4", "b.V4-pls", "c.FFA", "d.FFA", "e.PPA"])
    assert colours["a.V4"] == colours["b.V4-pls"] == drawing.REGION_COLOURS["V4"]
    assert colours["c.FFA"] == colours["d.FFA"] != colours["e.PPA"]
    every = [*drawing.REGION_COLOURS.values(), *drawing.OTHER_COLOURS]
    assert all(to_hex(a) != to_hex(b) for a, b in itertools.combinations(every, 2))


@pytest.mark.parametrize(
    ("draw", "column"),
    [
        ("scatter", "memorability"),
        ("scatter", "simulated.V2.score"),
        ("depth", "depth"),
        ("depth", "simulated.V2.error"),
        ("scatter", "spearman_low"),
        ("region", "scope"),
    ],
)
def test_names_the_missing_column(draw, column, tmp_path):
    layers = make_layers()
    correlations = make_correlations(layers).drop(columns=column, errors="ignore")
    with pytest.raises(InputError, match=f"no column '{column}'"):
        DRAW[draw](layers.drop(columns=column, errors="ignore"), correlations, tmp_path / "figure.png")
    assert not list(tmp_path.iterdir())


def test_memorability_error_is_the_standard_error_over_splits():
    layers = pd.DataFrame({"memorability_split_1": [0.1, 0.2], "memorability_split_2": [0.3, np.nan]})
    np.testing.assert_allclose(memorability_error(layers), [0.1, np.nan])


def test_labels_are_pushed_apart_and_keep_their_order():
    values = np.array([0.5, 0.1, 0.51, 0.52])
    placed = _spread(values, gap=0.1)
    assert np.diff(np.sort(placed)).min() > 0.0999
    assert (np.argsort(placed) == np.argsort(values)).all()
    assert placed[1] == 0.1


def test_models_are_summarised_by_median_and_quartiles():
    models = {i: pd.DataFrame({"depth": [0.0, 1.0], "value": [i, 10 * i], "error": 0.0}) for i in range(5)}
    summary = _quartiles(models)
    assert summary["value"].tolist() == [2, 20]
    assert summary["low"].tolist() == [1, 10]
    assert summary["high"].tolist() == [3, 30]


ODD_NAMES = ["MajajHong2015public.V4-pls", "FreemanZiemba2013public.V1-pls", "cowley2023.V4", "Cadena2017-pls"]


@each_figure
@pytest.mark.filterwarnings("error")
def test_benchmarks_are_called_by_their_region_and_their_data(draw, tmp_path, monkeypatch):
    layers = make_layers(benchmarks=ODD_NAMES)
    found = texts(monkeypatch)
    draw(layers, make_correlations(layers, ODD_NAMES), tmp_path / "figure.png", ODD_NAMES)
    for region, times in {"V4": 2, "V1": 1, "Cadena2017-pls": 1}.items():
        assert found.count(region) == times
    lines = [line for text in found for line in text.split("\n")]
    for data_set in ("MajajHong2015public", "FreemanZiemba2013public", "cowley2023"):
        assert lines.count(data_set) == 1
    assert lines.count("Cadena2017-pls") == 1, "a name without a region is not said twice"


def saved(monkeypatch):
    """The figures that are saved from now on."""
    drawn = []
    savefig = drawing.Figure.savefig

    def keep(figure, *args, **kwargs):
        drawn.append(figure)
        return savefig(figure, *args, **kwargs)

    monkeypatch.setattr(drawing.Figure, "savefig", keep)
    return drawn


def depth_axes(layers, benchmarks, tmp_path, monkeypatch):
    """The panels of the figure along depth, as drawn."""
    drawn = saved(monkeypatch)
    figures.along_depth(layers, benchmarks, tmp_path / "figure.png", "")
    assert_image(tmp_path / "figure.png")
    return drawn[0].axes


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_the_brain_alone_has_its_panels_and_the_names_of_models(n, tmp_path, monkeypatch):
    benchmarks = [*BENCHMARKS, "cowley2023.V4"][-n:]
    layers = make_layers(benchmarks=benchmarks)
    layers = layers.drop(columns=layers.filter(regex="^memorability").columns)
    found = texts(monkeypatch)
    axes = depth_axes(layers, benchmarks, tmp_path, monkeypatch)
    assert [ax.get_ylabel() for ax in axes] == ["Similarity (Pearson r)"] * n
    assert all(found.count(name) == 1 for name in ("net0", "net1", "net0-untrained"))


@pytest.mark.filterwarnings("error")
def test_memorability_alone_is_one_panel(tmp_path, monkeypatch):
    layers = make_layers(benchmarks=[])
    assert [ax.get_ylabel() for ax in depth_axes(layers, [], tmp_path, monkeypatch)] == [drawing.RHO]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n_layers", [5, 41, 200])
def test_every_layer_is_a_point_at_its_raw_r(n_layers, tmp_path, monkeypatch):
    layers = make_layers(1, 1, n_layers, ["cowley2023.V4"])
    *_, ax = depth_axes(layers, ["cowley2023.V4"], tmp_path, monkeypatch)
    points = [line for line in ax.lines if line.get_linestyle() == "None" and len(line.get_xdata()) == n_layers]
    control, trained = (np.array(line.get_xydata()) for line in points)
    for drawn, wanted in ((control, ~layers["trained"]), (trained, layers["trained"])):
        np.testing.assert_array_equal(drawn, layers.loc[wanted, ["depth", "cowley2023.V4.raw"]])
    assert points[0].get_markerfacecolor() == "white"
    assert to_hex(points[1].get_markerfacecolor()).upper() == drawing.REGION_COLOURS["V4"]


@pytest.mark.parametrize("alone", [True, False])
def test_the_best_trained_layer_is_ringed_and_named(alone, tmp_path, monkeypatch):
    benchmarks = ["cowley2023.V4"] if alone else BENCHMARKS
    layers = make_layers(1, 1, 200, benchmarks)
    layers.loc[[120, 320], f"{benchmarks[0]}.raw"] = [0.9, 0.95]  # The control is no candidate.
    layers.loc[120, "layer"] = "the.best"
    if alone:
        layers = layers.drop(columns=layers.filter(regex="^memorability").columns)
    found = texts(monkeypatch)
    ax = depth_axes(layers, benchmarks, tmp_path, monkeypatch)[0 if alone else 1]
    rings = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    assert [tuple(line.get_xydata()[0]) for line in rings] == [(layers["depth"][120], 0.9)]
    assert any("best: the.best, 0.90" in text for text in found)
    assert found.count("the.best") == alone


def test_a_ceiling_is_a_line_with_its_name_inside_the_panel(tmp_path, monkeypatch):
    layers = make_layers(benchmarks=["cowley2023.V4"]).assign(**{"cowley2023.V4.ceiling": 0.75})
    found = texts(monkeypatch)
    *_, ax = depth_axes(layers, ["cowley2023.V4"], tmp_path, monkeypatch)
    assert "ceiling 0.75" in found
    assert [line.get_ydata()[0] for line in ax.lines if len(set(line.get_ydata())) == 1 < len(line.get_ydata())] == [
        0.75
    ]
    assert ax.get_ylim()[0] <= 0 < 0.75 < ax.get_ylim()[1]


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("draw", [DRAW["scatter"], DRAW["depth"]], ids=["scatter", "depth"])
def test_without_a_ceiling_raw_r_is_drawn_and_it_is_said(draw, tmp_path, monkeypatch):
    benchmarks = ["simulated.V1", "cowley2023.V4"]
    layers = make_layers(benchmarks=benchmarks)
    layers[["cowley2023.V4.ceiling", "cowley2023.V4.score"]] = np.nan
    found = texts(monkeypatch)
    draw(layers, make_correlations(layers, benchmarks), tmp_path / "figure.png", benchmarks)
    assert sum("cowley2023, no ceiling known" in text for text in found) == 1
    assert "no scored layer" not in found
    assert [text for text in found if "Pearson r" in text]


def test_long_names_that_shorten_alike_are_both_drawn(tmp_path, monkeypatch):
    layers = make_layers(2, 0).replace({"model": {f"net{i}": f"convnext_large_{i}_mlp_clip_laion2b" for i in (0, 1)}})
    found = texts(monkeypatch)
    DRAW["depth"](layers, make_correlations(layers), tmp_path / "figure.png")
    assert len([text for text in found if text.startswith("convnext_large")]) == 2


@pytest.mark.parametrize("draw", [DRAW["scatter"], DRAW["depth"]], ids=["scatter", "depth"])
def test_human_consistency_is_drawn_and_says_what_it_is(draw, tmp_path, monkeypatch):
    layers = make_layers()
    found = texts(monkeypatch)
    draw(layers, make_correlations(layers), tmp_path / "figure.png")
    assert found.count("human consistency 0.68\n(published: Khosla et al. 2015, Spearman–Brown)") == 1


@pytest.mark.parametrize("people", [None, UNKNOWN])
def test_unknown_human_consistency_is_not_drawn(people, tmp_path, monkeypatch):
    layers = make_layers()
    found = texts(monkeypatch)
    figures.along_depth(layers, BENCHMARKS, tmp_path / "depth.png", "", people)
    figures.memorability_against_brain(layers, BENCHMARKS, make_correlations(layers), tmp_path / "a.png", "", people)
    assert not [text for text in found if "consistency" in text or "nan" in text]


PAIRS = [("mine", "theirs"), ("theirs", "mine")]
RHOS = ["within.mine", "within.theirs", "across.mine.theirs", "across.theirs.mine"]


def make_generalisation(**changes):
    layers = make_layers(**changes)
    rng = np.random.default_rng(1)
    return layers.assign(**{rho: layers["memorability"] + rng.normal(0, 0.03, len(layers)) for rho in RHOS})


def draw_across(table, path, pairs=PAIRS):
    figures.across_against_within(table, pairs, path, "simulated viewers", {"mine": UNKNOWN, "theirs": PEOPLE})


@pytest.mark.filterwarnings("error")
def test_across_is_drawn_over_within_the_tested_set(tmp_path, monkeypatch):
    found, drawn = texts(monkeypatch), []
    scatter = drawing.Axes.scatter
    monkeypatch.setattr(drawing.Axes, "scatter", lambda ax, x, y, **k: drawn.append((x, y)) or scatter(ax, x, y, **k))
    table = make_generalisation(n_trained=1, n_untrained=0)
    table["within.theirs"] = table["across.mine.theirs"] + 0.1
    draw_across(table, tmp_path / "figure.png")
    assert_image(tmp_path / "figure.png")
    for (x, y), names in zip(drawn, [("within.theirs", RHOS[2]), ("within.mine", RHOS[3])], strict=True):
        np.testing.assert_array_equal([x, y], table[list(names)].to_numpy().T)
    assert "mine → theirs" in found
    assert "median change −0.10, trained layers" in found
    assert sum("human consistency" in text for text in found) == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("pairs", [PAIRS, list(itertools.permutations("abc", 2))], ids=len)
@pytest.mark.parametrize("sizes", [(2, 1, 6), (0, 1, 3), (1, 0, 1), (9, 1, 3)])
def test_across_survives_thin_tables(pairs, sizes, tmp_path):
    table = make_layers(*sizes)
    for fitted, tested in pairs:
        table[f"across.{fitted}.{tested}"], table[f"within.{tested}"] = table["memorability"], table["memorability"]
    table[f"across.{pairs[0][0]}.{pairs[0][1]}"] = np.nan
    people = {name: PEOPLE for pair in pairs for name in pair}
    figures.across_against_within(table, pairs, tmp_path / "figure.png", "", people)
    assert_image(tmp_path / "figure.png")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("spearman", [0.5, np.nan])
def test_generalisation_by_region_names_every_rho(n, spearman, tmp_path, monkeypatch):
    found = texts(monkeypatch)
    correlations = make_correlations(make_layers(), BENCHMARKS[:n], spearman)
    correlations = pd.concat([correlations.assign(rho=rho) for rho in RHOS])
    figures.generalisation_by_region(correlations, BENCHMARKS[:n], tmp_path / "figure.png", "simulated brain")
    assert_image(tmp_path / "figure.png")
    for name in ("within mine", "within theirs", "mine → theirs", "theirs → mine"):
        assert name in found
    assert found.count("no scored layer") == (n if np.isnan(spearman) else 0)


def make_finetuned(**changes):
    """Two networks on two splits each."""
    table = pd.DataFrame({"model": ["a", "a", "b", "b"], "split": [1, 2, 1, 2]})
    table = table.assign(pls_before=[0.3, 0.4, 0.2, 0.3], pls_after=[0.5, 0.6, 0.4, 0.5], head_rho=[0.6, 0.6, 0.5, 0.6])
    for benchmark in BENCHMARKS:
        table[f"{benchmark}.raw_before"], table[f"{benchmark}.raw_after"] = 0.4, [0.5, 0.6, 0.5, 0.6]
    return table.assign(**changes)


def test_before_and_after_has_one_scale_of_r(tmp_path, monkeypatch):
    """What hardly moves is not drawn like what moves much."""
    drawn = saved(monkeypatch)
    table = make_finetuned(**{f"{BENCHMARKS[0]}.raw_after": 0.41})
    figures.before_and_after(table, BENCHMARKS, tmp_path / "figure.png", "")
    limits = np.array([ax.get_xlim() for ax in drawn[0].axes[: len(BENCHMARKS)]])
    assert np.ptp(limits, axis=1) == pytest.approx(np.ptp(limits[-1]))
    assert (limits[0, 0] < 0.4) & (limits[0, 1] > 0.41)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_before_and_after_has_a_panel_a_benchmark(tmp_path, monkeypatch, suffix):
    found = texts(monkeypatch)
    path = tmp_path / f"figure{suffix}"
    figures.before_and_after(make_finetuned(), BENCHMARKS, path, "simulated brain", PEOPLE)
    assert_image(path)
    assert sum("mean change of r 0.15" in text for text in found) == len(BENCHMARKS)
    assert {"before", "after: PLS", "after: own head", "simulated brain", "a", "b"} <= set(found)
    nothing = {f"{benchmark}.raw_before": np.nan for benchmark in BENCHMARKS} | {"pls_before": np.nan}
    figures.before_and_after(make_finetuned(**nothing), BENCHMARKS[:1], path, "", UNKNOWN)
    assert_image(path)
    with pytest.raises(InputError, match="finetuned: no column 'head_rho'"):
        figures.before_and_after(make_finetuned().drop(columns="head_rho"), BENCHMARKS, path, "", None)
