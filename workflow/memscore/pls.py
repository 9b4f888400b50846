"""Partial least squares regression of many targets over many splits, in one go.

The model is scikit-learn's `PLSRegression(n_components, scale=False)` (NIPALS PLS2), computed by improved
kernel PLS (Dayal & MacGregor 1997, J. Chemometrics 11:73): only the cross-products are deflated, never the
data. Cross-products are summed over all stimuli once, and each split's training part follows by subtracting
its held-out part (Engstrøm & Jensen 2024). All splits advance together, so that X is read once a component
whatever the number of splits. The dominant direction of a component is the largest eigenvector of a small
matrix of targets, found by Lanczos iteration to rounding error, where NIPALS stops at a tolerance.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

# A direction that holds less than this share of the features' and targets' spread is rounding noise: the split
# is complete.
EXHAUSTED = 1e-12
# X is converted to float64 in chunks of this size, which stay in the processor's cache; a small X once and for all.
CHUNK_BYTES, SMALL_BYTES = 4 << 20, 256 << 20
# Eigenvectors are found to a residual of this share of the eigenvalue, looked at after so many steps and then every so
# many; of up to 32 targets a whole decomposition is as fast.
RESIDUAL, FIRST_LOOK, NEXT_LOOK, FEW_TARGETS = 1e-12, 25, 4, 32
# Once this share is left of what the matrix of targets held when it was summed, it is summed anew: every deflation
# leaves rounding errors of the size of what it was then.
SUM_ANEW = 1e-3


def predict_splits(x: np.ndarray, y: np.ndarray, train: np.ndarray, n_components: int = 25) -> np.ndarray:
    """What `fit_splits` predicts: float64 array of shape (n_splits, n_stimuli, n_targets)."""
    fitted = fit_splits(x, y, train, n_components)
    return np.stack([fitted.predict(split) for split in range(len(train))])


def fit_splits(x: np.ndarray, y: np.ndarray, train: np.ndarray, n_components: int = 25) -> "Fitted":
    """Fit a PLS regression on each split's training stimuli.

    Parameters
    ----------
    x : array of shape (n_stimuli, n_features)
    y : array of shape (n_stimuli, n_targets)
    train : boolean array of shape (n_splits, n_stimuli), True where a stimulus is trained on
    n_components : at most this many components; a split uses fewer where its features have lower rank
    """
    x, y = np.asarray(x), np.asarray(y, dtype=np.float64)
    x_centre, y_centre = x.mean(0, dtype=np.float64), y.mean(0)
    rounding = 4 * np.finfo(np.float64).eps * np.sqrt(len(x)) * np.linalg.norm(x_centre)
    x, x_centre = _compact(x, x_centre)
    y = y - y_centre
    mask = train.astype(np.float64)
    x_mean, y_mean, products = _train_products(x, x_centre, y, train)
    covariance = _Covariance(products)
    nothing = EXHAUSTED * np.sqrt(sum(np.sum(block**2) for _, block in _chunks(x, x_centre))) + rounding
    floor = nothing * np.linalg.norm(y)

    n_components = min(n_components, x.shape[1])
    shape = len(train), n_components
    # Of every component: what turns features into scores, the loadings, and the scores of all stimuli.
    rotations, loadings = np.zeros((2, *shape, x.shape[1]))
    target_loadings, scores = np.zeros((*shape, y.shape[1])), np.zeros((*shape, len(x)))
    for k in range(n_components):
        direction = covariance.dominant_direction()
        length = np.linalg.norm(direction, axis=1, keepdims=True)
        alive = length > floor
        if not alive.any():
            break
        w = np.where(alive, direction / np.where(alive, length, 1.0), 0.0)
        r = w - _weighted(rotations[:, :k], loadings[:, :k] @ w[..., None])
        scores[:, k], products = _scores(x, x_centre, r, x_mean, mask)
        variance = np.sum(scores[:, k] ** 2 * mask, axis=1, keepdims=True)
        varies = variance > nothing**2
        inverse = np.where(varies, 1 / np.where(varies, variance, 1.0), 0.0)
        rotations[:, k], loadings[:, k] = r, products * inverse
        of_r, of_products = covariance.transposed_times(r, products)
        target_loadings[:, k] = of_r * inverse
        covariance.deflate(products, target_loadings[:, k], of_products)
    return Fitted(scores, target_loadings, y_mean + y_centre)


@dataclass(frozen=True)
class Fitted:
    """A regression for each split: what is needed to predict the stimuli that were given.

    scores : (n_splits, n_components, n_stimuli); target_loadings : (n_splits, n_components, n_targets);
    y_mean : (n_splits, n_targets)
    """

    scores: np.ndarray
    target_loadings: np.ndarray
    y_mean: np.ndarray

    def predict(self, split: int, stimuli: np.ndarray | slice = slice(None)) -> np.ndarray:
        """float64 array (n_stimuli, n_targets) of a split's predictions; of trained stimuli, the fitted values."""
        return self.scores[split][:, stimuli].T @ self.target_loadings[split] + self.y_mean[split]


class _Covariance:
    """X'Y of every split's training stimuli, array of shape (n_splits, n_features, n_targets), as it is deflated.

    The array is never rewritten: what was taken away is kept as vectors, and only products are needed. `_targets` is
    its transpose times itself, from which the dominant direction comes.
    """

    def __init__(self, products: np.ndarray):
        self._products = products
        self._feature_sides, self._target_sides = (np.zeros((len(products), 0, size)) for size in products.shape[1:])
        self._sum_targets()

    def times(self, v: np.ndarray) -> np.ndarray:
        """Array (n_splits, n_features) of what is left times a vector of targets per split."""
        taken = _weighted(self._feature_sides, self._target_sides @ v[..., None])
        return (self._products @ v[..., None])[..., 0] - taken

    def transposed_times(self, *us: np.ndarray) -> np.ndarray:
        """Of what is left, transposed, times each vector of features (n_splits, n_features): (n_splits, n_targets)."""
        u = np.stack(us, axis=1)
        left = u @ self._products - (u @ self._feature_sides.transpose(0, 2, 1)) @ self._target_sides
        return left.transpose(1, 0, 2)

    def dominant_direction(self) -> np.ndarray:
        """Per split, the feature direction of largest covariance with the targets, scaled by that covariance."""
        if self._products.shape[2] == 1:
            return self.times(np.ones((len(self._products), 1)))
        return self.times(largest_eigenvectors(self._targets))

    def deflate(self, u: np.ndarray, v: np.ndarray, transposed_times_u: np.ndarray) -> None:
        """Take the outer product of u (n_splits, n_features) and v (n_splits, n_targets) away."""
        cross = transposed_times_u[..., None] * v[:, None]
        self._feature_sides = np.concatenate([self._feature_sides, u[:, None]], axis=1)
        self._target_sides = np.concatenate([self._target_sides, v[:, None]], axis=1)
        squared = np.sum(u**2, axis=1)[:, None, None] * v[..., None] * v[:, None]
        self._targets += squared - cross - cross.transpose(0, 2, 1)
        if (np.trace(self._targets, axis1=1, axis2=2) < SUM_ANEW * self._summed).any():
            self._sum_targets()

    def _sum_targets(self) -> None:
        left = self._products - self._feature_sides.transpose(0, 2, 1) @ self._target_sides
        self._targets = left.transpose(0, 2, 1) @ left
        self._summed = np.trace(self._targets, axis1=1, axis2=2)


def largest_eigenvectors(matrices: np.ndarray) -> np.ndarray:
    """Unit eigenvector of the largest eigenvalue of each symmetric matrix, (n, m, m) to (n, m).

    Lanczos iteration with full orthogonalisation, all matrices at once; a small one is decomposed whole.
    """
    n, m, _ = matrices.shape
    if m <= FEW_TARGETS:
        return np.linalg.eigh(matrices)[1][..., -1]
    basis = np.zeros((n, m, m))
    diagonal, beside = np.zeros((2, n, m))
    v = matrices @ np.random.default_rng(0).standard_normal((m, 1))
    for k in range(m):
        v = _unit(v)
        basis[:, k] = v[..., 0]
        v = matrices @ v
        known = basis[:, : k + 1]
        along = known @ v
        diagonal[:, k] = along[:, -1, 0]
        v = v - known.transpose(0, 2, 1) @ along
        v = v - known.transpose(0, 2, 1) @ (known @ v)  # once more: what is left may be rounding noise alone
        beside[:, k] = np.linalg.norm(v[..., 0], axis=1)
        if (k >= FIRST_LOOK and (k - FIRST_LOOK) % NEXT_LOOK == 0) or k == m - 1:
            values, vectors = np.linalg.eigh(_tridiagonal(diagonal[:, : k + 1], beside[:, :k]))
            residual = beside[:, k] * np.abs(vectors[:, -1, -1])
            if (residual <= RESIDUAL * values[:, -1]).all():
                break
    return (vectors[:, None, :, -1] @ known)[:, 0]


def _tridiagonal(diagonal: np.ndarray, beside: np.ndarray) -> np.ndarray:
    n, k = diagonal.shape
    matrices = np.zeros((n, k, k))
    rows = np.arange(k)
    matrices[:, rows, rows] = diagonal
    matrices[:, rows[1:], rows[:-1]] = matrices[:, rows[:-1], rows[1:]] = beside
    return matrices


def _unit(v: np.ndarray) -> np.ndarray:
    """Columns of length one; a column of zeros stays."""
    length = np.linalg.norm(v, axis=1, keepdims=True)
    return np.divide(v, length, out=np.zeros_like(v), where=length > 0)


def _weighted(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Per split, the sum of vectors (n_splits, n, size) with weights (n_splits, n, 1)."""
    return (weights.transpose(0, 2, 1) @ vectors)[:, 0]


def _chunks(x: np.ndarray, centre: np.ndarray | None) -> Iterator[tuple[slice, np.ndarray]]:
    """(rows, centred float64 rows) of X, so that a large one is never held in double precision whole."""
    if centre is None:
        yield slice(None), x
        return
    step = max(1, CHUNK_BYTES // (8 * x.shape[1]))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        yield rows, x[rows] - centre


def _compact(x: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """The same stimuli, and what is left to centre, in the form that is quickest to go through again and again.

    With more features than stimuli, in n_stimuli coordinates: PLS sees X only through inner products.
    """
    n_stimuli, n_features = x.shape
    if n_features > n_stimuli:
        return np.linalg.qr((x - centre).T, mode="r").T, None
    if 8 * x.size <= SMALL_BYTES:
        return x - centre, None
    return x, centre


def _train_products(
    x: np.ndarray, centre: np.ndarray | None, y: np.ndarray, train: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Each split's training means of X and Y and its X'Y about them.

    Shapes (n_splits, n_features), (n_splits, n_targets) and (n_splits, n_features, n_targets).
    """
    n_splits, n_train = len(train), train.sum(1)[:, None]
    held_out = np.zeros((n_splits, x.shape[1], y.shape[1]))
    everything = np.zeros((x.shape[1], y.shape[1]))
    x_sum = np.zeros((n_splits, x.shape[1]))
    for rows, block in _chunks(x, centre):
        everything += block.T @ y[rows]
        x_sum += train[:, rows].astype(np.float64) @ block
        for k in range(n_splits):
            out = ~train[k, rows]
            held_out[k] += block[out].T @ y[rows][out]
    x_mean, y_mean = x_sum / n_train, train.astype(np.float64) @ y / n_train
    products = everything - held_out - n_train[..., None] * x_mean[..., None] * y_mean[:, None]
    for k, rows in enumerate(train):
        # A target that is constant in training has no covariance, and its rounding noise must not be ranked.
        products[k][:, np.ptp(y[rows], axis=0) == 0] = 0.0
    return x_mean, y_mean, products


def _scores(
    x: np.ndarray, centre: np.ndarray | None, r: np.ndarray, x_mean: np.ndarray, mask: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A component's scores of all stimuli, (n_splits, n_stimuli), and X' times those of the training stimuli.

    One pass over X does both.
    """
    scores = np.empty((len(r), len(x)))
    products = np.zeros_like(r)
    shift = np.sum(r * x_mean, axis=1, keepdims=True)
    for rows, block in _chunks(x, centre):
        scores[:, rows] = r @ block.T - shift
        products += (scores[:, rows] * mask[:, rows]) @ block
    return scores, products
