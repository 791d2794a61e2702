"""The cosine kernel: plane waves of one frequency."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.gaussian_process import kernels as sk

from gprat.kernels._base import Bounds, Float64Array, hyperparameter
from gprat.kernels._features import differences, sum_or_stack
from gprat.kernels._leaf import LeafKernel

__all__ = ["Cosine"]


class Cosine(sk.StationaryKernelMixin, sk.NormalizedKernelMixin, LeafKernel):
    """Kernel of sines and cosines of one frequency.

    ::

        k(x, z) = cos(2π Σ_f (x_f - z_f)/period_f)

    With φ(x) = 2π Σ_f x_f/period_f this is cos φ(x) cos φ(z) + sin φ(x) sin φ(z), an inner product,
    so it is positive semidefinite for any number of features, of rank 2. The cosine of the distance
    ‖x - z‖ is not: three points of the plane, each half a period from the others, would all have
    the correlation -1.

    Parameters
    ----------
    period : float or array-like of shape (d,), default=1.0
        Positive, in the unit of the feature.
    period_bounds : pair of float, array-like of shape (d, 2), or "fixed"
        Bounds for training, default (1e-5, 1e5).

    Examples
    --------
    >>> from gprat.kernels import Cosine
    >>> Cosine(period=4.0)([[0.0]], [[0.0], [1.0], [2.0]]).round(4) + 0.0
    array([[ 1.,  0., -1.]])
    """

    per_feature: ClassVar[tuple[str, ...]] = ("period",)

    def __init__(
        self, period: float | npt.ArrayLike = 1.0, period_bounds: Bounds = (1e-5, 1e5)
    ) -> None:
        self.period = period
        self.period_bounds = period_bounds

    hyperparameter_period = hyperparameter("period")

    def _covariance(self, X: Float64Array, Z: Float64Array) -> Float64Array:
        return np.cos(2.0 * np.pi * sum(differences(X, Z, self.period)))

    def _derivative_by_period(self, X: Float64Array, K: Float64Array) -> Float64Array:
        slope = 2.0 * np.pi * np.sin(2.0 * np.pi * sum(differences(X, X, self.period)))
        terms = (slope * cycles for cycles in differences(X, X, self.period))
        return sum_or_stack(terms, np.size(self.period))
