"""What a layer predicts on another data set, over what it predicts within: a panel a pair."""

from collections.abc import Mapping, Sequence
from math import ceil
from pathlib import Path

import pandas as pd

from memscore.report.figures import drawing


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
    drawing.require(
        table, "generalisation", ["model", "trained", *(f"across.{fitted}.{tested}" for fitted, tested in pairs)]
    )
    columns = min(len(pairs), 3)
    rows = ceil(len(pairs) / columns)
    with drawing.new_figure(path, (max(3.6, 0.4 + 2.6 * columns), 0.6 + 3.0 * rows), banner) as figure:
        axes = figure.subplots(rows, columns, squeeze=False)
        for ax in axes.flat[len(pairs) :]:
            ax.set_axis_off()
        for ax, (fitted, tested) in zip(axes.flat, pairs, strict=False):
            within, across = f"within.{tested}", f"across.{fitted}.{tested}"
            drawing.require(table, "generalisation", [within])
            drawing.scatter(ax, table, within, drawing.INK, across)
            change = (table[across] - table[within])[table["trained"]].dropna()
            note = f"median change {drawing.number(change.median())}" if len(change) else "no trained layer scored"
            drawing.heading(ax, drawing.rho_name(across), drawing.INK, f"{note}, trained layers")
            people = consistency[tested]
            drawing.limit_line(ax, drawing.people_text(people), people["human_consistency"])
            ends = *ax.get_xlim(), *ax.get_ylim()
            low, high = min(ends), max(ends)
            ax.plot([low, high], [low, high], color=drawing.GREY, linewidth=0.7, zorder=0)
            ax.set(xlim=(low, high), ylim=(low, high), aspect="equal")
            ax.set_xlabel(f"ρ within {tested}")
            ax.set_ylabel(f"ρ on {tested}, fitted on {fitted}")
        drawing.key(figure, drawing.model_entries(table.assign(memorability=table[across])), not table["trained"].all())
