"""Which area goes with memorability, within and across data sets: a panel an area."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from memscore.analysis.statistics import ALL_TRAINED
from memscore.names import region
from memscore.report.figures import drawing


def generalisation_by_region(
    correlations: pd.DataFrame, benchmarks: Sequence[str], path: str | Path, banner: str
) -> None:
    """One panel a benchmark: over all trained layers, the correlation of every ρ within and across with similarity.

    correlations : `results/generalisation_correlations.csv`
    """
    drawing.require(correlations, "correlations", ["rho", *drawing.CORRELATION_COLUMNS])
    rhos, colours = list(correlations["rho"].unique()), drawing.region_colours(benchmarks)
    pooled = correlations[correlations["scope"] == ALL_TRAINED].dropna(subset=["spearman"])
    with drawing.new_figure(path, (1.4 + 1.7 * len(benchmarks), 1.2 + 0.24 * len(rhos)), banner) as figure:
        axes = figure.subplots(1, len(benchmarks), squeeze=False, sharey=True)[0]
        for ax, benchmark in zip(axes, benchmarks, strict=True):
            rows = pooled[pooled["benchmark"] == benchmark]
            at, colour = [rhos.index(rho) for rho in rows["rho"]], colours[benchmark]
            ax.axvline(0, color=drawing.GREY, linewidth=0.7, zorder=0)
            ax.hlines(at, rows["spearman_low"], rows["spearman_high"], color=colour, linewidth=1.8)
            ax.plot(rows["spearman"], at, "o", color=colour, markersize=4)
            ax.set(xlim=(-1.02, 1.02), xticks=[-1, 0, 1], ylim=(len(rhos) - 0.5, -0.5))
            drawing.heading(ax, region(benchmark), colour, drawing.data_set(benchmark))
            if rows.empty:
                drawing.say_nothing_scored(ax.xaxis)
        axes[0].set_yticks(range(len(rhos)), [drawing.rho_name(rho) for rho in rhos])
        figure.supxlabel("Correlation of ρ with brain similarity over trained layers (Spearman, interval)", fontsize=8)
