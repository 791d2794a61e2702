"""What gprat's own kernels share: theta, bounds, comparison, and scikit-learn's way of calling.

scikit-learn's ``theta`` holds logarithms of numbers and vectors. Here a hyperparameter may also be
a matrix, or have any sign: then theta holds the value itself. scikit-learn's operators ask the
kernels inside for their ``theta`` and ``bounds``, so that these kernels nest in them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from sklearn.gaussian_process.kernels import (
    Exponentiation,
    Hyperparameter,
    Kernel,
    KernelOperator,
)

from gprat.exceptions import InvalidInputError
from gprat.kernels.program import from_theta, to_theta

__all__ = [
    "BoolArray",
    "Bounds",
    "Float64Array",
    "GpratKernel",
    "LeafKernel",
    "format_values",
    "one_each",
    "sum_or_stack",
    "theta_is_log",
]

Float64Array = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Bounds = Any  # "fixed", a pair, or one pair a value


def theta_is_log(kernel: Kernel) -> BoolArray:
    """Return which entries of ``kernel.theta`` are logarithms; shape (n_dims,).

    All but those that a kernel of gprat holds as themselves. What a kernel of an unknown class
    keeps inside is unknown, and follows scikit-learn's convention.

    Examples
    --------
    >>> from gprat.kernels import RBF, Linear
    >>> theta_is_log(RBF() * Linear(centre_bounds=(-1, 1)))
    array([ True, False,  True])
    """
    if isinstance(kernel, GpratKernel):
        return kernel._theta_is_log()
    if isinstance(kernel, KernelOperator):
        return np.concatenate([theta_is_log(kernel.k1), theta_is_log(kernel.k2)])
    if isinstance(kernel, Exponentiation):
        return theta_is_log(kernel.kernel)
    return np.ones(len(kernel.theta), dtype=bool)


class GpratKernel(Kernel):
    """Base class of gprat's own kernels.

    Hyperparameters are declared as in scikit-learn: an argument ``name``, one ``name_bounds``, and
    a property ``hyperparameter_name``, which `declare` describes. Kernels inside are arguments
    named in `parts`.
    """

    parts: ClassVar[tuple[str, ...]] = ()
    """Arguments that are kernels; their hyperparameters precede those of this kernel."""

    real_valued: ClassVar[tuple[str, ...]] = ()
    """Hyperparameters that may have any sign: theta and its bounds hold the value itself."""

    def declare(self, name: str) -> Hyperparameter:
        """Describe the hyperparameter `name` to scikit-learn."""
        value, bounds = getattr(self, name), getattr(self, f"{name}_bounds")
        return Hyperparameter(name, "numeric", bounds, np.size(value))

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the arguments by name and, if `deep`, those of the kernels inside."""
        params: dict[str, Any] = super().get_params()
        if deep:
            for part, kernel in self._inside():
                params |= {f"{part}__{k}": v for k, v in kernel.get_params().items()}
        return params

    @property
    def hyperparameters(self) -> list[Hyperparameter]:
        """Hyperparameters of the kernels inside, then one's own in the order of their names."""
        inside = [
            Hyperparameter(f"{part}__{h.name}", h.value_type, h.bounds, h.n_elements)
            for part, kernel in self._inside()
            for h in kernel.hyperparameters
        ]
        return inside + self._own()

    @property
    def theta(self) -> Float64Array:
        """Free hyperparameters, as logarithms unless real-valued; shape (n_dims,)."""
        values = [np.empty(0), *(np.ravel(getattr(self, h.name)) for h in self._own_free())]
        own = to_theta(np.concatenate(values).astype(np.float64), self._own_is_log())
        return np.concatenate([*(kernel.theta for _, kernel in self._inside()), own])

    @theta.setter
    def theta(self, theta: npt.ArrayLike) -> None:
        entries = np.asarray(theta, dtype=np.float64)
        if entries.shape != (self.n_dims,):
            raise InvalidInputError(
                f"theta of {type(self).__name__} must have shape ({self.n_dims},), got shape "
                f"{entries.shape}"
            )
        start = 0
        for _, kernel in self._inside():
            stop = start + kernel.n_dims
            kernel.theta = entries[start:stop]
            start = stop
        values, start = from_theta(entries[start:], self._own_is_log()), 0
        for hyperparameter in self._own_free():
            stop = start + hyperparameter.n_elements
            shape = np.shape(getattr(self, hyperparameter.name))
            setattr(self, hyperparameter.name, values[start:stop].reshape(shape)[()])
            start = stop

    @property
    def bounds(self) -> Float64Array:
        """Lower and upper bounds of `theta`, shape (n_dims, 2)."""
        inside = [np.reshape(kernel.bounds, (-1, 2)) for _, kernel in self._inside()]
        limits = np.vstack([np.empty((0, 2)), *(h.bounds for h in self._own_free())])
        is_log = np.broadcast_to(self._own_is_log()[:, np.newaxis], limits.shape)
        with np.errstate(divide="ignore"):
            return np.vstack([*inside, to_theta(limits, is_log)])

    def __eq__(self, other: object) -> bool:
        """Compare class and arguments."""
        if not isinstance(other, GpratKernel) or type(self) is not type(other):
            return False
        mine, yours = self.get_params(deep=False), other.get_params(deep=False)
        return all(_is_same(mine[name], yours[name]) for name in mine)

    def __repr__(self) -> str:
        """Show class and hyperparameters, to three digits."""
        values = (f"{h.name}={format_values(getattr(self, h.name))}" for h in self._own())
        return f"{type(self).__name__}({', '.join([*self._repr_first(), *values])})"

    def _repr_first(self) -> list[str]:
        """List what `repr` shows before the hyperparameters."""
        return []

    def _inside(self) -> list[tuple[str, Kernel]]:
        return [(part, getattr(self, part)) for part in self.parts]

    def _own(self) -> list[Hyperparameter]:
        own: list[Hyperparameter] = super().hyperparameters
        return own

    def _own_free(self) -> list[Hyperparameter]:
        return [h for h in self._own() if not h.fixed]

    def _own_is_log(self) -> BoolArray:
        flags = [np.full(h.n_elements, h.name not in self.real_valued) for h in self._own_free()]
        return np.concatenate([np.empty(0, dtype=bool), *flags])

    def _theta_is_log(self) -> BoolArray:
        return np.concatenate(
            [*(theta_is_log(kernel) for _, kernel in self._inside()), self._own_is_log()]
        )


class LeafKernel(GpratKernel):
    """A kernel of gprat with no kernel inside.

    A subclass computes the matrix in ``_covariance`` and, for each hyperparameter, its derivative
    in ``_derivative_by_<name>(X, K)``: shape (n, n, number of values), by the logarithm unless the
    hyperparameter is real-valued.
    """

    def __call__(
        self, X: npt.ArrayLike, Y: npt.ArrayLike | None = None, eval_gradient: bool = False
    ) -> Any:
        """Return k(X, Y) and, if asked, its gradient by `theta`.

        Parameters
        ----------
        X : array-like of shape (n, d)
            Left argument.
        Y : array-like of shape (m, d), optional
            Right argument; X if omitted.
        eval_gradient : bool, default=False
            Whether to return the gradient too, for which Y must be omitted.

        Returns
        -------
        K : ndarray of shape (n, m)
            The covariance matrix.
        gradient : ndarray of shape (n, n, n_dims)
            Only if `eval_gradient`: its derivative by each entry of `theta`.

        Raises
        ------
        InvalidInputError
            If a vector of hyperparameters does not fit the features, or `eval_gradient` is asked
            for with Y.
        """
        A = self._points(X)
        B = A if Y is None else self._points(Y)
        if eval_gradient and Y is not None:
            raise InvalidInputError("the gradient can only be evaluated when Y is None")
        K = self._covariance(A, B)
        if not eval_gradient:
            return K
        derivatives = [getattr(self, f"_derivative_by_{h.name}")(A, K) for h in self._own_free()]
        return K, np.concatenate([np.empty((*K.shape, 0)), *derivatives], axis=2)

    def _points(self, X: npt.ArrayLike) -> Float64Array:
        """Return X as a float64 matrix whose columns fit the hyperparameters."""
        points = np.atleast_2d(np.asarray(X, dtype=np.float64))
        for name in self.per_feature:
            count = np.size(getattr(self, name))
            if count not in (1, points.shape[1]):
                raise InvalidInputError(
                    f"{name} of {type(self).__name__} has {count} values but the points have "
                    f"{points.shape[1]} features; give one value for all features, or one each"
                )
        return points

    @abstractmethod
    def _covariance(self, X: Float64Array, Z: Float64Array) -> Float64Array:
        """Return the matrix between the rows of X and of Z, which may be the same array."""


def one_each(values: Any, n_features: int) -> Float64Array:
    """Return one value a feature: a single value serves all of them."""
    return np.broadcast_to(np.ravel(np.asarray(values, dtype=np.float64)), (n_features,))


def sum_or_stack(terms: Iterable[Float64Array], count: int) -> Float64Array:
    """Return the derivative by a hyperparameter from those by its value at each feature.

    Parameters
    ----------
    terms : iterable of ndarray of shape (n, n)
        One a feature.
    count : int
        Number of values that the hyperparameter has: 1, which sums the terms, or one a feature.

    Returns
    -------
    ndarray of shape (n, n, count)
    """
    if count > 1:
        return np.stack(list(terms), axis=2)
    first, *others = iter(terms)
    for term in others:
        first = first + term
    return first[:, :, np.newaxis]


def _is_same(mine: Any, yours: Any) -> bool:
    if isinstance(mine, Kernel):
        return bool(mine == yours)
    return bool(np.array_equal(mine, yours))


def format_values(values: Any) -> str:
    array = np.asarray(values)
    if array.ndim == 0:
        return f"{float(array):.3g}"
    return f"[{', '.join(format_values(value) for value in array)}]"
