"""Partial least squares regression of many targets over many splits, in one go, on a CPU or a GPU.

The model is scikit-learn's `PLSRegression(n_components, scale=False)` (NIPALS PLS2), computed by improved
kernel PLS (Dayal & MacGregor 1997, J. Chemometrics 11:73): only the cross-products are deflated, never the
data. X'Y is summed over all stimuli once, and each split's training part follows by subtracting its held-out
part (Engstrøm & Jensen 2024). All splits advance together: X is read once a component whatever their number,
or once in all where X'X is small enough to be summed too. The dominant direction of a component is the largest
eigenvector of a small matrix of targets, found by Lanczos iteration to rounding error, where NIPALS stops at a
tolerance.

Arrays are NumPy's on a CPU and torch's on a GPU, through the array API standard; torch takes two seconds to import.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import numpy as np
from array_api_compat import array_namespace, device
from threadpoolctl import threadpool_info, threadpool_limits

# A direction that holds less than this share of the features' and targets' spread is rounding noise: the split
# is complete.
EXHAUSTED = 1e-12
# X is gone through in chunks of this size in float64, which stay in the processor's cache; a small X is converted once.
CHUNK_BYTES, SMALL_BYTES = 4 << 20, 2 << 30
# On a GPU in chunks so many times as large, since each takes longer to start than to go through.
GPU_CHUNKS = 64
# For X'X and X'Y in larger ones, since each writes the whole of them.
SUM_CHUNK_BYTES = 24 << 20
# X'X of up to 5 splits is summed group by group of stimuli with the same splits. It pays up to so many features per
# split and component (measured), and is stable to where single-precision activations end where stimuli abound.
GRAM_SPLITS, GRAM_FEATURES, GRAM_STIMULI = 5, 12, 20
# What a variance computed from X'X may be wrong by, as a share of the largest.
GRAM_NOISE = 1e-14
# Eigenvectors are found to a residual of this share of the eigenvalue, looked at after so many steps and then every so
# many; of up to 32 targets a whole decomposition is as fast.
RESIDUAL, FIRST_LOOK, NEXT_LOOK, FEW_TARGETS = 1e-12, 12, 4, 32
# Training stimuli that are looked at first for a target that is constant.
FIRST_ROWS = 32
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
    x : array of shape (n_stimuli, n_features), NumPy's, or torch's on the device that then computes
    y : array of shape (n_stimuli, n_targets), or (n_splits, n_stimuli, n_targets) where splits have their own
    train : boolean array of shape (n_splits, n_stimuli), True where a stimulus is trained on
    n_components : at most this many components; a split uses fewer where its features have lower rank
    """
    features = _Features(x)
    y = np.asarray(y, dtype=np.float64)
    y_centre = y.mean(-2, keepdims=True)
    y = y - y_centre
    rotations, loadings, x_mean, y_mean = _fit(features, y, train, min(n_components, features.x.shape[1]))
    return Fitted(features, rotations, loadings, x_mean, y_mean + features.array(y_centre)[..., 0, :])


def _fit(
    features: "_Features", y: np.ndarray, train: np.ndarray, n_components: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """(rotations, target_loadings, x_mean, y_mean) of `Fitted`, from centred targets."""
    xp, y = features.xp, features.array(y)
    sums = _Sums(features, y, train)
    with_gram = _gram_pays(features.x.shape, len(train), n_components)
    gram = _gram(features, train, sums.x_mean) if with_gram else None
    mask = features.array(train.astype(np.float64))
    nothing = EXHAUSTED * float(sums.x_squared) ** 0.5 + features.rounding
    floor = nothing * float(xp.sum(y**2)) ** 0.5

    # Of every component: what turns features into scores, and the loadings.
    rotations, loadings = (features.zeros(len(train), n_components, features.x.shape[1]) for _ in range(2))
    target_loadings = features.zeros(len(train), n_components, y.shape[-1])
    each = features.each
    with features.blas_in_one_thread():
        groups = np.array_split(np.arange(len(train)), min(features.n_threads, len(train)))
        groups = [slice(group[0], group[-1] + 1) for group in groups]
        covariances = list(each(_Covariance, [sums.products[group] for group in groups]))
        for k in range(n_components):
            direction = xp.concat(list(each(_Covariance.dominant_direction, covariances)))
            length = _length(direction)
            alive = length > floor
            if not bool(xp.any(alive)):
                break
            w = xp.where(alive, direction / xp.where(alive, length, 1.0), 0.0)
            r = w - _weighted(rotations[:, :k], loadings[:, :k] @ w[..., None])
            products, variance = _through_gram(gram, r) if with_gram else _through(features, r, sums.x_mean, mask)
            varies = variance > nothing**2
            inverse = xp.where(varies, 1 / xp.where(varies, variance, 1.0), 0.0)
            rotations[:, k], loadings[:, k] = r, products * inverse
            of_groups = ([of_all[group] for group in groups] for of_all in (r, products, inverse))
            target_loadings[:, k] = xp.concat(list(each(_Covariance.deflate, covariances, *of_groups)))
    return rotations, target_loadings, sums.x_mean, sums.y_mean


@dataclass(frozen=True)
class Fitted:
    """A regression for each split, and the features that it was fitted on.

    rotations : (n_splits, n_components, n_features), what turns features into a component's scores
    target_loadings : (n_splits, n_components, n_targets), what a component's scores add to the predictions
    x_mean, y_mean : (n_splits, n_features or n_targets)

    The first k components are the model of k components: each is fitted to what those before it have left.
    """

    features: "_Features"
    rotations: np.ndarray
    target_loadings: np.ndarray
    x_mean: np.ndarray
    y_mean: np.ndarray

    def predict(self, split: int, stimuli: np.ndarray | None = None, n_components: int | None = None) -> np.ndarray:
        """float64 array (n, n_targets) of a split's predictions; of trained stimuli, the fitted values.

        stimuli : which, a boolean or integer array; None for all
        n_components : of how many, None for all that were fitted
        """
        rotations, loadings = self.rotations[split, :n_components], self.target_loadings[split, :n_components]
        coefficients = self.features.xp.matrix_transpose(rotations) @ loadings
        intercept = self.y_mean[split] - self.x_mean[split] @ coefficients
        return self._times(coefficients, stimuli, intercept)

    def predict_by_components(self, split: int, stimuli: np.ndarray | None = None) -> np.ndarray:
        """float64 array (n_components, n, n_targets): `predict` with one component, with two, and so on."""
        xp, rotations, loadings = self.features.xp, self.rotations[split], self.target_loadings[split]
        scores = self._times(xp.matrix_transpose(rotations), stimuli, -(rotations @ self.x_mean[split]))
        y_mean, loadings = (v if isinstance(v, np.ndarray) else v.cpu().numpy() for v in (self.y_mean[split], loadings))
        return y_mean + np.cumsum(scores.T[..., None] * loadings[:, None], axis=0)

    def _times(self, matrix: np.ndarray, stimuli: np.ndarray | None, added: np.ndarray) -> np.ndarray:
        features = self.features
        rows = np.arange(len(features.x))
        rows = rows if stimuli is None else rows[stimuli]
        product = features.xp.concat([block @ matrix for _, block in features.blocks(rows)]) + added
        return product if isinstance(product, np.ndarray) else product.cpu().numpy()


class _Features:
    """X in the form that is quickest to go through again and again.

    With more features than stimuli, in n_stimuli coordinates: PLS sees X only through inner products. What is small
    in double precision is kept so; anything else is centred chunk by chunk.

    each : `map` over as many threads as BLAS may use (`n_threads`); on a GPU Python's own
    """

    def __init__(self, x: np.ndarray):
        self.n_threads = _blas_threads() if isinstance(x, np.ndarray) else 1
        self.each = ThreadPoolExecutor(self.n_threads).map if self.n_threads > 1 else map
        self.x, self.xp = x, array_namespace(x)
        n_stimuli, n_features = x.shape
        total = sum(self.each(lambda rows: self.xp.sum(x[rows], axis=0, dtype=self.xp.float64), self.chunks()))
        self._centre = total / n_stimuli
        self.rounding = float(4 * np.finfo(np.float64).eps * n_stimuli**0.5 * (self._centre @ self._centre) ** 0.5)
        self._centred = n_features > n_stimuli or 8 * n_stimuli * n_features <= SMALL_BYTES
        if n_features > n_stimuli:
            tall = (x - self._centre).T  # of its QR decomposition, R alone: a mode that the array API does not have
            self.x = (np.linalg.qr(tall, "r") if isinstance(x, np.ndarray) else self.xp.linalg.qr(tall, mode="r")[1]).T
        elif self._centred:
            self.x = self.zeros(n_stimuli, n_features)
            list(self.each(lambda rows: self._centre_into(x[rows], self.x[rows]), self.chunks()))

    def _centre_into(self, x: np.ndarray, centred: np.ndarray) -> None:
        centred[...] = x
        centred -= self._centre

    def array(self, values: np.ndarray) -> np.ndarray:
        """An array where X is."""
        return self.xp.asarray(values, device=device(self.x))

    def zeros(self, *shape: int) -> np.ndarray:
        return self.xp.zeros(shape, dtype=self.xp.float64, device=device(self.x))

    def chunks(self, n_bytes: int | None = None, n: int | None = None) -> list[slice]:
        """Equal parts of all stimuli or of n, each of at most so many bytes in float64."""
        n = len(self.x) if n is None else n
        n_bytes = (n_bytes or CHUNK_BYTES) * (1 if isinstance(self.x, np.ndarray) else GPU_CHUNKS)
        n_chunks = -(-8 * n * self.x.shape[1] // n_bytes)
        if n_chunks > 1:  # As many for each of 2, 4 or 8 threads; their number must not decide how sums are rounded.
            n_chunks = -(-n_chunks // 8) * 8
        step = max(1, -(-n // max(n_chunks, 1)))
        return [slice(start, start + step) for start in range(0, n, step)]

    def centred(self, rows: slice | np.ndarray) -> np.ndarray:
        """Their centred features in float64."""
        x = self.x[rows if isinstance(rows, slice) else self.array(rows)]
        return x if self._centred else x - self._centre

    def blocks(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """(stimuli, their centred features) of the stimuli `rows`, some after the other."""
        for part in self.chunks(SUM_CHUNK_BYTES, len(rows)):
            yield rows[part], self.centred(rows[part])

    def blas_in_one_thread(self) -> AbstractContextManager:
        """BLAS's own threads wait for each other at small products."""
        return threadpool_limits(1, "blas") if self.n_threads > 1 else nullcontext()


def _blas_threads() -> int:
    return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)


class _Sums:
    """Sums over each split's training stimuli.

    x_mean : (n_splits, n_features); y_mean : (n_splits, n_targets); products : X'Y about these, (n_splits, n_features,
    n_targets); x_squared : X's squares over all stimuli
    """

    def __init__(self, features: _Features, y: np.ndarray, train: np.ndarray):
        xp = features.xp
        mask = features.array(train.astype(np.float64))
        n_train = xp.sum(mask, axis=1)[:, None]
        trained_y = mask[..., None] * y if y.ndim == 3 else None
        self.y_mean = (mask @ y if y.ndim == 2 else xp.sum(trained_y, axis=1)) / n_train
        x_sum = features.zeros(len(train), features.x.shape[1])
        self.products = features.zeros(len(train), features.x.shape[1], y.shape[-1])
        everything = features.zeros(features.x.shape[1], y.shape[-1])
        self.x_squared = features.zeros()
        for rows in features.chunks(SUM_CHUNK_BYTES):
            block = features.centred(rows)
            flat = xp.reshape(block, (-1,))
            self.x_squared += flat @ flat
            x_sum += mask[:, rows] @ block
            if y.ndim == 3:
                self.products += (xp.matrix_transpose(trained_y[:, rows]) @ block).swapaxes(1, 2)
            else:
                everything += block.T @ y[rows]
        self.x_mean = x_sum / n_train

        def of_split(k: int) -> None:
            products, known = self.products[k], y if y.ndim == 2 else y[k]
            if y.ndim == 2:
                products += everything
                for held_out, block in features.blocks(np.flatnonzero(~train[k])):
                    products -= block.T @ y[features.array(held_out)]
            products -= x_sum[k][:, None] * self.y_mean[k]
            trained = features.array(np.flatnonzero(train[k]))
            # It has no covariance, and its rounding noise must not be ranked.
            products[:, _constant(known, trained)] = 0.0

        with features.blas_in_one_thread():
            list(features.each(of_split, range(len(train))))


def _constant(y: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Which columns of y are the same in all these rows."""
    xp = array_namespace(y)
    for some in (rows[:FIRST_ROWS], rows):  # most differ at once
        same = xp.all(y[some] == y[rows[0]], axis=0)
        if not bool(xp.any(same)):
            break
    return same


class _Covariance:
    """X'Y of every split's training stimuli, array of shape (n_splits, n_features, n_targets), as it is deflated.

    The array is never rewritten: what was taken away is kept as vectors, and only products are needed. `_targets` is
    its transpose times itself, from which the dominant direction comes.
    """

    def __init__(self, products: np.ndarray):
        self._xp = array_namespace(products)
        self._products = products
        self._feature_sides, self._target_sides = products.swapaxes(1, 2)[:, :0], products[:, :0]
        self._next = None
        self._sum_targets()

    def times(self, v: np.ndarray) -> np.ndarray:
        """Array (n_splits, n_features) of what is left times a vector of targets per split."""
        taken = _weighted(self._feature_sides, self._target_sides @ v[..., None])
        return (self._products @ v[..., None])[..., 0] - taken

    def _transposed_times(self, *us: np.ndarray) -> np.ndarray:
        """Of what is left, transposed, times each vector of features (n_splits, n_features): (n_splits, n_targets)."""
        u = self._xp.stack(us, axis=1)
        left = u @ self._products - (u @ self._xp.matrix_transpose(self._feature_sides)) @ self._target_sides
        return left.swapaxes(0, 1)

    def dominant_direction(self) -> np.ndarray:
        """Per split, the feature direction of largest covariance with the targets, scaled by that covariance."""
        if self._products.shape[2] == 1:
            return self.times(self._xp.ones_like(self._products[:, 0]))
        direction, self._next = largest_eigenvectors(self._targets, self._next)
        return self.times(direction)

    def deflate(self, r: np.ndarray, products: np.ndarray, inverse: np.ndarray) -> np.ndarray:
        """Take a component away: what turns features into its scores, X'X times that, and one over its variance.

        Returns the targets' loadings (n_splits, n_targets).
        """
        xp = self._xp
        of_r, of_products = self._transposed_times(r, products)
        loadings = of_r * inverse
        self._feature_sides = xp.concat([self._feature_sides, products[:, None]], axis=1)
        self._target_sides = xp.concat([self._target_sides, loadings[:, None]], axis=1)
        half = (xp.sum(products**2, axis=1)[:, None] / 2 * loadings - of_products)[..., None] * loadings[:, None]
        self._targets += half
        self._targets += xp.matrix_transpose(half)
        if bool(xp.any(xp.linalg.trace(self._targets) < SUM_ANEW * self._summed)):
            self._sum_targets()
        return loadings

    def _sum_targets(self) -> None:
        left = self._products - self._xp.matrix_transpose(self._feature_sides) @ self._target_sides
        self._targets = self._xp.matrix_transpose(left) @ left
        self._summed = self._xp.linalg.trace(self._targets)


def _through(features: _Features, r: np.ndarray, x_mean: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """X'X of each split's training stimuli times its r (n_splits, n_features), and r'X'Xr (n_splits, 1).

    One pass over X, in which each chunk's scores are computed and used.
    """
    xp = features.xp
    shift = xp.sum(r * x_mean, axis=1)[:, None]

    def of(rows: slice) -> tuple[np.ndarray, np.ndarray]:
        block = features.centred(rows)
        scores = (r @ block.T - shift) * mask[:, rows]
        return scores @ block, xp.sum(scores**2, axis=1)[:, None]

    products, variance = xp.zeros_like(r), xp.zeros_like(r[:, :1])
    for some_products, some_variance in features.each(of, features.chunks()):
        products += some_products
        variance += some_variance
    return products, variance


def _through_gram(gram: np.ndarray, r: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same from the X'X of each split; a variance that rounding errors may have made up is zero."""
    xp = array_namespace(gram)
    products = (gram @ r[..., None])[..., 0]
    variance = xp.sum(products * r, axis=1)[:, None]
    made_up = GRAM_NOISE * xp.linalg.trace(gram)[:, None] * xp.sum(r**2, axis=1)[:, None]
    return products, xp.where(variance > made_up, variance, 0.0)


def _gram_pays(shape: tuple[int, int], n_splits: int, n_components: int) -> bool:
    """Whether summing X'X costs less than going through X once a component."""
    n_stimuli, n_features = shape
    few = n_features <= GRAM_FEATURES * n_splits * n_components
    return n_splits <= GRAM_SPLITS and few and n_stimuli >= GRAM_STIMULI * n_features


def _gram(features: _Features, train: np.ndarray, x_mean: np.ndarray) -> np.ndarray:
    """X'X about its mean of each split's training stimuli, (n_splits, n_features, n_features).

    Stimuli that train in the same splits are summed together and once.
    """
    n_features = features.x.shape[1]
    grams = features.zeros(len(train), n_features, n_features)
    groups = 2 ** np.arange(len(train)) @ train
    for group in np.unique(groups[groups > 0]):
        rows = np.flatnonzero(groups == group)
        summed = sum(block.T @ block for _, block in features.blocks(rows))
        for k in np.flatnonzero(train[:, rows[0]]):
            grams[k] += summed
    for k, n_train in enumerate(train.sum(1)):
        grams[k] -= int(n_train) * x_mean[k][:, None] * x_mean[k]
    return grams


def largest_eigenvectors(matrices: np.ndarray, start: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Unit eigenvectors of the largest eigenvalue of each symmetric matrix, (n, m, m) to (n, m), and about the second.

    Lanczos iteration with full orthogonalisation, all matrices at once; a small one is decomposed whole.

    start : where to start from (n, m); once the largest is deflated, the second is near the next largest
    """
    xp = array_namespace(matrices)
    m = matrices.shape[1]
    if m <= FEW_TARGETS:
        vectors = xp.linalg.eigh(matrices)[1]
        return vectors[..., -1], vectors[..., -min(m, 2)]
    # Something of every direction is in it, whatever the start lacks.
    v = xp.asarray(np.random.default_rng(0).standard_normal((m, 1)), device=device(matrices))
    v = matrices @ v if start is None else start[..., None] + 1e-3 * _unit(matrices @ v)
    basis, diagonal, beside = xp.zeros_like(matrices), xp.zeros_like(matrices[..., 0]), xp.zeros_like(matrices[..., 0])
    for k in range(m):
        v = _unit(v)
        basis[:, k] = v[..., 0]
        v = matrices @ v
        known = basis[:, : k + 1]
        along = known @ v
        diagonal[:, k] = along[:, -1, 0]
        v = v - known.swapaxes(1, 2) @ along
        v = v - known.swapaxes(1, 2) @ (known @ v)  # once more: what is left may be rounding noise alone
        beside[:, k] = _length(v[..., 0])[:, 0]
        if (k >= FIRST_LOOK and (k - FIRST_LOOK) % NEXT_LOOK == 0) or k == m - 1:
            values, vectors = xp.linalg.eigh(_tridiagonal(diagonal[:, : k + 1], beside[:, :k]))
            residual = beside[:, k] * xp.abs(vectors[:, -1, -1])
            if bool(xp.all(residual <= RESIDUAL * values[:, -1])):
                break
    first, second = ((vectors[:, None, :, i] @ known)[:, 0] for i in (-1, -2))
    return first, second


def _tridiagonal(diagonal: np.ndarray, beside: np.ndarray) -> np.ndarray:
    xp = array_namespace(diagonal)
    n, k = diagonal.shape
    matrices = xp.zeros((n, k, k), dtype=diagonal.dtype, device=device(diagonal))
    rows = np.arange(k)
    matrices[:, rows, rows] = diagonal
    matrices[:, rows[1:], rows[:-1]] = matrices[:, rows[:-1], rows[1:]] = beside
    return matrices


def _length(vectors: np.ndarray) -> np.ndarray:
    """Of each row of (n, size): (n, 1)."""
    return (vectors * vectors).sum(1)[:, None] ** 0.5


def _unit(v: np.ndarray) -> np.ndarray:
    """Columns (n, size, 1) of length one; a column of zeros stays."""
    length = _length(v)
    return v / (length + (length == 0))


def _weighted(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Per split, the sum of vectors (n_splits, n, size) with weights (n_splits, n, 1)."""
    return (weights.swapaxes(1, 2) @ vectors)[:, 0]


def flaw(activations: np.ndarray) -> str:
    """Why a layer cannot be scored, in the words of the results table; empty if it can."""
    xp = array_namespace(activations)
    if not bool(xp.all(xp.isfinite(activations))):
        return "not finite"
    if bool(xp.all(activations == activations[0])):
        return "constant"
    return ""
