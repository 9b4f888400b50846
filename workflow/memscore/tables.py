"""The study's main table."""

import pandas as pd


def layers(models: list[dict], memorability: pd.DataFrame | None, brain: pd.DataFrame | None) -> pd.DataFrame:
    """One row per (model, layer): where the layer stands, its memorability ρ, its similarity to each benchmark.

    models : `Study.table()`
    memorability : rows of the memorability jobs, or None where the study has none
    brain : rows of the brain jobs, one per benchmark, or None; they become columns `<benchmark>.raw`,
        `.ceiling`, `.score`, `.error`
    """
    table = pd.DataFrame(models)
    notes = []
    for scores in (memorability, None if brain is None else _wide(brain)):
        if scores is not None:
            notes.append(scores.set_index(["model", "layer"])["note"])
            table = table.merge(scores.drop(columns="note"), on=["model", "layer"], how="left", validate="1:1")
    table["note"] = [_joined(notes, key) for key in zip(table["model"], table["layer"], strict=True)]
    return table


def ceiling(layers: pd.DataFrame, benchmark: str) -> float:
    """A benchmark's ceiling; NaN where it is not known, for recordings without repeats."""
    return layers[f"{benchmark}.ceiling"].max()


def similarity_column(layers: pd.DataFrame, benchmark: str) -> str:
    """The column that says how similar layers are: `.score`, or `.raw` where no ceiling is known to relate it to."""
    return f"{benchmark}.{'raw' if pd.isna(ceiling(layers, benchmark)) else 'score'}"


def _wide(brain: pd.DataFrame) -> pd.DataFrame:
    values = brain.pivot(index=["model", "layer"], columns="benchmark", values=["raw", "ceiling", "score", "error"])
    benchmarks = brain["benchmark"].unique()
    columns = [(value, name) for name in benchmarks for value in ("raw", "ceiling", "score", "error")]
    wide = values[columns].set_axis([f"{name}.{value}" for value, name in columns], axis=1)
    wide["note"] = brain.groupby(["model", "layer"])["note"].first()
    return wide.reset_index()


def _joined(notes: list[pd.Series], key: tuple[str, str]) -> str:
    """The different things that were noted about a layer."""
    found = [series.get(key) for series in notes]
    return "; ".join(dict.fromkeys(note for note in found if isinstance(note, str)))
