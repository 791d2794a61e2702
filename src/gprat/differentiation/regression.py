"""A Gaussian process regression, but for its arrays."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gprat import _resources
from gprat._range import ensure_finite
from gprat._validation import Float64Array, FloatArray
from gprat.differentiation.arguments import Arguments, as_float_dtype, read_arguments
from gprat.differentiation.conditioned import Conditioned
from gprat.differentiation.gradients import Gradients, Wanted
from gprat.engines.base import Adjoint, Objective
from gprat.engines.registry import get_engine
from gprat.exceptions import InvalidInputError
from gprat.kernels import Kernel, KernelProgram, compile, plain_clone
from gprat.means import MeanLike, as_mean

__all__ = ["Regression"]

_BY_REVERSE_PASS = Wanted.X | Wanted.THETA | Wanted.NOISE


class Regression:
    """What of a Gaussian process regression is no array: functions of arrays, to differentiate.

    The model is that of `gprat.GP`. Its methods may be called from several threads at a time.

    Parameters
    ----------
    kernel : Kernel
        Any nesting of `gprat.kernels`; copied. Its hyperparameters are the default of `theta`;
        those with bounds "fixed" keep their values and have no derivatives.
    mean : str, callable, FixedMean, FixedLinear or sequence, default="zero"
        "zero", "constant", "linear", "quadratic", or what `gprat.means` has. Derivatives by points
        need functions with gradients.
    tile_size : int or "auto", default="auto"
        Side of the tiles.
    threads : int, default=None
        The most threads for a call; None for all that the runtime has.
    memory_limit : int, default=None
        The most bytes that a call may take beyond the data; None for what there is.

    Raises
    ------
    InvalidInputError
        If an option makes no sense.
    UnsupportedTypeError
        If an option has the wrong type.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat.differentiation import Regression, Wanted
    >>> from gprat.kernels import RBF
    >>> regression = Regression(2.0 * RBF(0.5))
    >>> regression.parameter_names
    ('k1__constant_value', 'k2__length_scale')
    >>> X, y = np.array([[0.0], [1.0]]), np.array([1.0, -1.0])
    >>> value, gradients = regression.log_marginal_likelihood(X, y, noise=0.5, wanted=Wanted.X)
    >>> bool(gradients.X[0, 0] < 0.0)  # apart, the two targets would be more probable
    True
    """

    def __init__(
        self,
        kernel: Kernel,
        *,
        mean: MeanLike = "zero",
        tile_size: int | Literal["auto"] = "auto",
        threads: int | None = None,
        memory_limit: int | None = None,
    ) -> None:
        self._program = compile(kernel)
        self._kernel = plain_clone(kernel)
        self._programs: dict[int, KernelProgram] = {}
        self._mean = as_mean(mean)
        self._resources = _resources.check_resources(tile_size, threads, memory_limit)
        self._engine = get_engine("cpu")

    @property
    def theta(self) -> Float64Array:
        """The kernel's free hyperparameters as it was given, shape (p,).

        Logarithms, but for hyperparameters that may be negative, as scikit-learn has them.
        """
        return self._program.theta

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Names of the entries of `theta`, as scikit-learn has them."""
        free = zip(self._program.names, self._program.is_free, strict=True)
        return tuple(name for name, is_free in free if is_free)

    def kernel_at(self, theta: npt.ArrayLike) -> Kernel:
        """Return the kernel with other free hyperparameters: a new object.

        Examples
        --------
        >>> from gprat.differentiation import Regression
        >>> from gprat.kernels import RBF
        >>> Regression(RBF(1.0)).kernel_at([0.0])
        RBF(length_scale=1)
        """
        return self._kernel.clone_with_theta(np.asarray(theta, dtype=np.float64))

    def coefficient_names(self, n_features: int) -> tuple[str, ...]:
        """Return the names of the coefficients that the mean has for so many features.

        Examples
        --------
        >>> from gprat.differentiation import Regression
        >>> from gprat.kernels import RBF
        >>> Regression(RBF(), mean="linear").coefficient_names(2)
        ('1', 'x[0]', 'x[1]')
        """
        return self._mean.names(n_features)

    def check(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        theta: npt.ArrayLike | None = None,
        noise: float | npt.ArrayLike = 0.1,
        mean_coefficients: npt.ArrayLike | None = None,
        Xs: npt.ArrayLike | None = None,
    ) -> None:
        """Raise what other methods would raise for such arguments; nothing is computed.

        For frameworks that know shapes before they know values: any valid numbers will do.

        Parameters
        ----------
        X, y, theta, noise, mean_coefficients
            As `log_marginal_likelihood` has them.
        Xs : array-like of shape (m, d) or (..., q, d), default=None
            Test inputs; None if there are none.

        Raises
        ------
        InvalidInputError
            If a shape or a value makes no sense.
        UnsupportedTypeError
            If arrays have different dtypes.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat.differentiation import Regression
        >>> from gprat.kernels import RBF
        >>> Regression(RBF()).check(np.ones((5, 2)), np.ones(5), Xs=np.ones((3, 2)))
        """
        arguments = self._read(X, y, theta, noise, mean_coefficients)
        if Xs is not None:
            arguments.read_points(Xs)

    def log_marginal_likelihood(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        theta: npt.ArrayLike | None = None,
        noise: float | npt.ArrayLike = 0.1,
        mean_coefficients: npt.ArrayLike | None = None,
        wanted: Wanted = Wanted.NOTHING,
    ) -> tuple[float, Gradients]:
        """Return the log marginal likelihood (R&W 2.30; with a trend 2.45) and its derivatives.

        n³/3 operations for the value and the derivatives by `y` and `mean_coefficients`, n³ with
        the others.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Training inputs, float64 or float32: the dtype of the computation and of gradients.
        y : array-like of shape (n,) or (n, k)
            Targets; k outputs are independent given the kernel.
        theta : array-like of shape (p,), default=None
            The kernel's free hyperparameters, see `theta`; None for those of the kernel.
        noise : float or array-like of shape (), (1,) or (n,), default=0.1
            Noise variances, not negative: of all rows, or of each.
        mean_coefficients : array-like of shape (q,) or (q, k), default=None
            Coefficients of the mean's basis functions, for all outputs or each. None if they are
            to be integrated out under a flat prior.
        wanted : Wanted, default=Wanted.NOTHING
            What derivatives are wanted by.

        Returns
        -------
        log_marginal_likelihood : float
            Summed over the outputs; -inf where it is below the range of floating-point numbers.
        gradients : Gradients
            Its derivatives.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix has no Cholesky factor.
        RankDeficientTrendError
            If basis functions of a trend depend on each other at the training points.
        UnsupportedKernelError
            If derivatives by X are wanted of a kernel that is evaluated in Python.
        InvalidInputError
            If a shape or a value makes no sense, or derivatives are wanted by what is not there.
        UnsupportedTypeError
            If arrays have different dtypes.
        InsufficientMemoryError
            If it needs more memory than it may take, or than there is; nothing was computed.
        """
        arguments = self._read(X, y, theta, noise, mean_coefficients)
        arguments.check_wanted(wanted)
        if Wanted.XS in wanted:
            raise InvalidInputError(
                "a log marginal likelihood has no test inputs, by which there could be "
                "derivatives. Leave Wanted.XS out."
            )
        problem = arguments.problem(self._resources)
        if wanted & _BY_REVERSE_PASS:
            adjoint = self._engine.differentiate(
                problem, Objective.MARGINAL_LIKELIHOOD, inputs=Wanted.X in wanted
            )
            ensure_finite("log marginal likelihood", arguments.dtype, adjoint.value)
            return adjoint.value, _gradients(arguments, adjoint, wanted)
        posterior = self._engine.factorise(problem)
        value = posterior.log_marginal_likelihood()
        if not wanted:
            return value, Gradients()
        by_targets = -posterior.alpha().astype(np.float64)
        return value, Gradients(
            y=arguments.by_targets(by_targets, wanted),
            mean_coefficients=arguments.by_coefficients(-by_targets, None, wanted),
        )

    def condition(
        self,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        theta: npt.ArrayLike | None = None,
        noise: float | npt.ArrayLike = 0.1,
        mean_coefficients: npt.ArrayLike | None = None,
    ) -> Conditioned:
        """Return the Gaussian process given its data; arguments as `log_marginal_likelihood` has.

        The covariance matrix is factorised by the first prediction, and only then. Arrays that are
        C-contiguous and of the right dtype are not copied, and must not change as long as the
        result is in use.

        Raises
        ------
        InvalidInputError
            If a shape or a value makes no sense.
        UnsupportedTypeError
            If arrays have different dtypes.
        """
        arguments = self._read(X, y, theta, noise, mean_coefficients)
        posterior = self._engine.factorise(arguments.problem(self._resources))
        return Conditioned(arguments, posterior, self._kernel)

    def _read(self, X: Any, y: Any, theta: Any, noise: Any, coefficients: Any) -> Arguments:
        dtype = as_float_dtype(X)
        arguments = read_arguments(X, y, noise, coefficients, self._mean, dtype)
        program = self._program_for(arguments.X.shape[1])
        return arguments.with_program(program, theta)

    def _program_for(self, d: int) -> KernelProgram:
        """Compile for so many features, or find what has been compiled."""
        program = self._programs.get(d)
        if program is None:
            program = self._programs.setdefault(d, compile(self._kernel, d))
        return program


def _gradients(arguments: Arguments, adjoint: Adjoint, wanted: Wanted) -> Gradients:
    by_X: FloatArray | None = None
    if adjoint.inputs is not None:
        by_X = arguments.by_inputs(adjoint.inputs, adjoint.basis, adjoint.targets, wanted)
    return Gradients(
        X=by_X,
        y=arguments.by_targets(adjoint.targets, wanted),
        theta=arguments.by_theta(adjoint.parameters, wanted),
        noise=arguments.by_noise(adjoint.noise, wanted),
        mean_coefficients=arguments.by_coefficients(-adjoint.targets, None, wanted),
    )
