"""Correlation with sites that say nothing."""

import numpy as np

from memscore import brain


def test_a_constant_site_has_no_correlation():
    """0.1 minus its mean is not quite 0: the rest must not be taken for a signal."""
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((2, 200, 3))
    a[:, 1] = b[:, 1] = 0.1
    r = brain.pearson(a, b)
    assert np.isnan(r[1])
    np.testing.assert_allclose(r[[0, 2]], [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in (0, 2)])
