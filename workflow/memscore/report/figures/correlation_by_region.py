"""How memorability and brain similarity go together over layers: a row an area."""

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from memscore.analysis.statistics import ALL_TRAINED
from memscore.names import region
from memscore.report.figures import drawing


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
    drawing.require(correlations, "correlations", drawing.CORRELATION_COLUMNS)
    colours = drawing.region_colours(benchmarks)
    shown = correlations[correlations["benchmark"].isin(benchmarks)].dropna(subset=["spearman"])
    with drawing.new_figure(path, (5.6, 1.3 + 0.55 * max(1, len(benchmarks))), banner) as figure:
        ax = figure.add_subplot()
        ax.axvline(0, color=drawing.GREY, linewidth=0.7, zorder=0)
        for row, benchmark in enumerate(benchmarks):
            _forest_row(ax, row, benchmark, shown[shown["benchmark"] == benchmark], colours[benchmark], untrained)
        ax.set(xlim=(-1.02, 1.02), ylim=(max(1, len(benchmarks)) - 0.5, -0.5), xticks=[-1, -0.5, 0, 0.5, 1], yticks=[])
        ax.set_xlabel("Correlation of memorability with brain similarity over layers (Spearman)")
        ax.spines["left"].set_visible(False)
        if shown.empty:
            drawing.say_nothing_scored(ax.yaxis)
        entries = [
            drawing.entry("all trained layers, interval", markersize=4, linestyle="-", linewidth=1.8),
            drawing.entry("at equal depth", marker="D", markersize=3, markerfacecolor="none", linewidth=0.9),
            drawing.entry("one model"),
        ]
        drawing.key(figure, entries, shown["scope"].isin(untrained).any())


def _forest_row(ax: Axes, y: int, benchmark: str, rows: pd.DataFrame, colour: str, untrained: Collection[str]) -> None:
    """One benchmark's correlations at height `y`: all trained layers large with an interval, each model small."""
    trained, models = rows[rows["scope"] == ALL_TRAINED], rows[rows["scope"] != ALL_TRAINED]
    alpha = 0.6 if len(models) <= 2 * drawing.MAX_LINES else 0.25
    for control, table in models.groupby(models["scope"].isin(untrained)):
        look = {"color": colour, "alpha": alpha, "linewidths": 0}
        if control:
            look = {"facecolors": "none", "edgecolors": drawing.GREY, "linewidths": 0.7}
        ax.scatter(table["spearman"], np.full(len(table), y + 0.2), s=12, **look)
    for name, at, look in (
        ("spearman", y - 0.1, {"marker": "o", "markersize": 4, "linewidth": 1.8}),
        ("partial", y + 0.06, {"marker": "D", "markersize": 3, "linewidth": 0.9, "markerfacecolor": "none"}),
    ):
        for _, row in trained.iterrows():
            ax.plot(row[[f"{name}_low", f"{name}_high"]], [at, at], color=colour, linewidth=look["linewidth"])
            ax.plot(row[name], at, color=colour, **look)
    text = "undefined"
    if len(trained):
        estimates = [drawing.estimate(trained.iloc[0], name) for name in ("spearman", "partial")]
        text = f"{estimates[0]}\nat equal depth {estimates[1]}"
    side = {"xycoords": ax.get_yaxis_transform(), "textcoords": "offset points"}
    ax.annotate(text, (1, y), (6, 0), fontsize=7.5, va="center", **side)
    name = {"color": colour, "weight": "bold", "fontsize": 9}
    ax.annotate(region(benchmark), (0, y), (-6, 0), ha="right", va="bottom", **name, **side)
    ax.annotate(
        drawing.data_set(benchmark), (0, y), (-6, -1), color=drawing.GREY, fontsize=6.5, ha="right", va="top", **side
    )
