"""What fine-tuning did, in sentences that claim no more than their numbers: ρ beside a linear read-out, overfitting,
likeness to the brain, and whether object recognition goes with it as memorability does."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from memscore.analysis.intervals import FEWEST_NETWORKS
from memscore.report.answer import called, count, interval, listed
from memscore.report.markup import heading, list_table

# ρ on training images above that on validation images in the epoch that is kept: from here on it is said.
OVERFIT = 0.2


def section(
    finetuned: pd.DataFrame,
    networks: pd.DataFrame,
    beside: pd.DataFrame,
    against: pd.DataFrame,
    benchmarks: Sequence[str],
) -> str:
    """The front page's part on training, from `finetuned.csv`, `finetuned_networks.csv`, `beside_published.csv` and
    `finetuned_against_layers.csv`."""
    sentences = [
        f"{count(finetuned['model'].nunique(), 'network')} got one unit in the place of the classifier, trained on the "
        f"training images of {count(finetuned['split'].nunique(), 'split')}; the epoch that is best on validation "
        "images was kept.",
        beats(against),
        overfits(finetuned),
        changes(finetuned, benchmarks),
    ]
    parts = [heading("Trained on memorability"), " ".join(filter(None, sentences)), models(finetuned)]
    if "top1" in networks and len(networks):
        parts.append(recognition(networks, benchmarks))
        parts += [recognition_table(networks)] if networks["memorability"].notna().any() else []
    if (beside["kind"].isin(["peer", "published"])).any():
        parts.append(beside_table(beside))
    return "\n\n".join(filter(None, parts))


def beats(against: pd.DataFrame) -> str:
    """Whether the networks' own predictions beat a linear read-out of the networks as they were, for certain."""
    row = against.iloc[0]
    if pd.isna(row["difference"]):
        return "Which layer to set it beside is not known, since no validation images chose one."
    numbers = f"mean ρ on test images {row['head_rho']:.2f} against {row['best_layer']:.2f} in "
    numbers += f"{count(row['n_trainings'], 'training')}, difference {interval(row, 'difference')}"
    layer = "PLS on the network as it was, of the layer that is best on validation images"
    if row["difference_low"] > 0:
        return f"**It predicts memorability better than {layer}**: {numbers}."
    if row["difference_high"] < 0:
        return f"**It predicts memorability worse than {layer}**: {numbers}."
    return f"Whether it predicts memorability better than {layer}, is not certain: {numbers}."


def overfits(finetuned: pd.DataFrame) -> str:
    """Which networks predict their training images much better than their validation images, beyond chance.

    Beyond the upper end of the 95% interval of ρ on so many validation images (Fisher's z with the standard error of
    Bonett & Wright 2000): mean over splits.
    """
    validation = finetuned["validation_rho"]
    error = np.sqrt((1 + validation**2 / 2) / (finetuned["n_validation"] - 3).clip(lower=0.1))
    means = finetuned.assign(
        gap=finetuned["train_rho"] - validation,
        beyond=finetuned["train_rho"] - np.tanh(np.arctanh(validation.clip(-0.999, 0.999)) + 1.96 * error),
    )
    means = means.groupby("model", sort=False)[["gap", "beyond", "n_validation"]].mean()
    wide = [
        f"{model} (by {row.gap:.2f}, on {row.n_validation:.0f} validation images)"
        for model, row in means.iterrows()
        if row.gap > OVERFIT and row.beyond > 0
    ]
    if not wide:
        return ""
    return (
        "Overfitting: in the kept epoch ρ on training images exceeds that on validation images, and the upper end of "
        f"its 95% interval, for {listed(wide)}; more images, fewer epochs, frozen_below or only_head help."
    )


def changes(finetuned: pd.DataFrame, benchmarks: Sequence[str]) -> str:
    """How likeness to each area changed at the penultimate layer, over networks."""
    means, said = finetuned.groupby("model", sort=False).mean(numeric_only=True), []
    for benchmark in benchmarks:
        change = (means[f"{benchmark}.raw_after"] - means[f"{benchmark}.raw_before"]).dropna()
        if len(change):
            up = int((change > 0).sum())
            said.append(f"{called(benchmark, benchmarks)} {change.mean():+.2f} (up in {up} of {len(change)})")
    if not said:
        return ""
    return f"The penultimate layer's similarity (r), mean over networks, changed by: {listed(said)}."


def models(finetuned: pd.DataFrame) -> str:
    """Per network, means over splits."""
    columns = {
        "own prediction": "head_rho",
        "PLS on penultimate, before": "pls_before",
        "after": "pls_after",
        "PLS on the layer best on validation images, before": "best_layer_before",
        "training images": "train_rho",
        "validation images": "validation_rho",
    }
    rows = [["Network", *columns]]
    for model, table in finetuned.groupby("model", sort=False):
        rows.append([model, *(_number(table[column].mean()) for column in columns.values())])
    return list_table(
        "ρ on test images, and of the kept epoch on training and validation images; means over splits", rows
    )


def recognition(networks: pd.DataFrame, benchmarks: Sequence[str]) -> str:
    """Whether likeness to the brain goes with memorability more than with object recognition, over networks."""
    after, most = networks[networks["when"] == "after"], int(networks["n_networks"].max())
    if after["difference_low"].isna().all():
        more = "; five or more could begin to" if most < FEWEST_NETWORKS else ": their intervals say nothing"
        return (
            f"**Object recognition**: {count(most, 'network')} with a known accuracy cannot tell whether likeness to "
            f"the brain goes with memorability or with object recognition{more}."
        )
    said = []
    for _, row in after.iterrows():
        low, high = row["difference_low"], row["difference_high"]
        how = "more with memorability" if low > 0 else "more with object recognition" if high < 0 else ""
        name = called(row["benchmark"], benchmarks)
        said.append(f"likeness to {name} goes {how}" if how else f"for {name} the two do not differ for certain")
    return (
        f"**Object recognition**: over {count(most, 'network')}, after training, {'; '.join(said)}. Intervals speak of "
        "networks like these."
    )


def recognition_table(networks: pd.DataFrame) -> str:
    """Both correlations with likeness at the penultimate layer and their difference, before and after."""
    rows = [["Benchmark", "", "Networks", "Memorability", "Object recognition", "Difference"]]
    for _, row in networks.iterrows():
        values = [_with_interval(row, name) for name in ("memorability", "top1", "difference")]
        rows.append([row["benchmark"], row["when"], str(int(row["n_networks"])), *values])
    title = (
        "Spearman over networks with similarity at the penultimate layer; from five networks on intervals of a "
        "jackknife over networks, which hold for all benchmarks at once in 95% of studies"
    )
    return list_table(title, rows)


def beside_table(beside: pd.DataFrame) -> str:
    """The study's networks among other predictors, the best first."""
    rows = [["Predictor", "ρ", "Protocol", "Source"]]
    for _, row in beside.sort_values("spearman", ascending=False, kind="stable").iterrows():
        spread = "" if pd.isna(row["lowest"]) else f" ({row['lowest']:.2f} to {row['highest']:.2f})"
        rows.append([row["predictor"], f"{_number(row['spearman'])}{spread}", row["protocol"], row["source"]])
    return list_table("Beside other predictors: ρ (range over splits)", rows)


def _with_interval(row: pd.Series, name: str) -> str:
    if pd.isna(row[f"{name}_low"]):
        return _number(row[name])
    return f"{row[name]:.2f} [{row[f'{name}_low']:.2f}, {row[f'{name}_high']:.2f}]"


def _number(value: float) -> str:
    return "–" if pd.isna(value) else f"{value:.2f}"
