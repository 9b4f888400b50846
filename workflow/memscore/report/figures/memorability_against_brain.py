"""Every layer's memorability over its brain similarity: a panel a benchmark."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

import numpy as np
import pandas as pd

from memscore.analysis.statistics import ALL_TRAINED
from memscore.analysis.tables import ceiling, similarity
from memscore.names import region
from memscore.report.figures import drawing


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
    drawing.require(layers, "layers", ["model", "trained", "memorability", *per_benchmark])
    drawing.require(correlations, "correlations", drawing.CORRELATION_COLUMNS)
    columns = max(1, len(benchmarks) if len(benchmarks) <= 4 else ceil(len(benchmarks) / 2))
    rows = max(1, ceil(len(benchmarks) / columns))
    colours = drawing.region_colours(benchmarks)
    with drawing.new_figure(path, (max(3.6, 0.5 + 1.95 * columns), 0.5 + 2.3 * rows), banner) as figure:
        axes = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for ax in axes.flat[len(benchmarks) :]:
            ax.set_axis_off()
        for ax, benchmark in zip(axes.flat, benchmarks, strict=False):
            ax.locator_params(axis="x", nbins=4)
            shown = layers.assign(similarity=similarity(layers, benchmark))
            drawing.scatter(ax, shown, "similarity", colours[benchmark])
            ax.set_xlabel(f"Similarity ({'1 = ceiling' if np.isfinite(ceiling(layers, benchmark)) else 'Pearson r'})")
            text = _correlation_text(correlations, benchmark)
            drawing.heading(ax, region(benchmark), colours[benchmark], drawing.source(layers, benchmark), text)
        if drawing.people_text(consistency):
            drawing.limit_line(axes.flat[0], "", consistency["human_consistency"])  # The others share its axis.
            for ax in axes.flat[1 : len(benchmarks)]:
                ax.axhline(consistency["human_consistency"], color=drawing.INK, linestyle=drawing.DOTTED)
        for ax in axes[:, 0]:
            ax.set_ylabel(drawing.RHO)
        drawing.key(
            figure, drawing.model_entries(layers), not layers["trained"].all(), drawing.people_text(consistency)
        )


def _correlation_text(correlations: pd.DataFrame, benchmark: str) -> str:
    """Spearman's correlation over all trained layers, its interval and what it rests on."""
    rows = correlations[(correlations["benchmark"] == benchmark) & (correlations["scope"] == ALL_TRAINED)]
    estimates = [
        f"$r_s$ = {drawing.estimate(row)}\nat equal depth {drawing.estimate(row, 'partial')}"
        for _, row in rows.dropna(subset=["spearman"]).iterrows()
    ]
    n = int(rows["n_layers"].sum())
    return f"{(estimates or ['correlation undefined'])[0]}\n{n:,} trained layer{'' if n == 1 else 's'}"
