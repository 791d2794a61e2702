"""The periodic kernel, with a length scale and a period a feature."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.gaussian_process import kernels as sk

from gprat.kernels._base import Bounds, Float64Array, hyperparameter
from gprat.kernels._features import differences, one_each, sum_or_stack
from gprat.kernels._leaf import LeafKernel

__all__ = ["Periodic"]


class Periodic(sk.StationaryKernelMixin, sk.NormalizedKernelMixin, LeafKernel):
    """Kernel of functions that are periodic in each feature.

    ::

        k(x, z) = exp(-2 Σ_f sin²(π (x_f - z_f)/periodicity_f)/length_scale_f²)

    It is an RBF kernel of the points laid on circles, (cos, sin) of 2π x_f/periodicity_f, so it is
    positive semidefinite for any number of features (MacKay 1998; R&W 2006, eq. 4.31).
    scikit-learn's `ExpSineSquared` takes the sine of the Euclidean distance instead and is so for
    one feature only, where the two agree.

    Parameters
    ----------
    length_scale : float or array-like of shape (d,), default=1.0
        Positive, without unit: nearby points have the covariance of an RBF kernel with the length
        scale length_scale·periodicity/(2π).
    periodicity : float or array-like of shape (d,), default=1.0
        Positive, in the unit of the feature.
    length_scale_bounds : pair of float, array-like of shape (d, 2), or "fixed"
        Bounds for training, default (1e-5, 1e5).
    periodicity_bounds : pair of float, array-like of shape (d, 2), or "fixed"
        Bounds for training, default (1e-5, 1e5).

    Examples
    --------
    >>> from gprat.kernels import Periodic
    >>> kernel = Periodic(length_scale=0.5, periodicity=[1.0, 7.0])
    >>> kernel([[0.0, 0.0]], [[3.0, 14.0], [3.0, 15.0]]).round(4)
    array([[1.    , 0.2218]])
    """

    per_feature: ClassVar[tuple[str, ...]] = ("length_scale", "periodicity")

    def __init__(
        self,
        length_scale: float | npt.ArrayLike = 1.0,
        periodicity: float | npt.ArrayLike = 1.0,
        length_scale_bounds: Bounds = (1e-5, 1e5),
        periodicity_bounds: Bounds = (1e-5, 1e5),
    ) -> None:
        self.length_scale = length_scale
        self.periodicity = periodicity
        self.length_scale_bounds = length_scale_bounds
        self.periodicity_bounds = periodicity_bounds

    hyperparameter_length_scale = hyperparameter("length_scale")
    hyperparameter_periodicity = hyperparameter("periodicity")

    def _covariance(self, X: Float64Array, Z: Float64Array) -> Float64Array:
        scale = one_each(self.length_scale, X.shape[1])
        exponent = np.zeros((len(X), len(Z)))
        for cycles, length in zip(differences(X, Z, self.periodicity), scale, strict=True):
            exponent -= 2.0 * (np.sin(np.pi * cycles) / length) ** 2
        return np.exp(exponent)

    def _derivative_by_length_scale(self, X: Float64Array, K: Float64Array) -> Float64Array:
        scale = one_each(self.length_scale, X.shape[1])
        terms = (
            4.0 * K * (np.sin(np.pi * cycles) / length) ** 2
            for cycles, length in zip(differences(X, X, self.periodicity), scale, strict=True)
        )
        return sum_or_stack(terms, np.size(self.length_scale))

    def _derivative_by_periodicity(self, X: Float64Array, K: Float64Array) -> Float64Array:
        scale = one_each(self.length_scale, X.shape[1])
        terms = (
            2.0 * np.pi * K * cycles * np.sin(2.0 * np.pi * cycles) / length**2
            for cycles, length in zip(differences(X, X, self.periodicity), scale, strict=True)
        )
        return sum_or_stack(terms, np.size(self.periodicity))
