"""What a model says of new points: means, variances, covariances, their gradients, samples."""

from __future__ import annotations

import warnings
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gprat import _validation as validation
from gprat._range import ensure_finite, warn_of_clipping
from gprat._validation import Float64Array, FloatArray
from gprat.engines.base import Clipping, Engine, Problem
from gprat.exceptions import InvalidInputError, JitterWarning, NotPositiveDefiniteError
from gprat.gp.state import ModelState
from gprat.planning import choose_tile_size

__all__ = ["JITTERS", "Prediction", "color_matrix"]

_SAMPLES_REMEDY = "Pass how many samples to draw."
JITTERS = (0.0, *(10.0**power for power in range(1, 11)))
"""Multiples of ε times the prior variance that are tried as jitter."""


class Prediction(ModelState):
    """The part of `gprat.GP` that predicts."""

    def predict(self, X: npt.ArrayLike) -> FloatArray:
        """Predict the mean of the latent function (R&W 2.25; with a trend 2.41).

        Parameters
        ----------
        X : array-like of shape (m, d)
            Test inputs; m may be 0.

        Returns
        -------
        ndarray of shape (m,) or (m, k)
            As the targets are.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix of the training data has no Cholesky factor.
        RankDeficientTrendError
            If basis functions of the trend depend on each other at the training points.
        InsufficientMemoryError
            If it needs more memory than it may take, or than there is; nothing was computed.
        ResultOverflowError
            If a result is outside the range of floating-point numbers.

        Examples
        --------
        >>> from gprat import GP
        >>> gp = GP([[0.0], [1.0]], [1.0, 2.0], noise=1.0)
        >>> gp.predict([[0.0], [50.0]]).round(3)
        array([0.783, 0.   ])
        """
        points = self._check_points(X)
        posterior = self._posterior_at()
        return self._finish_mean(posterior.predict_mean(points, self._basis_at(points)), points)

    def predict_with_uncertainty(
        self, X: npt.ArrayLike, include_noise: bool | npt.ArrayLike = False
    ) -> tuple[FloatArray, FloatArray]:
        """Predict the mean and the variance at each test point (R&W 2.25 and 2.26).

        With a trend the variance includes the uncertainty of its coefficients (R&W 2.42).

        Parameters
        ----------
        X : array-like of shape (m, d)
            Test inputs; m may be 0.
        include_noise : bool or array-like of shape (m,), default=False
            False for the variance of the latent function. True for that of observations, with the
            model's noise, which must be one for all rows. Or the noise variance at each test point.

        Returns
        -------
        mean : ndarray of shape (m,) or (m, k)
            As the targets are.
        variance : ndarray of shape (m,)
            Never negative; the same for all outputs. What rounding made negative is set to zero
            and counted in `clipped_variances`.

        Warns
        -----
        RoundingWarning
            If a variance came out below zero by more than n·ε of the prior variance.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix of the training data has no Cholesky factor.
        RankDeficientTrendError
            If basis functions of the trend depend on each other at the training points.
        InsufficientMemoryError
            If it needs more memory than it may take, or than there is; nothing was computed.
        ResultOverflowError
            If a result is outside the range of floating-point numbers.

        Examples
        --------
        >>> from gprat import GP
        >>> gp = GP([[0.0], [1.0]], [1.0, 2.0], noise=1.0)
        >>> mean, variance = gp.predict_with_uncertainty([[50.0]], include_noise=True)
        >>> variance
        array([2.])
        """
        points = self._check_points(X)
        noise = self._noise_at(include_noise, points.shape[0])
        posterior = self._posterior_at()
        mean, variance, clipping = posterior.predict_variance(points, self._basis_at(points))
        self._warn_of(clipping, variance.shape[0])
        if noise is not None:
            with np.errstate(over="ignore"):
                variance += noise
            ensure_finite("variance with noise", self._dtype, variance)
        return self._finish_mean(mean, points), variance

    def predict_with_full_cov(
        self, X: npt.ArrayLike, include_noise: bool | npt.ArrayLike = False
    ) -> tuple[FloatArray, FloatArray]:
        """Predict the mean and the covariance between all test points (R&W 2.23 and 2.24).

        Parameters
        ----------
        X : array-like of shape (m, d)
            Test inputs; m may be 0.
        include_noise : bool or array-like of shape (m,), default=False
            As in `predict_with_uncertainty`: what is added to the diagonal.

        Returns
        -------
        mean : ndarray of shape (m,) or (m, k)
            As the targets are.
        covariance : ndarray of shape (m, m)
            Symmetric; the same for all outputs. Its diagonal is clipped at zero, as in
            `predict_with_uncertainty`.

        Warns
        -----
        RoundingWarning
            If a variance came out below zero by more than n·ε of the prior variance.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix of the training data has no Cholesky factor.
        RankDeficientTrendError
            If basis functions of the trend depend on each other at the training points.
        InsufficientMemoryError
            If it needs more memory than it may take, or than there is; nothing was computed.
        ResultOverflowError
            If a result is outside the range of floating-point numbers.

        Examples
        --------
        >>> from gprat import GP
        >>> gp = GP([[0.0], [1.0]], [1.0, 2.0], noise=1.0)
        >>> mean, covariance = gp.predict_with_full_cov([[50.0], [51.0]])
        >>> covariance.round(3)
        array([[1.   , 0.607],
               [0.607, 1.   ]])
        """
        points = self._check_points(X)
        noise = self._noise_at(include_noise, points.shape[0])
        posterior = self._posterior_at()
        mean, covariance, clipping = posterior.predict_covariance(points, self._basis_at(points))
        self._warn_of(clipping, covariance.shape[0])
        if noise is not None:
            _add_to_diagonal(covariance, noise)
        return self._finish_mean(mean, points), covariance

    def predict_gradient(self, X: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return the derivatives of the predicted mean and variance by the test inputs.

        Those of R&W 2.25 and 2.26, exact, by the kernel's reverse pass; what acquisition functions
        and sensitivity studies need.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Test inputs; m may be 0.

        Returns
        -------
        mean_gradient : ndarray of shape (m, d) or (m, d, k)
            Derivatives of `predict(X)`: one row a point, one column a feature.
        variance_gradient : ndarray of shape (m, d)
            Derivatives of the variance of the latent function. Where a kernel is not differentiable
            (Matern with nu=0.5 at a training point) the term in question counts as 0.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix of the training data has no Cholesky factor.
        UnsupportedKernelError
            If the kernel is evaluated in Python.
        InvalidInputError
            If the mean has functions without a gradient.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GP
        >>> X = np.linspace(0.0, 6.0, 40).reshape(-1, 1)
        >>> gp = GP(X, np.sin(X[:, 0]), noise=1e-6)
        >>> mean_gradient, variance_gradient = gp.predict_gradient([[0.0], [np.pi]])
        >>> mean_gradient.round(2)
        array([[ 1.],
               [-1.]])
        """
        points = self._check_points(X)
        posterior = self._posterior_at()
        by_mean, by_variance, by_basis = posterior.predict_gradient(points, self._basis_at(points))
        if by_basis.shape[1]:
            gradient = self._mean.basis_gradient(points)
            coefficients = np.asarray(posterior.trend()[0], dtype=np.float64)
            by_mean += np.einsum("mqd,qk->mkd", gradient, coefficients)
            by_variance += np.einsum("mq,mqd->md", by_basis, gradient)
        offset = self._mean.offset_gradient(points, self._Y.shape[1])
        if offset is not None:
            by_mean += offset.transpose(0, 2, 1)
        by_mean = by_mean[:, 0] if self._has_vector_targets else by_mean.transpose(0, 2, 1)
        with np.errstate(over="ignore"):
            results = by_mean.astype(self._dtype), by_variance.astype(self._dtype)
        ensure_finite("gradient of the prediction", self._dtype, *results)
        return results

    def sample(
        self,
        X: npt.ArrayLike,
        n_samples: int = 1,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
        *,
        source: Literal["posterior", "prior"] = "posterior",
        include_noise: bool | npt.ArrayLike = False,
    ) -> FloatArray:
        """Draw functions from the posterior or the prior, at the test points.

        By the Cholesky factor of their m × m covariance matrix. Where rounding has left that matrix
        without one, the smallest sufficient multiple of the identity among 10ε, 100ε, … times the
        largest prior variance is added, and a `JitterWarning` says how much.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Test inputs; m may be 0.
        n_samples : int, default=1
            Number of functions, at least 1.
        random_state : int, Generator, RandomState or None, default=None
            Seed; the same samples for the same seed and tile size, for any number of threads.
        source : {"posterior", "prior"}, default="posterior"
            Whether the functions know the training data.
        include_noise : bool or array-like of shape (m,), default=False
            Whether to add noise, as in `predict_with_uncertainty`.

        Returns
        -------
        ndarray of shape (m, n_samples) or (m, k, n_samples)
            One column a function.

        Raises
        ------
        NotPositiveDefiniteError
            If a covariance matrix has no Cholesky factor.
        InvalidInputError
            If samples are wanted from the prior of a model with a trend: its coefficients have none
            that could be drawn from.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GP
        >>> gp = GP([[0.0], [1.0]], [1.0, 2.0], noise=0.01)
        >>> functions = gp.sample([[0.0], [0.5], [1.0]], 1000, random_state=0)
        >>> functions.shape
        (3, 1000)
        >>> bool(np.allclose(functions.mean(axis=1), gp.predict([[0.0], [0.5], [1.0]]), atol=0.02))
        True
        """
        points = self._check_points(X)
        count = validation.check_positive_integer(n_samples, "n_samples", _SAMPLES_REMEDY)
        if validation.as_choice(source) not in ("posterior", "prior"):
            raise InvalidInputError(f'unknown source {source!r}: expected "posterior" or "prior".')
        noise = self._noise_at(include_noise, points.shape[0])
        m, k = points.shape[0], self._Y.shape[1]
        if m:
            self._ensure_samples_fit(m, k * count, of_posterior=source == "posterior")
        # Output by output, so that the first one's samples don't depend on how many there are.
        white = validation.check_random_state(random_state).standard_normal((k, m, count))
        white = white.transpose(1, 0, 2).reshape(m, k * count)
        white = np.ascontiguousarray(white, dtype=self._dtype)
        draw = self._draw_posterior if source == "posterior" else self._draw_prior
        samples = draw(points, 0.0 if noise is None else noise, white) if m else white
        samples = samples.reshape(m, k, count)
        return samples[:, 0] if self._has_vector_targets else samples

    @property
    def trend_coefficients(self) -> FloatArray:
        """Coefficients of the mean's basis functions, shape (q,) or (q, k) (R&W 2.41's β).

        Estimated by generalised least squares at the current hyperparameters; q = 0 without a
        trend.
        """
        return self._as_targets(self._posterior_at().trend()[0])

    @property
    def trend_covariance(self) -> FloatArray:
        """Covariance of the trend's coefficients, shape (q, q): (HᵀK⁻¹H)⁻¹, for each output."""
        R = self._posterior_at().trend()[1]
        inverse = np.linalg.inv(R)
        return np.asarray(inverse @ inverse.T, dtype=self._dtype)

    @property
    def clipped_variances(self) -> int:
        """How many predicted variances rounding had made negative, and were set to zero.

        Counted since data or hyperparameters last changed. A few are to be expected at training
        points without noise, where the variance is zero; see `certificate` for how much rounding
        matters.
        """
        with self._state_lock:
            return 0 if self._posterior is None else self._posterior.clipped_variances

    def _warn_of(self, clipping: Clipping, m: int) -> None:
        n = self._X.shape[0]
        warn_of_clipping(clipping.count, clipping.worst, m, n, self._dtype, stacklevel=4)

    def _check_points(self, X: npt.ArrayLike) -> FloatArray:
        return validation.check_test_inputs(X, self._dtype, self.n_features)

    def _noise_at(self, include_noise: bool | npt.ArrayLike, m: int) -> float | Float64Array | None:
        noise = self._hyperparameters.noise
        return validation.check_test_noise(
            include_noise, noise.variances[0] if noise.is_one_for_all else None, m
        )

    def _finish_mean(self, mean: FloatArray, points: FloatArray) -> FloatArray:
        offset = self._mean.offset(points, mean.shape[1])
        if offset is not None:
            with np.errstate(over="ignore"):
                mean += offset.astype(self._dtype)
            ensure_finite("mean", self._dtype, mean)
        return self._as_targets(mean)

    def _ensure_samples_fit(self, m: int, columns: int, of_posterior: bool) -> None:
        with self._state_lock:
            problem, posterior = self._problem(self._hyperparameters), self._posterior
        has_factor = posterior is not None and posterior.has_factor
        self._engine.ensure_samples(
            problem, m, columns, of_posterior=of_posterior, has_factor=has_factor
        )

    def _draw_posterior(
        self, points: FloatArray, noise: float | Float64Array, white: FloatArray
    ) -> FloatArray:
        posterior = self._posterior_at()
        mean, covariance, _ = posterior.predict_covariance(points, self._basis_at(points))
        _add_to_diagonal(covariance, noise)
        offset = self._mean.offset(points, mean.shape[1])
        if offset is not None:
            mean += offset.astype(self._dtype)

        samples = color_matrix(
            self._engine, covariance, white, self._threads, self._jitter_unit(points)
        )
        return np.repeat(mean, white.shape[1] // mean.shape[1], axis=1) + samples

    def _draw_prior(
        self, points: FloatArray, noise: float | Float64Array, white: FloatArray
    ) -> FloatArray:
        if self._data.basis.shape[1]:
            raise InvalidInputError(
                "the coefficients of the trend have a flat prior, from which no sample can be "
                'drawn. Sample the posterior, or a model with mean="zero".'
            )
        m, k = points.shape[0], self._Y.shape[1]
        on_diagonal = np.broadcast_to(np.asarray(noise, dtype=np.float64), m)

        def color(jitter: float) -> FloatArray:
            return self._engine.color(self._prior_problem(points, on_diagonal + jitter), white)

        samples = _with_jitter(color, self._jitter_unit(points))
        offset = self._mean.offset(points, k)
        if offset is not None:
            samples += np.repeat(offset, white.shape[1] // k, axis=1).astype(self._dtype)
        return samples

    def _prior_problem(self, points: FloatArray, noise: Float64Array) -> Problem:
        m = points.shape[0]
        nothing = np.empty((m, 0), dtype=self._dtype)
        return Problem(
            points,
            nothing,
            nothing,
            (),
            self._hyperparameters.program,
            noise,
            choose_tile_size(m, self._dtype),
            self._threads,
            self._memory_limit,
        )

    def _jitter_unit(self, points: FloatArray) -> float:
        """Return ε times the largest prior variance at the points."""
        epsilon = float(np.finfo(self._dtype).eps)
        return epsilon * float(self.kernel.diag(np.asarray(points, dtype=np.float64)).max())


def _add_to_diagonal(covariance: FloatArray, noise: float | Float64Array) -> None:
    diagonal = np.diag_indices_from(covariance)
    with np.errstate(over="ignore"):
        covariance[diagonal] += noise
    ensure_finite("covariance with noise", covariance.dtype, covariance[diagonal])


def color_matrix(
    engine: Engine,
    covariance: FloatArray,
    white: FloatArray,
    threads: int | None,
    jitter_unit: float | None = None,
) -> FloatArray:
    """Give white noise, shape (m, s), a covariance; with a jitter, and a warning, if need be.

    `jitter_unit` is ε times the largest variance, or else is taken from the matrix.
    """
    if jitter_unit is None:
        largest = float(np.diagonal(covariance).max(initial=0.0))
        jitter_unit = float(np.finfo(covariance.dtype).eps) * largest
    return _with_jitter(
        lambda jitter: engine.color_matrix(covariance, jitter, white, threads), jitter_unit
    )


def _with_jitter(color: Any, unit: float) -> FloatArray:
    """Call `color` with the smallest jitter that works; warn if it is not zero."""
    for multiple in JITTERS:
        try:
            samples: FloatArray = color(multiple * unit)
        except NotPositiveDefiniteError:
            if multiple == JITTERS[-1]:
                raise
            continue
        if multiple:
            warnings.warn(
                f"rounding left the covariance matrix of the samples without a Cholesky factor; "
                f"{multiple * unit:.2g} was added to its diagonal.",
                JitterWarning,
                stacklevel=5,
            )
        break
    return samples
