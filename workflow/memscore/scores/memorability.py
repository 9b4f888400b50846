"""Memorability of a layer: how well a linear read-out of it ranks images by what people remember."""

import numpy as np
from array_api_compat import array_namespace

from memscore.correlation import rank_correlation
from memscore.scores.pls import fit_splits, flaw


def score(
    activations: np.ndarray,
    memorability: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    n_components: int,
) -> tuple[np.ndarray, str]:
    """Spearman's ρ between predicted and observed memorability on each split's test stimuli.

    Parameters
    ----------
    activations : array of shape (n_stimuli, n_features)
    memorability : array of shape (n_stimuli,), or (n_splits, n_stimuli) where splits have scores of their own
    train, test : boolean arrays of shape (n_splits, n_stimuli)

    Returns
    -------
    ρ, array of shape (n_splits,), NaN where it is undefined; and a note why, empty where all is well
    """
    note = flaw(activations)
    if note:
        return np.full(len(train), np.nan), note
    observed = np.broadcast_to(memorability, train.shape)
    fitted = fit_splits(activations, observed[..., None], train, n_components)
    rho = np.array([rank_correlation(fitted.predict(k, rows)[:, 0], observed[k, rows]) for k, rows in enumerate(test)])
    return rho, "" if np.isfinite(rho).all() else "constant prediction"


def generalise(
    activations: tuple[np.ndarray, np.ndarray],
    memorability: tuple[np.ndarray, np.ndarray],
    n_components: int,
    left_out: np.ndarray | None = None,
) -> tuple[float, str]:
    """Spearman's ρ on all of one stimulus set of a regression fitted on all of another.

    activations : (fitted on, tested on), arrays of shape (n_stimuli, n_features) of the same features
    memorability : of the same two sets, arrays of shape (n_stimuli,)
    left_out : which of the fitted set's stimuli are not fitted, boolean array (n_stimuli,); None for all that are

    Returns ρ, NaN where it is undefined, and a note why, empty where all is well.
    """
    for values, where in zip(activations, ("fitted", "tested"), strict=True):
        if note := flaw(values):
            return np.nan, f"{note} where {where}"
    predicted = predict_other(*activations, memorability[0], n_components, left_out)
    rho = rank_correlation(predicted, memorability[1])
    return rho, "" if np.isfinite(rho) else "constant prediction"


def predict_other(
    fitted: np.ndarray,
    other: np.ndarray,
    memorability: np.ndarray,
    n_components: int,
    left_out: np.ndarray | None = None,
) -> np.ndarray:
    """What a regression on the stimuli of `fitted` predicts for those of `other`, array of shape (n_other,).

    memorability : of the fitted stimuli alone. The others' never gets here, so that none of it can leak.
    """
    of_fitted = np.arange(len(fitted) + len(other)) < len(fitted)
    train = of_fitted.copy()
    if left_out is not None:
        train[: len(fitted)] = ~left_out
    known = np.concatenate([memorability, np.full(len(other), memorability.mean())])
    features = array_namespace(fitted).concat([fitted, other])
    both = fit_splits(features, known[:, None], train[None], n_components)
    return both.predict(0, ~of_fitted)[:, 0]
