"""What the figures share: colours, markers, headings, keys.

A figure is a file, .svg, .png or .pdf by its suffix: the same bytes from the same tables.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import matplotlib.style
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from memscore.analysis.tables import ceiling
from memscore.errors import InputError
from memscore.files import replacing
from memscore.names import region
from memscore.stimuli.consistency import described

# From early (cool) to late (warm); at least 22 ΔE2000 apart in normal, protan, deutan and tritan vision.
REGION_COLOURS = {"V1": "#332288", "V2": "#2A9DB5", "V4": "#CF8A00", "IT": "#B2182B"}
OTHER_COLOURS = ("#117733", "#AA4499", "#7A6A53", "#5B7DB1", "#999933", "#882255")
INK, GREY = "#222222", "#808080"
DOTTED = (0, (1, 1.5))
MARKERS = "os^DvPX*"
MAX_LINES = len(MARKERS)  # More models than this are summarised, not told apart.
RHO = "Memorability (Spearman ρ)"
CORRELATION_COLUMNS = ("benchmark", "scope", "n_layers")
CORRELATION_COLUMNS += tuple(f"{name}{end}" for name in ("spearman", "partial") for end in ("", "_low", "_high"))
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


def region_colours(benchmarks: Sequence[str]) -> dict[str, str]:
    """Colour of each benchmark: its region's, or the next of `OTHER_COLOURS` for a region without one."""
    others = [name for name in dict.fromkeys(map(region, benchmarks)) if name not in REGION_COLOURS]
    colours = {name: OTHER_COLOURS[i % len(OTHER_COLOURS)] for i, name in enumerate(others)} | REGION_COLOURS
    return {benchmark: colours[region(benchmark)] for benchmark in benchmarks}


def require(table: pd.DataFrame, name: str, columns: Sequence[str]) -> None:
    """Raise InputError for the first column that the table lacks."""
    for column in columns:
        if column not in table:
            raise InputError(f"{name}: no column {column!r}; it has {', '.join(map(str, table.columns))}")


@contextmanager
def new_figure(path: str | Path, size: tuple[float, float], banner: str) -> Iterator[Figure]:
    """An empty figure, its size in inches, that is written to `path` when the block ends without an error."""
    with matplotlib.style.context(["default", STYLE]), replacing(path) as temporary:
        figure = Figure(figsize=size, layout="constrained")
        if banner:
            box = {"boxstyle": "round,pad=0.35", "facecolor": "#F2F2F2", "edgecolor": "none"}
            figure.suptitle(banner, x=0.985, ha="right", fontsize=7.5, style="italic", color="#444444", bbox=box)
        yield figure
        figure.savefig(temporary, metadata=UNDATED.get(temporary.suffix))


def scatter(ax: Axes, layers: pd.DataFrame, column: str, colour: str, rho: str = "memorability") -> None:
    """`rho` over `column`, one point a layer; untrained controls hollow, grey and behind."""
    scored = layers.dropna(subset=[rho, column])
    size, alpha = (13, 0.75) if len(scored) <= 500 else (6, 0.4) if len(scored) <= 3000 else (3, 0.15)
    markers = markers_of(layers)
    for model, table in scored.groupby("model", sort=False):
        look = {"color": colour, "linewidths": 0, "zorder": 2}
        if model not in markers:
            look = {"facecolors": "none", "edgecolors": GREY, "linewidths": 0.6, "zorder": 1}
        # Vector points by the thousand make a file that no viewer scrolls.
        look |= {"s": size, "alpha": alpha, "marker": markers.get(model, "o"), "rasterized": len(scored) > 3000}
        ax.scatter(table[column], table[rho], **look)
    if scored.empty:
        say_nothing_scored(ax.xaxis)


def estimate(row: pd.Series, name: str = "spearman") -> str:
    """`0.77 [0.60, 0.86]`: a correlation and its interval, if it has one."""
    if pd.isna(row[name]):
        return "not known"
    bounds = f"[{number(row[f'{name}_low'])}, {number(row[f'{name}_high'])}]"
    return f"{number(row[name])} {'(no interval)' if pd.isna(row[f'{name}_low']) else bounds}"


def limit_line(ax: Axes, text: str, value: float | None) -> None:
    """A dotted line at what can be reached, where that is known, with a text; the axis starts at 0 or below."""
    low, high = ax.get_ylim()
    high += 0.08 * (high - low)
    if value is not None and np.isfinite(value):
        high = max(high, 1.15 * value)
        ax.axhline(value, color=INK, linestyle=DOTTED)
        ax.annotate(text, (0, value), (2, 2.5), textcoords="offset points")
    ax.set_ylim(min(0, low), high)


def people_text(consistency: Mapping | None) -> str:
    """Human consistency, and below it how it is known; empty where it is not."""
    return described(consistency).replace(" (", "\n(")


def source(layers: pd.DataFrame, benchmark: str) -> str:
    """Where a benchmark's recordings are from, and that they have no ceiling if they have none."""
    parts = [data_set(benchmark), "" if np.isfinite(ceiling(layers, benchmark)) else "no ceiling known"]
    return ", ".join(filter(None, parts))


def data_set(benchmark: str) -> str:
    """`MajajHong2015public` of `MajajHong2015public.V4-pls`; empty where that would be the whole name again."""
    return benchmark.partition(".")[0] if region(benchmark) != benchmark else ""


def heading(ax: Axes, title: str, colour: str, *lines: str) -> None:
    """A title and, under it in small, what the panel shows."""
    text = "\n".join(filter(None, lines))
    ax.annotate(text, (0, 1), (0, 3), xycoords="axes fraction", textcoords="offset points", va="bottom")
    ax.set_title(title, loc="left", color=colour, weight="bold", fontsize=9, pad=6 + 8.8 * len(text.splitlines()))


def model_entries(layers: pd.DataFrame) -> list[Line2D]:
    """Whose marker is whose."""
    markers, scored = markers_of(layers), set(layers.dropna(subset=["memorability"])["model"])
    if len(markers) > MAX_LINES:
        return [entry(f"layer of one of {len(markers)} models")]
    return [entry(short(m) + ("" if m in scored else " (not scored)"), marker) for m, marker in markers.items()]


def rho_name(column: str) -> str:
    """`within mine` of `within.mine`; `mine → theirs`, fitted and tested, of `across.mine.theirs`."""
    kind, _, sets = column.partition(".")
    return f"within {sets}" if kind == "within" else sets.replace(".", " → ")


def key(figure: Figure, entries: list[Line2D], controls: bool, limit: str = "", columns: int | None = None) -> None:
    """What the markers and, where there is one, the dotted line mean, below the panels."""
    if controls:
        entries = [*entries, entry("untrained control", color=GREY, mfc="none")]
    if limit:
        entries = [*entries, entry(limit, marker="", linestyle=DOTTED)]
    columns = columns or int(figure.get_figwidth() / 1.7)
    figure.legend(handles=entries, loc="outside lower center", ncols=columns, handletextpad=0.5)


def entry(label: str, marker: str = "o", **look: object) -> Line2D:
    """A marker and its name, for a key."""
    return Line2D([], [], label=label, marker=marker, **{"color": INK, "linestyle": "", **look})


def markers_of(layers: pd.DataFrame) -> dict[str, str]:
    """Marker of each trained model in the table's order; all the same where there are too many to tell apart."""
    models = pd.unique(layers.loc[layers["trained"], "model"])
    return {model: MARKERS[i] if len(models) <= MAX_LINES else "o" for i, model in enumerate(models)}


def short(model: str) -> str:
    """A model's name, its middle left out where it is long."""
    return model if len(model) <= 26 else f"{model[:14]}…{model[-11:]}"


def number(value: float) -> str:
    """Two decimals and a true minus sign."""
    return f"{value:.2f}".replace("-", "−")


def say_nothing_scored(axis: Axis) -> None:
    """Say in an empty panel why it is empty; the values along `axis` would mean nothing."""
    axis.set_ticks([])
    place = {"transform": axis.axes.transAxes, "ha": "center", "va": "center"}
    axis.axes.text(0.5, 0.5, "no scored layer", color=GREY, fontsize=8, backgroundcolor="white", **place)
