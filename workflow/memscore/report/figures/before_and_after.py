"""What training on memorability does to a network's penultimate layer: a panel a benchmark, an arrow a network."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from memscore.names import region
from memscore.report.figures import drawing


def before_and_after(
    table: pd.DataFrame,
    benchmarks: Sequence[str],
    path: str | Path,
    banner: str,
    consistency: Mapping | None = None,
) -> None:
    """ρ of PLS on the penultimate layer over its similarity to recordings, before and after, mean over splits.

    table : `results/finetuned.csv`; consistency : how far viewers agree, from `consistency.read`

    A cross beside an arrow's end is ρ of the network's own prediction. r has the same scale in every panel.
    """
    per_benchmark = [f"{b}.raw_{when}" for b in benchmarks for when in ("before", "after")]
    drawing.require(table, "finetuned", ["model", "pls_before", "pls_after", "head_rho", *per_benchmark])
    means = table.groupby("model", sort=False).mean(numeric_only=True).reset_index().assign(trained=True)
    colours, markers = drawing.region_colours(benchmarks), drawing.markers_of(means)
    columns = max(1, len(benchmarks))
    with drawing.new_figure(path, (max(3.6, 0.5 + 1.95 * columns), 3.0), banner) as figure:
        axes = figure.subplots(1, columns, squeeze=False, sharey=True)[0]
        for ax, benchmark in zip(axes, benchmarks, strict=False):
            ax.locator_params(axis="x", nbins=4)
            for _, row in means.iterrows():
                _arrow(ax, row, benchmark, colours[benchmark], markers[row["model"]])
            change = (means[f"{benchmark}.raw_after"] - means[f"{benchmark}.raw_before"]).mean()
            text = f"mean change of r {drawing.number(change)}"
            drawing.heading(ax, region(benchmark), colours[benchmark], drawing.data_set(benchmark), text)
            ax.set_xlabel("Similarity (Pearson r)")
        _same_scale(axes)
        if drawing.people_text(consistency):
            drawing.limit_line(axes[0], "", consistency["human_consistency"])
            for ax in axes[1 : len(benchmarks)]:
                ax.axhline(consistency["human_consistency"], color=drawing.INK, linestyle=drawing.DOTTED)
        axes[0].set_ylabel(drawing.RHO)
        entries = drawing.model_entries(means.assign(memorability=means["pls_after"]))
        entries += [
            drawing.entry("before", mfc="none"),
            drawing.entry("after: PLS"),
            drawing.entry("after: own head", "x"),
        ]
        drawing.key(figure, entries, False, drawing.people_text(consistency))


def _arrow(ax: Axes, row: pd.Series, benchmark: str, colour: str, marker: str) -> None:
    """One network: hollow before, filled after, and a line between."""
    xs = [row[f"{benchmark}.raw_before"], row[f"{benchmark}.raw_after"]]
    ys = [row["pls_before"], row["pls_after"]]
    ax.plot(xs, ys, color=colour, linewidth=0.8, zorder=1)
    ax.plot(xs[:1], ys[:1], marker, color=colour, mfc="white", zorder=2)
    ax.plot(xs[1:], ys[1:], marker, color=colour, zorder=3)
    ax.plot(xs[1:], [row["head_rho"]], "x", color=colour, markersize=4, zorder=3)


def _same_scale(axes: Sequence[Axes]) -> None:
    """Each panel around its own middle: what hardly moves is not drawn like what moves much."""
    limits = np.array([ax.get_xlim() for ax in axes])
    half = np.ptp(limits, axis=1).max() / 2
    for ax, middle in zip(axes, limits.mean(1), strict=True):
        ax.set_xlim(middle - half, middle + half)
