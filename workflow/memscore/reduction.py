"""Making a layer's activations small enough to keep, on the device, inside the forward hook.

A raw ResNet-50 pass over LaMem would write about 10 TB; what leaves the hook is at most `d` numbers a
stimulus.
"""

import hashlib

import numpy as np
import torch


class Sketch:
    """Random-sign fold of a flattened activation to `d` features (a count sketch with strided bins).

    Feature j of the layer is multiplied by a random sign and added to output j mod d, so that inner products
    between stimuli are kept in expectation. The signs are seeded by the layer's name: every job, batch and
    stimulus set folds a layer in the same way. A layer with at most `d` features passes unchanged.
    """

    def __init__(self, layer: str, d: int | None):
        self.d = d
        self._seed = int.from_bytes(hashlib.sha256(layer.encode()).digest()[:8], "little")
        self._signs = None

    def __call__(self, activation: torch.Tensor) -> torch.Tensor:
        """Array (n_stimuli, ...) to float32 (n_stimuli, min(n_features, d)), always a copy."""
        flat = activation.flatten(1).float()
        n_features = flat.shape[1]
        if self.d is None or n_features <= self.d:
            # An in-place ReLU may overwrite the tensor as soon as the hook returns.
            return flat.clone()
        if self._signs is None:
            signs = np.random.default_rng(self._seed).integers(0, 2, n_features, dtype=np.int8) * 2 - 1
            self._signs = torch.from_numpy(signs).to(flat.device, torch.float32)
        whole = n_features - n_features % self.d
        signed = flat * self._signs
        folded = signed[:, :whole].unflatten(1, (-1, self.d)).sum(1)
        folded[:, : n_features - whole] += signed[:, whole:]
        return folded
