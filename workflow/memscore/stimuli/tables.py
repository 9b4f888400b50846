"""Stimulus tables: reading, checking and writing them."""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
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
LOWEST_PERCENT = 10  # scores that go beyond are percent rather than ratings
LINE = "line"  # name of the index of a table that someone wrote
MARKS = {"\t": "a tab", ",": "a comma", ";": "a semicolon"}  # what may stand between columns
SEPARATOR_TOLD = re.compile(r'"?sep=([\t,;])"?[\t,; ]*', re.IGNORECASE)  # Excel's first line
UNUSED = "unused"  # in no part of a split, such as a training image with a duplicate in test


def read_table(path: str | Path) -> pd.DataFrame:
    """The staged stimulus table at `path`, checked by `check_table`; `stimulus_id` is always text."""
    try:
        table = _typed(path, pd.read_csv(path, nrows=0).columns)
    except FileNotFoundError:
        raise InputError(f"{path}: no such table; stage it first") from None
    except ValueError as error:
        problem = str(error).partition("\n")[0]
        raise InputError(f"{path}: cannot be read as a table ({problem}); remove it to have it made again") from error
    check_table(table, path, corrected=True)  # whether it may be is known where it was staged
    return table


def parse_table(path: str | Path, encoding: str = "utf-8-sig") -> pd.DataFrame:
    """A CSV, TSV or semicolon-separated table that someone wrote; its index says in which line each row stands.

    Ids and paths are text, even `007` and `NA`. Names of columns that mean something here may have capitals. Blanks
    around cells, and empty cells and lines at the end, as spreadsheets leave them, count for nothing.
    """
    try:
        with open(path, encoding=encoding, newline="") as file:
            names, rows = _cells(list(file), path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such table; correct its path in the config") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: cannot be read as a table ({error}); save it as CSV in UTF-8") from None
    # By pandas' own parser, as what is staged is read: to the last bit the same numbers.
    text = StringIO(newline="")
    csv.writer(text).writerows([names, *rows.values()])
    text.seek(0)
    return _typed(text, names).set_axis(pd.Index(list(rows), name=LINE))


def _typed(file: str | Path | StringIO, names: Sequence[str]) -> pd.DataFrame:
    return pd.read_csv(
        file,
        dtype={name: str for name in names if name in ("stimulus_id", "path")},
        keep_default_na=False,
        na_values={name: [""] for name in names if name in ("memorability", "n_responses")},
        skip_blank_lines=False,
    )


def _cells(lines: list[str], path: str | Path) -> tuple[list[str], dict[int, list[str]]]:
    """(names of the columns, cells of each row by its line) of a table as it stands."""
    start = next((number for number, line in enumerate(lines) if line.strip("\r\n\t,; ")), None)
    if start is None:
        raise InputError(f"{path}: cannot be read as a table (no stimuli, the file is empty); save it as CSV in UTF-8")
    told = SEPARATOR_TOLD.fullmatch(lines[start].strip("\r\n"))
    start += bool(told)
    separator = told[1] if told else _separator(lines[start])
    found = _rows(lines, start, separator, path)
    header = next(found, (0, []))[1]
    named = [place for place, name in enumerate(header) if name]
    names = [column_called(header[place]) for place in named]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"{path}: column {twice!r} is there twice; rename or remove one")
    rows = {}
    for line, cells in found:
        # The first column of numbers that R and pandas write has no name.
        extra = [place for place, cell in enumerate(cells) if cell and place > 0 and place not in named]
        if extra:
            raise InputError(
                f"{path}: line {line}: {cells[extra[0]]!r} is in column {extra[0] + 1}, which the first line does not "
                f"name; put quotation marks around a cell that holds {MARKS[separator]}, write a point for the decimal "
                "comma, or name the column"
            )
        rows[line] = [cells[place] if place < len(cells) else "" for place in named]
    return names, rows


def _separator(header: str) -> str:
    """The mark that cuts a header into the most columns."""
    return max(MARKS, key=lambda mark: len(next(csv.reader([header], delimiter=mark, skipinitialspace=True))))


def _rows(lines: list[str], start: int, separator: str, path: str | Path) -> Iterator[tuple[int, list[str]]]:
    """(line, cells) of each row that is not empty, from the line after `start` on; lines count from 1."""
    reader = csv.reader(lines[start:], delimiter=separator, skipinitialspace=True, strict=True)
    while True:
        line = start + reader.line_num + 1
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"{path}: line {line}: its quotation marks do not match ({error}); close or remove them"
            ) from None
        if start + reader.line_num > line:
            raise InputError(
                f"{path}: line {line}: a quotation mark is not closed before line {start + reader.line_num}; close or "
                "remove it, and keep each row on one line"
            )
        if any(cells):
            yield line, cells


def line_of(table: pd.DataFrame, row: int) -> int:
    """The line of its file in which a row of a table stands. Line 1 is the header of what is staged."""
    return int(table.index[row]) if table.index.name == LINE else row + 2


def column_called(name: str) -> str:
    """`memorability` for `Memorability`; a name that means nothing here stays as it is."""
    return name.lower() if KNOWN_COLUMN.fullmatch(name.lower()) else name


def read_text(path: str | Path) -> pd.DataFrame:
    """A CSV of the workflow's own with every cell as it is written: numbers go from table to table unchanged."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)


def check_table(table: pd.DataFrame, source: str | Path, corrected: bool = False) -> None:
    """Raise InputError for the first row or column that cannot be used.

    corrected : whether scores are hits minus false alarms, which may be below zero
    """
    lowest = LOWEST_CORRECTED if corrected else 0

    def refuse(bad: pd.Series, what: Callable[[pd.Series], str]) -> None:
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            more = f" (and {bad.sum() - 1} more lines)" if bad.sum() > 1 else ""
            raise InputError(f"{source}: line {line_of(table, row)}: {what(table.iloc[row])}{more}")

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
    for column in [*score_columns(table), *half_columns(table)]:
        score = pd.to_numeric(table[column], errors="coerce")
        may_lack = _empty(table[column]) if HALF.fullmatch(column) else False
        percent = score.max() > LOWEST_PERCENT and score.min() >= 0
        refuse(
            ~(score.between(lowest, 1) | may_lack),
            lambda row, column=column, percent=percent: _not_a_score(row, column, lowest, percent),
        )
    if "n_responses" in table:
        n = pd.to_numeric(table["n_responses"], errors="coerce")
        refuse(
            ~(_empty(table["n_responses"]) | (n.between(0, np.inf, inclusive="left") & (n % 1 == 0))),
            lambda row: (
                f"n_responses of {row.stimulus_id!r} is {_written(row.n_responses)}; it must be a whole number, or "
                "empty where it is not known"
            ),
        )
    halvings(table, source)
    for split in split_columns(table):
        refuse(
            ~table[split].isin([*SPLIT_VALUES, UNUSED]),
            lambda row, split=split: (
                f"{split} of {row.stimulus_id!r} is {_written(row[split])}; it must be train, val or test"
            ),
        )


def _empty(column: pd.Series) -> pd.Series:
    return column.isna() | (column == "")


def _written(value: object) -> str:
    """What someone wrote in a cell: `54`, not 54.0, and `empty`, not nan."""
    if pd.isna(value) or value == "":
        return "empty"
    return value if isinstance(value, str) else str(value).removesuffix(".0")


def _not_a_score(row: pd.Series, column: str, lowest: float, percent: bool) -> str:
    """What is wrong with a row's score. percent : whether the column's numbers look like percent"""
    score = _written(row[column])
    text = f"{column} of {row.stimulus_id!r} is {score}; it must be a number in [{lowest}, 1]"
    if "," in score:
        return f"{text}, with a point for the decimal comma"
    if "%" in score or (percent and score != "empty"):
        return f"{text}: divide by 100 if it is percent"
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
