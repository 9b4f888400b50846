"""Every training: ρ on training and validation images after each epoch, a panel a network."""

from collections.abc import Mapping
from math import ceil
from pathlib import Path

import pandas as pd

from memscore.report.figures import drawing

COLUMNS = 4
LOOKS = {"train_rho": ("training", drawing.GREY), "validation_rho": ("validation", drawing.REGION_COLOURS["IT"])}


def training_curves(
    curves: Mapping[tuple[str, int], pd.DataFrame], finetuned: pd.DataFrame, path: str | Path, banner: str
) -> None:
    """Lines over epochs, one a split; a ring is the epoch that was kept, a triangle at the side ρ on test images.

    curves : by (model, split), the epochs of its training; finetuned : `results/finetuned.csv`
    """
    models = list(dict.fromkeys(model for model, _ in curves))
    columns = min(COLUMNS, len(models))
    n_rows = ceil(len(models) / columns)
    with drawing.new_figure(path, (max(3.6, 1.9 * columns), 0.7 + 1.9 * n_rows), banner) as figure:
        axes = figure.subplots(n_rows, columns, squeeze=False, sharey=True)
        for ax in axes.flat[len(models) :]:
            ax.remove()
        for ax, model in zip(axes.flat, models, strict=False):
            drawing.heading(ax, drawing.short(model), drawing.INK)
            ax.xaxis.get_major_locator().set_params(integer=True)
            ax.set_xlabel("Epoch")
            for (_, split), table in ((key, table) for key, table in curves.items() if key[0] == model):
                kept = finetuned[(finetuned["model"] == model) & (finetuned["split"] == split)].iloc[0]
                for column, (_, colour) in LOOKS.items():
                    ax.plot(table["epoch"], table[column], color=colour, linewidth=0.8)
                ax.plot(kept["epoch"], kept["validation_rho"], "o", color=LOOKS["validation_rho"][1], mfc="white")
                ax.plot(1, kept["head_rho"], "<", color=drawing.INK, clip_on=False, transform=ax.get_yaxis_transform())
        for ax in axes[:, 0]:
            ax.set_ylabel("Spearman ρ")
        entries = [drawing.entry(f"{name} images", "", linestyle="-", color=colour) for name, colour in LOOKS.values()]
        entries += [
            drawing.entry("epoch that is kept", mfc="none", color=LOOKS["validation_rho"][1]),
            drawing.entry("test images", "<"),
        ]
        drawing.key(figure, entries, False)
