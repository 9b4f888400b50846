"""How far people agree on what is memorable: the consistency beside which predictions stand.

Three numbers are not to be confused. The *split-half* correlation is between the scores of two halves of the
responses, each as noisy as half the responses make it: LaMem's published 0.68 is one. Corrected by Spearman-Brown,
2r / (1 + r), it is the reliability of the scores as they are, from all responses: what as many other people would
reach as predictors, called *human consistency* here. A *perfect predictor*, who knows every image's true chance of
being remembered and so has no noise of its own, would reach the square root of that reliability (Spearman 1904,
Am. J. Psychol. 15:72). So a model may pass human consistency without a mistake, but not the perfect predictor.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from memscore.correlation import rank_correlation
from memscore.errors import InputError
from memscore.files import read_frame
from memscore.stimuli import tables

N_HALVINGS = 25
FEWEST_IMAGES = 3  # of which a rank correlation can be taken
# By the source of a data set, for those that are published without their responses: split-half correlations.
PUBLISHED = {"lamem": (0.68, "Khosla et al. 2015")}


def consistency(table: pd.DataFrame, path: str | Path, source: str, seed: int) -> dict:
    """Consistency of a stimulus table's scores: `n_images`, `split_half`, `human_consistency`, `perfect_predictor`.

    From the scores of halves of the people where the table brings them (`half_a`, `half_b`, or several halvings), of
    each over the images that both its halves saw, if 3 or more; or from column `n_responses`, over the images with two
    responses or more; otherwise what is published for the data set's `source`, corrected likewise; otherwise NaN.
    `source` of the row says which.
    """
    n_responses, halvings = responses(table, path), tables.halvings(table, path)
    if halvings:
        pairs = [table[list(pair)].apply(pd.to_numeric).dropna() for pair in halvings]
        pairs = [pair for pair in pairs if len(pair) >= FEWEST_IMAGES]
        r = of_halves([tuple(pair.to_numpy().T) for pair in pairs])
        n_images = len(set().union(*(pair.index for pair in pairs)))
        known_from = f"{len(pairs)} given halving{'' if len(pairs) == 1 else 's'} of the people"
    elif n_responses.notna().any():
        rows = n_responses >= 2
        r = split_half(table["memorability"][rows].to_numpy(), n_responses[rows].to_numpy(int), seed)
        n_images, known_from = int(rows.sum()), "split halves of responses"
    else:
        r, reference = PUBLISHED.get(source, (np.nan, ""))
        n_images, known_from = len(table), f"published: {reference}" if reference else ""
    reliability = spearman_brown(r)
    return {
        "n_images": n_images,
        "split_half": r,
        "human_consistency": reliability,
        "perfect_predictor": np.sqrt(reliability),
        "source": known_from,
    }


def responses(table: pd.DataFrame, path: str | Path) -> pd.Series:
    """How many people responded to each image, NaN where that is not known.

    Raises InputError for the first entry that is no whole number. Line 1 of the file is the header.
    """
    given = table.get("n_responses", pd.Series(np.nan, table.index))
    n_responses = pd.to_numeric(given, errors="coerce")
    bad = (n_responses.isna() & given.notna()) | (n_responses < 0) | (n_responses % 1 > 0) | np.isinf(n_responses)
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise InputError(
            f"{path}: line {row + 2}: n_responses is {given.iloc[row]!r}; it must be a whole number, or empty where "
            "it is not known"
        )
    return n_responses


def split_half(memorability: np.ndarray, n_responses: np.ndarray, seed: int) -> float:
    """Spearman's ρ over images between the scores of two random halves of the responses, mean over 25 halvings.

    Parameters
    ----------
    memorability : array of shape (n_images,), the share of responses that were hits
    n_responses : integer array of shape (n_images,), at least 2 each; of an odd number, one half has one more

    Which responses fall into a half is not recorded, nor needed: drawn without replacement from an image's hits and
    misses, the number of hits among them is hypergeometric. NaN where fewer than 3 images are left, or scores or
    halves do not vary.
    """
    if len(memorability) < FEWEST_IMAGES or np.ptp(memorability) == 0:
        return np.nan
    rng = np.random.default_rng(seed)
    hits = np.rint(memorability * n_responses).astype(int)
    n_first = n_responses // 2
    firsts = [rng.hypergeometric(hits, n_responses - hits, n_first) for _ in range(N_HALVINGS)]
    return of_halves([(first / n_first, (hits - first) / (n_responses - n_first)) for first in firsts])


def of_halves(halvings: Sequence[tuple[np.ndarray, np.ndarray]]) -> float:
    """Spearman's ρ between the scores of two halves of the people, two arrays (n_images,), mean over halvings.

    NaN without any, or where a half does not vary.
    """
    return float(np.mean([rank_correlation(a, b) for a, b in halvings])) if halvings else np.nan


def spearman_brown(r: float) -> float:
    """Reliability of the whole from the correlation of its halves; 0 where halves do not agree at all."""
    return np.nan if np.isnan(r) else 2 * max(r, 0.0) / (1 + max(r, 0.0))


def read(paths: Sequence[str]) -> dict | None:
    """The row of a file of `results/consistency`; None of no file, for a study without memorability."""
    return read_frame(paths[0]).fillna({"source": ""}).iloc[0].to_dict() if paths else None


def described(row: Mapping | None) -> str:
    """`human consistency 0.90 (split halves of responses, Spearman–Brown)`; empty where it is not known."""
    if row is None or pd.isna(row["human_consistency"]):
        return ""
    if row["human_consistency"] == 0:
        return f"human consistency 0, two halves of the people do not agree at all ({row['source']})"
    return f"human consistency {row['human_consistency']:.2f} ({row['source']}, Spearman–Brown)"
