"""Making a layer's activations small enough to keep, on the device, inside the forward hook.

A raw ResNet-50 pass over LaMem would write about 10 TB; what leaves the hook is at most `d` numbers a
stimulus.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from math import ceil, isqrt
from typing import BinaryIO

import numpy as np
import torch

from memscore.files import claim

# Numbers of a stored chunk: 16 MB in float32, so that a few in float64 fit beside each other anywhere.
CHUNK = 2**22
# Of the first component's singular value: what float32 activations, and Brain-Score's SVD of them, cannot tell from 0.
NOISE = 1e-6


class Sketch:
    """Random-sign fold of a flattened activation to about `d` features (a count sketch with strided bins).

    Feature j of the layer is multiplied by a random sign and added to output j mod p, so that inner products
    between stimuli are kept in expectation. p is the largest prime up to `d`: with a width that shares factors with
    the number of channels, a channel's map would fall into few bins, and wide layers be kept less precisely than
    others. The signs are seeded by the study's seed and the layer's name: every job, batch and stimulus set folds a
    layer in the same way. Maps (channels, height, width) are folded channels last, the order in which convolutions
    leave them in memory. A layer with at most `d` features passes unchanged, in torch's order.
    """

    def __init__(self, layer: str, d: int | None, seed: int):
        self.d = d
        self._width = largest_prime(d) if d else None
        self._seed = [seed, int.from_bytes(hashlib.sha256(layer.encode()).digest()[:8], "little")]
        self._signs = None

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        """Array (n_stimuli, ...) to float32 (n_stimuli, n_features), or p where they are more than d, always a copy."""
        n_features, width = activation[0].numel(), self._width
        if self.d is None or n_features <= self.d:
            # A copy: an in-place ReLU may overwrite the tensor as soon as the hook returns.
            whole = torch.empty(activation.shape, dtype=torch.float32, device=activation.device)
            return whole.copy_(activation).flatten(1)
        if self._signs is None:
            signs = np.random.default_rng(self._seed).integers(0, 2, n_features, dtype=np.int8) * 2 - 1
            self._signs = torch.from_numpy(signs).to(activation.device, torch.float32)
        flat = (activation.permute(0, 2, 3, 1) if activation.ndim == 4 else activation).flatten(1)
        if not flat.is_cuda:
            return torch.from_numpy(fold(flat.float().numpy(), self._signs.numpy(), width, torch.get_num_threads()))
        whole = n_features // width * width
        # A kernel for each part would take longer to start than to run.
        parts, signs = (values[..., :whole].unflatten(-1, (-1, width)) for values in (flat, self._signs))
        folded = (parts * signs).sum(1)
        folded[:, : n_features - whole].addcmul_(flat[:, whole:], self._signs[whole:])
        return folded


def fold(activations: np.ndarray, signs: np.ndarray, width: int, threads: int) -> np.ndarray:
    """Array (n_stimuli, n_features) times the signs, feature j added to column j mod `width`, float32.

    A layer is read once, without a copy. Each thread has stimuli of its own and waits for the others once a layer: in
    torch's own threads, which meet at every part, a fold takes a hundred times as long where another program is busy.
    """
    n_stimuli, n_features = activations.shape
    whole = n_features // width * width
    parts, signs_of_parts = activations[:, :whole].reshape(n_stimuli, -1, width), signs[:whole].reshape(-1, width)
    folded = np.empty((n_stimuli, width), np.float32)

    def add(stimuli: slice) -> None:
        with np.errstate(invalid="ignore", over="ignore"):  # The result says whether a layer was finite.
            # Transposed and in that order, each part is added for all stimuli while its signs are near.
            np.einsum("spw,pw->ws", parts[stimuli], signs_of_parts, out=folded[stimuli].T, order="F")
            folded[stimuli, : n_features - whole] += activations[stimuli, whole:] * signs[whole:]

    share = ceil(n_stimuli / threads)
    list(pool(threads).map(add, [slice(start, start + share) for start in range(0, n_stimuli, share)]))
    return folded


@cache
def pool(threads: int) -> ThreadPoolExecutor:
    """Of folds, for as long as the process lives: to start threads for each would take a part of its time."""
    return ThreadPoolExecutor(threads)


def largest_prime(most: int) -> int:
    """The largest prime up to `most`; 1 if there is none."""
    return next((n for n in range(most, 1, -1) if all(n % k for k in range(2, isqrt(n) + 1))), 1)


class PrincipalComponents:
    """The principal components of one layer over reference images, as Brain-Score's LayerPCA has them, up to sign.

    LayerPCA (brainscore_vision 2.4, model_helpers/activations/pca.py) fits scikit-learn's PCA with as many
    components as there are reference images, and passes on a layer with no more features than that. Here the
    components come from the images' inner products: with X the centred activations (n_images, n_features) and
    X Xᵀ = U S² Uᵀ, they are S⁻¹ Uᵀ X, for layers of any size.

    Centred, n images span n - 1 dimensions at most: Brain-Score's last component is rounding noise. It is left
    out here, as is any other that `NOISE` cannot tell from zero; hence 999 features from 1,000 images. A layer that
    is constant over the references has one feature, always zero; one that is not finite has one, NaN.

    Usage: `add` every reference, `fit` once, then call. What is kept, n_images x n_features x 4 bytes, lies in
    `file` (a tempfile.TemporaryFile), one chunk of features behind the other, and one is looked at at a time.
    """

    def __init__(self, n_images: int, file: BinaryIO):
        self.n_images = n_images
        self._file = file
        self._mean = None

    def add(self, rows: slice, activations: np.ndarray) -> None:
        """Keep the activations (n, n_features) of the reference images `rows`."""
        n_features = activations.shape[1]
        if n_features <= self.n_images:
            return
        if self._mean is None:
            self._mean = np.empty(n_features, np.float32)
            claim(self._file, self.n_images * n_features * 4, "a layer's reference activations")
        for features, stored in self._chunks():
            stored[rows] = activations[:, features]

    def fit(self) -> None:
        """Turn the stored activations into components, in place."""
        if self._mean is None:
            return
        gram = np.zeros((self.n_images, self.n_images))
        for features, stored in self._chunks():
            self._mean[features], centred = centre(stored)
            gram += centred @ centred.T
        turn = components_of(gram)
        self._n_components = len(turn)
        for _, stored in self._chunks():
            stored[: len(turn)] = turn @ centre(stored)[1]

    def __call__(self, activations: torch.Tensor) -> torch.Tensor:
        """Array (n, n_features) to (n, n_components), float32; small layers as they are."""
        if self._mean is None:
            return activations
        device = activations.device
        projected = activations.new_zeros(len(activations), self._n_components)
        for features, stored in self._chunks():
            components = torch.from_numpy(stored[: self._n_components]).to(device)
            mean = torch.from_numpy(self._mean[features]).to(device)
            projected += (activations[:, features] - mean) @ components.T
        return projected

    def _chunks(self) -> Iterator[tuple[slice, np.memmap]]:
        """(features, their array (n_images, n)) of each chunk, mapped only while it is looked at."""
        step, n_features = max(1, CHUNK // self.n_images), len(self._mean)
        for start in range(0, n_features, step):
            features = slice(start, min(start + step, n_features))
            shape = self.n_images, features.stop - start
            yield features, np.memmap(self._file, np.float32, "r+", offset=start * self.n_images * 4, shape=shape)


def centre(activations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(mean, activations without it) over images, float64; exactly zero for a feature that is constant."""
    with np.errstate(invalid="ignore"):  # The result says whether a layer was finite.
        centred = activations - activations[0].astype(np.float64)
        shift = centred.mean(0)
        centred -= shift
        return activations[0] + shift, centred


def components_of(gram: np.ndarray) -> np.ndarray:
    """The matrix (n_components, n_images) that turns centred activations, whose inner products these are, into
    components of unit length, the first with the largest variance."""
    if not np.isfinite(gram).all():
        return np.full((1, len(gram)), np.nan)
    variance, images = np.linalg.eigh(gram)
    variance, images = variance[::-1], images[:, ::-1]
    kept = variance > NOISE**2 * variance[0]
    if not kept.any():
        return np.zeros((1, len(gram)))
    images = images[:, kept]
    # An eigenvector's sign is LAPACK's whim: that of its largest entry is made positive.
    images = images * np.sign(np.take_along_axis(images, np.abs(images).argmax(0)[None], 0))
    return (images / np.sqrt(variance[kept])).T
