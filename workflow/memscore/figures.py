"""The study's figures: memorability against brain similarity, both along depth, and their correlation by region.

Tables in, a file out: .svg, .png or .pdf by its suffix, the same bytes from the same tables.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import ceil
from pathlib import Path

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from memscore.brain import region
from memscore.consistency import described
from memscore.errors import InputError
from memscore.files import replacing
from memscore.statistics import ALL_TRAINED
from memscore.tables import ceiling, similarity_column

# From early (cool) to late (warm); at least 22 ΔE2000 apart in normal, protan, deutan and tritan vision.
REGION_COLOURS = {"V1": "#332288", "V2": "#2A9DB5", "V4": "#CF8A00", "IT": "#B2182B"}
OTHER_COLOURS = ("#117733", "#AA4499", "#7A6A53", "#5B7DB1", "#999933", "#882255")
INK, GREY = "#222222", "#808080"
DOTTED = (0, (1, 1.5))
MARKERS = "os^DvPX*"
MAX_LINES = len(MARKERS)  # More models than this are summarised, not told apart.
DEPTH_BINS = 20
MAX_POINTS = 2 * DEPTH_BINS  # A line through more layers than this is a tangle: it is drawn through their means.
RHO = "Memorability (Spearman ρ)"
CORRELATION_COLUMNS = ("benchmark", "scope", "n_layers", "spearman", "spearman_low", "spearman_high")
STYLE = {
    "font.size": 7,
    "axes.labelsize": 8,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "lines.linewidth": 1.0,
    "lines.markersize": 3.5,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.hashsalt": "memscore",
}
UNDATED = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}  # A date would change the bytes.


def memorability_against_brain(
    layers: pd.DataFrame,
    benchmarks: Sequence[str],
    correlations: pd.DataFrame,
    path: str | Path,
    banner: str,
    consistency: Mapping | None = None,
) -> None:
    """One panel a benchmark: every layer's memorability ρ over its brain similarity, and their correlation.

    consistency : how far viewers agree, from `consistency.read`: a dotted line where it is known
    """
    per_benchmark = [f"{b}.{value}" for b in benchmarks for value in ("raw", "ceiling", "score")]
    _require(layers, "layers", ["model", "trained", "memorability", *per_benchmark])
    _require(correlations, "correlations", CORRELATION_COLUMNS)
    columns = max(1, len(benchmarks) if len(benchmarks) <= 4 else ceil(len(benchmarks) / 2))
    rows = max(1, ceil(len(benchmarks) / columns))
    colours = region_colours(benchmarks)
    with _figure(path, (max(3.6, 0.5 + 1.95 * columns), 0.5 + 2.3 * rows), banner) as figure:
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for ax in axes.flat[len(benchmarks) :]:
            ax.set_axis_off()
        for ax, benchmark in zip(axes.flat, benchmarks, strict=False):
            ax.locator_params(axis="x", nbins=4)
            _scatter(ax, layers, similarity_column(layers, benchmark), colours[benchmark])
            ax.set_xlabel(f"Similarity ({'1 = ceiling' if np.isfinite(ceiling(layers, benchmark)) else 'Pearson r'})")
            text = _correlation_text(correlations, benchmark)
            _heading(ax, region(benchmark), colours[benchmark], _source(layers, benchmark), text)
        if _people(consistency):
            _limit(axes.flat[0], "", consistency["human_consistency"])  # The others share its axis.
            for ax in axes.flat[1 : len(benchmarks)]:
                ax.axhline(consistency["human_consistency"], color=INK, linestyle=DOTTED)
        for ax in axes[:, 0]:
            ax.set_ylabel(RHO)
        _key(figure, _model_entries(layers), not layers["trained"].all(), _people(consistency))


def along_depth(
    layers: pd.DataFrame,
    benchmarks: Sequence[str],
    path: str | Path,
    banner: str,
    consistency: Mapping | None = None,
) -> None:
    """What every layer scores along relative depth: memorability ρ, and Pearson r with each region's recordings.

    A study of one half has that half's panels: no column `memorability`, or no benchmarks. Dotted lines say what
    can be reached: the consistency of people (from `consistency.read`), the ceiling of the recordings.

    A point is a layer, a band one standard error over splits. A model with many layers has its line through their
    means in bins of depth; more than `MAX_LINES` models are the median and the quartiles over models of those means.
    """
    per_benchmark = [f"{b}.{value}" for b in benchmarks for value in ("raw", "ceiling", "error")]
    _require(layers, "layers", ["model", "layer", "depth", "trained", *per_benchmark])
    memorability, colours = "memorability" in layers, region_colours(benchmarks)
    rows, columns = max(1, ceil(len(benchmarks) / 2)), min(2, len(benchmarks))
    with _figure(path, (max(6.0, 3.9 + 2.1 * columns), max(3.4, 0.7 + 1.85 * rows)), banner) as figure:
        grid = figure.add_gridspec(rows, memorability + columns, width_ratios=[1.5] * memorability + [1] * columns)
        if memorability:
            ax = figure.add_subplot(grid[: min(2, rows), 0])
            ends = _curves(ax, layers, "memorability", memorability_error(layers), INK)
            ax.set_ylabel(RHO)
            _heading(ax, "Memorability", INK, _best_text(layers, "memorability"))
            _limit(ax, _people(consistency), consistency and consistency["human_consistency"])
            _label_ends(ax, ends, gap=0.06)
            _ring_best(ax, layers, "memorability", INK, named=not benchmarks)
        for i, benchmark in enumerate(benchmarks):
            ax = figure.add_subplot(grid[i // columns, memorability + i % columns])
            ends = _curves(ax, layers, f"{benchmark}.raw", layers[f"{benchmark}.error"], colours[benchmark])
            ax.set_ylabel("Similarity (Pearson r)")
            text = _best_text(layers, f"{benchmark}.raw")
            _heading(ax, region(benchmark), colours[benchmark], _source(layers, benchmark), text)
            limit = ceiling(layers, benchmark)
            _limit(ax, f"ceiling {_number(limit)}", limit)
            _ring_best(
                ax, layers, f"{benchmark}.raw", colours[benchmark], named=not memorability and len(benchmarks) == 1
            )
            if not memorability and i == columns - 1:  # Beside the first row there is room for names.
                _label_ends(ax, ends, gap=0.06 * rows)
        for ax in figure.axes:
            ax.set_xlim(-0.03, 1.03)
            ax.set_xlabel("Relative depth")
        figure.supxlabel(_how_to_read(layers), fontsize=7, color=GREY)


def correlation_by_region(
    correlations: pd.DataFrame,
    benchmarks: Sequence[str],
    path: str | Path,
    banner: str,
    untrained: Collection[str] = (),
) -> None:
    """Spearman's correlation over layers of memorability with each region: all trained layers', and each model's.

    untrained : names of the models that are controls, which the table of correlations does not say
    """
    _require(correlations, "correlations", CORRELATION_COLUMNS)
    colours = region_colours(benchmarks)
    shown = correlations[correlations["benchmark"].isin(benchmarks)].dropna(subset=["spearman"])
    with _figure(path, (5.4, 1.3 + 0.45 * max(1, len(benchmarks))), banner) as figure:
        ax = figure.add_subplot()
        ax.axvline(0, color=GREY, linewidth=0.7, zorder=0)
        for row, benchmark in enumerate(benchmarks):
            _forest_row(ax, row, benchmark, shown[shown["benchmark"] == benchmark], colours[benchmark], untrained)
        ax.set(xlim=(-1.02, 1.02), ylim=(max(1, len(benchmarks)) - 0.5, -0.5), xticks=[-1, -0.5, 0, 0.5, 1], yticks=[])
        ax.set_xlabel("Correlation of memorability with brain similarity over layers (Spearman)")
        ax.spines["left"].set_visible(False)
        if shown.empty:
            _say_nothing_scored(ax.yaxis)
        entries = [
            _entry("all trained layers, 95% CI", markersize=4, linestyle="-", linewidth=1.8),
            _entry("one model"),
        ]
        _key(figure, entries, shown["scope"].isin(untrained).any())


def across_against_within(
    table: pd.DataFrame,
    pairs: Sequence[tuple[str, str]],
    path: str | Path,
    banner: str,
    consistency: Mapping[str, Mapping],
) -> None:
    """One panel a pair of data sets: ρ of layers fitted on the first and tested on the second, over ρ within that.

    table : `results/generalisation.csv`; consistency : by data set, from `consistency.read`
    """
    _require(table, "generalisation", ["model", "trained", *(f"across.{fitted}.{tested}" for fitted, tested in pairs)])
    columns = min(len(pairs), 3)
    rows = ceil(len(pairs) / columns)
    with _figure(path, (max(3.6, 0.4 + 2.6 * columns), 0.6 + 3.0 * rows), banner) as figure:
        axes = figure.subplots(rows, columns, squeeze=False)
        for ax in axes.flat[len(pairs) :]:
            ax.set_axis_off()
        for ax, (fitted, tested) in zip(axes.flat, pairs, strict=False):
            within, across = f"within.{tested}", f"across.{fitted}.{tested}"
            _require(table, "generalisation", [within])
            _scatter(ax, table, within, INK, across)
            change = (table[across] - table[within])[table["trained"]].dropna()
            note = f"median change {_number(change.median())}" if len(change) else "no trained layer scored"
            _heading(ax, _rho_name(across), INK, f"{note}, trained layers")
            people = consistency[tested]
            _limit(ax, _people(people), people["human_consistency"])
            ends = *ax.get_xlim(), *ax.get_ylim()
            low, high = min(ends), max(ends)
            ax.plot([low, high], [low, high], color=GREY, linewidth=0.7, zorder=0)
            ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
            ax.set_xlabel(f"ρ within {tested}")
            ax.set_ylabel(f"ρ on {tested}, fitted on {fitted}")
        _key(figure, _model_entries(table.assign(memorability=table[across])), not table["trained"].all())


def generalisation_by_region(
    correlations: pd.DataFrame, benchmarks: Sequence[str], path: str | Path, banner: str
) -> None:
    """One panel a benchmark: over all trained layers, the correlation of every ρ within and across with similarity.

    correlations : `results/generalisation_correlations.csv`
    """
    _require(correlations, "correlations", ["rho", *CORRELATION_COLUMNS])
    rhos, colours = list(correlations["rho"].unique()), region_colours(benchmarks)
    pooled = correlations[correlations["scope"] == ALL_TRAINED].dropna(subset=["spearman"])
    with _figure(path, (1.4 + 1.7 * len(benchmarks), 1.2 + 0.24 * len(rhos)), banner) as figure:
        axes = figure.subplots(1, len(benchmarks), squeeze=False, sharey=True)[0]
        for ax, benchmark in zip(axes, benchmarks, strict=True):
            rows = pooled[pooled["benchmark"] == benchmark]
            at, colour = [rhos.index(rho) for rho in rows["rho"]], colours[benchmark]
            ax.axvline(0, color=GREY, linewidth=0.7, zorder=0)
            ax.hlines(at, rows["spearman_low"], rows["spearman_high"], color=colour, linewidth=1.8)
            ax.plot(rows["spearman"], at, "o", color=colour, markersize=4)
            ax.set(xlim=(-1.02, 1.02), xticks=[-1, 0, 1], ylim=(len(rhos) - 0.5, -0.5))
            _heading(ax, region(benchmark), colour, _data_set(benchmark))
            if rows.empty:
                _say_nothing_scored(ax.xaxis)
        axes[0].set_yticks(range(len(rhos)), [_rho_name(rho) for rho in rhos])
        figure.supxlabel("Correlation of ρ with brain similarity over trained layers (Spearman, 95% CI)", fontsize=8)


def score_histogram(scores: pd.Series, path: str | Path) -> None:
    """How many images have which memorability score, in fortieths of the scale; the mean is dotted."""
    with _figure(path, (4.2, 2.2), "") as figure:
        ax = figure.add_subplot()
        ax.hist(scores, bins=np.linspace(0, 1, 41), color=REGION_COLOURS["V2"])
        ax.axvline(scores.mean(), color=INK, linestyle=(0, (1, 1.5)))
        ax.annotate(f"mean {scores.mean():.2f}", (scores.mean(), 1), (3, -8), ax.get_xaxis_transform(), "offset points")
        ax.set(xlim=(0, 1), xlabel="Memorability score", ylabel="Images")


def region_colours(benchmarks: Sequence[str]) -> dict[str, str]:
    """Colour of each benchmark: its region's, or the next of `OTHER_COLOURS` for a region without one."""
    others = [name for name in dict.fromkeys(map(region, benchmarks)) if name not in REGION_COLOURS]
    colours = {name: OTHER_COLOURS[i % len(OTHER_COLOURS)] for i, name in enumerate(others)} | REGION_COLOURS
    return {benchmark: colours[region(benchmark)] for benchmark in benchmarks}


def memorability_error(layers: pd.DataFrame) -> pd.Series:
    """Standard error of each layer's ρ over splits; NaN with fewer than two splits."""
    return layers.filter(regex=r"^memorability_split_\d+$").astype(float).sem(axis=1)


def _require(table: pd.DataFrame, name: str, columns: Sequence[str]) -> None:
    """Raise InputError for the first column that the table lacks."""
    for column in columns:
        if column not in table:
            raise InputError(f"{name}: no column {column!r}; it has {', '.join(map(str, table.columns))}")


@contextmanager
def _figure(path: str | Path, size: tuple[float, float], banner: str) -> Iterator[Figure]:
    """An empty figure, its size in inches, that is written to `path` when the block ends without an error."""
    with matplotlib.style.context(["default", STYLE]), replacing(path) as temporary:
        figure = Figure(figsize=size, layout="constrained")
        if banner:
            box = {"boxstyle": "round,pad=0.35", "facecolor": "#F2F2F2", "edgecolor": "none"}
            figure.suptitle(banner, x=0.985, ha="right", fontsize=7.5, style="italic", color="#444444", bbox=box)
        yield figure
        figure.savefig(temporary, metadata=UNDATED.get(temporary.suffix))


def _scatter(ax: Axes, layers: pd.DataFrame, column: str, colour: str, rho: str = "memorability") -> None:
    """`rho` over `column`, one point a layer; untrained controls hollow, grey and behind."""
    scored = layers.dropna(subset=[rho, column])
    size, alpha = (13, 0.75) if len(scored) <= 500 else (6, 0.4) if len(scored) <= 3000 else (3, 0.15)
    markers = _markers(layers)
    for model, table in scored.groupby("model", sort=False):
        look = {"color": colour, "linewidths": 0, "zorder": 2}
        if model not in markers:
            look = {"facecolors": "none", "edgecolors": GREY, "linewidths": 0.6, "zorder": 1}
        # Vector points by the thousand make a file that no viewer scrolls.
        look |= {"s": size, "alpha": alpha, "marker": markers.get(model, "o"), "rasterized": len(scored) > 3000}
        ax.scatter(table[column], table[rho], **look)
    if scored.empty:
        _say_nothing_scored(ax.xaxis)


def _curves(ax: Axes, layers: pd.DataFrame, column: str, error: pd.Series, colour: str) -> list[tuple]:
    """`column` along depth, controls in grey; returns (label, x, y, colour) of every curve's last point."""
    table = layers[["model", "layer", "depth", "trained"]].assign(value=layers[column], error=error)
    table = table.dropna(subset=["value"]).sort_values("depth", kind="stable")
    ends = []
    for trained, look in ((False, {"color": GREY, "mfc": "white"}), (True, {"color": colour})):
        models = dict(list(table[table["trained"] == trained].groupby("model", sort=False)))
        curves = {model: _curve(rows) for model, rows in models.items()}
        if models and _too_many(layers):
            curves = {f"{len(models)} {'models' if trained else 'untrained'}": _quartiles(models)}
        else:
            _points(ax, models, _markers(layers), look)
        for label, curve in curves.items():
            ax.fill_between(curve["depth"], curve["low"], curve["high"], color=look["color"], alpha=0.18, linewidth=0)
            ax.plot(curve["depth"], curve["value"], color=look["color"], linestyle="-" if trained else "--")
            ends.append((_short(label), *curve[["depth", "value"]].iloc[-1], look["color"]))
    ax.locator_params(axis="y", nbins=5)
    if table.empty:
        _say_nothing_scored(ax.yaxis)
    return ends


def _points(ax: Axes, models: dict[str, pd.DataFrame], markers: dict[str, str], look: dict) -> None:
    """Every layer of each model."""
    for model, rows in models.items():
        many = len(rows) > MAX_POINTS
        small = {"markersize": 2.2, "alpha": 0.55, "markeredgewidth": 0.5} if many else {}
        ax.plot(rows["depth"], rows["value"], markers.get(model, "o"), zorder=1.5 if many else 2.5, **look | small)


def _ring_best(ax: Axes, layers: pd.DataFrame, column: str, colour: str, named: bool) -> None:
    """A ring around the trained models' best layer and, where there is room, its name; none of many models."""
    if _too_many(layers):
        return
    for _, best in _best(layers, column).iterrows():
        point = best["depth"], best[column]
        ax.plot(*point, "o", markersize=7, mfc="none", mec=colour, mew=0.8, zorder=3)
        if named:
            side = "left" if best["depth"] < 0.3 else "right" if best["depth"] > 0.7 else "center"
            line = {"arrowstyle": "-", "color": colour, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3.5}
            look = {"color": colour, "ha": side, "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 0.5}}
            ax.annotate(_short(best["layer"]), point, (0, 15), textcoords="offset points", arrowprops=line, **look)


def _best(layers: pd.DataFrame, column: str) -> pd.DataFrame:
    """The row of the trained models' best layer in `column`; no row where none is scored."""
    return layers[layers["trained"]].nlargest(1, column).dropna(subset=[column])


def _curve(rows: pd.DataFrame) -> pd.DataFrame:
    """One model's depth, value, low and high: of its layers or, where they are many, of their means in bins."""
    curve = rows if len(rows) <= MAX_POINTS else _bin_means(rows)
    return curve.assign(low=curve["value"] - curve["error"], high=curve["value"] + curve["error"])


def _bin_means(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean depth, value and error of a model's layers in each bin of depth."""
    bins = np.minimum(rows["depth"] * DEPTH_BINS // 1, DEPTH_BINS - 1).rename("bin")
    return rows[["depth", "value", "error"]].groupby(bins).mean()


def _quartiles(models: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Median (`value`) and quartiles (`low`, `high`) over models of their mean value in each bin of depth."""
    means = pd.DataFrame({model: _bin_means(rows)["value"] for model, rows in models.items()})
    low, value, high = (means.quantile(q, axis=1) for q in (0.25, 0.5, 0.75))
    return pd.DataFrame({"depth": (means.index + 0.5) / DEPTH_BINS, "value": value, "low": low, "high": high})


def _label_ends(ax: Axes, ends: list[tuple], gap: float) -> None:
    """Names of curves, (label, x, y, colour) of their last points, to the right of the panel.

    gap : between names, as a share of the panel's height
    """
    if not ends:
        return
    placed = _spread(np.array([y for _, _, y, _ in ends]), gap=gap * np.ptp(ax.get_ylim()))
    for (label, x, y, colour), at in zip(ends, placed, strict=True):
        look = {"color": colour, "va": "center", "annotation_clip": False}
        line = {"arrowstyle": "-", "color": colour, "linewidth": 0.5, "shrinkA": 1, "shrinkB": 3}
        ax.annotate(label, (x, y), (1.08, at), textcoords=ax.get_yaxis_transform(), arrowprops=line, **look)


def _spread(values: np.ndarray, gap: float) -> np.ndarray:
    """`values`, array (n,), pushed apart until neighbours are `gap` from each other."""
    order = np.argsort(values, kind="stable")
    placed = values[order].astype(float)
    for _ in range(500):
        overlap = np.maximum(gap - np.diff(placed), 0) / 2
        placed[1:] += overlap
        placed[:-1] -= overlap
    return placed[np.argsort(order)]


def _best_text(layers: pd.DataFrame, column: str) -> str:
    """The trained models' best layer in `column` and its value; of many models the middle half of the best's depth."""
    scored = layers[layers["trained"]].dropna(subset=[column]).reset_index(drop=True)
    if scored.empty:
        return "no trained model scored"
    if _too_many(layers):
        low, high = scored["depth"][scored.groupby("model")[column].idxmax()].quantile([0.25, 0.75])
        return f"best layers: depth {_number(low)}–{_number(high)} (IQR)"
    best = _best(layers, column).iloc[0]
    return f"best: {_short(best['layer'])}, {_number(best[column])}"


def _correlation_text(correlations: pd.DataFrame, benchmark: str) -> str:
    """Spearman's correlation over all trained layers, its interval and what it rests on."""
    rows = correlations[(correlations["benchmark"] == benchmark) & (correlations["scope"] == ALL_TRAINED)]
    estimates = [f"$r_s$ = {_estimate(row, ', 95% CI')}" for _, row in rows.dropna(subset=["spearman"]).iterrows()]
    n = int(rows["n_layers"].sum())
    return f"{(estimates or ['correlation undefined'])[0]}\n{n:,} trained layer{'' if n == 1 else 's'}"


def _estimate(row: pd.Series, interval: str = "") -> str:
    """`0.77 [0.60, 0.86]`: Spearman's correlation and its interval, with what to call it."""
    return f"{_number(row['spearman'])}{interval} [{_number(row['spearman_low'])}, {_number(row['spearman_high'])}]"


def _forest_row(ax: Axes, y: int, benchmark: str, rows: pd.DataFrame, colour: str, untrained: Collection[str]) -> None:
    """One benchmark's correlations at height `y`: all trained layers large with an interval, each model small."""
    trained, models = rows[rows["scope"] == ALL_TRAINED], rows[rows["scope"] != ALL_TRAINED]
    alpha = 0.6 if len(models) <= 2 * MAX_LINES else 0.25
    for control, table in models.groupby(models["scope"].isin(untrained)):
        look = {"color": colour, "alpha": alpha, "linewidths": 0}
        if control:
            look = {"facecolors": "none", "edgecolors": GREY, "linewidths": 0.7}
        ax.scatter(table["spearman"], np.full(len(table), y + 0.2), s=12, **look)
    ax.hlines(np.full(len(trained), y), trained["spearman_low"], trained["spearman_high"], color=colour, linewidth=1.8)
    ax.plot(trained["spearman"], np.full(len(trained), y), "o", color=colour, markersize=4)
    text = _estimate(trained.iloc[0]) if len(trained) else "undefined"
    side = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points"}
    ax.annotate(text, (1, y), (6, 0), fontsize=7.5, va="center", **side)
    name = {"color": colour, "weight": "bold", "fontsize": 9}
    ax.annotate(region(benchmark), (0, y), (-6, 0), ha="right", va="bottom", **name, **side)
    ax.annotate(_data_set(benchmark), (0, y), (-6, -1), color=GREY, fontsize=6.5, ha="right", va="top", **side)


def _limit(ax: Axes, text: str, value: float | None) -> None:
    """A dotted line at what can be reached, where that is known, with a text; the axis starts at 0 or below."""
    low, high = ax.get_ylim()
    high += 0.08 * (high - low)
    if value is not None and np.isfinite(value):
        high = max(high, 1.15 * value)
        ax.axhline(value, color=INK, linestyle=DOTTED)
        ax.annotate(text, (0, value), (2, 2.5), textcoords="offset points")
    ax.set_ylim(min(0, low), high)


def _people(consistency: Mapping | None) -> str:
    """Human consistency, and below it how it is known; empty where it is not."""
    return described(consistency).replace(" (", "\n(")


def _how_to_read(layers: pd.DataFrame) -> str:
    """What lines, points and bands of the figure along depth are."""
    if _too_many(layers):
        return "line: median over models; band: quartiles over models"
    line = "one model" if layers.groupby("model").size().max() <= MAX_POINTS else "means in bins of depth"
    return f"point: one layer, the best ringed; line: {line}; band: ± 1 SEM over splits"


def _source(layers: pd.DataFrame, benchmark: str) -> str:
    """Where a benchmark's recordings are from, and that they have no ceiling if they have none."""
    parts = [_data_set(benchmark), "" if np.isfinite(ceiling(layers, benchmark)) else "no ceiling known"]
    return ", ".join(filter(None, parts))


def _data_set(benchmark: str) -> str:
    """`MajajHong2015public` of `MajajHong2015public.V4-pls`; empty where that would be the whole name again."""
    return benchmark.partition(".")[0] if region(benchmark) != benchmark else ""


def _heading(ax: Axes, title: str, colour: str, *lines: str) -> None:
    """A title and, under it in small, what the panel shows."""
    text = "\n".join(filter(None, lines))
    ax.annotate(text, (0, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", va="bottom")
    ax.set_title(title, loc="left", color=colour, weight="bold", fontsize=9, pad=6 + 8.8 * len(text.splitlines()))


def _model_entries(layers: pd.DataFrame) -> list[Line2D]:
    """Whose marker is whose."""
    markers, scored = _markers(layers), set(layers.dropna(subset=["memorability"])["model"])
    if len(markers) > MAX_LINES:
        return [_entry(f"layer of one of {len(markers)} models")]
    return [_entry(_short(m) + ("" if m in scored else " (not scored)"), marker) for m, marker in markers.items()]


def _rho_name(column: str) -> str:
    """`within mine` of `within.mine`; `mine → theirs`, fitted and tested, of `across.mine.theirs`."""
    kind, _, sets = column.partition(".")
    return f"within {sets}" if kind == "within" else sets.replace(".", " → ")


def _key(figure: Figure, entries: list[Line2D], controls: bool, limit: str = "") -> None:
    """What the markers and, where there is one, the dotted line mean, below the panels."""
    if controls:
        entries = [*entries, _entry("untrained control", color=GREY, mfc="none")]
    if limit:
        entries = [*entries, _entry(limit, marker="", linestyle=DOTTED)]
    columns = int(figure.get_figwidth() / 1.7)
    figure.legend(handles=entries, loc="outside lower center", ncols=columns, handletextpad=0.5)


def _entry(label: str, marker: str = "o", **look: object) -> Line2D:
    """A marker and its name, for a key."""
    return Line2D([], [], label=label, marker=marker, **{"color": INK, "linestyle": "", **look})


def _markers(layers: pd.DataFrame) -> dict[str, str]:
    """Marker of each trained model in the table's order; all the same where there are too many to tell apart."""
    models = pd.unique(layers.loc[layers["trained"], "model"])
    return {model: MARKERS[i] if len(models) <= MAX_LINES else "o" for i, model in enumerate(models)}


def _too_many(layers: pd.DataFrame) -> bool:
    """Whether lines of single models, controls included, would hide one another."""
    return layers["model"].nunique() > MAX_LINES


def _short(model: str) -> str:
    """A model's name, its middle left out where it is long."""
    return model if len(model) <= 26 else f"{model[:14]}…{model[-11:]}"


def _number(value: float) -> str:
    """Two decimals and a true minus sign."""
    return f"{value:.2f}".replace("-", "−")


def _say_nothing_scored(axis: Axis) -> None:
    """Say in an empty panel why it is empty; the values along `axis` would mean nothing."""
    axis.set_ticks([])
    place = {"transform": axis.axes.transAxes, "ha": "center", "va": "center"}
    axis.axes.text(0.5, 0.5, "no scored layer", color=GREY, fontsize=8, backgroundcolor="white", **place)
