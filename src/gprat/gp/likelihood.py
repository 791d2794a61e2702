"""How well a model explains its data: likelihood, leave-one-out, priors, and their gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np
import numpy.typing as npt
from scipy.sparse.linalg import LinearOperator, eigsh

from gprat._mean_adjoint import add_mean_adjoint
from gprat._range import ensure_finite
from gprat._validation import Float64Array, FloatArray
from gprat.engines.base import Objective, Problem
from gprat.exceptions import InvalidInputError
from gprat.gp.state import ModelState

__all__ = ["LeaveOneOut", "Likelihood", "check_leverage"]

# Below this, all eigenvalues cost no more than the extreme ones.
_SMALL = 64


@dataclass(frozen=True, slots=True, eq=False)
class LeaveOneOut:
    """Predictions of each target from all other rows (R&W 2006, equations 5.10 to 5.12).

    Attributes
    ----------
    mean : ndarray of shape (n,) or (n, k)
        Predictive mean of each target.
    variance : ndarray of shape (n,)
        Predictive variance, with the row's noise; the same for all outputs.
    standardized_residuals : ndarray of shape (n,) or (n, k)
        (target − mean)/√variance: of variance 1 where the model is honest about its uncertainty.
    log_density : ndarray of shape (n,) or (n, k)
        Logarithm of the predictive density at each target.
    """

    mean: FloatArray
    variance: FloatArray
    standardized_residuals: FloatArray
    log_density: FloatArray


class Likelihood(ModelState):
    """The part of `gprat.GP` that judges hyperparameters."""

    @overload
    def log_marginal_likelihood(
        self, theta: npt.ArrayLike | None = None, eval_gradient: Literal[False] = False
    ) -> float: ...
    @overload
    def log_marginal_likelihood(
        self, theta: npt.ArrayLike | None = None, *, eval_gradient: Literal[True]
    ) -> tuple[float, Float64Array]: ...
    @overload
    def log_marginal_likelihood(
        self, theta: npt.ArrayLike | None, eval_gradient: Literal[True]
    ) -> tuple[float, Float64Array]: ...
    def log_marginal_likelihood(
        self, theta: npt.ArrayLike | None = None, eval_gradient: bool = False
    ) -> float | tuple[float, Float64Array]:
        """Return the logarithm of the probability density of the targets (R&W 2.30).

        With a trend its coefficients are integrated out under a flat prior (R&W 2.45). Priors of
        hyperparameters are no part of it.

        Parameters
        ----------
        theta : array-like of shape (p,), default=None
            Hyperparameters to evaluate at, in the order and on the scale of `theta`; None for the
            current ones. The model does not change.
        eval_gradient : bool, default=False
            Whether to return the gradient with respect to theta too (R&W 5.9).

        Returns
        -------
        log_marginal_likelihood : float
            Summed over the outputs; -inf where it is below the range of floating-point numbers.
        gradient : ndarray of shape (p,), float64
            Only if `eval_gradient`.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix has no Cholesky factor at theta.
        RankDeficientTrendError
            If basis functions of the trend depend on each other at the training points.
        ResultOverflowError
            If the gradient is outside the range of floating-point numbers.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GP
        >>> gp = GP([[0.0], [1.0]], [1.0, -1.0], noise=0.5)
        >>> value, gradient = gp.log_marginal_likelihood(eval_gradient=True)
        >>> step = np.array([0.0, 0.0, 1e-6])
        >>> change = gp.log_marginal_likelihood(gp.theta + step) - value
        >>> bool(np.isclose(change / 1e-6, gradient[2], rtol=1e-4))
        True
        """
        if eval_gradient:
            return self._differentiate(theta, Objective.MARGINAL_LIKELIHOOD)
        return self._posterior_at(theta).log_marginal_likelihood()

    @overload
    def loo_log_density(
        self, theta: npt.ArrayLike | None = None, eval_gradient: Literal[False] = False
    ) -> float: ...
    @overload
    def loo_log_density(
        self, theta: npt.ArrayLike | None = None, *, eval_gradient: Literal[True]
    ) -> tuple[float, Float64Array]: ...
    def loo_log_density(
        self, theta: npt.ArrayLike | None = None, eval_gradient: bool = False
    ) -> float | tuple[float, Float64Array]:
        """Return the sum of the logarithms of the leave-one-out predictive densities (R&W 5.11).

        Less sensitive than the marginal likelihood to a wrong kernel; costs twice as much.

        Parameters
        ----------
        theta : array-like of shape (p,), default=None
            As in `log_marginal_likelihood`.
        eval_gradient : bool, default=False
            Whether to return the gradient with respect to theta too (R&W 5.13), in O(n³).

        Returns
        -------
        loo_log_density : float
            Summed over rows and outputs.
        gradient : ndarray of shape (p,), float64
            Only if `eval_gradient`.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix has no Cholesky factor at theta.
        InvalidInputError
            If the mean has a coefficient that one of the rows decides alone.
        ResultOverflowError
            If a result is outside the range of floating-point numbers.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GP
        >>> gp = GP([[0.0], [1.0], [2.0]], [1.0, -1.0, 0.5], noise=0.5)
        >>> bool(np.isclose(gp.loo_log_density(), gp.loo().log_density.sum()))
        True
        """
        if eval_gradient:
            return self._differentiate(theta, Objective.LEAVE_ONE_OUT)
        return float(self._leave_one_out(theta).log_density.sum(dtype=np.float64))

    def loo(self) -> LeaveOneOut:
        """Predict every target from all other rows, without refitting (R&W 5.12).

        The hyperparameters stay as they are; a trend's coefficients are estimated without the row.
        One factor serves all rows: n³/3 more operations, and no other n × n matrix.

        Returns
        -------
        LeaveOneOut
            Means, variances, standardised residuals and log densities.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix has no Cholesky factor.
        InvalidInputError
            If the mean has a coefficient that one of the rows decides alone.
        ResultOverflowError
            If a result is outside the range of floating-point numbers.

        Examples
        --------
        >>> from gprat import GP
        >>> gp = GP([[0.0], [1.0], [50.0]], [1.0, 2.0, 3.0], noise=1.0)
        >>> gp.loo().mean.round(3)
        array([0.607, 0.303, 0.   ])
        >>> gp.loo().variance.round(3)
        array([1.816, 1.816, 2.   ])
        """
        return self._leave_one_out()

    def log_prior(self, theta: npt.ArrayLike | None = None) -> float:
        """Return the logarithm of the prior density of `theta`.

        A prior p of a hyperparameter φ = exp(θ) has the density p(φ)·φ as a function of θ, the
        factor φ being the Jacobian of the transformation.

        Parameters
        ----------
        theta : array-like of shape (p,), default=None
            As in `log_marginal_likelihood`.

        Returns
        -------
        float
            0 without priors; -inf outside their support.

        Examples
        --------
        >>> from scipy.stats import lognorm
        >>> from gprat import GP
        >>> gp = GP([[0.0]], [1.0], noise=0.5, priors={"noise_variance": lognorm(1.0, scale=0.5)})
        >>> gp.log_prior()  # normal in the logarithm: -log(2π)/2
        -0.91893...
        """
        return self._priors.log_density(self._at_theta(theta).theta)[0]

    @overload
    def loss(
        self, theta: npt.ArrayLike | None = None, eval_gradient: Literal[False] = False
    ) -> float: ...
    @overload
    def loss(
        self, theta: npt.ArrayLike | None = None, *, eval_gradient: Literal[True]
    ) -> tuple[float, Float64Array]: ...
    def loss(
        self, theta: npt.ArrayLike | None = None, eval_gradient: bool = False
    ) -> float | tuple[float, Float64Array]:
        """Return what training minimises: the negative objective, less the log prior.

        Parameters
        ----------
        theta : array-like of shape (p,), default=None
            As in `log_marginal_likelihood`.
        eval_gradient : bool, default=False
            Whether to return the gradient with respect to theta too.

        Returns
        -------
        loss : float
            In nats, summed over the outputs; infinite outside the support of a prior.
        gradient : ndarray of shape (p,), float64
            Only if `eval_gradient`.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix has no Cholesky factor at theta.

        Examples
        --------
        >>> from gprat import GP
        >>> gp = GP([[0.0], [1.0]], [1.0, -1.0])
        >>> gp.loss() == -gp.log_marginal_likelihood()
        True
        """
        hyperparameters = self._at_theta(theta)
        prior, prior_gradient = self._priors.log_density(hyperparameters.theta)
        if eval_gradient:
            value, gradient = self._differentiate(theta, self._objective)
            return -value - prior, -gradient - prior_gradient
        if self._objective is Objective.LEAVE_ONE_OUT:
            return -self.loo_log_density(theta) - prior
        return -self.log_marginal_likelihood(theta) - prior

    def input_gradient(self) -> tuple[FloatArray, FloatArray]:
        """Return the gradient of the log marginal likelihood with respect to the training data.

        One reverse pass gives both, at the cost of one gradient with respect to theta. This is what
        a learned transformation of the inputs needs.

        Returns
        -------
        X_gradient : ndarray of shape (n, d)
            By the training inputs; at coincident points a rough kernel (Matern with nu=0.5) counts
            as flat.
        y_gradient : ndarray of shape (n,) or (n, k)
            By the targets: −K⁻¹(y − mean).

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix has no Cholesky factor.
        UnsupportedKernelError
            If the kernel is evaluated in Python.
        InvalidInputError
            If the mean has functions without a gradient.

        Examples
        --------
        >>> from gprat import GP
        >>> gp = GP([[0.0], [1.0]], [1.0, -1.0], noise=0.5)
        >>> X_gradient, y_gradient = gp.input_gradient()
        >>> X_gradient.round(3)  # apart, the two targets would be more probable
        array([[-0.564],
               [ 0.564]])
        """
        with self._state_lock:
            problem = self._problem(self._hyperparameters)
        adjoint = self._engine.differentiate(problem, Objective.MARGINAL_LIKELIHOOD, inputs=True)
        assert adjoint.inputs is not None
        by_inputs = add_mean_adjoint(
            self._mean, problem.X, adjoint.inputs, adjoint.basis, -adjoint.targets
        )
        with np.errstate(over="ignore"):
            results = by_inputs.astype(self._dtype), adjoint.targets.astype(self._dtype)
        ensure_finite("gradient by the data", self._dtype, *results)
        return results[0], self._as_targets(results[1])

    def condition_number(self) -> float:
        """Estimate the condition number of K = k(X, X) + diag(noise) in the 2-norm.

        From its extreme eigenvalues, by Lanczos iterations with the kept factor. Relative errors of
        solutions are about this number times the rounding unit.

        Returns
        -------
        float
            Good to a few per cent up to 1/ε², above which it may also be infinite.

        Raises
        ------
        NotPositiveDefiniteError
            If K has no Cholesky factor.

        Examples
        --------
        >>> from gprat import GP
        >>> from gprat.kernels import RBF
        >>> round(GP([[0.0], [90.0]], [1.0, 2.0], RBF(), noise=[1.0, 3.0]).condition_number(), 3)
        2.0
        """
        posterior = self._posterior_at()
        n = posterior.problem.X.shape[0]
        if n <= _SMALL:
            singular_values = np.linalg.svd(posterior.cholesky(), compute_uv=False)
            largest, smallest = float(singular_values[0]), float(singular_values[-1])
            ratio = largest / smallest if smallest > 0.0 else np.inf
            return ratio * ratio

        def largest_of(apply: Callable[[FloatArray], FloatArray]) -> float:
            operator = LinearOperator((n, n), matvec=apply, dtype=self._dtype)
            start = np.random.default_rng(0).standard_normal((n,)).astype(self._dtype)
            (value,) = eigsh(operator, k=1, tol=1e-2, v0=start, return_eigenvectors=False)
            return float(value)

        def column(values: FloatArray) -> FloatArray:
            return np.ascontiguousarray(values, dtype=self._dtype).reshape(n, 1)

        return largest_of(lambda x: posterior.multiply(column(x))) * largest_of(
            lambda x: posterior.solve(column(x))
        )

    # What training builds on

    def _differentiate(
        self, theta: npt.ArrayLike | None, objective: Objective
    ) -> tuple[float, Float64Array]:
        with self._state_lock:
            hyperparameters = self._at_theta(theta)
            problem = self._problem(hyperparameters)
        if objective is Objective.LEAVE_ONE_OUT:
            check_leverage(problem)
        adjoint = self._engine.differentiate(problem, objective)
        gradient = hyperparameters.theta_gradient(adjoint.parameters, adjoint.noise)
        ensure_finite("likelihood with its gradient", self._dtype, adjoint.value, gradient)
        return adjoint.value, gradient

    def _leave_one_out(self, theta: npt.ArrayLike | None = None) -> LeaveOneOut:
        with self._state_lock:
            posterior, targets = self._posterior_at(theta), self._Y
        check_leverage(posterior.problem)
        precision = posterior.inverse_diagonal()[:, np.newaxis]
        alpha = posterior.alpha()
        with np.errstate(all="ignore"):
            residual = alpha / np.sqrt(precision)
            log_density = 0.5 * (np.log(precision) - residual**2 - np.log(2.0 * np.pi))
            mean, variance = targets - alpha / precision, 1.0 / precision[:, 0]
        densities = np.where(np.isneginf(log_density), 0.0, log_density)
        ensure_finite("leave-one-out prediction", self._dtype, mean, variance, densities)
        return LeaveOneOut(
            mean=self._as_targets(mean),
            variance=variance,
            standardized_residuals=self._as_targets(residual),
            log_density=self._as_targets(log_density),
        )


def check_leverage(problem: Problem) -> None:
    """Refuse to leave out a row without which the trend has a coefficient too many.

    Its leverage, the squared norm of its row of Q in H = QR, is 1 whatever the covariance is.
    """
    n, q = problem.basis.shape
    if q == 0:
        return
    leverage = np.sum(np.linalg.qr(problem.basis.astype(np.float64))[0] ** 2, axis=1)
    row = int(np.argmax(leverage))
    if 1.0 - leverage[row] <= 16.0 * n * float(np.finfo(problem.X.dtype).eps):
        raise InvalidInputError(
            f"leave-one-out needs to predict row {row} of X from the others, which cannot tell "
            f"the {q} coefficients of the mean apart. Use a simpler mean, or more rows like it."
        )
