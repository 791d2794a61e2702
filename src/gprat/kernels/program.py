"""The kernel program: a covariance function as data, the same for every engine.

A program is a postfix expression. Leaves push the covariance of a block of points; ``SUM`` and
``PRODUCT`` replace the two uppermost entries of the stack by one; ``POWER`` replaces one. Leaves
read their hyperparameters from one flat vector, so that new hyperparameters need no new program.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gprat.exceptions import InvalidInputError, UnsupportedTypeError

__all__ = ["Instruction", "Opcode", "Program", "as_real_array"]

# exp() of anything within stays a normal float64, far from overflow and from subnormals.
_LARGEST_LOG = 700.0


class Opcode(IntEnum):
    """What an instruction does; the numbers are shared with the compiled engines.

    The formulas are scikit-learn's, with r the distance of two points (after division by the
    length scales, one for all features or one each, where the leaf has them).
    """

    CONSTANT = 0
    """constant_value"""
    WHITE = 1
    """noise_level where row and column are the same point of the same set, else 0"""
    RBF = 2
    """exp(-r²/2)"""
    MATERN12 = 3
    """exp(-r)"""
    MATERN32 = 4
    """(1 + √3 r) exp(-√3 r)"""
    MATERN52 = 5
    """(1 + √5 r + 5r²/3) exp(-√5 r)"""
    RATIONAL_QUADRATIC = 6
    """(1 + r²/(2 alpha length_scale²))^(-alpha)"""
    EXP_SINE_SQUARED = 7
    """exp(-2 (sin(π r/periodicity)/length_scale)²)"""
    DOT_PRODUCT = 8
    """sigma_0² + x·z"""
    SUM = 9
    """pop two, push their sum"""
    PRODUCT = 10
    """pop two, push their elementwise product"""
    POWER = 11
    """pop one, push its elementwise power"""


class Instruction(NamedTuple):
    """One step of a `Program`.

    Parameters
    ----------
    opcode : Opcode
        What to do.
    first_parameter : int, default=-1
        Index of the leaf's first hyperparameter in `Program.parameters`; -1 if it has none.
    parameter_count : int, default=0
        How many consecutive hyperparameters the leaf reads.
    exponent : float, default=0.0
        The exponent of ``POWER``, which is not a hyperparameter; 0 for all others.

    Examples
    --------
    >>> Instruction(Opcode.RBF, first_parameter=1, parameter_count=3).parameter_count
    3
    """

    opcode: Opcode
    first_parameter: int = -1
    parameter_count: int = 0
    exponent: float = 0.0


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
    names : tuple of str
        Their names in scikit-learn's ``get_params``; elements of a vector carry an index.
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
    names: tuple[str, ...]
    bounds: npt.NDArray[np.float64]
    n_features: int | None = None

    def __post_init__(self) -> None:
        """Make the arrays as immutable as the rest."""
        self.parameters.setflags(write=False)
        self.is_free.setflags(write=False)
        self.bounds.setflags(write=False)

    def __reduce__(self) -> tuple[type[Program], tuple[Any, ...]]:
        """Rebuild through the constructor: pickled or copied arrays would come back writeable."""
        return type(self), tuple(getattr(self, field.name) for field in fields(self))

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
        """Natural logarithms of the free hyperparameters, shape (n_free,)."""
        return np.log(self.parameters[self.is_free])

    def with_theta(self, theta: npt.ArrayLike) -> Program:
        """Return the same program with other free hyperparameters.

        Parameters
        ----------
        theta : array-like of shape (n_free,)
            Natural logarithms of the free hyperparameters, each in [-700, 700].

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
        log_values = as_real_array(theta, "theta")
        if log_values.shape != (self.n_free,):
            free = ", ".join(name for name, f in zip(self.names, self.is_free, strict=True) if f)
            raise InvalidInputError(
                f"theta must have shape ({self.n_free},), the logarithms of the free "
                f"hyperparameters ({free or 'none'}), got shape {log_values.shape}"
            )
        # Written so that NaN, which np.max hands on, fails the comparison.
        if not np.abs(log_values).max(initial=0.0) <= _LARGEST_LOG:
            raise InvalidInputError(
                f"theta must hold logarithms between -{_LARGEST_LOG:g} and {_LARGEST_LOG:g}, "
                f"got {log_values}; set narrower bounds on the hyperparameters"
            )
        parameters = self.parameters.copy()
        parameters[self.is_free] = np.exp(log_values)
        return Program(
            self.instructions, parameters, self.is_free, self.names, self.bounds, self.n_features
        )

    def theta_gradient(self, gradient: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Select the entries of `theta` from a gradient over all hyperparameters.

        Parameters
        ----------
        gradient : ndarray of shape (..., n_parameters)
            Derivatives with respect to the logarithm of every hyperparameter.

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
        If `values` is ragged, or holds text, booleans, complex numbers or other objects.

    Examples
    --------
    >>> as_real_array([1, 2], "theta")
    array([1., 2.])
    """
    try:
        array = np.asarray(values)
    except ValueError:  # NumPy refuses nested sequences of unequal lengths.
        array = np.asarray(None)
    if array.dtype.kind not in "iuf":
        raise UnsupportedTypeError(f"{name} must be real and numeric, got {values!r}")
    return array.astype(np.float64, copy=False)
