"""The tables of a study's jobs, put together if every one of them is whole."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from memscore.errors import InputError
from memscore.files import cut_short, read_frame

# How many damaged files a message names; the rest it counts.
NAMED = 20


def together(
    files: Sequence[str], table_of: Callable[[str], tuple[list[dict[str, str]], Sequence[str]]]
) -> pd.DataFrame:
    """The rows of all files, one file below the other.

    table_of : `Study.table_of`, which rows and columns a file must have

    Damaged files are removed, and an InputError says of each what is wrong: the same command makes them again.
    """
    damaged = {file: wrong for file in files if (wrong := damage(file, *table_of(file)))}
    for file in damaged:
        Path(file).unlink(missing_ok=True)
    if damaged:
        said = [f"{file} ({wrong})" for file, wrong in list(damaged.items())[:NAMED]]
        more = f", and {len(damaged) - NAMED} more" if len(damaged) > NAMED else ""
        raise InputError(
            f"damaged results: {', '.join(said)}{more}; removed: give the same command again, which makes them anew"
        )
    return pd.concat(map(read_frame, files), ignore_index=True)


def damage(file: str | Path, rows: Sequence[dict[str, str]], numbers: Sequence[str]) -> str | None:
    """What is wrong with a CSV file; None if it is whole.

    rows : what must be there, once: the names of each row by column
    numbers : further columns that it must have
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
    places = [header.index(column) for column in rows[0]]
    found = Counter(tuple(line[place] for place in places) for line in lines)
    for row in rows:
        times = found[tuple(row.values())]
        if times != 1:
            return f"{times or 'no'} row{'s' if times else ''} of {' '.join(row.values())}"
    return None
