"""Partial least squares regression of many targets over many splits, in one go.

The model is scikit-learn's `PLSRegression(n_components, scale=False)` (NIPALS PLS2), computed by improved
kernel PLS (Dayal & MacGregor 1997, J. Chemometrics 11:73): only the cross-products are deflated, never the
data. Cross-products are summed over all stimuli once, and each split's training part follows by subtracting
its held-out part (Engstrøm & Jensen 2024). All splits advance together, so that X is read twice a component
whatever the number of splits.
"""

import numpy as np

# A direction that holds less than this share of the features' and targets' spread is rounding noise: the split
# is complete.
EXHAUSTED = 1e-12


def predict_splits(x: np.ndarray, y: np.ndarray, train: np.ndarray, n_components: int = 25) -> np.ndarray:
    """Fit a PLS regression on each split's training stimuli and predict every stimulus.

    Parameters
    ----------
    x : array of shape (n_stimuli, n_features)
    y : array of shape (n_stimuli, n_targets)
    train : boolean array of shape (n_splits, n_stimuli), True where a stimulus is trained on
    n_components : at most this many components; a split uses fewer where its features have lower rank

    Returns
    -------
    float64 array of shape (n_splits, n_stimuli, n_targets); rows of training stimuli are fitted values
    """
    x = np.asarray(x, dtype=np.float64)
    y = np.asarray(y, dtype=np.float64)
    rounding = 4 * np.finfo(np.float64).eps * np.linalg.norm(x)
    x = _rotated_to_stimuli(x - x.mean(0))
    nothing = EXHAUSTED * np.linalg.norm(x) + rounding
    y_mean = y.mean(0)
    y = y - y_mean
    mask = train.astype(np.float64)
    n_train = mask.sum(1, keepdims=True)
    x_mean = mask @ x / n_train
    y_train_mean = mask @ y / n_train
    covariance = _train_covariances(x, y, train) - n_train[..., None] * x_mean[..., None] * y_train_mean[:, None]
    for split, rows in enumerate(train):
        # A target that is constant in training has no covariance, and its rounding noise must not be ranked.
        covariance[split][:, np.ptp(y[rows], axis=0) == 0] = 0.0

    predictions = np.repeat((y_train_mean + y_mean)[:, None], len(x), axis=1)
    weights, loadings = [], []
    floor = nothing * np.linalg.norm(y)
    for _ in range(min(n_components, x.shape[1])):
        direction = _dominant_direction(covariance)
        length = np.linalg.norm(direction, axis=1)
        alive = length > floor
        if not alive.any():
            break
        w = np.where(alive[:, None], direction / np.where(alive, length, 1.0)[:, None], 0.0)
        r = w.copy()
        for earlier_weight, earlier_loading in zip(weights, loadings, strict=True):
            r -= np.sum(earlier_loading * w, axis=1, keepdims=True) * earlier_weight
        scores = r @ x.T - np.sum(r * x_mean, axis=1, keepdims=True)
        train_scores = scores * mask
        variance = np.sum(train_scores**2, axis=1, keepdims=True)
        varies = variance > nothing**2
        inverse = np.where(varies, 1 / np.where(varies, variance, 1.0), 0.0)
        loading = train_scores @ x * inverse
        target_loading = np.einsum("spm,sp->sm", covariance, r) * inverse
        predictions += scores[..., None] * target_loading[:, None]
        covariance -= (variance * loading)[..., None] * target_loading[:, None]
        weights.append(r)
        loadings.append(loading)
    return predictions


def _rotated_to_stimuli(x: np.ndarray) -> np.ndarray:
    """The same stimuli in at most n_stimuli coordinates: PLS sees X only through inner products."""
    n_stimuli, n_features = x.shape
    return np.linalg.qr(x.T, mode="r").T if n_features > n_stimuli else x


def _train_covariances(x: np.ndarray, y: np.ndarray, train: np.ndarray) -> np.ndarray:
    """X'Y over each split's training stimuli, array of shape (n_splits, n_features, n_targets)."""
    everything = x.T @ y
    return np.stack([everything - x[~rows].T @ y[~rows] for rows in train])


def _dominant_direction(covariance: np.ndarray) -> np.ndarray:
    """Per split, the feature direction of largest covariance with the targets, scaled by that covariance."""
    if covariance.shape[2] == 1:
        return covariance[..., 0]
    _, vectors = np.linalg.eigh(covariance.transpose(0, 2, 1) @ covariance)
    return (covariance @ vectors[..., -1:])[..., 0]
