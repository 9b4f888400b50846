"""Every layer along relative depth: what it says of memorability, and how much it looks like each area."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from memscore.analysis.tables import ceiling
from memscore.names import region
from memscore.report.figures import drawing

DEPTH_BINS = 20
MAX_POINTS = 2 * DEPTH_BINS  # A line through more layers than this is a tangle: it is drawn through their means.


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
    drawing.require(layers, "layers", ["model", "layer", "depth", "trained", *per_benchmark])
    memorability, colours = "memorability" in layers, drawing.region_colours(benchmarks)
    rows, columns = max(1, ceil(len(benchmarks) / 2)), min(2, len(benchmarks))
    with drawing.new_figure(path, (max(6.0, 3.9 + 2.1 * columns), max(3.4, 0.7 + 1.85 * rows)), banner) as figure:
        grid = figure.add_gridspec(rows, memorability + columns, width_ratios=[1.5] * memorability + [1] * columns)
        if memorability:
            ax = figure.add_subplot(grid[: min(2, rows), 0])
            ends = _curves(ax, layers, "memorability", memorability_error(layers), drawing.INK)
            ax.set_ylabel(drawing.RHO)
            drawing.heading(ax, "Memorability", drawing.INK, _best_text(layers, "memorability"))
            drawing.limit_line(ax, drawing.people_text(consistency), consistency and consistency["human_consistency"])
            _label_ends(ax, ends, gap=0.06)
            _ring_best(ax, layers, "memorability", drawing.INK, named=not benchmarks)
        for i, benchmark in enumerate(benchmarks):
            ax = figure.add_subplot(grid[i // columns, memorability + i % columns])
            ends = _curves(ax, layers, f"{benchmark}.raw", layers[f"{benchmark}.error"], colours[benchmark])
            ax.set_ylabel("Similarity (Pearson r)")
            text = _best_text(layers, f"{benchmark}.raw")
            drawing.heading(ax, region(benchmark), colours[benchmark], drawing.source(layers, benchmark), text)
            limit = ceiling(layers, benchmark)
            drawing.limit_line(ax, f"ceiling {drawing.number(limit)}", limit)
            _ring_best(
                ax, layers, f"{benchmark}.raw", colours[benchmark], named=not memorability and len(benchmarks) == 1
            )
            if not memorability and i == columns - 1:  # Beside the first row there is room for names.
                _label_ends(ax, ends, gap=0.06 * rows)
        for ax in figure.axes:
            ax.set_xlim(-0.03, 1.03)
            ax.set_xlabel("Relative depth")
        figure.supxlabel(_how_to_read(layers), fontsize=7, color=drawing.GREY)


def memorability_error(layers: pd.DataFrame) -> pd.Series:
    """Standard error of each layer's ρ over splits; NaN with fewer than two splits."""
    return layers.filter(regex=r"^memorability_split_\d+$").astype(float).sem(axis=1)


def _curves(ax: Axes, layers: pd.DataFrame, column: str, error: pd.Series, colour: str) -> list[tuple]:
    """`column` along depth, controls in grey; returns (label, x, y, colour) of every curve's last point."""
    table = layers[["model", "layer", "depth", "trained"]].assign(value=layers[column], error=error)
    table = table.dropna(subset=["value"]).sort_values("depth", kind="stable")
    ends = []
    for trained, look in ((False, {"color": drawing.GREY, "mfc": "white"}), (True, {"color": colour})):
        models = dict(list(table[table["trained"] == trained].groupby("model", sort=False)))
        curves = {model: _curve(rows) for model, rows in models.items()}
        if models and _too_many(layers):
            curves = {f"{len(models)} {'models' if trained else 'untrained'}": _quartiles(models)}
        else:
            _points(ax, models, drawing.markers_of(layers), look)
        for label, curve in curves.items():
            ax.fill_between(curve["depth"], curve["low"], curve["high"], color=look["color"], alpha=0.18, linewidth=0)
            ax.plot(curve["depth"], curve["value"], color=look["color"], linestyle="-" if trained else "--")
            ends.append((drawing.short(label), *curve[["depth", "value"]].iloc[-1], look["color"]))
    ax.locator_params(axis="y", nbins=5)
    if table.empty:
        drawing.say_nothing_scored(ax.yaxis)
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
            ax.annotate(
                drawing.short(best["layer"]), point, (0, 15), textcoords="offset points", arrowprops=line, **look
            )


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
        return f"best layers: depth {drawing.number(low)}–{drawing.number(high)} (IQR)"
    best = _best(layers, column).iloc[0]
    return f"best: {drawing.short(best['layer'])}, {drawing.number(best[column])}"


def _how_to_read(layers: pd.DataFrame) -> str:
    """What lines, points and bands of the figure along depth are."""
    if _too_many(layers):
        return "line: median over models; band: quartiles over models"
    line = "one model" if layers.groupby("model").size().max() <= MAX_POINTS else "means in bins of depth"
    return f"point: one layer, the best ringed; line: {line}; band: ± 1 SEM over splits"


def _too_many(layers: pd.DataFrame) -> bool:
    """Whether lines of single models, controls included, would hide one another."""
    return layers["model"].nunique() > drawing.MAX_LINES
