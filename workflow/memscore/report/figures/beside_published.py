"""The study's networks among other predictors of memorability: a row each, the best on top."""

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from memscore.report.figures import drawing

LOOKS = {
    "before": ("best layer of a network, PLS", "o", drawing.REGION_COLOURS["V2"]),
    "after": ("network trained on memorability", "D", drawing.REGION_COLOURS["IT"]),
    "peer": ("run on the same images", "s", drawing.INK),
    "published": ("published, on LaMem", "x", drawing.GREY),
}
# More rows than this nobody reads: then the study's best of each kind, and all others.
MOST = 24


def beside_published(table: pd.DataFrame, path: str | Path, banner: str, consistency: Mapping | None = None) -> None:
    """ρ on test images, mean over splits and their range.

    table : `results/beside_published.csv`; consistency : how far viewers agree, from `consistency.read`
    """
    drawing.require(table, "beside_published", ["predictor", "kind", "spearman", "lowest", "highest"])
    table = table.sort_values("spearman", kind="stable")
    mine = table["kind"].isin(["before", "after"])
    table = table[~mine | (table[mine].groupby("kind").cumcount(ascending=False).reindex(table.index) < MOST // 2)]
    with drawing.new_figure(path, (5.2, 1.1 + 0.2 * len(table)), banner) as figure:
        ax = figure.subplots()
        for place, (_, row) in enumerate(table.iterrows()):
            _, marker, colour = LOOKS[row["kind"]]
            if row["highest"] > row["lowest"]:
                ax.plot([row["lowest"], row["highest"]], [place, place], color=colour, linewidth=0.8)
            ax.plot(row["spearman"], place, marker, color=colour, markersize=4.5)
        ax.set_yticks(range(len(table)), table["predictor"])
        ax.tick_params(axis="y", length=0)
        ax.set_ylim(-0.6, len(table) - 0.4)
        if drawing.people_text(consistency):
            ax.axvline(consistency["human_consistency"], color=drawing.INK, linestyle=drawing.DOTTED)
        ax.set_xlim(min(0, table[["spearman", "lowest"]].min().min()), 1)
        ax.set_xlabel(drawing.RHO)
        present = [LOOKS[kind] for kind in LOOKS if kind in set(table["kind"])]
        entries = [drawing.entry(name, marker, color=colour) for name, marker, colour in present]
        drawing.key(figure, entries, False, drawing.people_text(consistency), columns=2)
