"""Best layers, chosen on images that are not tested, and what beats what on the test images.

Two predictors are compared image by image: both have predicted the same ones.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from memscore.analysis import intervals
from memscore.analysis.intervals import CONFIDENCE
from memscore.analysis.statistics import correlation
from memscore.stimuli.tables import split_columns

# Test images are left out in so many groups: leaving out each of LaMem's by itself would take hours and say the same.
MOST_GROUPS = 50
PREDICTED = ("split", "layer", "stimulus_id", "memorability", "predicted")
DIFFERENCE = ("difference", "difference_low", "difference_high")
CONTROLS = ("model", "control", "n_images", "trained_rho", "control_rho", *DIFFERENCE)
AGAINST = ("model", "n_trainings", "n_images", "head_rho", "best_layer", *DIFFERENCE)


def choose(memorability: pd.DataFrame) -> pd.DataFrame:
    """One row per (model, split): the layer with the highest ρ on images that are neither fitted nor tested.

    memorability : `results/memorability.csv`

    Columns `model`, `split`, `layer`, `components`, `validation_rho`, and `test_rho` on the split's test images. A
    split without such a ρ has no row.
    """
    splits = [name.removeprefix("validation_split_") for name in memorability if name.startswith("validation_split_")]
    rows = []
    for model, layers in memorability.groupby("model", sort=False):
        for split in splits:
            known = layers.dropna(subset=[f"validation_split_{split}", f"memorability_split_{split}"])
            if known.empty:
                continue
            best = known.loc[known[f"validation_split_{split}"].idxmax()]
            rho = {"validation_rho": best[f"validation_split_{split}"], "test_rho": best[f"memorability_split_{split}"]}
            row = {"model": model, "split": int(split), "layer": best["layer"]}
            rows.append(row | {"components": int(best[f"components_split_{split}"])} | rho)
    return pd.DataFrame(rows, columns=["model", "split", "layer", "components", "validation_rho", "test_rho"])


def predictions(
    best: pd.DataFrame, of_jobs: Iterable[tuple[Sequence[str], np.ndarray]], stimuli: pd.DataFrame, observed: np.ndarray
) -> pd.DataFrame:
    """What a model's best layers predict for every test image of every split: columns `PREDICTED`.

    best : the model's rows of `choose`
    of_jobs : of each job that scored its layers, the best of these layers and their predictions
        (`scores.memorability.read_best`)
    stimuli : the stimulus table; observed : memorability of each split (n_splits, n_stimuli)
    """
    layer_of, rows = best.set_index("split")["layer"], [pd.DataFrame(columns=list(PREDICTED))]
    for layers, predicted in of_jobs:
        for column, layer, values, scores in zip(split_columns(stimuli), layers, predicted, observed, strict=True):
            split, tested = int(column.removeprefix("split_")), (stimuli[column] == "test").to_numpy()
            if layer and layer_of.get(split) == layer:
                values = (split, layer, stimuli.loc[tested, "stimulus_id"], scores[tested], values[tested])
                rows.append(pd.DataFrame(dict(zip(PREDICTED, values, strict=True))))
    found = pd.concat(rows[1:] or rows, ignore_index=True)
    return found.sort_values(["split", "stimulus_id"], ignore_index=True)


def ahead(a: pd.DataFrame, b: pd.DataFrame, confidence: float = CONFIDENCE) -> dict:
    """By how much a predicts memorability better than b: mean ρ over trainings, and the interval of the difference.

    a, b : columns `training` (what was fitted once: a split, a network and a split), `split`, `stimulus_id`,
        `memorability` and `predicted`, of the same trainings and images

    The interval is that of a jackknife over test images, in at most 50 groups, or over splits where there are four or
    more and that is wider. Of fewer splits it speaks of these trainings alone.
    """
    keys = ["training", "split", "stimulus_id"]
    both = a.merge(b[[*keys, "predicted"]], on=keys, validate="1:1", suffixes=("", "_b")).reset_index(drop=True)
    observed, *of = (both[name].to_numpy(float) for name in ("memorability", "predicted", "predicted_b"))

    def of_training(rows: np.ndarray) -> list[float]:
        ranks = rankdata(observed[rows])
        return [correlation(rankdata(predicted[rows]), ranks) for predicted in of]

    of_trainings = [rows.to_numpy() for rows in both.groupby("training", sort=False).groups.values()]
    # Of one that says the same of all images no ρ is defined, nor whether another is better.
    of_trainings = [rows for rows in of_trainings if np.isfinite(of_training(rows)).all()]

    def means(chosen: np.ndarray) -> np.ndarray:
        parts = (rows[chosen[rows]] for rows in of_trainings)
        known = [of_training(rows) for rows in parts if len(rows) > 2]
        return np.mean(known, axis=0) if known else np.full(2, np.nan)

    found = {"n_trainings": len(of_trainings), "n_images": both["stimulus_id"].nunique()}
    found |= dict(zip("ab", means(np.ones(len(both), bool)).tolist(), strict=True))
    several = [image_groups(both["stimulus_id"])]
    if both["split"].nunique() >= intervals.FEWEST_UNITS:
        several.append(intervals.Units("splits", both["split"].to_numpy()))
    bounds = intervals.widest(lambda chosen: -np.diff(means(chosen)), several, confidence)
    low, value, high = bounds[:, 0] if len(both) else [np.nan] * 3
    return found | {"difference": value, "difference_low": low, "difference_high": high}


def image_groups(ids: pd.Series) -> intervals.Units:
    """Images in at most 50 groups by chance (the same every time), whatever splits they are in."""
    names = np.unique(ids.to_numpy(str))
    group = np.random.default_rng(0).permutation(len(names)) % MOST_GROUPS
    return intervals.Units("images", group[np.searchsorted(names, ids.to_numpy(str))])


def controls(best: pd.DataFrame, predicted: Mapping[str, pd.DataFrame], trained: Mapping[str, bool]) -> pd.DataFrame:
    """One row per untrained control: how far its best layers stay behind the best trained network's (`CONTROLS`).

    best : `choose` of all models; predicted : `predictions` of each; trained : which of them are no controls

    The trained network is the one with the highest mean ρ on validation images. Intervals hold for all controls at once
    (Bonferroni).
    """
    means = best.groupby("model", sort=False)["validation_rho"].mean()
    candidates = means[[trained[model] for model in means.index]]
    untrained = [model for model in means.index if not trained[model]]
    if candidates.empty:
        return pd.DataFrame(columns=list(CONTROLS))
    model, rows = candidates.idxmax(), []
    for control in untrained:
        a, b = (predicted[name].assign(training=predicted[name]["split"]) for name in (model, control))
        found = ahead(a, b, 1 - (1 - CONFIDENCE) / len(untrained))
        del found["n_trainings"]
        rows.append(
            {"model": model, "control": control, "trained_rho": found.pop("a"), "control_rho": found.pop("b")} | found
        )
    return pd.DataFrame(rows, columns=list(CONTROLS))


def against(heads: Mapping[tuple[str, int], pd.DataFrame], predicted: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Networks' own predictions against PLS on their best layers as they were: all networks, then each (`AGAINST`).

    heads : by (model, split), columns `stimulus_id`, `memorability`, `predicted` of the split's test images
    predicted : `predictions` of each model
    """
    trainings = {"a": [], "b": []}
    for (model, split), head in heads.items():
        layer = predicted[model].query("split == @split")
        for name, table in (("a", head), ("b", layer)):
            trainings[name].append(table.assign(model=model, split=split, training=f"{model} {split}"))
    if not heads:
        return pd.DataFrame(columns=list(AGAINST))
    a, b = (pd.concat(tables, ignore_index=True) for tables in trainings.values())
    models, rows = list(dict.fromkeys(a["model"])), []
    for scope in [None, *models]:
        mine, theirs = (table if scope is None else table[table["model"] == scope] for table in (a, b))
        found = ahead(mine, theirs)
        row = {"model": scope or "all networks"}
        rows.append(row | {"head_rho": found.pop("a"), "best_layer": found.pop("b")} | found)
    return pd.DataFrame(rows, columns=list(AGAINST))
