"""The tables of a study's jobs, put together if every one of them is whole, and the study's."""

import csv
import io
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NoReturn

import pandas as pd

from memscore.errors import InputError
from memscore.files import cut_short, read_frame
from memscore.scores.memorability import read_best

# How many unusable files a message names; the rest it counts.
NAMED = 20
# The column in which a job says what its numbers were made with; tables of jobs of earlier versions have none.
MADE_WITH = "made_with"
OTHERS = "made with other settings than the study's"
GONE = "removed by another step"
# What jobs write beside the tables that `Study.job_tables` names.
BESIDE = {"memorability": [".npz"], "finetune": [".predicted.csv", ".epochs.csv"]}


def together(files: Sequence[str], study) -> pd.DataFrame:
    """The rows of all files of jobs, one file below the other, if each is whole (`check`).

    study : the `Study` that they are of, which is what is planned and no stage's to import
    """
    check(files, study)
    return pd.concat(map(read_frame, files), ignore_index=True).drop(columns=MADE_WITH, errors="ignore")


def check(files: Iterable[str], study) -> None:
    """Where some of these files of jobs are unusable, the error of `refuse`."""
    if unusable := damaged(files, study):
        refuse(unusable, study)


def refuse(unusable: Mapping[str, str], study) -> NoReturn:
    """Remove files of jobs, and all others of the study's that are damaged; an InputError says of each what is wrong.

    unusable : what is wrong with each

    The same command makes them anew, for the tables that they go into are removed too. What is made with other settings
    and is not a file of this step's may wait to be made anew in this very run, or for the next config: it stays.
    """
    tables = list(chain(*study.job_tables().values()))
    table_of = {each: table for table in tables for each in beside(table)}
    others = damaged([*tables, *table_of], study)
    unusable = dict(unusable) | {file: wrong for file, wrong in others.items() if wrong not in (OTHERS, GONE)}
    for file in unusable:
        # A table goes with what its job wrote beside it: the job makes both.
        for each in (file, table_of.get(file, file), *study.goes_into(file)):
            Path(each).unlink(missing_ok=True)
    said = [f"{file} ({wrong})" for file, wrong in list(unusable.items())[:NAMED]]
    more = f", and {len(unusable) - NAMED} more" if len(unusable) > NAMED else ""
    raise InputError(
        f"unusable results: {', '.join(said)}{more}; removed: give the same command again, which makes them anew"
    )


def beside(table: str) -> list[str]:
    """What the job of a table writes beside it."""
    kind = Path(table).parts[1]
    return [table.removesuffix(".csv") + suffix for suffix in BESIDE.get(kind, [])]


def damaged(files: Iterable[str], study) -> dict[str, str]:
    """What is wrong with each of these files of jobs that cannot be used."""
    return {file: wrong for file in files if (wrong := flaw(file, study))}


def flaw(file: str, study) -> str | None:
    """What is wrong with a file of a job; None if nothing is."""
    if not os.path.exists(file):
        return GONE
    if not file.endswith(".npz"):
        return damage(file, *study.table_of(file))
    try:
        read_best(file)
    except InputError as error:
        return str(error)
    return None


def damage(file: str | Path, rows: Sequence[dict[str, str]], numbers: Sequence[str], made_with: str) -> str | None:
    """What is wrong with a CSV file; None if it is whole, and of the study.

    rows : what must be there, once: the names of each row by column; none where nobody knows
    numbers : further columns that it must have
    made_with : what each row must say that it was made with, if it says so
    """
    raw = Path(file).read_bytes()
    if wrong := cut_short(raw):
        return wrong
    header, *lines = csv.reader(io.StringIO(raw.decode("utf-8", "replace"), newline=""))
    if any(len(line) != len(header) for line in lines):
        return "a row has more or fewer cells than the header"
    # A job of an earlier run, which went on when that was killed, ends after this one's and replaces its table.
    if MADE_WITH in header and {line[header.index(MADE_WITH)] for line in lines} - {made_with}:
        return OTHERS
    names = rows[0] if rows else {}
    missing = [column for column in (*names, *numbers) if column not in header]
    if missing:
        return f"no column {missing[0]}"
    places = [header.index(column) for column in names]
    found = Counter(tuple(line[place] for place in places) for line in lines)
    for row in rows:
        times = found[tuple(row.values())]
        if times != 1:
            return f"{times or 'no'} row{'s' if times else ''} of {' '.join(row.values())}"
    return None if lines else "no row"
