"""The answer of a study of both halves, in sentences that claim no more than their intervals.

A relation is said to be there where its interval excludes zero, one area to be ahead of another where the interval of
their difference does, and training to matter where untrained controls stay behind.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from memscore.analysis.statistics import FEWEST_NETWORKS, ranked
from memscore.names import region

# A control keeps up with a trained layer if it is less than so many standard errors of both behind it.
STANDARD_ERRORS = 2


def relation(
    layers: pd.DataFrame, correlations: pd.DataFrame, differences: pd.DataFrame, benchmarks: Sequence[str]
) -> str:
    """Which areas' likeness goes with predicting memorability, how certain that is, and what controls say of it.

    layers, correlations, differences : the tables `layers.csv`, `correlations.csv`, `differences.csv`
    """
    best_first = ranked(correlations)
    if best_first.empty:
        return "Memorability and brain similarity were not both scored for three or more layers of trained networks."
    best, others = best_first.iloc[0], best_first.iloc[1:]
    names = {benchmark: called(benchmark, benchmarks) for benchmark in benchmarks}
    ahead = len(others) > 0 and bool((differences["difference_low"] > 0).all())
    sentences = [
        f"Over {count(best['n_layers'], 'layer')} of {count(best['n_models'], 'trained network')}, "
        + finding(best, names[best["benchmark"]], ahead)
    ]
    if len(others):
        sentences += [order(differences, others, names), less_like(others, names)]
    else:
        sentences.append(
            f"{names[best['benchmark']]} is the only area compared: whether memorability goes with this area more than "
            "with another, one area alone cannot say."
        )
    if best["interval_over"] == "layers":
        sentences.append(
            f"With fewer than {FEWEST_NETWORKS} networks, intervals are over their layers: they say nothing of others."
        )
    sentences += [control_predicts(layers), control_relates(layers, correlations, best, names)]
    return " ".join(filter(None, sentences))


def finding(row: pd.Series, area: str, ahead: bool) -> str:
    """What the correlation with one area says; ahead : whether it is higher than any other area's for certain."""
    low, high = row["spearman_low"], row["spearman_high"]
    if low > 0 and ahead:
        return f"the layers that predict memorability well are those most like **{area}**: Spearman {interval(row)}."
    if low > 0 or high < 0:
        how = "more" if low > 0 else "less"
        return f"the layers that predict memorability better are {how} like **{area}**: Spearman {interval(row)}."
    why = "" if pd.isna(low) else "the interval holds zero, so "
    return (
        f"predicting memorability and being like **{area}** correlate at Spearman {interval(row)}: {why}it is not "
        "certain that they go together."
    )


def order(differences: pd.DataFrame, others: pd.DataFrame, names: dict[str, str]) -> str:
    """Which area comes next, and whether the best one is ahead of it, and of the rest, for certain."""
    second, difference = others.iloc[0], differences.iloc[0]
    text = f"{names[second['benchmark']]} comes next with {interval(second)}"
    low, high = difference["difference_low"], difference["difference_high"]
    if pd.isna(low):
        return f"{text}; too few layers are scored on both to say how certain that order is."
    text += f"; the difference, {difference['difference']:.2f} [{low:.2f}, {high:.2f}],"
    if low <= 0:
        text += " includes zero, so the order of the two is not certain"
    else:
        text += " excludes zero"
    rest = differences.iloc[1:]
    rest = [names[row["other"]] for _, row in rest.iterrows() if not row["difference_low"] > 0]
    return f"{text}{f'; nor is the lead over {listed(rest)} certain' if rest else ''}."


def less_like(others: pd.DataFrame, names: dict[str, str]) -> str:
    """Areas that the layers which predict memorability better are less like, for certain."""
    found = [f"{names[row['benchmark']]} ({interval(row)})" for _, row in others.iterrows() if row["spearman_high"] < 0]
    return f"Layers that predict memorability better are less like {listed(found)}." if found else ""


def control_predicts(layers: pd.DataFrame) -> str:
    """Whether untrained controls predict memorability as well; empty without controls."""
    trained, control = (best_row(layers[layers["trained"] == kind], "memorability") for kind in (True, False))
    if trained is None or control is None:
        return ""
    reached = f"at most ρ = {control['memorability']:.2f} against {trained['memorability']:.2f} trained"
    if keeps_up(control, trained, "memorability"):
        return f"Untrained controls predict memorability as well ({reached}): it need not come from training."
    return f"Untrained controls stay behind in predicting memorability: {reached}."


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
    as_high = control["spearman"] >= best["spearman"]
    return f"{text}: as high, so that training does not explain the relation." if as_high else f"{text}."


def keeps_up(control: pd.Series, trained: pd.Series, column: str) -> bool:
    """Whether a control's layer is less than two standard errors over splits behind a trained network's in `column`."""
    errors = [standard_error(row, column) for row in (control, trained)]
    return trained[column] - control[column] < STANDARD_ERRORS * np.hypot(*np.nan_to_num(errors)) + 1e-12


def standard_error(row: pd.Series, column: str) -> float:
    """Over splits, of a layer's ρ or of its `<benchmark>.raw`; NaN where there is one split."""
    if column == "memorability":
        splits = row[[name for name in row.index if name.startswith("memorability_split_")]].astype(float)
        return splits.sem()
    return row[column.removesuffix(".raw") + ".error"]


def best_row(layers: pd.DataFrame, column: str) -> pd.Series | None:
    """The row of the layer that is highest in `column`; None where none is scored."""
    scored = layers.dropna(subset=[column])
    return scored.loc[scored[column].idxmax()] if len(scored) else None


def interval(row: pd.Series) -> str:
    """`0.91 [0.80, 0.95]`."""
    if pd.isna(row["spearman_low"]):
        return f"{row['spearman']:.2f} (too few layers for an interval)"
    return f"{row['spearman']:.2f} [{row['spearman_low']:.2f}, {row['spearman_high']:.2f}]"


def called(benchmark: str, benchmarks: Sequence[str]) -> str:
    """A benchmark's area; its whole name where another one is of the same area."""
    return benchmark if [region(other) for other in benchmarks].count(region(benchmark)) > 1 else region(benchmark)


def count(n: int, thing: str) -> str:
    """`1 layer`, `10 layers`."""
    return f"{n} {thing}{'' if n == 1 else 's'}"


def listed(names: Sequence[str]) -> str:
    """`V1`, `V1 and V2`, `V1, V2 and V4`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""
