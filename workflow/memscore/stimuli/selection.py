"""From what is staged to what is used: images that cannot be read, and duplicates across train and test."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from memscore.errors import InputError
from memscore.stimuli import duplicates, splits, tables
from memscore.stimuli.duplicates import Duplicates

# Of 255: even at night, something in a photograph is brighter than an eighth of white.
DARK = 32


def bad_images(images: pd.DataFrame) -> pd.DataFrame:
    """Which images cannot be used, and why: `stimulus_id`, `path`, `problem`."""
    return images.loc[images["problem"] != "", ["stimulus_id", "path", "problem"]]


def readable(table: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """The rows of a stimulus table whose image can be read; `images` has a row for each."""
    return table[(images["problem"] == "").to_numpy()].reset_index(drop=True)


def select(
    table: pd.DataFrame,
    images: pd.DataFrame,
    name: str,
    on_bad_image: str,
    drop_duplicates: bool,
    bad_list: str | Path,
    say: Callable[[str], None],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(the stimulus table that the study uses, its pairs of duplicates), from what is staged and how its images are.

    images : of `inspection.inspect`, a row for each of the table's
    name : of the stimulus set; `bad_list` is where its bad images are listed
    say : told what is left out

    Raises InputError where images cannot be read and the config does not say to skip them.
    """
    dark = images.loc[pd.to_numeric(images["brightest"], errors="coerce") < DARK, "path"]
    if len(dark):
        say(
            f"{len(dark)} of {len(images)} images of {name} are darker than any photograph: nothing in them is "
            f"brighter than an eighth of white; look at them, the first is {dark.iloc[0]}"
        )
    bad = bad_images(images)
    if len(bad):
        first = bad.iloc[0]
        found = f"{len(bad)} of {len(images)} images of {name} cannot be used, listed in {bad_list}"
        if on_bad_image != "skip" or len(bad) == len(images):
            raise InputError(
                f"{found}: the first is {first['path']} ({first['problem'].partition('; ')[0]}); replace them"
                + (f", or set datasets: {name}: on_bad_image: skip" if on_bad_image != "skip" else "")
            )
        say(f"{found}: they are left out everywhere")
    table = readable(table, images)
    sides = table[tables.split_columns(table)]
    found = Duplicates(images, {})
    say(f"{name}: {duplicates.summary(found, sides)}")
    straddling = found.straddling(sides)
    if drop_duplicates and straddling.any(axis=None):
        table = duplicates.without(table, straddling)
        say(f"{name}: what is in train with a duplicate in test is used in neither part of that split")
    return table, found.pairs(sides)


def check_usable(table: pd.DataFrame, name: str, n_components: int, choose: bool) -> None:
    """Raise InputError where a split has too few images, or scores that do not vary: now, not after all networks.

    n_components, choose : of the regression, as in `splits.memorability_splits`
    """
    source = f"config: datasets: {name}, {len(table)} images in all"
    table = table.assign(**{column: pd.to_numeric(table[column]) for column in tables.score_columns(table)})
    train, test, _ = splits.memorability_splits(table, source, n_components, choose)
    scores = splits.memorability_scores(table)
    for column, observed, *sides in zip(tables.split_columns(table), scores, train, test, strict=True):
        for verb, side in zip(("trains", "tests"), sides, strict=True):
            if np.ptp(observed[side]) == 0:
                raise InputError(
                    f"{source}: {column} {verb} on {side.sum()} images which all have the score {observed[side][0]}; "
                    "scores that do not vary cannot be predicted: add images, or bring split columns of your own"
                )


def shared(fitted: pd.DataFrame, tested: pd.DataFrame, n_fewest: int) -> pd.DataFrame:
    """Images of one data set that are, or look like, one of another: column `stimulus_id`.

    fitted, tested : what is known of the images of either, of `inspection.inspect`

    A regression fitted on the one and tested on the other goes without them: their scores are no news to it. Raises
    InputError where fewer than `n_fewest` images are left.
    """
    found = Duplicates(fitted, {"tested": tested})
    own = found.images[found.own]
    both = own.loc[found.twins(~found.own)[found.own] > 0, ["stimulus_id"]]
    left = len(own) - len(both)
    if left < n_fewest:
        raise InputError(
            f"generalisation: {len(both)} of {len(own)} images of the data set that is fitted are in the tested one "
            f"too; the other {left} are too few, the regression needs {n_fewest}: take one of the two sets out of "
            "generalisation, or lower memorability: components"
        )
    return both
