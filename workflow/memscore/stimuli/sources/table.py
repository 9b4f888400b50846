"""Anyone's own images: a CSV or TSV of `path, memorability` beside an image folder."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from memscore.errors import InputError
from memscore.stimuli import splits, tables
from memscore.stimuli.sources.folders import as_spelt


def stage_dataset(
    table_path: Path, dataset: Mapping, seed: int, say: Callable[[str], None] = lambda message: None
) -> None:
    """Write the stimulus table of a user's own table; images stay where they are.

    dataset : `table`, and optionally `images`, `memorability`, `n_splits`, `group` and `stratify`, as in the config

    The user's table has the columns `path` and `memorability`, and may have `stimulus_id` (else the path serves),
    `n_responses` and split columns (else seeded ones in LaMem's proportions are made). Paths are relative to
    `images`, or to the table's own folder.
    """
    source = Path(dataset["table"])
    table = tables.parse_table(source)
    require_columns(table, ("path", "memorability", *_asked(dataset).values()), source)
    check_scores_of_splits(table, source)
    refuse_twice(table, [os.path.normpath(path) for path in table.path], source)
    if "stimulus_id" not in table:
        table.insert(0, "stimulus_id", table.path)
    corrected = dataset.get("memorability") == "corrected"
    tables.check_table(table, source, corrected)
    if corrected and "n_responses" in table:
        say(f"{source}: of corrected scores human consistency cannot be had: n_responses is left alone")
        table = table.drop(columns="n_responses")
    folder = Path(dataset.get("images", source.parent)).resolve()
    files = [as_spelt(folder, path) for path in table.path]
    missing = [path for path, file in zip(table.path, files, strict=True) if file is None]
    if missing:
        line = tables.line_of(table, files.index(None))
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise InputError(f"{source}: line {line}: no image {folder / missing[0]}{more}; set datasets: images")
    refuse_twice(table, [os.path.normpath(file) for file in files], source)
    table["path"] = [str(file) for file in files]
    table = with_splits(table, dataset, seed, source)
    refuse_constant(table, source)
    tables.write_table(table_path, table, corrected)


def refuse_constant(table: pd.DataFrame, source: Path) -> None:
    """Raise InputError where all images have one score."""
    for column in tables.score_columns(table):
        if table[column].nunique() == 1:
            score = table[column].iloc[0]
            raise InputError(f"{source}: {column} of every image is {score}; give scores that differ")


def check_scores_of_splits(table: pd.DataFrame, source: Path) -> None:
    """Raise InputError where columns `memorability_1` … are not the scores of the splits with these numbers."""
    numbers = [
        {column.rpartition("_")[2] for column in columns}
        for columns in (set(tables.score_columns(table)) - {"memorability"}, tables.split_columns(table))
    ]
    alone = sorted(numbers[0] ^ numbers[1], key=lambda number: (len(number), number))
    if numbers[0] and alone:
        there, lacking = ("memorability", "split") if alone[0] in numbers[0] else ("split", "memorability")
        raise InputError(
            f"{source}: column {there}_{alone[0]} is there without {lacking}_{alone[0]}; memorability_1 holds scores "
            "that split_1 alone predicts: rename those of several raters, and give their mean as memorability"
        )


def refuse_twice(table: pd.DataFrame, files: list[str], source: Path) -> None:
    """Raise InputError where two lines of a table mean one image. files : of each line"""
    again = pd.Series(files).duplicated()
    if again.any():
        row = int(again.to_numpy().argmax())
        first, second = (tables.line_of(table, at) for at in (files.index(files[row]), row))
        if table.path.iloc[row]:  # Of an empty one it is said that it is empty.
            more = f" (and {again.sum() - 1} more lines)" if again.sum() > 1 else ""
            raise InputError(
                f"{source}: line {second}: path {table.path.iloc[row]!r} is the image of line {first}; give each image "
                f"one line{more}"
            )


def require_columns(table: pd.DataFrame, columns: tuple[str, ...], source: Path) -> None:
    """Raise InputError for the first column that the table does not have."""
    for column in columns:
        if column not in table:
            raise InputError(f"{source}: no column {column!r}; it has {', '.join(table.columns)}")


def with_splits(table: pd.DataFrame, dataset: Mapping, seed: int, source: Path) -> pd.DataFrame:
    """The table with its own split columns, or with `n_splits` made ones.

    These are alike in scores, alike in how many they have of each value of the column `stratify`, or keep all stimuli
    with one value of the column `group` on one side, as scikit-learn's words have it.
    """
    asked = _asked(dataset)
    require_columns(table, tuple(asked.values()), source)
    if tables.split_columns(table):
        if asked:
            raise InputError(
                f"{source}: has split columns of its own, and {next(iter(asked))} makes others; remove one"
            )
        return table
    for key, column in asked.items():
        empty = table[column].astype(str).str.strip() == ""
        if empty.any():
            line = tables.line_of(table, int(empty.to_numpy().argmax()))
            raise InputError(f"{source}: line {line}: {column} is empty, and {key} needs it; fill it in")
    n_splits = dataset.get("n_splits", 5)
    if "group" in asked:
        made = splits.disjoint_splits(splits.by_value(table[asked["group"]]), n_splits, seed, str(source))
    else:
        by_score = splits.by_score(table["stimulus_id"], table["memorability"])
        strata = splits.by_value(table[asked["stratify"]]) if asked else by_score
        made = splits.made_splits(table["stimulus_id"], strata, n_splits, seed)
    return pd.concat([table, made.set_axis(table.index)], axis=1)


def _asked(dataset: Mapping) -> dict[str, str]:
    """The columns that made splits go by."""
    return {key: dataset[key] for key in ("group", "stratify") if key in dataset}
