"""Stimulus tables: reading, checking and writing them."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from memscore.errors import InputError
from memscore.files import replacing

SPLIT_VALUES = ("train", "val", "test")
SPLIT_SCORE = re.compile(r"memorability_\d+")
# Scores by two halves of the people, of one halving or of several.
HALF = re.compile(r"half_[ab](_\d+)?")
KNOWN_COLUMN = re.compile(rf"path|stimulus_id|n_responses|memorability(_\d+)?|split_\d+|{HALF.pattern}")
LOWEST_CORRECTED = -1  # hits minus false alarms
UNUSED = "unused"  # in no part of a split, such as a training image with a duplicate in test


def read_table(path: str | Path) -> pd.DataFrame:
    """The staged stimulus table at `path`, checked by `check_table`; `stimulus_id` is always text."""
    table = parse_table(path)
    check_table(table, path, corrected=True)  # whether it may be is known where it was staged
    return table


def parse_table(path: str | Path, encoding: str = "utf-8-sig") -> pd.DataFrame:
    """A CSV, TSV or semicolon-separated table as it stands; ids and paths are text, even `007` and `NA`.

    Names of columns that mean something here may have capitals and spaces around them.
    """
    try:
        with open(path, encoding=encoding) as file:
            header = file.readline()
        if not header.strip():
            raise ValueError("no stimuli, the file is empty")
        separator = next((mark for mark in "\t,;" if mark in header), ",")
        given = pd.read_csv(path, sep=separator, encoding=encoding, nrows=0).columns
        meant = {name: column_called(name) for name in given}
        if len(set(meant.values())) < len(meant):
            twice = next(name for name in meant.values() if list(meant.values()).count(name) > 1)
            raise ValueError(f"column {twice!r} is there twice")
        table = pd.read_csv(
            path,
            sep=separator,
            encoding=encoding,
            dtype={name: str for name in given if meant[name] in ("stimulus_id", "path")},
            keep_default_na=False,
            na_values={name: [""] for name in given if meant[name] in ("memorability", "n_responses")},
        )
        return table.rename(columns=meant)
    except FileNotFoundError:
        raise InputError(f"{path}: no such table; correct its path in the config") from None
    except ValueError as error:
        problem = str(error).partition("\n")[0]
        raise InputError(f"{path}: cannot be read as a table ({problem}); save it as CSV in UTF-8") from error


def column_called(name: str) -> str:
    """`memorability` for ` Memorability`; a name that means nothing here only loses the spaces around it."""
    bare = name.strip()
    return bare.lower() if KNOWN_COLUMN.fullmatch(bare.lower()) else bare


def read_text(path: str | Path) -> pd.DataFrame:
    """A CSV of the workflow's own with every cell as it is written: numbers go from table to table unchanged."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def check_table(table: pd.DataFrame, source: str | Path, corrected: bool = False) -> None:
    """Raise InputError for the first row or column that cannot be used. Line 1 is the header.

    corrected : whether scores are hits minus false alarms, which may be below zero
    """
    lowest = LOWEST_CORRECTED if corrected else 0

    def refuse(bad: pd.Series, what: Callable[[pd.Series], str]) -> None:
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            more = f" (and {bad.sum() - 1} more lines)" if bad.sum() > 1 else ""
            raise InputError(f"{source}: line {row + 2}: {what(table.iloc[row])}{more}")

    for column in ("stimulus_id", "path"):
        if column not in table:
            raise InputError(f"{source}: no column {column!r}; it has {', '.join(table.columns)}")
    if table.empty:
        raise InputError(f"{source}: no stimuli; it has a header and nothing else")
    for column in ("path", "stimulus_id"):
        empty = table[column].isna() | (table[column] == "")
        refuse(empty, lambda row, column=column: f"{column} is empty; fill it in or remove the line")
    refuse(
        table.stimulus_id.duplicated(),
        lambda row: f"stimulus_id {row.stimulus_id!r} occurs before; ids must be unique",
    )
    for column in score_columns(table):
        score = pd.to_numeric(table[column], errors="coerce")
        refuse(~score.between(lowest, 1), lambda row, column=column: f"{column} of {_not_a_score(row, column, lowest)}")
    for column in half_columns(table):
        score = pd.to_numeric(table[column], errors="coerce")
        given = table[column].notna() & (table[column] != "")
        wrong = given & ~score.between(lowest, 1)
        refuse(wrong, lambda row, column=column: f"{column} of {_not_a_score(row, column, lowest)}")
    halvings(table, source)
    for split in split_columns(table):
        refuse(
            ~table[split].isin([*SPLIT_VALUES, UNUSED]),
            lambda row, split=split: f"{split} is {row[split]!r}; it must be train, val or test",
        )


def _not_a_score(row: pd.Series, column: str, lowest: float) -> str:
    text = f"{row.stimulus_id!r} is {row[column]}; it must be a number in [{lowest}, 1]"
    if "," in str(row[column]):
        return f"{text}, with a point for the decimal comma"
    below = pd.to_numeric(row[column], errors="coerce") < lowest == 0
    return f"{text}; of scores corrected for false alarms say memorability: corrected in datasets" if below else text


def score_columns(table: pd.DataFrame) -> list[str]:
    """`memorability` and, of data sets whose splits have scores of their own, `memorability_1`, … ."""
    return [c for c in table if c == "memorability" or SPLIT_SCORE.fullmatch(c)]


def half_columns(table: pd.DataFrame) -> list[str]:
    """`half_a`, `half_b`; or `half_a_1`, `half_b_1`, … ."""
    return [c for c in table if HALF.fullmatch(c)]


def halvings(table: pd.DataFrame, source: str | Path) -> list[tuple[str, str]]:
    """The columns of each halving of the people; empty of a table without them.

    Raises InputError where one half is there without the other.
    """
    columns = half_columns(table)
    for column in columns:
        if _other_half(column) not in columns:
            raise InputError(
                f"{source}: column {column} is there without {_other_half(column)}; add it, or remove both"
            )
    return [(column, _other_half(column)) for column in columns if column.startswith("half_a")]


def _other_half(column: str) -> str:
    return column.replace("half_a", "half_b") if column.startswith("half_a") else column.replace("half_b", "half_a")


def split_columns(table: pd.DataFrame) -> list[str]:
    """`split_1`, `split_2`, … in order."""
    return sorted((c for c in table if c.startswith("split_")), key=lambda c: (len(c), c))


def write_table(path: str | Path, table: pd.DataFrame, corrected: bool = False) -> None:
    """Check a stimulus table (`check_table`) and write it."""
    check_table(table, path, corrected)
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)
