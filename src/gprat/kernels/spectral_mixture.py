"""The spectral mixture kernel: a spectral density that is a mixture of normal distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.gaussian_process import kernels as sk

from gprat.exceptions import InvalidInputError
from gprat.kernels._base import Bounds, Float64Array, hyperparameter
from gprat.kernels._features import differences, squared_distance
from gprat.kernels._leaf import LeafKernel
from gprat.kernels._spectrum import spectral_start

__all__ = ["SpectralMixture"]


class SpectralMixture(sk.StationaryKernelMixin, LeafKernel):
    """Kernel whose spectral density is a mixture of Q normal distributions.

    ::

        k(x, z) = Σ_q weight_q exp(-2π² Σ_f τ_f² scale_qf²) cos(2π Σ_f τ_f mean_qf),   τ = x - z

    Wilson and Adams (2013), eq. 12, with the cosine of the sum over the features, which is positive
    semidefinite too. Enough components approximate any stationary kernel, by Bochner's theorem.
    The likelihood has many local optima in the frequencies, so start from `from_data`, or restart.

    Parameters
    ----------
    weights : array-like of shape (Q,)
        Positive: the variance of each component.
    means : array-like of shape (Q,) or (Q, d)
        Positive: mean frequency of each component, in cycles per unit of the feature; one for all
        features or one each. For a component without oscillation, add an `RBF` kernel.
    scales : array-like of shape (Q,) or (Q, d)
        Positive: standard deviation of the frequencies, likewise. A component forgets its phase
        over the length 1/(2π scale).
    weights_bounds : pair of float, array-like of shape (Q, 2), or "fixed"
        Bounds for training, default (1e-5, 1e5).
    means_bounds : pair of float, array-like of shape (number of means, 2), or "fixed"
        Bounds for training, default (1e-5, 1e5); row by row, one pair an element of means.
    scales_bounds : pair of float, array-like of shape (number of scales, 2), or "fixed"
        Likewise for scales.

    Examples
    --------
    >>> from gprat.kernels import SpectralMixture
    >>> kernel = SpectralMixture(weights=[1.0, 0.5], means=[0.1, 1.0], scales=[0.01, 0.2])
    >>> kernel([[0.0]], [[0.0], [5.0]]).round(4)
    array([[ 1.5   , -0.9518]])
    """

    def __init__(
        self,
        weights: npt.ArrayLike,
        means: npt.ArrayLike,
        scales: npt.ArrayLike,
        weights_bounds: Bounds = (1e-5, 1e5),
        means_bounds: Bounds = (1e-5, 1e5),
        scales_bounds: Bounds = (1e-5, 1e5),
    ) -> None:
        self.weights = weights
        self.means = means
        self.scales = scales
        self.weights_bounds = weights_bounds
        self.means_bounds = means_bounds
        self.scales_bounds = scales_bounds

    hyperparameter_weights = hyperparameter("weights")
    hyperparameter_means = hyperparameter("means")
    hyperparameter_scales = hyperparameter("scales")

    @classmethod
    def from_data(
        cls,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        n_components: int,
        random_state: Any = None,
    ) -> SpectralMixture:
        """Make a kernel whose spectrum resembles that of the data, as a start for training.

        Sinusoids are taken out of y along each feature, strongest first, where the Lomb-Scargle
        periodogram, for points at any distances, peaks (Lomb 1976; Scargle 1982); a mixture of
        `n_components` normal distributions is fitted to their frequencies, weighted by their
        powers. Where there are several features, components are paired by
        their weights, since a periodogram a feature does not say which frequencies go together.

        Parameters
        ----------
        X : array-like of shape (n, d) or (n,)
            Inputs, at least 2 rows; no feature constant.
        y : array-like of shape (n,) or (n, 1)
            Outputs, not constant.
        n_components : int
            Q, at least 1.
        random_state : int, RandomState, Generator or None, default=None
            Decides where the fit of the mixture begins and, above 1024 rows, which are used. The
            same integer gives the same kernel.

        Returns
        -------
        SpectralMixture
            With means and scales of shape (Q, d), weights that add up to the variance of y, and
            bounds that follow the data: frequencies from a tenth of a cycle over the range of X to
            twice the highest one that the points resolve.

        Raises
        ------
        InvalidInputError
            If the shapes do not fit, a value is not finite, or a feature or y is constant.

        Examples
        --------
        >>> import numpy as np
        >>> x = np.arange(0.0, 20.0, 0.1)
        >>> kernel = SpectralMixture.from_data(x, np.sin(2 * np.pi * x / 2.5), 1, random_state=0)
        >>> kernel.means.round(1)
        array([[0.4]])
        """
        start = spectral_start(X, y, n_components, random_state)
        return cls(**start._asdict())

    def diag(self, X: npt.ArrayLike) -> Float64Array:
        """Return the sum of the weights for each row of X."""
        return np.full(len(self._points(X)), np.sum(np.asarray(self.weights, dtype=np.float64)))

    def _covariance(self, X: Float64Array, Z: Float64Array) -> Float64Array:
        weights, means, scales = self._components(X.shape[1])
        K = np.zeros((len(X), len(Z)))
        for weight, mean, scale in zip(weights, means, scales, strict=True):
            K += weight * _decay(X, Z, scale) * np.cos(_phase(X, Z, mean))
        return K

    def _derivative_by_weights(self, X: Float64Array, K: Float64Array) -> Float64Array:
        weights, means, scales = self._components(X.shape[1])
        terms = [
            weight * _decay(X, X, scale) * np.cos(_phase(X, X, mean))
            for weight, mean, scale in zip(weights, means, scales, strict=True)
        ]
        return np.stack(terms, axis=2)

    def _derivative_by_means(self, X: Float64Array, K: Float64Array) -> Float64Array:
        weights, means, scales = self._components(X.shape[1])
        derivative = np.empty((*K.shape, *means.shape))
        for q, (weight, mean, scale) in enumerate(zip(weights, means, scales, strict=True)):
            slope = -weight * _decay(X, X, scale) * np.sin(_phase(X, X, mean))
            for f, cycles in enumerate(differences(X, X, 1.0 / mean)):
                derivative[:, :, q, f] = 2.0 * np.pi * cycles * slope
        return _as_given(derivative, np.shape(self.means))

    def _derivative_by_scales(self, X: Float64Array, K: Float64Array) -> Float64Array:
        weights, means, scales = self._components(X.shape[1])
        derivative = np.empty((*K.shape, *scales.shape))
        for q, (weight, mean, scale) in enumerate(zip(weights, means, scales, strict=True)):
            slope = -weight * _decay(X, X, scale) * np.cos(_phase(X, X, mean))
            for f, lengths in enumerate(differences(X, X, 1.0 / scale)):
                derivative[:, :, q, f] = (2.0 * np.pi * lengths) ** 2 * slope
        return _as_given(derivative, np.shape(self.scales))

    def _components(self, n_features: int) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Return weights (Q,), means and scales (Q, d)."""
        weights = np.atleast_1d(np.asarray(self.weights, dtype=np.float64))
        return (
            weights,
            _by_feature(self.means, "means", len(weights), n_features),
            _by_feature(self.scales, "scales", len(weights), n_features),
        )


def _by_feature(values: npt.ArrayLike, name: str, count: int, n_features: int) -> Float64Array:
    array = np.atleast_1d(np.asarray(values, dtype=np.float64))
    matrix = array.reshape(len(array), -1)
    if matrix.shape not in {(count, 1), (count, n_features)}:
        raise InvalidInputError(
            f"{name} of SpectralMixture must have shape ({count},) or ({count}, {n_features}), for "
            f"{count} weights and {n_features} features, got {array.shape}"
        )
    return np.broadcast_to(matrix, (count, n_features))


def _as_given(derivative: Float64Array, shape: tuple[int, ...]) -> Float64Array:
    """Sum over the features where one value serves all, and flatten the components."""
    if len(shape) == 1 or shape[1] == 1:
        derivative = derivative.sum(axis=3, keepdims=True)
    return derivative.reshape(*derivative.shape[:2], -1)


def _decay(X: Float64Array, Z: Float64Array, scale: Float64Array) -> Float64Array:
    return np.exp(-2.0 * np.pi**2 * squared_distance(X, Z, 1.0 / scale))


def _phase(X: Float64Array, Z: Float64Array, mean: Float64Array) -> Float64Array:
    return 2.0 * np.pi * np.asarray(sum(differences(X, Z, 1.0 / mean)))
