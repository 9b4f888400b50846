"""How memorable the images of a stimulus set are."""

from pathlib import Path

import numpy as np
import pandas as pd

from memscore.report.figures import drawing


def score_histogram(scores: pd.Series, path: str | Path) -> None:
    """How many images have which memorability score, in fortieths of the scale; the mean is dotted."""
    with drawing.new_figure(path, (4.2, 2.2), "") as figure:
        ax = figure.add_subplot()
        ax.hist(scores, bins=np.linspace(0, 1, 41), color=drawing.REGION_COLOURS["V2"])
        ax.axvline(scores.mean(), color=drawing.INK, linestyle=(0, (1, 1.5)))
        ax.annotate(f"mean {scores.mean():.2f}", (scores.mean(), 1), (3, -8), ax.get_xaxis_transform(), "offset points")
        ax.set(xlim=(0, 1), xlabel="Memorability score", ylabel="Images")
