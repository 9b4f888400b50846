"""The answer of a study of both halves, in sentences that claim no more than their intervals.

A relation is said to be there where its interval excludes zero, at equal depth too, and where profiles that are shifted
along depth do not reach it; one area to be ahead of another where the interval of their difference excludes zero, at
equal depth too; and an untrained control to differ where the interval of that difference does.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from memscore.analysis.intervals import FEWEST_NETWORKS, FEWEST_UNITS
from memscore.analysis.statistics import ranked
from memscore.names import region

# From which correlation on a smooth curve along depth is said to follow memorability.
FOLLOWS = 0.5


def relation(
    layers: pd.DataFrame,
    correlations: pd.DataFrame,
    differences: pd.DataFrame,
    controls: pd.DataFrame,
    benchmarks: Sequence[str],
) -> str:
    """Which areas' likeness goes with predicting memorability, how certain that is, and what controls say of it.

    layers, correlations, differences, controls : the tables `layers.csv`, `correlations.csv`, `differences.csv` and
        `controls.csv`
    """
    best_first = ranked(correlations)
    if best_first.empty:
        return "Memorability and brain similarity were not both scored for three or more layers of trained networks."
    best, others = best_first.iloc[0], best_first.iloc[1:]
    names = {benchmark: called(benchmark, benchmarks) for benchmark in benchmarks}
    ahead = len(others) > 0 and all(leads(row) for _, row in differences.iterrows())
    sentences = [
        f"Over {count(best['n_layers'], 'layer')} of {count(best['n_models'], 'trained network')}, "
        + finding(best, names[best["benchmark"]], ahead),
        along_depth(best),
    ]
    if len(others):
        sentences += [order(differences, others, names), less_like(others, names)]
    else:
        sentences.append(
            f"{names[best['benchmark']]} is the only area compared: whether memorability goes with this area more than "
            "with another, one area alone cannot say."
        )
    sentences += [over(best_first), control_predicts(controls), control_relates(layers, correlations, best, names)]
    return " ".join(filter(None, sentences))


def finding(row: pd.Series, area: str, ahead: bool) -> str:
    """What the correlation with one area says; ahead : whether it is higher than any other area's for certain."""
    numbers = f"Spearman {interval(row)}, at equal depth {interval(row, 'partial')}"
    if holds(row, 1) and ahead:
        return f"the layers that predict memorability well are those most like **{area}**: {numbers}."
    if holds(row, 1) or holds(row, -1):
        how = "more" if holds(row, 1) else "less"
        return f"the layers that predict memorability better are {how} like **{area}**: {numbers}."
    low, high = row["spearman_low"], row["spearman_high"]
    if low <= 0 <= high:
        why = "the interval holds zero, so it is not certain that they go together"
    elif max(row["spearman"] * row["partial_low"], row["spearman"] * row["partial_high"]) < 0:
        why = "at equal depth it is the other way round, so depth, and not the area, makes the one or the other"
    elif row["partial_low"] <= 0 <= row["partial_high"]:
        why = "at equal depth the interval holds zero, so both may change along depth and have nothing else in common"
    elif pd.notna(row["partial_low"]):
        why = "profiles shifted along depth reach as much, so it is not certain that they go together"
    else:
        why = "the layers are too few, or too like their neighbours, to tell this from two trends along depth"
    return f"predicting memorability and being like **{area}** correlate at {numbers}: {why}."


def holds(row: pd.Series, sign: int) -> bool:
    """Whether a relation of this sign is there for certain: its interval excludes zero at equal depth, and as it is,
    but where layers make up too few stretches of depth for one; and shifted profiles, where layers are enough to shift,
    do not reach it."""

    def beyond_zero(name: str) -> bool:
        return min(sign * row[f"{name}_low"], sign * row[f"{name}_high"]) > 0

    as_it_is = sign * row["spearman"] > 0 and (row["n_units"] < FEWEST_UNITS or beyond_zero("spearman"))
    reached = row["shifted_high" if sign > 0 else "shifted_low"]
    return bool(as_it_is and beyond_zero("partial") and (pd.isna(reached) or sign * (row["spearman"] - reached) >= 0))


def along_depth(row: pd.Series) -> str:
    """What depth alone does: how far shifted profiles reach, and how far a smooth curve follows memorability."""
    text = "The layers are too few to compare with profiles shifted along depth."
    if pd.notna(row["shifted_high"]):
        high, low = row["shifted_high"], row["shifted_low"]
        reached = f"at most {high:.2f} in 97.5%" if row["spearman"] >= 0 else f"at least {low:.2f} in 97.5%"
        text = f"Profiles shifted along depth correlate {reached} of shifts."
    if row["depth"] >= FOLLOWS:
        text += f" A smooth curve along depth alone follows memorability at r = {row['depth']:.2f}."
    return text


def over(pooled: pd.DataFrame) -> str:
    """What the intervals over all trained layers are over, and why one may be missing."""
    text = ""
    if (pooled["interval_over"] == "depth").any():
        text = (
            f"With fewer than {FEWEST_NETWORKS} networks, intervals are over stretches of depth: they say nothing of "
            "other networks."
        )
    if pooled[["spearman_low", "partial_low"]].isna().any(axis=None):
        text += (
            " There is no interval where layers are so few, or so like their neighbours, that they make up fewer than "
            "four independent stretches of depth, or where it would say nothing."
        )
    return text.strip()


def leads(difference: pd.Series) -> bool:
    """Whether the best area is ahead of another for certain, as it is and at equal depth."""
    as_it_is = difference["n_units"] < FEWEST_UNITS or difference["difference_low"] > 0
    return bool(as_it_is and difference["partial_difference_low"] > 0)


def order(differences: pd.DataFrame, others: pd.DataFrame, names: dict[str, str]) -> str:
    """Which area comes next, and whether the best one is ahead of it, and of the rest, for certain."""
    second, difference = others.iloc[0], differences.iloc[0]
    text = f"{names[second['benchmark']]} comes next with {interval(second)}"
    if difference[["difference_low", "partial_difference_low"]].isna().all():
        return f"{text}; no interval says how certain that order is."
    text += f"; the difference is {interval(difference, 'difference')}, at equal depth "
    text += f"{interval(difference, 'partial_difference')}"
    text += "" if leads(difference) else ", so the order of the two is not certain"
    rest = [names[row["other"]] for _, row in differences.iloc[1:].iterrows() if not leads(row)]
    return f"{text}{f'; nor is the lead over {listed(rest)} certain' if rest else ''}."


def less_like(others: pd.DataFrame, names: dict[str, str]) -> str:
    """Areas that the layers which predict memorability better are less like, for certain."""
    found = [f"{names[row['benchmark']]} ({interval(row)})" for _, row in others.iterrows() if holds(row, -1)]
    return f"Layers that predict memorability better are less like {listed(found)}." if found else ""


def control_predicts(controls: pd.DataFrame) -> str:
    """Whether untrained controls predict memorability as well (`controls.csv`); empty without controls."""
    controls = controls if controls.empty else controls.dropna(subset=["difference"])
    if controls.empty:
        return ""
    nearest = controls.loc[controls["difference"].idxmin()]
    reached = f"at most ρ = {nearest['control_rho']:.2f} against {nearest['trained_rho']:.2f} of {nearest['model']}"
    reached += f", difference over test images {interval(nearest, 'difference')}"
    if (controls["difference_low"] > 0).all():
        return f"Untrained controls stay behind in predicting memorability: {reached}."
    return (
        f"Untrained controls are not certainly worse at predicting memorability ({reached}): it need not come from "
        "training."
    )


def control_relates(layers: pd.DataFrame, correlations: pd.DataFrame, best: pd.Series, names: dict[str, str]) -> str:
    """Whether an untrained control's layers show the same relation; empty without controls."""
    untrained = layers.loc[~layers["trained"], "model"].unique()
    rows = correlations[correlations["scope"].isin(untrained) & (correlations["benchmark"] == best["benchmark"])]
    rows = rows.dropna(subset=["spearman"])
    if rows.empty:
        return ""
    control = rows.loc[rows["spearman"].idxmax()]
    text = f"Over the layers of {control['scope']}, untrained, the correlation with {names[best['benchmark']]} is"
    text = f"{text} {interval(control)}"
    name = "spearman" if pd.notna([control["spearman_low"], best["spearman_low"]]).all() else "partial"
    if name == "partial":
        text += f", at equal depth {interval(control, name)}"
    low, high = apart(best, control, name)
    if pd.isna(low):
        return f"{text}."
    text += f"; trained less untrained is {best[name] - control[name]:.2f} [{low:.2f}, {high:.2f}]"
    if low > 0:
        return f"{text}."
    there = ", and there the interval excludes zero too, so that it need not come from training"
    return f"{text}: not certainly more{there if holds(best, 1) and control[f'{name}_low'] > 0 else ''}."


def apart(a: pd.Series, b: pd.Series, name: str) -> tuple[float, float]:
    """The interval of a's correlation less b's, from their own intervals (Zou 2007, Psychol. Methods 12:399)."""
    below = np.hypot(a[name] - a[f"{name}_low"], b[f"{name}_high"] - b[name])
    above = np.hypot(a[f"{name}_high"] - a[name], b[name] - b[f"{name}_low"])
    return a[name] - b[name] - below, a[name] - b[name] + above


def interval(row: pd.Series, name: str = "spearman") -> str:
    """`0.91 [0.80, 0.95]`."""
    if pd.isna(row[name]):
        return "not known"
    if pd.isna(row[f"{name}_low"]):
        return f"{row[name]:.2f} (no interval)"
    return f"{row[name]:.2f} [{row[f'{name}_low']:.2f}, {row[f'{name}_high']:.2f}]"


def called(benchmark: str, benchmarks: Sequence[str]) -> str:
    """A benchmark's area; its whole name where another one is of the same area."""
    return benchmark if [region(other) for other in benchmarks].count(region(benchmark)) > 1 else region(benchmark)


def count(n: int, thing: str) -> str:
    """`1 layer`, `10 layers`."""
    return f"{n} {thing}{'' if n == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """`V1`, `V1 and V2`, `V1, V2 and V4`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""
