"""The rational quadratic kernel with a length scale a feature."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.gaussian_process import kernels as sk

from gprat.kernels._base import Bounds, Float64Array, hyperparameter
from gprat.kernels._features import differences, squared_distance, sum_or_stack
from gprat.kernels._leaf import LeafKernel

__all__ = ["RationalQuadratic"]


class RationalQuadratic(LeafKernel, sk.RationalQuadratic):
    """Rational quadratic kernel, with one length scale or one a feature.

    ::

        k(x, z) = (1 + Σ_f (x_f - z_f)²/(2 alpha length_scale_f²))^(-alpha)

    It is a mixture of RBF kernels of many length scales, and becomes one RBF kernel for large
    alpha: R&W 2006, eq. 4.19. With one length scale it is scikit-learn's kernel of the same name,
    of which it is a subclass.

    Parameters
    ----------
    length_scale : float or array-like of shape (d,), default=1.0
        Positive.
    alpha : float, default=1.0
        Positive; the smaller, the more the length scales of the mixture vary.
    length_scale_bounds : pair of float, array-like of shape (d, 2), or "fixed"
        Bounds for training, default (1e-5, 1e5).
    alpha_bounds : pair of float or "fixed"
        Bounds for training, default (1e-5, 1e5).

    Examples
    --------
    >>> from gprat.kernels import RationalQuadratic
    >>> kernel = RationalQuadratic(length_scale=[1.0, 2.0], alpha=0.5)
    >>> kernel([[0.0, 0.0]], [[1.0, 2.0]]).round(4)
    array([[0.5774]])
    """

    per_feature: ClassVar[tuple[str, ...]] = ("length_scale",)

    def __init__(
        self,
        length_scale: float | npt.ArrayLike = 1.0,
        alpha: float = 1.0,
        length_scale_bounds: Bounds = (1e-5, 1e5),
        alpha_bounds: Bounds = (1e-5, 1e5),
    ) -> None:
        self.length_scale = length_scale
        self.alpha = alpha
        self.length_scale_bounds = length_scale_bounds
        self.alpha_bounds = alpha_bounds

    hyperparameter_alpha = hyperparameter("alpha")
    hyperparameter_length_scale = hyperparameter("length_scale")

    def _covariance(self, X: Float64Array, Z: Float64Array) -> Float64Array:
        ratio = squared_distance(X, Z, self.length_scale) / (2.0 * self.alpha)
        return np.exp(-self.alpha * np.log1p(ratio))

    def _derivative_by_alpha(self, X: Float64Array, K: Float64Array) -> Float64Array:
        ratio = squared_distance(X, X, self.length_scale) / (2.0 * self.alpha)
        slope = self.alpha * K * (ratio / (1.0 + ratio) - np.log1p(ratio))
        return slope[:, :, np.newaxis]

    def _derivative_by_length_scale(self, X: Float64Array, K: Float64Array) -> Float64Array:
        ratio = squared_distance(X, X, self.length_scale) / (2.0 * self.alpha)
        weight = K / (1.0 + ratio)
        terms = (weight * u**2 for u in differences(X, X, self.length_scale))
        return sum_or_stack(terms, np.size(self.length_scale))
