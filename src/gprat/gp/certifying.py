"""What rounding may have done to a model: a posteriori bounds, in a few solves with its factor.

K = k(X, X) + diag(noise) is evaluated again, without its factor, for what its solutions leave over:
r = Y − Kα − Hβ and t = −Hᵀα, to first order all that is wrong with α and β. What cannot be seen, as
entries of K are themselves rounded, is taken as γ√(KᵢᵢKⱼⱼ), γ = (10 + √n)·ε. That is Higham's
componentwise bound for a Cholesky factor (2002, theorem 10.3), whose n is √n for errors that don't
conspire (Higham and Mary 2019); ten units are the kernel's own. With D² = diag(K):

- yᵀα is wrong by αᵀr + βᵀt, and by γ(‖Dα‖ + √yᵀα)² unseen;
- log|K| by tr(K⁻¹E) for an error E of the factor, at most γ·tr(DK⁻¹D) (estimated from the
  quadratic forms of random signs; Hutchinson 1990);
- means at the training points by r − N·K⁻¹(r − HΔβ), N being the noise: of what is seen in r, and
  of random signs times γ(|Y| + |K||α| + |H||β|) for what is not.

All of it is divided by 1 − γ‖DK⁻¹D‖, where first order ends.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from scipy.sparse.linalg import LinearOperator, onenormest

from gprat._validation import Float64Array
from gprat.engines.base import Engine, Posterior
from gprat.gp.certificate import Certificate
from gprat.gp.state import ModelState

__all__ = ["Certifying"]

_KERNEL_UNITS = 10.0
_PROBES = 8
# Sums of logarithms are taken in float64 for both dtypes.
_DOUBLE_EPSILON = float(np.finfo(np.float64).eps)
# How far the estimate from so few quadratic forms may lie below their expectation, and how far the
# largest of many sums of random signs lies above their deviation.
_SAFE_TRACE = 2.0
_DEVIATIONS = 3.0


class Certifying(ModelState):
    """The part of `gprat.GP` that says how exact it is."""

    def certificate(self) -> Certificate:
        """Say how exact the model is: what rounding may have done to likelihood and means.

        K is evaluated once more, without storing it, and some thirty right-hand sides are solved
        with the factor: O(n²), and memory for as many vectors. Nothing of the model changes.

        Returns
        -------
        Certificate
            Bounds of the errors, digits that are right, condition number and residual: prints as
            a table, with advice.

        Raises
        ------
        NotPositiveDefiniteError
            If K has no Cholesky factor.

        Notes
        -----
        The reference is exact arithmetic with the data and hyperparameters as the model holds them:
        for float32, data that were rounded to float32. Methods: N. J. Higham, *Accuracy and
        Stability of Numerical Algorithms* (2002), chapters 7, 10 and 15.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GP
        >>> X = np.linspace(0.0, 6.0, 40).reshape(-1, 1)
        >>> certificate = GP(X, np.sin(X[:, 0]), noise=1e-2).certificate()
        >>> certificate.residual < 1e-14
        True
        >>> certificate.log_marginal_likelihood_error < 1e-8
        True
        """
        return _Rounding(self._engine, self._posterior_at()).certificate()


class _Rounding:
    """Solutions of a posterior beside what they should solve."""

    def __init__(self, engine: Engine, posterior: Posterior) -> None:
        problem = posterior.problem
        self.posterior = posterior
        self.dtype = problem.X.dtype
        self.epsilon = float(np.finfo(self.dtype).eps)
        self.n = problem.X.shape[0]
        self.gamma = (_KERNEL_UNITS + math.sqrt(self.n)) * self.epsilon
        self.noise = np.broadcast_to(problem.noise, self.n)[:, np.newaxis]
        self.Y, self.H = _as_double(problem.Y), _as_double(problem.basis)
        self.alpha = _as_double(posterior.alpha())
        self.beta, self.R = (_as_double(part) for part in posterior.trend())
        columns = np.column_stack([self.alpha, np.ones(self.n)])
        columns = np.ascontiguousarray(columns, dtype=self.dtype)
        products, magnitudes, diagonal = engine.multiply_covariance(problem, columns)
        self.scale = np.sqrt(diagonal)[:, np.newaxis]
        self.norm = float(magnitudes[:, -1].max())
        self.residual = self.Y - self.H @ self.beta - products[:, :-1]
        self.constraint = -self.H.T @ self.alpha
        self.magnitude = np.abs(self.Y) + np.abs(self.H) @ np.abs(self.beta) + magnitudes[:, :-1]
        self.weights_of_trend = self.solve(self.H)
        self.signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(self.n, _PROBES))

    def solve(self, B: Float64Array) -> Float64Array:
        """Return K⁻¹B, its columns scaled so that float32 holds them."""
        largest = np.abs(B).max(axis=0, initial=0.0)
        largest[largest == 0.0] = 1.0
        scaled = np.ascontiguousarray(B / largest, dtype=self.dtype)
        solution: Float64Array = _as_double(self.posterior.solve(scaled)) * largest
        return solution

    def certificate(self) -> Certificate:
        """Put the bounds together."""
        pivots = self._pivots()
        weakest = int(np.argmin(pivots))
        inverse_norm = self._norm_of(self.solve)
        spoilt = self.gamma * self._norm_of(lambda B: self.scale * self.solve(self.scale * B))
        growth = 1.0 / (1.0 - spoilt) if spoilt < 1.0 else np.inf
        determinant = self._determinant_error(pivots) * growth
        value = self.posterior.log_marginal_likelihood()
        outputs = self.Y.shape[1]
        likelihood = self._fit_error() * growth + outputs * (determinant + self._trend_error())
        return Certificate(
            n=self.n,
            dtype=self.dtype.name,
            log_marginal_likelihood=value,
            log_marginal_likelihood_error=0.5 * likelihood + _ulp(value),
            log_determinant=self.posterior.log_determinant(),
            log_determinant_error=determinant,
            largest_mean=float(np.abs(self.Y - self.noise * self.alpha).max()),
            mean_error=self._mean_error() * growth,
            residual=self._backward_error(),
            condition=self.norm * inverse_norm,
            smallest_pivot=float(pivots[weakest]),
            weakest_row=weakest,
            smallest_noise=float(self.noise.min()),
            clipped_variances=self.posterior.clipped_variances,
            rounding=self.gamma,
        )

    def _norm_of(self, apply: Callable[[Float64Array], Float64Array]) -> float:
        """Estimate the 1-norm of a symmetric matrix (Higham and Tisseur 2000, algorithm 2.4)."""

        def on_columns(B: Float64Array) -> Float64Array:
            return apply(np.reshape(B, (self.n, -1)))

        def on_vector(b: Float64Array) -> Float64Array:
            return on_columns(b)[:, 0]

        operator = LinearOperator(
            (self.n, self.n),
            matvec=on_vector,
            rmatvec=on_vector,
            matmat=on_columns,
            rmatmat=on_columns,
            dtype=np.float64,
        )
        # With one column there is nothing at random in it.
        return float(onenormest(operator, t=1))

    def _pivots(self) -> Float64Array:
        """Return Lᵢᵢ²/Kᵢᵢ."""
        tiles, size = self.posterior.factor(), self.posterior.problem.tile_size
        diagonal, start = np.empty(self.n), 0
        for begin in range(0, self.n, size):
            height = min(size, self.n - begin)
            entries = start + height * begin + np.arange(height) * (height + 1)
            diagonal[begin : begin + height] = tiles[entries]
            start += height * (begin + height)
        return (diagonal / self.scale[:, 0]) ** 2

    def _backward_error(self) -> float:
        known = self.magnitude > 0.0
        return float((np.abs(self.residual[known]) / self.magnitude[known]).max(initial=0.0))

    def _determinant_error(self, pivots: Float64Array) -> float:
        signs = self.scale * self.signs
        trace = _SAFE_TRACE * float(np.einsum("is,is->", signs, self.solve(signs))) / _PROBES
        logarithms = np.abs(np.log(pivots) + 2.0 * np.log(self.scale[:, 0]))
        summed = (_KERNEL_UNITS + math.sqrt(self.n)) * _DOUBLE_EPSILON * float(logarithms.sum())
        return self.gamma * max(trace, float(self.n)) + summed

    def _trend_error(self) -> float:
        """Bound twice the error of Σ log Rᵢᵢ, of a factor that is right to γ by columns."""
        lengths = np.linalg.norm(self.R, axis=0)
        return 2.0 * self.gamma * float((lengths / np.abs(np.diagonal(self.R))).sum())

    def _fit_error(self) -> float:
        """Bound the error of yᵀα, summed over the outputs."""
        seen = np.einsum("ik,ik->k", self.alpha, self.residual)
        seen += np.einsum("qk,qk->k", self.beta, self.constraint)
        fit = np.abs(np.einsum("ik,ik->k", self.Y, self.alpha))
        unseen = (np.linalg.norm(self.scale * self.alpha, axis=0) + np.sqrt(fit)) ** 2
        return float(np.abs(seen).sum()) + self.gamma * float(unseen.sum())

    def _mean_error(self) -> float:
        """Bound the error of all means at the training points."""
        seen = np.abs(self._change_of_means(self.residual, self.constraint)).max()
        largest = self.magnitude.max(axis=1)[:, np.newaxis]
        nothing = np.zeros((self.H.shape[1], _PROBES))
        changes = self._change_of_means(largest * self.signs, nothing)
        deviations = np.sqrt(np.mean(changes**2, axis=1))
        unseen = largest[:, 0] + _DEVIATIONS * deviations
        return float(seen) + self.gamma * float(unseen.max())

    def _change_of_means(self, residual: Float64Array, constraint: Float64Array) -> Float64Array:
        """Return by how much means are off that leave a residual and a constraint unsatisfied."""
        solution = self.solve(residual)
        if self.H.shape[1]:
            # [K H; Hᵀ 0][Δα; Δβ] = [r; t], with HᵀK⁻¹H = RᵀR
            inverse = np.linalg.inv(self.R)
            change = inverse @ (inverse.T @ (self.H.T @ solution - constraint))
            solution -= self.weights_of_trend @ change
        return residual - self.noise * solution


def _as_double(values: np.ndarray[tuple[int, ...], np.dtype[np.floating]]) -> Float64Array:
    return np.asarray(values, dtype=np.float64)


def _ulp(value: float) -> float:
    return float(np.spacing(abs(value)))
