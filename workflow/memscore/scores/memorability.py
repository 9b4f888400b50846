"""Memorability of a layer: how well a linear read-out of it ranks images by what people remember.

How many PLS components the read-out has is fixed, or chosen for each layer and split by Spearman's ρ on the split's
validation stimuli: the 25 of Harada & Sakai 2023 suit LaMem's 45,000 training images and overfit some thousand. All
numbers of components come out of one fit, and the stimuli that are tested have no part in the choice.
"""

from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace

from memscore.correlation import rank_correlation
from memscore.scores.pls import Fitted, fit_splits, flaw


@dataclass(frozen=True)
class Prediction:
    """How well a layer predicts memorability.

    rho : Spearman's ρ on each split's test stimuli, array (n_splits,), NaN where it is undefined
    n_components : of each split's regression, integer array (n_splits,); 0 where there is none
    note : why a ρ is undefined, empty where all is well
    """

    rho: np.ndarray
    n_components: np.ndarray
    note: str


def score(
    activations: np.ndarray,
    memorability: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    n_components: int,
    validation: np.ndarray | None = None,
) -> Prediction:
    """Fit each split's training stimuli, and compare predicted with observed memorability on its test stimuli.

    Parameters
    ----------
    activations : array of shape (n_stimuli, n_features)
    memorability : array of shape (n_stimuli,), or (n_splits, n_stimuli) where splits have scores of their own
    train, test : boolean arrays of shape (n_splits, n_stimuli)
    n_components : of the regression, or with `validation` the most that may be chosen
    validation : on which stimuli the number is chosen, like `train`; None to choose nothing
    """
    note = flaw(activations)
    if note:
        return Prediction(np.full(len(train), np.nan), np.zeros(len(train), int), note)
    observed = np.broadcast_to(memorability, train.shape)
    fitted = fit_splits(activations, observed[..., None], train, n_components)
    rho, chosen = np.empty(len(train)), np.full(len(train), fitted.rotations.shape[1])
    for k, tested in enumerate(test):
        if validation is not None:
            chosen[k] = choose(fitted, k, validation[k], observed[k, validation[k]])
        rho[k] = rank_correlation(fitted.predict(k, tested, chosen[k])[:, 0], observed[k, tested])
    return Prediction(rho, chosen, "" if np.isfinite(rho).all() else "constant prediction")


def choose(fitted: Fitted, split: int, stimuli: np.ndarray, observed: np.ndarray) -> int:
    """The number of components that predicts these stimuli best (Spearman's ρ), the smallest of equals.

    stimuli : boolean array (n_stimuli,); observed : their memorability
    """
    predicted = fitted.predict_by_components(split, stimuli)[..., 0]
    rho = np.array([rank_correlation(with_k, observed) for with_k in predicted])
    return 1 + int(np.argmax(np.where(np.isfinite(rho), rho, -np.inf)))


def generalise(
    activations: tuple[np.ndarray, np.ndarray],
    memorability: tuple[np.ndarray, np.ndarray],
    n_components: int,
    left_out: np.ndarray | None = None,
    validation: np.ndarray | None = None,
) -> Prediction:
    """Fit all of one stimulus set, and compare predicted with observed memorability on all of another.

    activations : (fitted on, tested on), arrays of shape (n_stimuli, n_features) of the same features
    memorability : of the same two sets, arrays of shape (n_stimuli,)
    left_out : which of the fitted set's stimuli are not fitted, boolean array (n_stimuli,); None for all that are
    n_components, validation : as in `score`, of the fitted set's stimuli
    """
    for values, where in zip(activations, ("fitted", "tested"), strict=True):
        if note := flaw(values):
            return Prediction(np.full(1, np.nan), np.zeros(1, int), f"{note} where {where}")
    predicted, chosen = predict_other(*activations, memorability[0], n_components, left_out, validation)
    rho = rank_correlation(predicted, memorability[1])
    return Prediction(np.array([rho]), np.array([chosen]), "" if np.isfinite(rho) else "constant prediction")


def predict_other(
    fitted: np.ndarray,
    other: np.ndarray,
    memorability: np.ndarray,
    n_components: int,
    left_out: np.ndarray | None = None,
    validation: np.ndarray | None = None,
) -> tuple[np.ndarray, int]:
    """What a regression on the stimuli of `fitted` predicts for those of `other`, array (n_other,); its components.

    memorability : of the fitted stimuli alone. The others' never gets here, so that none of it can leak.
    validation : which of them the number of components is chosen on, by a fit without them; then all are fitted
    """
    of_fitted = np.arange(len(fitted) + len(other)) < len(fitted)
    used = np.ones(len(fitted), bool) if left_out is None else ~left_out
    held_out = np.zeros(len(fitted), bool) if validation is None else validation & used
    train = np.zeros((2 if held_out.any() else 1, len(of_fitted)), bool)
    train[:, of_fitted] = used
    train[1:, of_fitted] &= ~held_out
    known = np.concatenate([memorability, np.full(len(other), memorability.mean())])
    features = array_namespace(fitted).concat([fitted, other])
    both = fit_splits(features, known[:, None], train, n_components)
    chosen = both.rotations.shape[1]
    if held_out.any():
        chosen = choose(both, 1, np.append(held_out, np.zeros(len(other), bool)), memorability[held_out])
    return both.predict(0, ~of_fitted, chosen)[:, 0], chosen
