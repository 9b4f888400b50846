"""Memorability of a layer: how well a linear read-out of it ranks images by what people remember.

How many PLS components the read-out has is fixed, or chosen for each layer and split by Spearman's ρ on the split's
validation stimuli: the 25 of Harada & Sakai 2023 suit LaMem's 45,000 training images and overfit some thousand. Where
validation stimuli are few (`splits.parts_of_train`), ρ is between training stimuli and what is predicted of each fifth
of them from the others. All numbers of components come out of one fit, and the stimuli that are tested have no part in
the choice.
"""

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from array_api_compat import array_namespace

from memscore.correlation import rank_correlation
from memscore.errors import InputError
from memscore.files import replacing
from memscore.scores.pls import Fitted, fit_splits, flaw
from memscore.stimuli.splits import FEWEST_TEST


@dataclass(frozen=True)
class Prediction:
    """How well a layer predicts memorability.

    rho : Spearman's ρ on each split's test stimuli, array (n_splits,), NaN where it is undefined
    n_components : of each split's regression, integer array (n_splits,); 0 where there is none
    note : why a ρ is undefined, empty where all is well
    unseen_rho : Spearman's ρ on stimuli that are neither fitted nor tested, by which layers can be chosen, array
        (n_splits,): what chose the number of components, or on validation stimuli; NaN where a split has none
    predicted : memorability of all stimuli, NaN of those that a split does not test, array (n_splits, n_stimuli)
    """

    rho: np.ndarray
    n_components: np.ndarray
    note: str
    unseen_rho: np.ndarray = field(default_factory=lambda: np.empty(0))
    predicted: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))


def score(
    activations: np.ndarray,
    memorability: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
    n_components: int,
    validation: np.ndarray | None = None,
    parts: np.ndarray | None = None,
    judged: np.ndarray | None = None,
) -> Prediction:
    """Fit each split's training stimuli, and compare predicted with observed memorability on its test stimuli.

    Parameters
    ----------
    activations : array of shape (n_stimuli, n_features)
    memorability : array of shape (n_stimuli,), or (n_splits, n_stimuli) where splits have scores of their own
    train, test : boolean arrays of shape (n_splits, n_stimuli)
    n_components : of the regression, or with `validation` the most that may be chosen
    validation : on which stimuli the number is chosen, like `train`; None to choose nothing
    parts : of the training stimuli, by `splits.parts_of_train`; a split that has some chooses on these instead
    judged : where nothing is chosen, the validation stimuli, like `train`
    """
    undefined, predicted = np.full(len(train), np.nan), np.full(train.shape, np.nan)
    note = flaw(activations)
    if note:
        return Prediction(undefined, np.zeros(len(train), int), note, undefined, predicted)
    observed = np.broadcast_to(memorability, train.shape)
    fits, split = with_parts_left_out(train, parts)
    fitted = fit_splits(activations, observed[split][..., None], fits, n_components)
    rho, unseen, chosen = undefined.copy(), undefined.copy(), np.full(len(train), fitted.rotations.shape[1])
    for k, tested in enumerate(test):
        if validation is not None:
            left_out = {fit: train[k] & ~fits[fit] for fit in np.flatnonzero(split == k)[1:]}
            chosen[k], unseen[k] = choose(fitted, left_out or {k: validation[k]}, observed[k])
        elif judged is not None and judged[k].sum() >= FEWEST_TEST:
            unseen[k] = rank_correlation(fitted.predict(k, judged[k], chosen[k])[:, 0], observed[k, judged[k]])
        predicted[k, tested] = fitted.predict(k, tested, chosen[k])[:, 0]
        rho[k] = rank_correlation(predicted[k, tested], observed[k, tested])
    return Prediction(rho, chosen, "" if np.isfinite(rho).all() else "constant prediction", unseen, predicted)


class BestLayers:
    """Of each split, the layer that is best on unseen stimuli, and what it predicts for the split's test stimuli.

    layer : names, array (n_splits,), empty where no layer has a ρ on unseen stimuli
    predicted : array (n_splits, n_stimuli), NaN of what is not tested
    """

    def __init__(self, n_splits: int, n_stimuli: int):
        self.layer = np.full(n_splits, "", dtype=object)
        self.predicted = np.full((n_splits, n_stimuli), np.nan, np.float32)
        self._unseen_rho = np.full(n_splits, -np.inf)

    def add(self, layer: str, scored: Prediction) -> None:
        """Of equals the first one stays."""
        for k in np.flatnonzero(np.isfinite(scored.rho) & (scored.unseen_rho > self._unseen_rho)):
            self.layer[k], self._unseen_rho[k] = layer, scored.unseen_rho[k]
            self.predicted[k] = scored.predicted[k]

    def write(self, path: str | Path) -> None:
        """As a compressed file of arrays, for `read_best`."""
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez_compressed(file, layer=self.layer.astype(str), predicted=self.predicted)


def read_best(path: str | Path) -> tuple[list[str], np.ndarray]:
    """(layer, predicted) of `BestLayers`. Raises InputError for a damaged file, without its name."""
    try:
        with np.load(path) as arrays:
            return arrays["layer"].tolist(), arrays["predicted"]
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if getattr(error, "errno", None):  # The disk's, not the file's.
            raise
        raise InputError(f"damaged ({error})") from error


def with_parts_left_out(train: np.ndarray, parts: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """(the training stimuli of every fit, the split that each is of): of each split, then without each of its parts."""
    fits, split = list(train), list(range(len(train)))
    for k, part in enumerate([] if parts is None else parts):
        without = [train[k] & (part != number) for number in np.unique(part[part >= 0])]
        fits, split = fits + without, split + [k] * len(without)
    return np.stack(fits), np.array(split)


def choose(fitted: Fitted, left_out: Mapping[int, np.ndarray], observed: np.ndarray) -> tuple[int, float]:
    """The number of components that predicts what was left out best, the smallest of equals, and Spearman's ρ of it.

    left_out : by the number of a fit, stimuli that it predicts unseen, boolean arrays (n_stimuli,)
    observed : memorability of all stimuli
    """
    predicted = [fitted.predict_by_components(fit, stimuli)[..., 0] for fit, stimuli in left_out.items()]
    observed = np.concatenate([observed[stimuli] for stimuli in left_out.values()])
    rho = np.array([rank_correlation(with_k, observed) for with_k in np.concatenate(predicted, axis=1)])
    best = int(np.argmax(np.where(np.isfinite(rho), rho, -np.inf)))
    return 1 + best, rho[best]


def generalise(
    activations: tuple[np.ndarray, np.ndarray],
    memorability: tuple[np.ndarray, np.ndarray],
    n_components: int,
    left_out: np.ndarray | None = None,
    validation: np.ndarray | None = None,
    parts: np.ndarray | None = None,
) -> Prediction:
    """Fit all of one stimulus set, and compare predicted with observed memorability on all of another.

    activations : (fitted on, tested on), arrays of shape (n_stimuli, n_features) of the same features
    memorability : of the same two sets, arrays of shape (n_stimuli,)
    left_out : which of the fitted set's stimuli are not fitted, boolean array (n_stimuli,); None for all that are
    n_components, validation, parts : as in `score`, of the fitted set's stimuli, arrays (n_stimuli,)
    """
    for values, where in zip(activations, ("fitted", "tested"), strict=True):
        if note := flaw(values):
            return Prediction(np.full(1, np.nan), np.zeros(1, int), f"{note} where {where}")
    predicted, chosen = predict_other(*activations, memorability[0], n_components, left_out, validation, parts)
    rho = rank_correlation(predicted, memorability[1])
    return Prediction(np.array([rho]), np.array([chosen]), "" if np.isfinite(rho) else "constant prediction")


def predict_other(
    fitted: np.ndarray,
    other: np.ndarray,
    memorability: np.ndarray,
    n_components: int,
    left_out: np.ndarray | None = None,
    validation: np.ndarray | None = None,
    parts: np.ndarray | None = None,
) -> tuple[np.ndarray, int]:
    """What a regression on the stimuli of `fitted` predicts for those of `other`, array (n_other,); its components.

    memorability : of the fitted stimuli alone. The others' never gets here, so that none of it can leak.
    validation : which of them the number of components is chosen on, by a fit without them; then all are fitted
    parts : of all that are fitted, by `splits.parts_of_train`; where there are some, it is chosen on these instead
    """
    of_fitted = np.arange(len(fitted) + len(other)) < len(fitted)
    used = np.ones(len(fitted), bool) if left_out is None else ~left_out
    held_out = np.zeros(len(fitted), bool) if validation is None else validation & used
    if parts is None or (parts < 0).all():
        parts = np.where(held_out, 0, -1)
    train, _ = with_parts_left_out(used[None], parts[None])
    observed = np.concatenate([memorability, np.full(len(other), memorability.mean())])
    features = array_namespace(fitted).concat([fitted, other])
    train = np.pad(train, ((0, 0), (0, len(other))))
    both = fit_splits(features, observed[:, None], train, n_components)
    chosen = both.rotations.shape[1]
    if len(train) > 1:
        chosen, _ = choose(both, {fit: train[0] & ~train[fit] for fit in range(1, len(train))}, observed)
    return both.predict(0, ~of_fitted, chosen)[:, 0], chosen
