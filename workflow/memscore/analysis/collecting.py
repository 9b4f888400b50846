"""The tables of a study's jobs, put together if every one of them is whole, and the study's."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from memscore.errors import InputError
from memscore.files import cut_short, read_frame

# How many unusable files a message names; the rest it counts.
NAMED = 20
# The column in which a job says what its numbers were made with; tables of jobs of earlier versions have none.
MADE_WITH = "made_with"


def together(
    files: Sequence[str], table_of: Callable[[str], tuple[list[dict[str, str]], Sequence[str], str]]
) -> pd.DataFrame:
    """The rows of all files, one file below the other.

    table_of : `Study.table_of`, which rows and columns a file must have, and what it must be made with

    Files that are damaged, or made with other settings than the study's, are removed, and an InputError says of each
    what is wrong: the same command makes them again.
    """
    unusable = {file: wrong for file in files if (wrong := damage(file, *table_of(file)))}
    for file in unusable:
        Path(file).unlink(missing_ok=True)
    if unusable:
        said = [f"{file} ({wrong})" for file, wrong in list(unusable.items())[:NAMED]]
        more = f", and {len(unusable) - NAMED} more" if len(unusable) > NAMED else ""
        raise InputError(
            f"unusable results: {', '.join(said)}{more}; removed: give the same command again, which makes them anew"
        )
    return pd.concat(map(read_frame, files), ignore_index=True).drop(columns=MADE_WITH, errors="ignore")


def damage(file: str | Path, rows: Sequence[dict[str, str]], numbers: Sequence[str], made_with: str) -> str | None:
    """What is wrong with a CSV file; None if it is whole, and of the study.

    rows : what must be there, once: the names of each row by column
    numbers : further columns that it must have
    made_with : what each row must say that it was made with, if it says so
    """
    raw = Path(file).read_bytes()
    if wrong := cut_short(raw):
        return wrong
    header, *lines = csv.reader(io.StringIO(raw.decode("utf-8", "replace"), newline=""))
    missing = [column for column in (*rows[0], *numbers) if column not in header]
    if missing:
        return f"no column {missing[0]}"
    if any(len(line) != len(header) for line in lines):
        return "a row has more or fewer cells than the header"
    # A job of an earlier run, which went on when that was killed, ends after this one's and replaces its table.
    if MADE_WITH in header and {line[header.index(MADE_WITH)] for line in lines} - {made_with}:
        return "made with other settings than the study's"
    places = [header.index(column) for column in rows[0]]
    found = Counter(tuple(line[place] for place in places) for line in lines)
    for row in rows:
        times = found[tuple(row.values())]
        if times != 1:
            return f"{times or 'no'} row{'s' if times else ''} of {' '.join(row.values())}"
    return None
