"""Memorability of a layer: how well a linear read-out of it ranks images by what people remember."""

import numpy as np
from scipy.stats import spearmanr

from memscore.pls import predict_splits
from memscore.store import flaw


def score(
    activations: np.ndarray, memorability: np.ndarray, train: np.ndarray, test: np.ndarray, n_components: int
) -> tuple[np.ndarray, str]:
    """Spearman's ρ between predicted and observed memorability on each split's test stimuli.

    Parameters
    ----------
    activations : array of shape (n_stimuli, n_features)
    memorability : array of shape (n_stimuli,)
    train, test : boolean arrays of shape (n_splits, n_stimuli)

    Returns
    -------
    ρ, array of shape (n_splits,), NaN where it is undefined; and a note why, empty where all is well
    """
    note = flaw(activations)
    if note:
        return np.full(len(train), np.nan), note
    predicted = predict_splits(activations, memorability[:, None], train, n_components)[..., 0]
    rho = np.array([rank_correlation(predicted[k, rows], memorability[rows]) for k, rows in enumerate(test)])
    return rho, "" if np.isfinite(rho).all() else "constant prediction"


def rank_correlation(predicted: np.ndarray, observed: np.ndarray) -> float:
    """Spearman's ρ, NaN (without a warning) where one side does not vary."""
    if np.ptp(predicted) == 0 or np.ptp(observed) == 0:
        return np.nan
    return float(spearmanr(predicted, observed).statistic)
