"""The study's main table."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from memscore.correlation import said_of_ceiling
from memscore.networks.architectures import PENULTIMATE


def layers(models: list[dict], memorability: pd.DataFrame | None, brain: pd.DataFrame | None) -> pd.DataFrame:
    """One row per (model, layer): where the layer stands, its memorability ρ, its similarity to each benchmark.

    models : `Study.table()`
    memorability : rows of the memorability jobs, or None where the study has none
    brain : rows of the brain jobs, one per benchmark, or None; they become columns `<benchmark>.raw`,
        `.ceiling`, `.score`, `.error`
    """
    return _beside(models, [memorability, None if brain is None else _wide(brain)])


def generalisation(
    models: list[dict],
    within: dict[str, pd.DataFrame],
    across: dict[tuple[str, str], pd.DataFrame],
    brain: pd.DataFrame | None,
) -> pd.DataFrame:
    """One row per (model, layer), as `layers`, with every ρ within and across data sets instead of one.

    within : by data set, rows of its memorability jobs; they become columns `within.<set>`
    across : by (fitted on, tested on), rows of the jobs across; they become `across.<fitted on>.<tested on>`,
        `components.<fitted on>.<tested on>` and `left_out.<fitted on>.<tested on>`, how many images of the one are in
        the other too and were not fitted

    Notes say which ρ they are of.
    """
    scores = {f"within.{name}": rows for name, rows in within.items()}
    scores |= {f"across.{fitted}.{tested}": rows for (fitted, tested), rows in across.items()}
    named = []
    for column, rows in scores.items():
        pair = column.partition(".")[2]
        columns = {"memorability": column, "components": f"components.{pair}", "n_left_out": f"left_out.{pair}"}
        rows = rows[["model", "layer", "note", *rows.columns.intersection(list(columns))]].rename(columns=columns)
        named.append(rows.assign(note=(f"{column}: " + rows["note"].astype(object)).where(rows["note"].notna())))
    return _beside(models, [*named, None if brain is None else _wide(brain)])


def finetuned(
    tuned: Sequence[tuple[str, str, int]],
    scores: pd.DataFrame,
    n_validation: Mapping[int, int],
    before: tuple[pd.DataFrame, pd.DataFrame | None],
    best_layers: pd.DataFrame,
    after: tuple[pd.DataFrame, pd.DataFrame | None],
    top1: Mapping[str, float] | None = None,
) -> pd.DataFrame:
    """One row per (model, split) that was fine-tuned: how well it predicts, and how it stands beside what it was.

    tuned : (name of the tuned model, model, split) of each
    scores : rows of the `finetune` jobs
    n_validation : how many validation images each split has
    best_layers : `best_layers.choose` of the models
    before, after : rows of the memorability jobs, and of the brain jobs or None, of the models and of the tuned ones
    top1 : accuracy (%) of object recognition by model, NaN where it is not known; None where nobody asks

    `head_rho` is ρ of the network's own prediction on its split's test stimuli, `train_rho` and `validation_rho` those
    on the others in the epoch that was kept; `pls_before`, `pls_after` are ρ of PLS on its penultimate layer on test
    stimuli, and `best_layer_before` of the model's layer that is best on the split's validation stimuli. Similarity to
    each benchmark is the penultimate layer's: columns `<benchmark>.raw_before`, `.raw_after`, `.score_before`,
    `.score_after`.
    """
    scores = scores.set_index(["model", "split"])
    best_rho = best_layers.set_index(["model", "split"])["test_rho"]
    (memorability_before, brain_before), (memorability_after, brain_after) = before, after
    rows = []
    for name, model, split in tuned:
        column, mine = f"memorability_split_{split}", scores.loc[(model, split)]
        layers = memorability_before[memorability_before["model"] == model]
        row = {"model": model, "split": split} | ({} if top1 is None else {"top1": top1[model]})
        row |= mine[["epoch", "n_epochs", "train_rho", "validation_rho"]].to_dict()
        row |= {"n_validation": n_validation[split]}
        row |= {
            "head_rho": mine["test_rho"],
            "pls_before": _penultimate(layers, model).get(column, np.nan),
            "pls_after": _penultimate(memorability_after, name).get(column, np.nan),
            "best_layer_before": best_rho.get((model, split), np.nan),
        }
        for when, brain, who in (("before", brain_before, model), ("after", brain_after, name)):
            for benchmark, found in [] if brain is None else brain.groupby("benchmark", sort=False):
                values = _penultimate(found, who)
                row |= {f"{benchmark}.{value}_{when}": values.get(value, np.nan) for value in ("raw", "score")}
        rows.append(row)
    return pd.DataFrame(rows)


def published_top1(table: pd.DataFrame, timm_name: str) -> float:
    """Top-1 accuracy (%) of a network by timm's name, in a table of columns `timm_name`, `top1`; NaN without a row."""
    found = table.loc[table["timm_name"] == timm_name, "top1"]
    return float(found.iloc[0]) if len(found) else np.nan


def beside_published(
    finetuned: pd.DataFrame,
    peers: Mapping[str, Mapping[str, float]],
    published: pd.DataFrame | None,
    saw_them: Collection[str] = (),
) -> pd.DataFrame:
    """One row per predictor: `predictor`, `spearman`, `lowest` and `highest` over splits, `kind`, `protocol`, `source`.

    finetuned : the table by `finetuned`
    peers : ρ on the same test images by predictor and split column
    published : columns `predictor`, `spearman`, `protocol`, `source`, or None where this data set has none
    saw_them : peers that were trained on images of this data set, without respect for its splits
    """
    mine = "this study"
    rows = []
    for model, table in finetuned.groupby("model", sort=False):
        for column, what, kind in (
            ("best_layer_before", "best layer, PLS", "before"),
            ("head_rho", "fine-tuned", "after"),
        ):
            rows.append({"predictor": f"{model}: {what}", "kind": kind, **_over_splits(table[column]), "source": mine})
    for name, of_splits in peers.items():
        row = {"predictor": name, "kind": "peer", **_over_splits(pd.Series(of_splits)), "source": mine}
        row["protocol"] += "; most of these images were in its own training" if name in saw_them else ""
        rows.append(row)
    others = pd.DataFrame() if published is None else published.assign(kind="published")
    return pd.concat([pd.DataFrame(rows), others], ignore_index=True)[
        ["predictor", "kind", "spearman", "lowest", "highest", "protocol", "source"]
    ]


def _over_splits(rho: pd.Series) -> dict:
    """Mean and range over splits, and how many they are."""
    protocol = f"mean over {len(rho)} splits of this data set" if len(rho) > 1 else "one split of this data set"
    return {"spearman": rho.mean(), "lowest": rho.min(), "highest": rho.max(), "protocol": protocol}


def _penultimate(rows: pd.DataFrame, model: str) -> Mapping:
    """A model's row of its penultimate layer; empty where that was not scored."""
    found = rows[(rows["model"] == model) & (rows["layer"] == PENULTIMATE)]
    return found.iloc[0] if len(found) else {}


def _beside(models: list[dict], scores: list[pd.DataFrame | None]) -> pd.DataFrame:
    """The models' layers with every table of scores beside them, and what was noted about a layer last."""
    table, notes = pd.DataFrame(models), []
    for rows in scores:
        if rows is not None:
            notes.append(rows.set_index(["model", "layer"])["note"])
            table = table.merge(
                rows.drop(columns=["note", "device"], errors="ignore"),
                on=["model", "layer"],
                how="left",
                validate="1:1",
            )
    table["note"] = [_joined(notes, key) for key in zip(table["model"], table["layer"], strict=True)]
    return table


def ceiling(layers: pd.DataFrame, benchmark: str) -> float:
    """A benchmark's ceiling; NaN where it is not known, for recordings without repeats, or too low to score against."""
    found = layers[f"{benchmark}.ceiling"].max()
    return np.nan if said_of_ceiling(found) else found


def similarity(layers: pd.DataFrame, benchmark: str) -> pd.Series:
    """How similar each layer is: its score with the sign of raw r, or raw r where no ceiling is known.

    r² / ceiling forgets the sign: a layer whose predictions run against the recordings would pass for one like them.
    """
    raw = layers[f"{benchmark}.raw"]
    return raw if pd.isna(ceiling(layers, benchmark)) else layers[f"{benchmark}.score"].abs() * np.sign(raw)


def _wide(brain: pd.DataFrame) -> pd.DataFrame:
    values = brain.pivot(index=["model", "layer"], columns="benchmark", values=["raw", "ceiling", "score", "error"])
    benchmarks = brain["benchmark"].unique()
    columns = [(value, name) for name in benchmarks for value in ("raw", "ceiling", "score", "error")]
    wide = values[columns].set_axis([f"{name}.{value}" for value, name in columns], axis=1)
    wide["note"] = brain.groupby(["model", "layer"])["note"].agg(lambda notes: "; ".join(notes.dropna().unique()))
    return wide.reset_index()


def _joined(notes: list[pd.Series], key: tuple[str, str]) -> str:
    """The different things that were noted about a layer."""
    found = [series.get(key) for series in notes]
    return "; ".join(dict.fromkeys(note for note in found if isinstance(note, str)))
