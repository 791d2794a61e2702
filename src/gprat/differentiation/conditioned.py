"""A Gaussian process given its data, and what flows back from its predictions."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gprat._range import warn_of_clipping
from gprat._validation import FloatArray
from gprat.differentiation.arguments import Arguments
from gprat.differentiation.gradients import Gradients, Wanted
from gprat.differentiation.mean import AppliedMean
from gprat.engines.base import Derivatives, Posterior
from gprat.kernels import Kernel

if TYPE_CHECKING:
    from gprat.gp import GP

__all__ = ["KEPT_BYTES", "Conditioned"]

KEPT_BYTES = 16 << 20
"""What the last prediction may leave behind for the way back: L⁻¹k(X, Xs), n·m numbers."""

_DERIVATIVES = {
    Wanted.THETA: Derivatives.PARAMETERS,
    Wanted.NOISE: Derivatives.NOISE,
    Wanted.Y: Derivatives.TARGETS,
    Wanted.MEAN_COEFFICIENTS: Derivatives.TARGETS,
    Wanted.X: Derivatives.INPUTS | Derivatives.TARGETS,
    Wanted.XS: Derivatives.TEST_INPUTS,
}


class _Kept(NamedTuple):
    """What the last prediction has left behind."""

    points: FloatArray
    whitened: object


class Conditioned:
    """A Gaussian process given its data; made by `Regression.condition`.

    It holds the Cholesky factor, so that many predictions follow quickly: O(n²) operations a test
    point for a spread, O(n) for a mean alone. What a call on the way forward has computed is kept
    for the next one on the way back, if that is at the same points and takes no more than 16 MiB.

    Functions are latent: no noise is added to what is predicted. May be called from several threads
    at a time.
    """

    def __init__(self, arguments: Arguments, posterior: Posterior, kernel: Kernel) -> None:
        self._arguments = arguments
        self._kernel = kernel
        self._posterior = posterior
        self._kept: _Kept | None = None

    @classmethod
    def of(cls, gp: GP) -> Conditioned:
        """Return a model at its current hyperparameters; its factor is shared, not computed anew.

        Parameters
        ----------
        gp : GP
            The model. What happens to it later has no effect on the result.

        Returns
        -------
        Conditioned
            `Gradients.y` has the shape of its targets, `Gradients.noise` is of the whole noise.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GP
        >>> from gprat.differentiation import Conditioned
        >>> gp = GP([[0.0], [1.0]], [1.0, 2.0])
        >>> mean, variance = Conditioned.of(gp).predict(np.array([[0.5]]), joint=False)
        >>> bool(np.isclose(mean, gp.predict([[0.5]])))
        True
        """
        posterior = gp._posterior_at()
        problem = posterior.problem
        arguments = Arguments(
            problem.X,
            problem.Y,
            None if gp.y.ndim == 1 else problem.Y.shape[1],
            problem.noise,
            problem.noise.shape,
            AppliedMean(gp._mean, None, False, gp.dtype),
            problem.program,
        )
        return cls(arguments, posterior, gp._kernel)

    @property
    def dtype(self) -> np.dtype[Any]:
        """That of X, in which is computed."""
        return self._arguments.dtype

    @property
    def n_outputs(self) -> int | None:
        """Columns of y; None where it has one dimension."""
        return self._arguments.n_outputs

    @property
    def clipped_variances(self) -> int:
        """How many variances predictions have set to zero, since rounding made them negative."""
        return self._posterior.clipped_variances

    def check_wanted(self, wanted: Wanted) -> None:
        """Raise what `pull_back` would raise for what is wanted, on the way forward.

        Raises
        ------
        UnsupportedKernelError
            If derivatives by X or Xs are wanted of a kernel that is evaluated in Python.
        InvalidInputError
            If derivatives are wanted by what is not there, or through a mean without a gradient.
        """
        self._arguments.check_wanted(wanted)
        if wanted & (Wanted.X | Wanted.XS):
            self._arguments.check_input_derivatives()

    def prior_variance(self, Xs: npt.ArrayLike) -> FloatArray:
        """Return k(x, x) at test inputs: variances before the data were known.

        Parameters
        ----------
        Xs : array-like of shape (m, d) or (..., q, d)
            Test inputs.

        Returns
        -------
        ndarray of shape (m,) or (..., q)
            Of the dtype of X.
        """
        points, shape = self._arguments.read_points(Xs)
        assert self._arguments.program is not None
        kernel = self._kernel.clone_with_theta(self._arguments.program.theta)
        variances = kernel.diag(np.asarray(points, dtype=np.float64))
        return np.asarray(variances, dtype=self.dtype).reshape(shape)

    def log_marginal_likelihood(self) -> float:
        """Return the log marginal likelihood, summed over the outputs (R&W 2.30, 2.45)."""
        return self._posterior.log_marginal_likelihood()

    def predict_mean(self, Xs: npt.ArrayLike) -> FloatArray:
        """Predict the mean alone (R&W 2.25; with a trend 2.41): O(n) operations a point.

        Parameters
        ----------
        Xs : array-like of shape (m, d) or (..., q, d)
            Test inputs.

        Returns
        -------
        ndarray of shape (m,) or (..., q); for y of two dimensions (m, k) or (..., q, k)
            Of the dtype of X.
        """
        points, shape = self._arguments.read_points(Xs)
        basis = self._arguments.trend_basis(points)
        mean = self._posterior.predict_mean(points, basis)
        return self._arguments.finish_mean(mean, points, shape)

    def predict(self, Xs: npt.ArrayLike, *, joint: bool) -> tuple[FloatArray, FloatArray]:
        """Predict the mean, and the variances or joint covariances (R&W 2.25 and 2.26, 2.42).

        Parameters
        ----------
        Xs : array-like of shape (m, d) or (..., q, d)
            Test inputs, of the dtype of X.
        joint : bool
            Whether covariances are wanted: of all m points, or of each batch of q.

        Returns
        -------
        mean : ndarray of shape (m,) or (..., q); for y of two dimensions (m, k) or (..., q, k)
            Of the dtype of X.
        spread : ndarray of shape (m,) or (..., q); if joint (m, m) or (..., q, q)
            Variances, or covariances; the same for all outputs. Variances are never negative: what
            rounding made so is set to zero, and derivatives are those without that.

        Warns
        -----
        RoundingWarning
            If a variance came out below zero by more than n·ε of the prior variance.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix of the training data has no Cholesky factor.
        RankDeficientTrendError
            If basis functions of a trend depend on each other at the training points.
        InsufficientMemoryError
            If it needs more memory than it may take, or than there is; nothing was computed.
        """
        arguments = self._arguments
        points, shape = arguments.read_points(Xs)
        n, m, group = len(arguments.X), len(points), _group(shape, joint)
        keep = n * m * points.itemsize <= KEPT_BYTES
        basis = arguments.trend_basis(points)
        mean, spread, clipping, whitened = self._posterior.predict_joint(points, basis, group, keep)
        warn_of_clipping(clipping.count, clipping.worst, m, n, arguments.dtype)
        if keep:
            self._kept = _Kept(points.copy(), whitened)
        mean = arguments.finish_mean(mean, points, shape)
        return mean, spread.reshape(_spread_shape(shape, joint))

    def pull_back(
        self,
        Xs: npt.ArrayLike,
        mean_cotangent: npt.ArrayLike | None,
        spread_cotangent: npt.ArrayLike | None,
        wanted: Wanted,
        *,
        joint: bool,
    ) -> Gradients:
        """Return the derivatives of a function of predictions by what they were computed from.

        By `y` and `mean_coefficients` O(n²) operations a test point, if there is a cotangent of the
        spread, else O(n²) in all; by `Xs` likewise, but O(n) a point for the mean alone; by `X`,
        `theta` and `noise` O(n²) a test point, and there an n × m matrix is kept twice.

        Parameters
        ----------
        Xs : array-like of shape (m, d) or (..., q, d)
            Test inputs of the prediction.
        mean_cotangent : array-like of the shape of the mean, or None
            Derivatives of the function by the mean; None for zeros.
        spread_cotangent : array-like of the shape of the spread, or None
            Derivatives of the function by the variances or covariances; None for zeros. Of
            covariances the symmetric part counts.
        wanted : Wanted
            What derivatives are wanted by.
        joint : bool
            Whether the spread is covariances.

        Returns
        -------
        Gradients
            Of the dtype of X.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix of the training data has no Cholesky factor.
        UnsupportedKernelError
            If derivatives by X or Xs are wanted of a kernel that is evaluated in Python.
        InvalidInputError
            If a shape does not fit, or derivatives are wanted by what is not there.
        InsufficientMemoryError
            If it needs more memory than it may take, or than there is; nothing was computed.
        ResultOverflowError
            If a derivative is outside the range of floating-point numbers.
        """
        arguments = self._arguments
        arguments.check_wanted(wanted)
        points, shape = arguments.read_points(Xs)
        by_mean = arguments.read_mean_cotangent(mean_cotangent, shape)
        by_spread = _as_groups(arguments, spread_cotangent, shape, joint)
        derivatives = Derivatives(0)
        for flag, needed in _DERIVATIVES.items():
            if flag in wanted:
                derivatives |= needed
        adjoint = self._posterior.pull_back(
            points,
            arguments.trend_basis(points),
            by_mean,
            by_spread,
            derivatives,
            None if by_spread is None else self._whitened_at(points),
        )
        by_Xs = arguments.by_test_inputs(
            points, adjoint.test_inputs, adjoint.test_basis, by_mean, wanted
        )
        values_at = (points, by_mean)
        targets = adjoint.targets
        return Gradients(
            X=arguments.by_inputs(adjoint.inputs, adjoint.basis, targets, wanted),
            y=arguments.by_targets(targets, wanted),
            theta=arguments.by_theta(adjoint.parameters, wanted),
            noise=arguments.by_noise(adjoint.noise, wanted),
            mean_coefficients=arguments.by_coefficients(
                None if targets is None else -targets, values_at, wanted
            ),
            Xs=None if by_Xs is None else by_Xs.reshape(*shape, points.shape[1]),
        )

    def _whitened_at(self, points: FloatArray) -> object | None:
        """Return L⁻¹k(X, points) if the last prediction has left it behind."""
        kept = self._kept
        if kept is None or not np.array_equal(kept.points, points):
            return None
        return kept.whitened


def _group(shape: tuple[int, ...], joint: bool) -> int:
    """Return how many consecutive points have a joint covariance."""
    return max(1, shape[-1]) if joint else 1


def _spread_shape(shape: tuple[int, ...], joint: bool) -> tuple[int, ...]:
    """Return the shape of variances or covariances of points of such a shape."""
    return (*shape, shape[-1]) if joint else shape


def _as_groups(
    arguments: Arguments, cotangent: Any, shape: tuple[int, ...], joint: bool
) -> FloatArray | None:
    """Return symmetric cotangents of all groups, shape (m/group, group, group)."""
    if cotangent is None:
        return None
    group = _group(shape, joint)
    expected = _spread_shape(shape, joint)
    values = arguments.read_cotangent(cotangent, "spread_cotangent", expected)
    if math.prod(shape) == 0:
        return None
    blocks = values.reshape(-1, group, group)
    if not joint:
        return blocks
    symmetric: FloatArray = np.add(blocks, blocks.swapaxes(1, 2), order="C")
    symmetric *= 0.5
    return symmetric
