"""Correlations as everything here takes them: Pearson's by column, Spearman's by rank."""

import numpy as np
import pandas as pd

# Below, the two halves of the repeats correlate at 0.05 at most, and an error of that size, which some hundred images
# leave, makes of a score relative to it anything.
LOWEST_CEILING = 0.1


def pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Pearson r of each column of two arrays (n_stimuli, n_columns); NaN where a column is constant."""
    # Not by the norms: a constant such as 0.1 leaves rounding noise once its mean is gone.
    varies = (a != a[0]).any(0) & (b != b[0]).any(0)
    a, b = a - a.mean(0), b - b.mean(0)
    norms = np.linalg.norm(a, axis=0) * np.linalg.norm(b, axis=0)
    return np.where(varies, (a * b).sum(0) / np.where(varies, norms, 1.0), np.nan)


def rank_correlation(predicted: np.ndarray, observed: np.ndarray) -> float:
    """Spearman's ρ, NaN (without a warning) where one side does not vary."""
    if np.ptp(predicted) == 0 or np.ptp(observed) == 0:
        return np.nan
    # What scipy.stats.spearmanr computes, to the bit, without the second that a job takes to import it.
    ranks = np.column_stack([pd.Series(values).rank() for values in (predicted, observed)])
    return float(np.corrcoef(ranks, rowvar=False)[1, 0])


def said_of_ceiling(ceiling: float) -> str:
    """Why a ceiling is none that a score can be relative to; empty of one that is, and of one that is not known."""
    if not ceiling < LOWEST_CEILING:
        return ""
    agree = "do not agree" if ceiling <= 0 else "hardly agree"
    return f"ceiling {ceiling:.2f}: two halves of the repeats {agree}, and no score can be relative to that"
