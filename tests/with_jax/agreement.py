"""How results are compared."""

import jax
import numpy as np


def assert_agree(found, expected, tolerance=1e-8):
    """Compare trees of arrays, each by its largest entry."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        scale = 1.0 + np.abs(other).max(initial=0.0)
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)
