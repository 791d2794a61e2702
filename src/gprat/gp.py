"""Exact Gaussian process regression: the model that users make, train and predict with."""

from __future__ import annotations

import threading
from typing import Any, Literal, TypeAlias, overload

import numpy as np
import numpy.typing as npt
from scipy.optimize import OptimizeResult
from sklearn.base import clone

from gprat import _validation as validation
from gprat import runtime
from gprat._hyperparameters import Hyperparameters
from gprat._validation import Float64Array, FloatArray
from gprat.engines.base import Posterior, Problem
from gprat.engines.registry import get_engine
from gprat.exceptions import UnsupportedTypeError
from gprat.kernels import RBF, ConstantKernel, Kernel, Program, compile
from gprat.optimize.adam import Moments
from gprat.optimize.base import Callback, Optimizer, Search
from gprat.optimize.registry import get_optimizer
from gprat.planning import auto_tile_size

__all__ = ["GP"]

NoiseBounds: TypeAlias = tuple[float, float] | Literal["fixed"]

_THREADS_REMEDY = "Pass how many processors to use, or None for all."
_TILE_REMEDY = 'Pass the side of a tile, such as 256, or "auto".'


class GP:
    """Exact Gaussian process regression with zero mean.

    The targets are y = f(X) + e with f ~ GP(0, k) and independent Gaussian noise e, whose variance
    is `noise`. The factor of the covariance matrix is computed by the first call that needs it and
    kept until a hyperparameter changes: n²/2 numbers for n training points. Several Python threads
    may use one model at the same time.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Training inputs, one row a point. A C-contiguous array of the model's dtype is used without
        a copy and must not change while the model lives; anything else is copied once.
    y : array-like of shape (n,) or (n, k)
        Training targets; several columns are independent outputs that share kernel and noise.
        Copied or not as X.
    kernel : gprat.kernels.Kernel, default=None
        Any nesting of the kernels in `gprat.kernels`; None for ``ConstantKernel(1.0) * RBF(1.0)``.
        The object is read, never changed. A `WhiteKernel` inside is a part of the latent function's
        covariance, as in scikit-learn: it counts in predictive variances, in which `noise` counts
        only on request.
    noise : float or array-like of shape (n,), default=0.1
        Noise variance of the targets, positive: one for all rows, which is trained with the kernel,
        or a known one for each row.
    noise_bounds : tuple of float or "fixed", default=(1e-10, 1e5)
        Smallest and largest noise variance in training; "fixed" to leave it out of training. One
        noise variance a row is always fixed.
    tile_size : int or "auto", default="auto"
        Side of the tiles that the covariance matrix is cut into, at least 1. For one tile size,
        results are bitwise the same for any number of threads.
    threads : int, default=None
        The most threads for this model; None for all that the runtime has.
    dtype : numpy.float64 or numpy.float32, default=None
        Precision of the computation and of the results; None for float32 if X is float32, and
        float64 otherwise.

    Raises
    ------
    InvalidInputError
        If a shape or a value makes no sense. Also a ``ValueError``.
    UnsupportedTypeError
        If an argument has a type that cannot be used. Also a ``TypeError``.
    UnsupportedKernelError
        If a part of the kernel cannot be compiled. Also a ``ValueError``.

    Notes
    -----
    Letters and equations are those of Rasmussen and Williams, *Gaussian Processes for Machine
    Learning* (2006), "R&W": K = k(X, X) + diag(noise) = LLᵀ and α = K⁻¹y, algorithm 2.1.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat import GP
    >>> from gprat.kernels import RBF
    >>> X = np.linspace(0.0, 6.0, 40).reshape(-1, 1)
    >>> gp = GP(X, np.sin(X[:, 0]), RBF(1.0), noise=1e-4)
    >>> mean, variance = gp.predict_with_uncertainty([[np.pi / 2], [20.0]])
    >>> np.allclose(mean, [1.0, 0.0], atol=1e-2)
    True
    >>> variance.round(2)
    array([0., 1.])
    """

    def __init__(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        kernel: Kernel | None = None,
        noise: float | npt.ArrayLike = 0.1,
        *,
        noise_bounds: NoiseBounds = (1e-10, 1e5),
        tile_size: int | Literal["auto"] = "auto",
        threads: int | None = None,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        self._dtype = validation.check_dtype(dtype, X)
        self._X = validation.check_training_inputs(X, self._dtype)
        n, d = self._X.shape
        self._Y = validation.check_rows(y, "y", n, self._dtype)
        self._has_vector_targets = np.ndim(y) == 1
        self._log_noise_bounds = validation.check_noise_bounds(noise_bounds)
        self._threads = _check_threads(threads)
        self._tile_size = _resolve_tile_size(tile_size, n)
        program = compile(_default_kernel() if kernel is None else kernel, d)
        self._kernel = _default_kernel() if kernel is None else clone(kernel)
        self._hyperparameters = self._with_noise(program, noise, "noise")
        self._engine = get_engine("cpu")
        self._posterior: Posterior | None = None
        self._moments: Moments | None = None
        # The first guards the state; the second is held while training, when others may predict.
        self._state_lock = threading.RLock()
        self._training_lock = threading.RLock()

    # Likelihood and training

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

        Parameters
        ----------
        theta : array-like of shape (p,), default=None
            Log hyperparameters to evaluate at, in the order of `parameter_names`; None for the
            current ones. The model does not change.
        eval_gradient : bool, default=False
            Whether to return the gradient with respect to theta too (R&W 5.9).

        Returns
        -------
        log_marginal_likelihood : float
            Summed over the outputs.
        gradient : ndarray of shape (p,), float64
            Only if `eval_gradient`.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix has no Cholesky factor at theta.

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
        hyperparameters = _at_theta(self._hyperparameters, theta)
        if eval_gradient:
            return self._value_and_gradient(hyperparameters)
        return self._factor(hyperparameters).log_marginal_likelihood()

    def loss(self) -> float:
        """Return the negative log marginal likelihood: what training minimises.

        Returns
        -------
        float
            In nats, summed over the outputs.
        """
        return -self.log_marginal_likelihood()

    def optimize(
        self,
        optimizer: str = "l-bfgs-b",
        *,
        max_iter: int | None = None,
        learning_rate: float | None = None,
        callback: Callback | None = None,
    ) -> OptimizeResult:
        """Train: minimise the loss over the free hyperparameters, within their bounds.

        The model takes the best hyperparameters that were seen, also when the callback, an error or
        Ctrl-C ends the training early. The kept factor is released first. Trial hyperparameters for
        which the covariance matrix is not positive definite are stepped back from.

        Parameters
        ----------
        optimizer : {"l-bfgs-b", "adam"}, default="l-bfgs-b"
            Quasi-Newton, or gradient descent with momentum.
        max_iter : int, default=None
            The most iterations, at least 1; None for 1000 ("l-bfgs-b") or 200 ("adam").
        learning_rate : float, default=None
            Only for "adam": length of a first step in each log hyperparameter, positive; None for
            0.1.
        callback : callable, default=None
            Called after each iteration with an object that has the attributes iteration, loss,
            log_marginal_likelihood, gradient_norm and theta. Training ends if it returns True or
            raises StopIteration.

        Returns
        -------
        scipy.optimize.OptimizeResult
            x (the new theta), fun (the loss there), jac (its gradient), nit, nfev, success, status,
            message, loss_history (after each iteration).

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix has no Cholesky factor at the start.
        InvalidInputError
            If there is no such optimiser, or an option makes no sense.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GP
        >>> X = np.linspace(0.0, 6.0, 40).reshape(-1, 1)
        >>> y = np.sin(X[:, 0]) + 0.1 * np.cos(50.0 * X[:, 0])
        >>> gp = GP(X, y)
        >>> before = gp.loss()
        >>> bool(gp.optimize().fun < before)
        True
        """
        method = get_optimizer(
            optimizer, **validation.check_training_options(max_iter, learning_rate)
        )
        if callback is not None and not callable(callback):
            raise UnsupportedTypeError(
                f"callback must be callable, got {callback!r}. Pass a function of one argument, "
                "the iteration."
            )
        with self._training_lock:
            return self._train(method, callback)

    def optimize_step(self, learning_rate: float = 0.1) -> float:
        """Take one step of Adam.

        The running means of the gradient persist from step to step, until `theta`, `noise_variance`
        or `optimize` changes the hyperparameters.

        Parameters
        ----------
        learning_rate : float, default=0.1
            Length of a first step in each log hyperparameter, positive.

        Returns
        -------
        float
            The loss before the step.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix has no Cholesky factor before the step.

        Examples
        --------
        >>> from gprat import GP
        >>> gp = GP([[0.0], [1.0], [2.0]], [0.1, 0.9, 2.1])
        >>> losses = [gp.optimize_step() for _ in range(20)]
        >>> losses[-1] < losses[0]
        True
        """
        rate = validation.check_learning_rate(learning_rate)
        with self._training_lock:
            self._release()
            hyperparameters = self._hyperparameters
            moments = self._moments or Moments(len(hyperparameters.names))
            value, gradient = self._value_and_gradient(hyperparameters)
            lower, upper = _finite_bounds(hyperparameters).T
            theta = hyperparameters.theta + moments.step(-gradient, rate)
            self._adopt(hyperparameters.with_theta(np.clip(theta, lower, upper)))
            self._moments = moments
            return -value

    # Prediction

    def predict(self, X: npt.ArrayLike) -> FloatArray:
        """Predict the mean of the latent function (R&W 2.25).

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

        Examples
        --------
        >>> from gprat import GP
        >>> gp = GP([[0.0], [1.0]], [1.0, 2.0], noise=1.0)
        >>> gp.predict([[0.0], [50.0]]).round(3)
        array([0.783, 0.   ])
        """
        points = validation.check_test_inputs(X, self._dtype, self.n_features)
        return self._as_targets(self._factor(self._hyperparameters).predict_mean(points))

    def predict_with_uncertainty(
        self, X: npt.ArrayLike, include_noise: bool | npt.ArrayLike = False
    ) -> tuple[FloatArray, FloatArray]:
        """Predict the mean and the variance at each test point (R&W 2.25 and 2.26).

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
            Never negative; the same for all outputs.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix of the training data has no Cholesky factor.

        Examples
        --------
        >>> from gprat import GP
        >>> gp = GP([[0.0], [1.0]], [1.0, 2.0], noise=1.0)
        >>> mean, variance = gp.predict_with_uncertainty([[50.0]], include_noise=True)
        >>> variance
        array([2.])
        """
        points = validation.check_test_inputs(X, self._dtype, self.n_features)
        posterior = self._factor(self._hyperparameters)
        noise = validation.check_test_noise(include_noise, posterior.problem.noise, points.shape[0])
        mean, variance = posterior.predict_variance(points)
        if noise is not None:
            variance += noise
        return self._as_targets(mean), variance

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
            Symmetric; the same for all outputs.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix of the training data has no Cholesky factor.

        Examples
        --------
        >>> from gprat import GP
        >>> gp = GP([[0.0], [1.0]], [1.0, 2.0], noise=1.0)
        >>> mean, covariance = gp.predict_with_full_cov([[50.0], [51.0]])
        >>> covariance.round(3)
        array([[1.   , 0.607],
               [0.607, 1.   ]])
        """
        points = validation.check_test_inputs(X, self._dtype, self.n_features)
        posterior = self._factor(self._hyperparameters)
        noise = validation.check_test_noise(include_noise, posterior.problem.noise, points.shape[0])
        mean, covariance = posterior.predict_covariance(points)
        if noise is not None:
            covariance[np.diag_indices_from(covariance)] += noise
        return self._as_targets(mean), covariance

    # Linear algebra

    def cholesky(self) -> FloatArray:
        """Return the Cholesky factor L of K = k(X, X) + diag(noise).

        Returns
        -------
        ndarray of shape (n, n)
            Lower triangular, a dense copy.

        Raises
        ------
        NotPositiveDefiniteError
            If there is none.

        Examples
        --------
        >>> from gprat import GP
        >>> GP([[0.0]], [1.0], noise=3.0).cholesky()
        array([[2.]])
        """
        return self._factor(self._hyperparameters).cholesky()

    def solve(self, B: npt.ArrayLike) -> FloatArray:
        """Solve K Z = B with K = k(X, X) + diag(noise).

        Parameters
        ----------
        B : array-like of shape (n,) or (n, r)
            Right-hand sides.

        Returns
        -------
        ndarray of the shape of B
            K⁻¹B.

        Raises
        ------
        NotPositiveDefiniteError
            If K has no Cholesky factor.

        Examples
        --------
        >>> from gprat import GP
        >>> GP([[0.0]], [1.0], noise=3.0).solve([2.0])
        array([0.5])
        """
        right_sides = validation.check_rows(B, "B", self._X.shape[0], self._dtype)
        solution = self._factor(self._hyperparameters).solve(right_sides)
        return solution[:, 0] if np.ndim(B) == 1 else solution

    # Hyperparameters

    @property
    def theta(self) -> Float64Array:
        """Logarithms of the free hyperparameters, shape (p,): the kernel's, then the noise."""
        return self._hyperparameters.theta

    @theta.setter
    def theta(self, theta: npt.ArrayLike) -> None:
        with self._state_lock:
            hyperparameters = _at_theta(self._hyperparameters, theta)
            if hyperparameters is not self._hyperparameters:
                self._adopt(hyperparameters)

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the entries of `theta`: scikit-learn's, and "noise_variance" at the end."""
        return self._hyperparameters.names

    @property
    def bounds(self) -> Float64Array:
        """Lower and upper bounds of `theta`, shape (p, 2)."""
        return self._hyperparameters.bounds

    @property
    def kernel(self) -> Kernel:
        """A scikit-learn kernel with the current hyperparameters; a new object each time."""
        return self._kernel.clone_with_theta(self._hyperparameters.program.theta)

    @property
    def noise_variance(self) -> float | Float64Array:
        """Noise variance of the targets: one for all rows, or a read-only array of shape (n,).

        It may be set to a positive number, which then is trained within `noise_bounds`, or to one
        for each row, which are fixed.
        """
        noise = self._hyperparameters.noise
        return noise if noise.size > 1 else float(noise[0])

    @noise_variance.setter
    def noise_variance(self, noise: float | npt.ArrayLike) -> None:
        with self._state_lock:
            self._adopt(self._with_noise(self._hyperparameters.program, noise, "noise_variance"))

    # Data and resources

    @property
    def X(self) -> FloatArray:
        """Training inputs, shape (n, d): a read-only view."""
        return _read_only(self._X)

    @property
    def y(self) -> FloatArray:
        """Training targets, shape (n,) or (n, k): a read-only view."""
        return _read_only(self._as_targets(self._Y))

    @property
    def n_features(self) -> int:
        """Number of columns of the training inputs."""
        return int(self._X.shape[1])

    @property
    def tile_size(self) -> int:
        """Side of the tiles, in [1, n]."""
        return self._tile_size

    @property
    def threads(self) -> int | None:
        """The most threads for this model; None for all that the runtime has."""
        return self._threads

    @property
    def dtype(self) -> np.dtype[Any]:
        """Precision of the computation and of the results."""
        return self._dtype

    def __repr__(self) -> str:
        n, d = self._X.shape
        outputs = "" if self._has_vector_targets else f", {self._Y.shape[1]} outputs"
        variance = self.noise_variance
        noise = f"{variance:.3g}" if isinstance(variance, float) else "one a row"
        return f"GP(n={n}, d={d}{outputs}, kernel={self.kernel}, noise={noise}, {self._dtype})"

    # State

    def _with_noise(
        self, program: Program, noise: float | npt.ArrayLike, name: str
    ) -> Hyperparameters:
        variances, is_one_for_all = validation.check_noise(noise, self._X.shape[0], name)
        return Hyperparameters(
            program, variances, self._log_noise_bounds if is_one_for_all else None
        )

    def _problem(self, hyperparameters: Hyperparameters) -> Problem:
        return Problem(
            self._X,
            self._Y,
            hyperparameters.program,
            hyperparameters.noise,
            self._tile_size,
            self._threads,
        )

    def _factor(self, hyperparameters: Hyperparameters) -> Posterior:
        """Return the posterior for these hyperparameters; keep it if they are the current ones."""
        with self._state_lock:
            if hyperparameters is not self._hyperparameters:
                return self._engine.factorise(self._problem(hyperparameters))
            if self._posterior is None:
                self._posterior = self._engine.factorise(self._problem(hyperparameters))
            return self._posterior

    def _adopt(self, hyperparameters: Hyperparameters) -> None:
        """Make these the current hyperparameters and forget what belonged to the old ones."""
        with self._state_lock:
            self._hyperparameters = hyperparameters
            self._posterior = None
            self._moments = None

    def _release(self) -> None:
        """Forget the kept factor: training needs its memory."""
        with self._state_lock:
            self._posterior = None

    def _value_and_gradient(self, hyperparameters: Hyperparameters) -> tuple[float, Float64Array]:
        value, kernel_gradient, noise_gradient = self._engine.log_marginal_likelihood_gradient(
            self._problem(hyperparameters)
        )
        return value, hyperparameters.theta_gradient(kernel_gradient, noise_gradient)

    def _train(self, method: Optimizer, callback: Callback | None) -> OptimizeResult:
        self._release()
        start = self._hyperparameters

        def objective(theta: Float64Array) -> tuple[float, Float64Array]:
            value, gradient = self._value_and_gradient(start.with_theta(theta))
            return -value, -gradient

        search = Search(objective, callback)
        bounds = _finite_bounds(start)
        try:
            return search.minimize(method, np.clip(start.theta, bounds[:, 0], bounds[:, 1]), bounds)
        finally:
            if search.best is not None:
                self._adopt(start.with_theta(search.best.theta))

    def _as_targets(self, values: FloatArray) -> FloatArray:
        """Give an array of shape (m, k) the number of dimensions that the targets have."""
        return values[:, 0] if self._has_vector_targets else values


def _default_kernel() -> Kernel:
    return ConstantKernel(1.0) * RBF(1.0)


def _at_theta(hyperparameters: Hyperparameters, theta: npt.ArrayLike | None) -> Hyperparameters:
    """Return the same object where theta is None or what it already has."""
    if theta is None:
        return hyperparameters
    values = validation.check_theta(theta, hyperparameters.names)
    if (values == hyperparameters.theta).all():
        return hyperparameters
    return hyperparameters.with_theta(values)


def _finite_bounds(hyperparameters: Hyperparameters) -> Float64Array:
    """Return bounds within which theta is valid: those of (0, inf) are not."""
    return np.clip(hyperparameters.bounds, -validation.LARGEST_LOG, validation.LARGEST_LOG)


def _read_only(array: FloatArray) -> FloatArray:
    view = array.view()
    view.flags.writeable = False
    return view


def _check_threads(threads: int | None) -> int | None:
    if threads is None:
        return None
    return validation.check_positive_integer(threads, "threads", _THREADS_REMEDY)


def _resolve_tile_size(tile_size: int | Literal["auto"], n: int) -> int:
    if isinstance(tile_size, str) and tile_size == "auto":
        return auto_tile_size(n, runtime.processors())
    return min(n, validation.check_positive_integer(tile_size, "tile_size", _TILE_REMEDY))
