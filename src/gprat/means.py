"""Mean functions: fixed ones, and trends whose coefficients are integrated out.

A trend is a sum of basis functions h(x) with unknown coefficients β. Under a flat prior for β they
are estimated by generalised least squares, and their uncertainty is part of the predictive variance
(Rasmussen and Williams 2006, "R&W", section 2.7): ordinary kriging with ``"constant"``, universal
kriging with the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from typing import Any, Literal, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from gprat._validation import Float64Array, FloatArray, as_array
from gprat.exceptions import InvalidInputError, UnsupportedTypeError
from gprat.kernels.program import as_real_array

__all__ = ["BasisFunction", "FixedLinear", "FixedMean", "Mean", "MeanLike", "as_mean"]

_NAMES = ("zero", "constant", "linear", "quadratic")
_Values: TypeAlias = Callable[[Float64Array], npt.ArrayLike]
_Function = TypeVar("_Function", "BasisFunction", "FixedMean")


@dataclass(frozen=True)
class BasisFunction:
    """One basis function of a trend, with its gradient where that is needed.

    Parameters
    ----------
    function : callable
        Takes points of shape (m, d), float64, and returns m values.
    gradient : callable, default=None
        Takes the same and returns the derivatives by the features, shape (m, d). Only
        `GP.predict_gradient` and `GP.input_gradient` need it.
    name : str, default=None
        What error messages call it; None for the function's own name.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat import GP
    >>> from gprat.means import BasisFunction
    >>> wave = BasisFunction(lambda X: np.sin(X[:, 0]), lambda X: np.cos(X))
    >>> X = np.linspace(0.0, 10.0, 30).reshape(-1, 1)
    >>> gp = GP(X, 3.0 * np.sin(X[:, 0]), mean=[wave], noise=0.01)
    >>> gp.trend_coefficients.round(2)
    array([3.])
    """

    function: _Values
    gradient: _Values | None = None
    name: str | None = None


@dataclass(frozen=True)
class FixedMean:
    """A mean function without unknown coefficients, with its gradient where that is needed.

    Parameters
    ----------
    function : callable
        Takes points of shape (m, d), float64, and returns m values, or shape (m, k) for k outputs.
    gradient : callable, default=None
        Takes the same and returns the derivatives by the features, shape (m, d), or (m, d, k).
        Only `GP.predict_gradient` and `GP.input_gradient` need it.

    Examples
    --------
    >>> from gprat import GP
    >>> from gprat.means import FixedMean
    >>> gp = GP([[0.0]], [5.0], mean=FixedMean(lambda X: 5.0 + X[:, 0]))
    >>> gp.predict([[100.0]])
    array([105.])
    """

    function: _Values
    gradient: _Values | None = None


@dataclass(frozen=True)
class FixedLinear:
    """The mean function intercept + Σ_f coefficient_f x_f, with known numbers.

    Unlike other fixed means it holds no function, so that a model with it can be saved. For
    coefficients that are estimated from the data use ``mean="linear"``.

    Parameters
    ----------
    intercept : float
        The mean at the origin; any finite number.
    coefficients : array-like of shape (d,), default=None
        The slope along each feature, finite; None for a constant mean.

    Attributes
    ----------
    intercept : float
        See Parameters.
    coefficients : tuple of float or None
        See Parameters.

    Raises
    ------
    InvalidInputError
        If a number is not finite, or a shape is wrong.
    UnsupportedTypeError
        If they are not numbers.

    Examples
    --------
    >>> from gprat import GP
    >>> from gprat.means import FixedLinear
    >>> mean = FixedLinear(5.0, [1.0, -2.0])
    >>> GP([[0.0, 0.0]], [5.0], mean=mean).predict([[100.0, 10.0]])
    array([85.])
    >>> mean == FixedLinear(5.0, (1.0, -2.0))
    True
    """

    intercept: float
    coefficients: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        """Keep plain numbers: they compare, print, and do not change with the caller's array."""
        intercept = _check_finite(self.intercept, "intercept", 0)
        object.__setattr__(self, "intercept", float(intercept))
        if self.coefficients is not None:
            coefficients = _check_finite(self.coefficients, "coefficients", 1)
            object.__setattr__(self, "coefficients", tuple(coefficients.tolist()))

    def __call__(self, X: npt.ArrayLike) -> Float64Array:
        """Return the mean at points of shape (m, d): shape (m,)."""
        points = np.asarray(X, dtype=np.float64)
        if self.coefficients is None:
            return np.full(len(points), self.intercept)
        return np.asarray(points @ self._slopes(points) + self.intercept)

    def gradient(self, X: npt.ArrayLike) -> Float64Array:
        """Return its derivatives by the features at points of shape (m, d): shape (m, d)."""
        points = np.asarray(X, dtype=np.float64)
        if self.coefficients is None:
            return np.zeros(points.shape)
        return np.broadcast_to(self._slopes(points), points.shape)

    def _slopes(self, points: Float64Array) -> Float64Array:
        slopes = np.array(self.coefficients)
        if points.shape[1] != len(slopes):
            raise InvalidInputError(
                f"FixedLinear has {len(slopes)} coefficients, but the points have "
                f"{points.shape[1]} features. Pass one coefficient a feature."
            )
        return slopes


MeanLike: TypeAlias = (
    Literal["zero", "constant", "linear", "quadratic"]
    | _Values
    | BasisFunction
    | FixedLinear
    | FixedMean
    | Sequence["_Values | BasisFunction"]
)


class Mean(Protocol):
    """What a model asks of its mean function: m points, d features, k outputs, q coefficients."""

    def names(self, d: int) -> tuple[str, ...]:
        """Return a name for each of the q basis functions."""

    def basis(self, X: FloatArray) -> Float64Array:
        """Return their values, shape (m, q)."""

    def basis_gradient(self, X: FloatArray) -> Float64Array:
        """Return their derivatives by the features, shape (m, q, d)."""

    def offset(self, X: FloatArray, n_outputs: int) -> Float64Array | None:
        """Return the part without coefficients, shape (m, k); None where that is zero."""

    def offset_gradient(self, X: FloatArray, n_outputs: int) -> Float64Array | None:
        """Return its derivatives by the features, shape (m, d, k); None where those are zero."""


def as_mean(mean: Any) -> Mean:
    """Return the mean function that a user's description stands for.

    Parameters
    ----------
    mean : {"zero", "constant", "linear", "quadratic"}, callable, FixedMean, FixedLinear or sequence
        A sequence holds basis functions: callables or `BasisFunction`. A callable alone is a fixed
        mean.

    Returns
    -------
    Mean
        Ready to be evaluated.

    Raises
    ------
    InvalidInputError
        If there is no mean of that name, or the sequence is empty.
    UnsupportedTypeError
        If it is none of these.

    Examples
    --------
    >>> as_mean("linear").names(2)
    ('1', 'x[0]', 'x[1]')
    >>> as_mean("constant").basis([[3.0], [4.0]])
    array([[1.],
           [1.]])
    """
    if isinstance(mean, str):
        if mean not in _NAMES:
            raise InvalidInputError(
                f"unknown mean {mean!r}: expected {', '.join(map(repr, _NAMES))}, a function, or a "
                "list of basis functions."
            )
        return _PolynomialTrend(_NAMES.index(mean) - 1)
    if isinstance(mean, FixedLinear):
        return _FunctionMean(FixedMean(mean, mean.gradient))
    if isinstance(mean, FixedMean):
        return _FunctionMean(_check_callables(mean, "mean"))
    if isinstance(mean, BasisFunction):
        return as_mean([mean])
    if callable(mean):
        return _FunctionMean(FixedMean(mean))
    if isinstance(mean, Sequence):
        if len(mean) == 0:
            raise InvalidInputError(
                'mean is an empty list of basis functions. Use mean="zero" for no trend.'
            )
        return _BasisTrend(tuple(_as_basis_function(f, i) for i, f in enumerate(mean)))
    raise UnsupportedTypeError(
        f"mean must be one of {', '.join(map(repr, _NAMES))}, a function of the points, or a list "
        f"of basis functions, got {mean!r}."
    )


@dataclass(frozen=True)
class _PolynomialTrend:
    """All monomials up to a total degree of 0, 1 or 2; none for degree -1."""

    degree: int

    def names(self, d: int) -> tuple[str, ...]:
        return tuple(
            "*".join(f"x[{f}]" for f in monomial) or "1" for monomial in self._monomials(d)
        )

    def basis(self, X: FloatArray) -> Float64Array:
        points = np.asarray(X, dtype=np.float64)
        monomials = self._monomials(points.shape[1])
        with np.errstate(over="ignore"):
            columns = [points[:, list(monomial)].prod(axis=1) for monomial in monomials]
        return np.stack(columns, axis=1) if columns else np.empty((len(points), 0))

    def basis_gradient(self, X: FloatArray) -> Float64Array:
        points = np.asarray(X, dtype=np.float64)
        m, d = points.shape
        monomials = self._monomials(d)
        gradient = np.zeros((m, len(monomials), d))
        for q, monomial in enumerate(monomials):
            for position, feature in enumerate(monomial):
                others = [f for i, f in enumerate(monomial) if i != position]
                gradient[:, q, feature] += points[:, others].prod(axis=1)
        return gradient

    def offset(self, X: FloatArray, n_outputs: int) -> None:
        return None

    def offset_gradient(self, X: FloatArray, n_outputs: int) -> None:
        return None

    def _monomials(self, d: int) -> list[tuple[int, ...]]:
        return [
            monomial
            for degree in range(self.degree + 1)
            for monomial in combinations_with_replacement(range(d), degree)
        ]


@dataclass(frozen=True)
class _BasisTrend:
    """Basis functions that the user wrote."""

    functions: tuple[BasisFunction, ...]

    def names(self, d: int) -> tuple[str, ...]:
        return tuple(
            f.name or _name_of(f.function, f"basis[{i}]") for i, f in enumerate(self.functions)
        )

    def basis(self, X: FloatArray) -> Float64Array:
        points = np.asarray(X, dtype=np.float64)
        names = self.names(points.shape[1])
        columns = [
            _evaluate(f.function, points, [(len(points),)], f"basis function {name}")
            for f, name in zip(self.functions, names, strict=True)
        ]
        return np.stack(columns, axis=1)

    def basis_gradient(self, X: FloatArray) -> Float64Array:
        points = np.asarray(X, dtype=np.float64)
        names = self.names(points.shape[1])
        slices = []
        for f, name in zip(self.functions, names, strict=True):
            if f.gradient is None:
                raise InvalidInputError(
                    f"gradients need the derivative of the basis function {name}. Pass "
                    "gprat.means.BasisFunction(function, gradient) in the list."
                )
            what = f"the gradient of basis function {name}"
            slices.append(_evaluate(f.gradient, points, [points.shape], what))
        return np.stack(slices, axis=1)

    def offset(self, X: FloatArray, n_outputs: int) -> None:
        return None

    def offset_gradient(self, X: FloatArray, n_outputs: int) -> None:
        return None


@dataclass(frozen=True)
class _FunctionMean:
    """A function that is simply subtracted from the targets."""

    mean: FixedMean

    def names(self, d: int) -> tuple[str, ...]:
        return ()

    def basis(self, X: FloatArray) -> Float64Array:
        return np.empty((len(X), 0))

    def basis_gradient(self, X: FloatArray) -> Float64Array:
        return np.empty((len(X), 0, np.shape(X)[1]))

    def offset(self, X: FloatArray, n_outputs: int) -> Float64Array:
        points = np.asarray(X, dtype=np.float64)
        m = len(points)
        values = _evaluate(self.mean.function, points, [(m,), (m, n_outputs)], "mean")
        columns = values if values.ndim == 2 else values[:, np.newaxis]
        return np.broadcast_to(columns, (m, n_outputs))

    def offset_gradient(self, X: FloatArray, n_outputs: int) -> Float64Array:
        if self.mean.gradient is None:
            raise InvalidInputError(
                "gradients need the derivative of the mean function. Pass "
                "mean=gprat.means.FixedMean(function, gradient)."
            )
        points = np.asarray(X, dtype=np.float64)
        m, d = points.shape
        shapes = [(m, d), (m, d, n_outputs)]
        values = _evaluate(self.mean.gradient, points, shapes, "the gradient of the mean")
        columns = values if values.ndim == 3 else values[:, :, np.newaxis]
        return np.broadcast_to(columns, (m, d, n_outputs))


def _as_basis_function(function: Any, position: int) -> BasisFunction:
    if isinstance(function, BasisFunction):
        return _check_callables(function, f"mean[{position}]")
    if callable(function):
        return BasisFunction(function)
    raise UnsupportedTypeError(
        f"mean[{position}] must be a function of the points or a gprat.means.BasisFunction, got "
        f"{function!r}."
    )


def _check_callables(mean: _Function, name: str) -> _Function:
    if callable(mean.function) and (mean.gradient is None or callable(mean.gradient)):
        return mean
    raise UnsupportedTypeError(
        f"{name} must hold a function, and a function or None as its gradient, got {mean!r}."
    )


def _check_finite(values: Any, name: str, ndim: int) -> Float64Array:
    array = as_real_array(values, f"{name} of FixedLinear")
    if array.ndim != ndim or not np.isfinite(array).all():
        expected = "one finite number" if ndim == 0 else "finite numbers, one a feature"
        raise InvalidInputError(f"{name} of FixedLinear must be {expected}, got {values!r}.")
    return array


def _name_of(function: _Values, default: str) -> str:
    name = getattr(function, "__name__", default)
    return default if name == "<lambda>" else str(name)


def _evaluate(
    function: _Values, points: Float64Array, shapes: list[tuple[int, ...]], what: str
) -> Float64Array:
    """Call a user's function on points it may not write to, and check what comes back."""
    view = points.view()
    view.flags.writeable = False
    with np.errstate(over="ignore", invalid="ignore"):  # what isn't finite is refused below
        values = as_array(function(view), f"what {what} returns")
    if values.dtype.kind not in "fiub":
        raise UnsupportedTypeError(
            f"{what} must return real numbers, got dtype {values.dtype}. Return an array of floats."
        )
    if values.shape not in shapes:
        expected = " or ".join(map(str, shapes))
        raise InvalidInputError(
            f"{what} must return an array of shape {expected} for {len(points)} points, got shape "
            f"{values.shape}. Write it for arrays: one row a point."
        )
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values).reshape(len(points), -1).all(axis=1)))
        raise InvalidInputError(
            f"{what} must be finite, got NaN or infinity at row {row}. Return a number for every "
            "point."
        )
    return values.astype(np.float64, copy=False)
