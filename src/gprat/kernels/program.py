"""The kernel program: a covariance function as data, the same for every engine.

A program is a postfix expression. Leaves push the covariance of a block of points; ``SUM`` and
``PRODUCT`` replace the two uppermost entries of the stack by one; ``POWER`` replaces one. Leaves
read their hyperparameters from one flat vector, so that new hyperparameters need no new program;
several leaves may read the same ones, and then their derivatives add up.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gprat.exceptions import InvalidInputError, UnsupportedTypeError

__all__ = [
    "Instruction",
    "Opcode",
    "Program",
    "as_real_array",
    "check_theta",
    "from_theta",
    "to_theta",
]

# exp() of anything within stays a normal float64, far from overflow and from subnormals.
LARGEST_LOG = 700.0


class Opcode(IntEnum):
    """What an instruction does; the numbers are shared with the compiled engines.

    The formulas are those of the classes in `gprat.kernels`, with r the distance of two points
    x and z, after division by the length scales (one for all features or one each). Sums run over
    the features f that the leaf reads. Hyperparameters are listed in the order of
    `Instruction.parameters`.
    """

    CONSTANT = 0
    """constant_value: constant_value"""
    WHITE = 1
    """noise_level: noise_level where row and column are the same point of the same set, else 0"""
    RBF = 2
    """length_scale: exp(-r²/2)"""
    MATERN12 = 3
    """length_scale: exp(-r)"""
    MATERN32 = 4
    """length_scale: (1 + √3 r) exp(-√3 r)"""
    MATERN52 = 5
    """length_scale: (1 + √5 r + 5r²/3) exp(-√5 r)"""
    RATIONAL_QUADRATIC = 6
    """alpha, length_scale: (1 + r²/(2 alpha))^(-alpha)"""
    EXP_SINE_SQUARED = 7
    """length_scale, periodicity: exp(-2 (sin(π‖x - z‖/periodicity)/length_scale)²)"""
    DOT_PRODUCT = 8
    """sigma_0: sigma_0² + x·z"""
    SUM = 9
    """pop two, push their sum"""
    PRODUCT = 10
    """pop two, push their elementwise product"""
    POWER = 11
    """pop one, push its elementwise power; the constant is the exponent"""
    MATERN = 12
    """length_scale: 2^(1-ν)/Γ(ν) (√(2ν) r)^ν K_ν(√(2ν) r); the constant is ν > 0"""
    PERIODIC = 13
    """length_scale, periodicity: exp(-2 Σ sin²(π(x_f - z_f)/periodicity_f)/length_scale_f²)"""
    LINEAR = 14
    """variance, centre: Σ variance_f (x_f - centre_f)(z_f - centre_f)"""
    COSINE = 15
    """period: cos(2π Σ (x_f - z_f)/period_f)"""
    SIGMOID = 16
    """location, width: s(x) s(z) with s(x) = 1/(1 + exp(-sign (x - location)/width)), for exactly
    one feature; the constant is the sign, 1 or -1"""
    ANGULAR = 17
    """weight_variance, bias_variance: J_n(t)/π, with t the angle between x̃ and z̃,
    x̃ = (√weight_variance_f x_f ..., √bias_variance), J_0 = π - t, J_1 = sin t + (π - t) cos t and
    J_2 = 3 sin t cos t + (π - t)(1 + 2 cos² t); the constant is the order n, 0, 1 or 2"""
    NORM = 18
    """weight_variance, bias_variance: (‖x̃‖‖z̃‖)^n, with x̃ as above; the constant is n"""


class Instruction(NamedTuple):
    """One step of a `Program`.

    Parameters
    ----------
    opcode : Opcode
        What to do.
    parameters : tuple of (int, int), default=()
        For each hyperparameter that the leaf takes, in the order that `Opcode` names, the index of
        its first value in `Program.parameters` and the number of values: 1, or one a feature.
    features : tuple of int, default=()
        Columns of the points that the leaf reads, in this order; empty for all of them.
    constant : float, default=0.0
        A number that is no hyperparameter: the exponent of ``POWER``, ν of ``MATERN``, the order of
        ``ANGULAR`` and ``NORM``, the sign of ``SIGMOID``; 0 for all others.
    reciprocal : float, default=0.0
        If not 0, the leaf computes with reciprocal/value in place of each hyperparameter value.

    Examples
    --------
    >>> Instruction(Opcode.RBF, parameters=((1, 3),)).parameters
    ((1, 3),)
    """

    opcode: Opcode
    parameters: tuple[tuple[int, int], ...] = ()
    features: tuple[int, ...] = ()
    constant: float = 0.0
    reciprocal: float = 0.0


@dataclass(frozen=True, eq=False)
class Program:
    """A compiled kernel: instructions and the hyperparameters that they read.

    Programs are immutable, arrays included, and are made by `gprat.kernels.compile`. Two programs
    that differ in hyperparameters only share one `instructions` object.

    Parameters
    ----------
    instructions : tuple of Instruction
        The postfix expression.
    parameters : ndarray of shape (n_parameters,), float64
        All hyperparameters on their natural scale, the fixed ones too, in the order of
        scikit-learn's ``kernel.hyperparameters``.
    is_free : ndarray of shape (n_parameters,), bool
        Which of them are free: trainable, and part of `theta`.
    is_log : ndarray of shape (n_parameters,), bool
        Which of them `theta` holds as logarithms, and derivatives are taken by the logarithm of:
        all but those that may have any sign, such as the location of a change point.
    names : tuple of str
        Their names in scikit-learn's ``get_params``; elements of an array carry an index.
    bounds : ndarray of shape (n_free, 2), float64
        Lower and upper bounds of `theta`.
    n_features : int or None
        Number of features of the points; None if neither the caller nor the kernel says it.

    Examples
    --------
    >>> from gprat.kernels import RBF, compile
    >>> program = compile(3.0 * RBF(2.0, length_scale_bounds="fixed"))
    >>> program.names
    ('k1__constant_value', 'k2__length_scale')
    >>> program.parameters
    array([3., 2.])
    >>> program.with_theta([0.0]).parameters
    array([1., 2.])
    """

    instructions: tuple[Instruction, ...]
    parameters: npt.NDArray[np.float64]
    is_free: npt.NDArray[np.bool_]
    is_log: npt.NDArray[np.bool_]
    names: tuple[str, ...]
    bounds: npt.NDArray[np.float64]
    n_features: int | None = None

    def __post_init__(self) -> None:
        """Make the arrays as immutable as the rest."""
        self.parameters.setflags(write=False)
        self.is_free.setflags(write=False)
        self.is_log.setflags(write=False)
        self.bounds.setflags(write=False)

    def __reduce__(self) -> tuple[type[Program], tuple[Any, ...]]:
        """Rebuild through the constructor: pickled or copied arrays would come back writeable."""
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

    @property
    def is_compiled(self) -> bool:
        """True: engines run the instructions, and need no Python for it."""
        return True

    @property
    def n_parameters(self) -> int:
        """Number of hyperparameters, the fixed ones included."""
        return self.parameters.size

    @property
    def n_free(self) -> int:
        """Number of free hyperparameters: the length of `theta`."""
        return len(self.bounds)

    @property
    def theta(self) -> npt.NDArray[np.float64]:
        """Free hyperparameters, as logarithms where `is_log`; shape (n_free,)."""
        return to_theta(self.parameters[self.is_free], self.is_log[self.is_free])

    def with_theta(self, theta: npt.ArrayLike) -> Program:
        """Return the same program with other free hyperparameters.

        Parameters
        ----------
        theta : array-like of shape (n_free,)
            Free hyperparameters: natural logarithms, each in [-700, 700], where `is_log`; else
            the finite values themselves.

        Returns
        -------
        Program
            Shares everything but `parameters` with this one.

        Raises
        ------
        InvalidInputError
            If `theta` has another shape, or holds NaN or a value out of range.
        UnsupportedTypeError
            If `theta` does not hold real numbers.

        Examples
        --------
        >>> from gprat.kernels import RBF, compile
        >>> compile(RBF()).with_theta([0.5]).theta
        array([0.5])
        """
        names = tuple(name for name, f in zip(self.names, self.is_free, strict=True) if f)
        is_log = self.is_log[self.is_free]
        parameters = self.parameters.copy()
        parameters[self.is_free] = from_theta(check_theta(theta, names, is_log), is_log)
        return replace(self, parameters=parameters)

    def theta_gradient(self, gradient: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Select the entries of `theta` from a gradient over all hyperparameters.

        Parameters
        ----------
        gradient : ndarray of shape (..., n_parameters)
            Derivatives with respect to the logarithm of every hyperparameter, or to its value
            where not `is_log`.

        Returns
        -------
        ndarray of shape (..., n_free)
            Derivatives with respect to `theta`.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat.kernels import RBF, compile
        >>> program = compile(3.0 * RBF(2.0, length_scale_bounds="fixed"))
        >>> program.theta_gradient(np.array([0.25, 0.5]))
        array([0.25])
        """
        return gradient[..., self.is_free]


def to_theta(
    values: npt.NDArray[np.float64], is_log: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return the entries of theta that stand for `values`: logarithms where `is_log`."""
    return np.log(values, out=values.copy(), where=is_log)


def from_theta(
    theta: npt.NDArray[np.float64], is_log: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return the natural values that the entries of `theta` stand for."""
    return np.exp(theta, out=theta.copy(), where=is_log)


def check_theta(
    theta: npt.ArrayLike, names: tuple[str, ...], is_log: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Return `theta` as float64, or say what is wrong with it.

    Parameters
    ----------
    theta : array-like of shape (n_free,)
        What to check.
    names : tuple of str
        Names of the hyperparameters in it.
    is_log : ndarray of shape (n_free,), bool
        Which of them are logarithms; these must lie in [-700, 700], all others be finite.

    Returns
    -------
    ndarray of shape (n_free,), float64

    Raises
    ------
    InvalidInputError
        If `theta` has another shape, or holds NaN or a value out of range.
    UnsupportedTypeError
        If `theta` does not hold real numbers.

    Examples
    --------
    >>> import numpy as np
    >>> check_theta([1], ("length_scale",), np.array([True]))
    array([1.])
    """
    values = as_real_array(theta, "theta")
    if values.shape != (len(names),):
        entries = ", ".join(
            name if log else f"{name} itself" for name, log in zip(names, is_log, strict=True)
        )
        raise InvalidInputError(
            f"theta must have shape ({len(names)},), the logarithms of the free hyperparameters "
            f"({entries or 'none'}), got shape {values.shape}"
        )
    # Written so that NaN, which np.max hands on, fails the comparison.
    if not np.abs(values[is_log]).max(initial=0.0) <= LARGEST_LOG:
        raise InvalidInputError(
            f"theta must hold logarithms between -{LARGEST_LOG:g} and {LARGEST_LOG:g}, got "
            f"{values}; set narrower bounds on the hyperparameters"
        )
    if not np.isfinite(values).all():
        place = int(np.argmin(np.isfinite(values)))
        raise InvalidInputError(f"theta must be finite, got {values[place]} for {names[place]}")
    return values


def as_real_array(values: Any, name: str) -> npt.NDArray[np.float64]:
    """Return `values` as float64 of any shape, or say that `name` holds no real numbers.

    Parameters
    ----------
    values : array-like
        Integers or floating-point numbers.
    name : str
        What to call them in the error.

    Returns
    -------
    ndarray
        `values` itself if it already is a float64 array.

    Raises
    ------
    UnsupportedTypeError
        If `values` is ragged or masked, or holds text, booleans, complex numbers or other objects.

    Examples
    --------
    >>> as_real_array([1, 2], "theta")
    array([1., 2.])
    """
    try:
        array = np.asarray(None if np.ma.is_masked(values) else values)
    except (
        ValueError,
        TypeError,
        RuntimeError,
    ):  # nested sequences of unequal lengths, others' objects
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        raise UnsupportedTypeError(f"{name} must be real and numeric, got {values!r}")
    return array.astype(np.float64, copy=False)
