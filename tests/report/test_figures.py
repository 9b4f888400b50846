"""Figures: they are written whole or not at all, survive thin tables, and keep a region's colour."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgba_array
from PIL import Image

from memscore.errors import InputError
from memscore.report import figures
from memscore.report.figures import drawing
from memscore.report.figures.along_depth import _quartiles, _spread, memorability_error

BENCHMARKS = ["simulated.V1", "simulated.V2", "simulated.V4", "MajajHong2015public.IT-pls"]
SPLITS = [f"memorability_split_{k}" for k in (1, 2, 3)]
TWO = BENCHMARKS[::3]  # A panel less, and half the time, where it does not matter how many there are.
PEOPLE = {"human_consistency": 0.68, "source": "published: Khosla et al. 2015"}
UNKNOWN = {"human_consistency": np.nan, "source": ""}
OF_LAYERS, EACH = ("scatter", "depth"), ("scatter", "depth", "region")
each_figure = pytest.mark.parametrize("kind", EACH)
each_of_layers = pytest.mark.parametrize("kind", OF_LAYERS)


@pytest.fixture(autouse=True)
def coarse(monkeypatch):
    """Fewer pixels, faster tests."""
    monkeypatch.setitem(drawing.STYLE, "savefig.dpi", 60)


def make_layers(n_trained=2, n_untrained=1, n_layers=6, benchmarks=BENCHMARKS):
    names = [f"net{i}" for i in range(n_trained)] + [f"net{i}-untrained" for i in range(n_untrained)]
    n, rng = len(names) * n_layers, np.random.default_rng(0)
    table = {"model": np.repeat(names, n_layers), "trained": np.arange(n) < n_trained * n_layers}
    table |= {"layer": [f"blocks.{k}.conv" for k in range(n_layers)] * len(names)}
    table["depth"] = np.tile(np.linspace(0, 1, n_layers), len(names))
    table["memorability"] = 0.5 * table["depth"] + rng.normal(0, 0.05, n)
    table |= {column: table["memorability"] + rng.normal(0, 0.02, n) for column in SPLITS}
    for benchmark in benchmarks:
        raw = rng.uniform(0.1, 0.6, n)
        values = {"raw": raw, "ceiling": 0.8, "score": raw**2 / 0.8, "error": 0.01}
        table |= {f"{benchmark}.{value}": column for value, column in values.items()}
    return pd.DataFrame(table)


def make_correlations(layers, benchmarks=BENCHMARKS, spearman=0.5):
    scopes = (["all trained"] if layers["trained"].any() else []) + list(layers["model"].unique())
    row = {"n_models": 1, "n_layers": 6, "spearman": spearman, "spearman_low": spearman - 0.2}
    row |= {"spearman_high": spearman + 0.2, "partial": 0.4, "partial_low": 0.2, "partial_high": 0.6}
    return pd.DataFrame([{"benchmark": b, "scope": scope, **row} for b in benchmarks for scope in scopes])


def draw(kind, path, layers=None, correlations=None, benchmarks=BENCHMARKS, banner="", people=PEOPLE):
    """A figure of a whole study, of made-up tables where none are given."""
    layers = make_layers(benchmarks=benchmarks) if layers is None else layers
    correlations = make_correlations(layers, benchmarks or BENCHMARKS) if correlations is None else correlations
    if kind == "scatter":
        figures.memorability_against_brain(layers, benchmarks, correlations, path, banner, people)
    elif kind == "depth":
        figures.along_depth(layers, benchmarks, path, banner, people)
    else:
        figures.correlation_by_region(correlations, benchmarks, path, banner, untrained=["net0-untrained"])


def assert_image(path):
    with Image.open(path) as image:
        image.load()
        extrema = image.convert("L").getextrema()
    assert min(image.size) > 100
    assert extrema[0] < 100 < extrema[1]  # Something is drawn.


@pytest.fixture
def saved(monkeypatch):
    """The figures that are saved from now on. They are not rendered, which takes most of the time."""
    drawn = []

    def keep(figure, path, **kwargs):
        drawn.append(figure)
        path.touch()

    monkeypatch.setattr(drawing.Figure, "savefig", keep)
    return drawn


def texts(saved):
    """Every text of the figures."""
    return [text.get_text() for figure in saved for text in figure.findobj(drawing.matplotlib.text.Text)]


@pytest.mark.parametrize(
    ("kind", "suffix"), [*((kind, ".svg") for kind in EACH), ("region", ".png"), ("region", ".pdf")]
)
def test_same_tables_same_bytes(kind, suffix, tmp_path):
    """Whatever the user's own style, and with nothing beside the figure in a new folder."""
    layers, path, styled = make_layers(), tmp_path / f"new/figure{suffix}", tmp_path / f"styled{suffix}"
    draw(kind, path, layers.copy(), banner="simulated")
    with drawing.matplotlib.rc_context({"lines.linewidth": 9, "axes.facecolor": "red", "font.size": 20}):
        draw(kind, styled, layers, banner="simulated")
    assert path.read_bytes() == styled.read_bytes()
    assert path.read_bytes()[:4] == {".svg": b"<?xm", ".png": b"\x89PNG", ".pdf": b"%PDF"}[suffix]
    assert list(path.parent.iterdir()) == [path]


@each_figure
def test_a_failure_leaves_the_old_file_and_nothing_else(kind, tmp_path, monkeypatch):
    path = tmp_path / "figure.png"
    path.write_bytes(b"old")

    def half_written(figure, temporary, **kwargs):
        temporary.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(drawing.Figure, "savefig", half_written)
    with pytest.raises(OSError, match="disk full"):
        draw(kind, path)
    assert [p.name for p in tmp_path.iterdir()] == ["figure.png"]
    assert path.read_bytes() == b"old"


def without(column, rows=slice(None)):
    layers = make_layers(benchmarks=TWO)
    layers.loc[rows, column] = np.nan
    return layers


def sized(*sizes):
    return make_layers(*sizes, benchmarks=TWO)


# Which figures the tables are given to, and the tables.
THIN = {
    "no memorability for one model": (OF_LAYERS, without("memorability", slice(0, 5))),
    "no memorability at all": (OF_LAYERS, without("memorability")),
    "no memorability asked for": (["depth"], sized().drop(columns=["memorability", *SPLITS])),
    "no score for one benchmark": (OF_LAYERS, without(["simulated.V1.raw", "simulated.V1.score"])),
    "no ceiling for one benchmark": (OF_LAYERS, without(["simulated.V1.ceiling", "simulated.V1.score"])),
    "no split columns": (["depth"], sized().drop(columns=SPLITS)),
    "one split": (["depth"], sized().drop(columns=SPLITS[1:])),
    "one model": (EACH, sized(1, 0)),
    "one layer": (EACH, sized(1, 0, 1)),
    "no control": (EACH, sized(2, 0)),
    "no trained model": (EACH, sized(0, 2)),
    "one model too many for lines": (EACH, sized(9, 1, 3)),
    "many layers": (EACH, sized(1, 1, 90)),
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("kinds", "layers"), THIN.values(), ids=THIN)
def test_survives_thin_tables(kinds, layers, tmp_path):
    for kind in kinds:
        draw(kind, tmp_path / f"{kind}.png", layers, benchmarks=TWO, banner="simulated brain and viewers")
        assert_image(tmp_path / f"{kind}.png")


ODD_NAMES = ["MajajHong2015public.V4-pls", "FreemanZiemba2013public.V1-pls", "cowley2023.V4", "Cadena2017-pls"]


@each_figure
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [0, 1, 7])
def test_any_number_of_benchmarks(kind, n, tmp_path):
    draw(kind, tmp_path / "figure.png", benchmarks=[*ODD_NAMES, "simulated.V2", "lab.FFA", "lab.PPA"][:n])
    assert_image(tmp_path / "figure.png")


@each_figure
@pytest.mark.filterwarnings("error")
def test_says_that_nothing_is_scored(kind, tmp_path, saved):
    layers = without(["memorability", *(f"{b}.{value}" for b in TWO for value in ("raw", "score"))])
    draw(kind, tmp_path / "figure.png", layers, make_correlations(layers, spearman=np.nan), TWO)
    assert "no scored layer" in texts(saved)
    saved[0].draw_without_rendering()


@each_figure
def test_has_the_banner_and_the_colours_of_regions_and_controls(kind, tmp_path, saved):
    draw(kind, tmp_path / "figure.png", banner="simulated brain and viewers")
    assert "simulated brain and viewers" in texts(saved)
    used = set()
    for artist in saved[0].findobj():
        for look in ("color", "facecolor", "edgecolor"):
            used |= set(map(to_hex, to_rgba_array(getattr(artist, f"get_{look}", list)())))
    assert {colour.lower() for colour in (*drawing.REGION_COLOURS.values(), drawing.GREY)} <= used


def test_scatter_states_the_correlation_and_its_interval(tmp_path, saved):
    layers = make_layers()
    draw("scatter", tmp_path / "figure.png", layers, make_correlations(layers, spearman=-0.5))
    assert "simulated\n$r_s$ = −0.50 [−0.70, −0.30]\nat equal depth 0.40 [0.20, 0.60]\n6 trained layers" in texts(saved)


def test_region_colours():
    colours = drawing.region_colours(["a.V4", "b.V4-pls", "c.FFA", "d.FFA", "e.PPA"])
    assert colours["a.V4"] == colours["b.V4-pls"] == drawing.REGION_COLOURS["V4"]
    assert colours["c.FFA"] == colours["d.FFA"] != colours["e.PPA"]
    every = [*drawing.REGION_COLOURS.values(), *drawing.OTHER_COLOURS]
    assert all(to_hex(a) != to_hex(b) for a, b in itertools.combinations(every, 2))


@pytest.mark.parametrize(
    ("kind", "column"),
    [
        ("scatter", "memorability"),
        ("scatter", "simulated.V2.score"),
        ("depth", "depth"),
        ("depth", "simulated.V2.error"),
        ("scatter", "spearman_low"),
        ("region", "scope"),
    ],
)
def test_names_the_missing_column(kind, column, tmp_path):
    tables = [
        table.drop(columns=column, errors="ignore") for table in (make_layers(), make_correlations(make_layers()))
    ]
    with pytest.raises(InputError, match=f"no column '{column}'"):
        draw(kind, tmp_path / "figure.png", *tables)
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
    assert summary[["low", "value", "high"]].to_numpy().tolist() == [[1, 2, 3], [10, 20, 30]]


@each_figure
def test_benchmarks_are_called_by_their_region_and_their_data(kind, tmp_path, saved):
    draw(kind, tmp_path / "figure.png", benchmarks=ODD_NAMES)
    found = texts(saved)
    for region, times in {"V4": 2, "V1": 1, "Cadena2017-pls": 1}.items():
        assert found.count(region) == times
    lines = [line for text in found for line in text.split("\n")]
    for name in ("MajajHong2015public", "FreemanZiemba2013public", "cowley2023", "Cadena2017-pls"):
        assert lines.count(name) == 1, "a name without a region is not said twice"


def brain_alone(*arguments, **options):
    layers = make_layers(*arguments, **options)
    return layers.drop(columns=["memorability", *SPLITS])


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_the_brain_alone_has_its_panels_and_the_names_of_models(n, tmp_path, saved):
    benchmarks = [*BENCHMARKS, "cowley2023.V4"][-n:]
    draw("depth", tmp_path / "figure.png", brain_alone(benchmarks=benchmarks), benchmarks=benchmarks)
    assert [ax.get_ylabel() for ax in saved[0].axes] == ["Similarity (Pearson r)"] * n
    assert all(texts(saved).count(name) == 1 for name in ("net0", "net1", "net0-untrained"))


def test_memorability_alone_is_one_panel(tmp_path, saved):
    draw("depth", tmp_path / "figure.png", benchmarks=[])
    assert [ax.get_ylabel() for ax in saved[0].axes] == [drawing.RHO]


@pytest.mark.parametrize("n_layers", [5, 41, 200])
def test_every_layer_is_a_point_at_its_raw_r(n_layers, tmp_path, saved):
    layers = make_layers(1, 1, n_layers, ["cowley2023.V4"])
    draw("depth", tmp_path / "figure.png", layers, benchmarks=["cowley2023.V4"])
    lines = saved[0].axes[-1].lines
    points = [line for line in lines if line.get_linestyle() == "None" and len(line.get_xdata()) == n_layers]
    for line, wanted in zip(points, (~layers["trained"], layers["trained"]), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), layers.loc[wanted, ["depth", "cowley2023.V4.raw"]])
    assert points[0].get_markerfacecolor() == "white"
    assert to_hex(points[1].get_markerfacecolor()).upper() == drawing.REGION_COLOURS["V4"]


@pytest.mark.parametrize("alone", [True, False])
def test_the_best_trained_layer_is_ringed_and_named(alone, tmp_path, saved):
    benchmarks = ["cowley2023.V4"] if alone else BENCHMARKS
    layers = (brain_alone if alone else make_layers)(1, 1, 200, benchmarks=benchmarks)
    layers.loc[[120, 320], f"{benchmarks[0]}.raw"] = [0.9, 0.95]  # The control is no candidate.
    layers.loc[120, "layer"] = "the.best"
    draw("depth", tmp_path / "figure.png", layers, benchmarks=benchmarks)
    rings = [line for line in saved[0].axes[0 if alone else 1].lines if line.get_markerfacecolor() == "none"]
    assert [tuple(line.get_xydata()[0]) for line in rings] == [(layers["depth"][120], 0.9)]
    assert any("best: the.best, 0.90" in text for text in texts(saved))
    assert texts(saved).count("the.best") == alone


def test_a_ceiling_is_a_line_with_its_name_inside_the_panel(tmp_path, saved):
    layers = make_layers(benchmarks=["cowley2023.V4"]).assign(**{"cowley2023.V4.ceiling": 0.75})
    draw("depth", tmp_path / "figure.png", layers, benchmarks=["cowley2023.V4"])
    ax = saved[0].axes[-1]
    assert "ceiling 0.75" in texts(saved)
    heights = [list(line.get_ydata()) for line in ax.lines]
    assert [ys[0] for ys in heights if len(set(ys)) == 1 < len(ys)] == [0.75]
    assert ax.get_ylim()[0] <= 0 < 0.75 < ax.get_ylim()[1]


@each_of_layers
def test_without_a_ceiling_raw_r_is_drawn_and_it_is_said(kind, tmp_path, saved):
    benchmarks = ["simulated.V1", "cowley2023.V4"]
    layers = make_layers(benchmarks=benchmarks)
    layers[["cowley2023.V4.ceiling", "cowley2023.V4.score"]] = np.nan
    draw(kind, tmp_path / "figure.png", layers, benchmarks=benchmarks)
    found = texts(saved)
    assert sum("cowley2023, no ceiling known" in text for text in found) == 1
    assert "no scored layer" not in found
    assert [text for text in found if "Pearson r" in text]


def test_long_names_that_shorten_alike_are_both_drawn(tmp_path, saved):
    layers = make_layers(2, 0).replace({"model": {f"net{i}": f"convnext_large_{i}_mlp_clip_laion2b" for i in (0, 1)}})
    draw("depth", tmp_path / "figure.png", layers)
    assert len([text for text in texts(saved) if text.startswith("convnext_large")]) == 2


@each_of_layers
def test_human_consistency_is_drawn_and_says_what_it_is_where_it_is_known(kind, tmp_path, saved):
    draw(kind, tmp_path / "figure.png")
    assert texts(saved).count("human consistency 0.68\n(published: Khosla et al. 2015, Spearman–Brown)") == 1
    saved.clear()
    for people in (None, UNKNOWN):
        draw(kind, tmp_path / "figure.png", people=people)
    assert not [text for text in texts(saved) if "consistency" in text or "nan" in text]


PAIRS = [("mine", "theirs"), ("theirs", "mine")]
RHOS = ["within.mine", "within.theirs", "across.mine.theirs", "across.theirs.mine"]


def make_generalisation(**changes):
    layers = make_layers(**changes)
    rng = np.random.default_rng(1)
    return layers.assign(**{rho: layers["memorability"] + rng.normal(0, 0.03, len(layers)) for rho in RHOS})


def draw_across(table, path, pairs=PAIRS):
    people = {name: PEOPLE for pair in pairs for name in pair} | {"mine": UNKNOWN}
    figures.across_against_within(table, pairs, path, "simulated viewers", people)


def test_across_is_drawn_over_within_the_tested_set(tmp_path, saved):
    table = make_generalisation(n_trained=1, n_untrained=0)
    table["within.theirs"] = table["across.mine.theirs"] + 0.1
    draw_across(table, tmp_path / "figure.png")
    for ax, names in zip(saved[0].axes, [("within.theirs", RHOS[2]), ("within.mine", RHOS[3])], strict=True):
        np.testing.assert_array_equal(ax.collections[0].get_offsets(), table[list(names)])
    found = texts(saved)
    assert "mine → theirs" in found
    assert "median change −0.10, trained layers" in found
    assert sum("human consistency" in text for text in found) == 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("pairs", "sizes"),
    [
        (PAIRS, (2, 1, 6)),
        (PAIRS, (0, 1, 3)),
        (PAIRS, (1, 0, 1)),
        (PAIRS, (9, 1, 3)),
        (list(itertools.permutations("abc", 2)), (2, 1, 3)),
    ],
)
def test_across_survives_thin_tables(pairs, sizes, tmp_path):
    table = make_layers(*sizes)
    for fitted, tested in pairs:
        table[f"across.{fitted}.{tested}"], table[f"within.{tested}"] = table["memorability"], table["memorability"]
    table[f"across.{pairs[0][0]}.{pairs[0][1]}"] = np.nan
    draw_across(table, tmp_path / "figure.png", pairs)
    assert_image(tmp_path / "figure.png")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("n", [1, 4])
@pytest.mark.parametrize("spearman", [0.5, np.nan])
def test_generalisation_by_region_names_every_rho(n, spearman, tmp_path, saved):
    correlations = make_correlations(make_layers(), BENCHMARKS[:n], spearman)
    correlations = pd.concat([correlations.assign(rho=rho) for rho in RHOS])
    figures.generalisation_by_region(correlations, BENCHMARKS[:n], tmp_path / "figure.png", "simulated brain")
    saved[0].draw_without_rendering()
    assert {"within mine", "within theirs", "mine → theirs", "theirs → mine"} <= set(texts(saved))
    assert texts(saved).count("no scored layer") == (n if np.isnan(spearman) else 0)


def make_finetuned(**changes):
    """Two networks on two splits each."""
    table = pd.DataFrame({"model": ["a", "a", "b", "b"], "split": [1, 2, 1, 2]})
    table = table.assign(pls_before=[0.3, 0.4, 0.2, 0.3], pls_after=[0.5, 0.6, 0.4, 0.5], head_rho=[0.6, 0.6, 0.5, 0.6])
    for benchmark in BENCHMARKS:
        table[f"{benchmark}.raw_before"], table[f"{benchmark}.raw_after"] = 0.4, [0.5, 0.6, 0.5, 0.6]
    return table.assign(**changes)


def test_before_and_after_has_a_panel_a_benchmark(tmp_path, saved):
    """On one scale of r: what hardly moves is not drawn like what moves much."""
    table = make_finetuned(**{f"{BENCHMARKS[0]}.raw_after": 0.41})
    figures.before_and_after(table, BENCHMARKS, tmp_path / "figure.png", "simulated brain", PEOPLE)
    found = texts(saved)
    assert [sum(f"mean change of r {change}" in text for text in found) for change in ("0.01", "0.15")] == [1, 3]
    assert {"before", "after: PLS", "after: own head", "simulated brain", "a", "b"} <= set(found)
    limits = np.array([ax.get_xlim() for ax in saved[0].axes])
    assert np.ptp(limits, axis=1) == pytest.approx(np.ptp(limits[-1]))
    drawn = np.array([ax.dataLim.intervalx for ax in saved[0].axes])
    assert (limits[:, 0] < drawn[:, 0]).all()
    assert (limits[:, 1] > drawn[:, 1]).all()
    with pytest.raises(InputError, match="finetuned: no column 'head_rho'"):
        figures.before_and_after(table.drop(columns="head_rho"), BENCHMARKS, tmp_path / "figure.png", "", None)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("before", "people"), [({}, PEOPLE), ({"pls_before": np.nan}, UNKNOWN)])
def test_before_and_after_survives_thin_tables(before, people, tmp_path):
    table = make_finetuned(**before, **({f"{BENCHMARKS[0]}.raw_before": np.nan} if before else {}))
    figures.before_and_after(table, BENCHMARKS[:1] if before else BENCHMARKS, tmp_path / "figure.png", "", people)
    assert_image(tmp_path / "figure.png")
