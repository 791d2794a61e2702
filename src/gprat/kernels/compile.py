"""Compile scikit-learn kernels into kernel programs."""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.gaussian_process.kernels import (
    RBF,
    ConstantKernel,
    DotProduct,
    Exponentiation,
    ExpSineSquared,
    Kernel,
    Matern,
    Product,
    RationalQuadratic,
    Sum,
    WhiteKernel,
)

from gprat.exceptions import InvalidInputError, UnsupportedKernelError, UnsupportedTypeError
from gprat.kernels.program import Instruction, Opcode, Program, as_real_array

__all__ = ["compile"]

# Leaves and their hyperparameters, in scikit-learn's (alphabetical) order. Matern's instruction
# depends on nu.
_LEAVES: dict[type, tuple[Opcode | None, tuple[str, ...]]] = {
    ConstantKernel: (Opcode.CONSTANT, ("constant_value",)),
    WhiteKernel: (Opcode.WHITE, ("noise_level",)),
    RBF: (Opcode.RBF, ("length_scale",)),
    Matern: (None, ("length_scale",)),
    RationalQuadratic: (Opcode.RATIONAL_QUADRATIC, ("alpha", "length_scale")),
    ExpSineSquared: (Opcode.EXP_SINE_SQUARED, ("length_scale", "periodicity")),
    DotProduct: (Opcode.DOT_PRODUCT, ("sigma_0",)),
}
_MATERN = {
    0.5: Opcode.MATERN12,
    1.5: Opcode.MATERN32,
    2.5: Opcode.MATERN52,
    math.inf: Opcode.RBF,  # R&W 2006, section 4.2.1: the limit of Matern for large nu
}
_BINARY = {Sum: Opcode.SUM, Product: Opcode.PRODUCT}
_SUPPORTED = ", ".join(kind.__name__ for kind in (*_LEAVES, *_BINARY, Exponentiation))

_WITH_LENGTH_SCALE_PER_FEATURE = (RBF, Matern)
_ZERO_IF_FIXED = ("constant_value", "noise_level", "sigma_0")


def compile(kernel: Kernel, n_features: int | None = None) -> Program:
    """Compile a scikit-learn kernel into the program that every engine runs.

    Parameters
    ----------
    kernel : Kernel
        Any nesting of `Sum`, `Product` and `Exponentiation` over `ConstantKernel`, `WhiteKernel`,
        `RBF`, `Matern` (nu 0.5, 1.5, 2.5 or inf), `RationalQuadratic`, `ExpSineSquared` and
        `DotProduct`. It is read, not kept.
    n_features : int, optional
        Number of features of the points, at least 1. If given, vectors of length scales must have
        this length; if not, they need only agree with each other.

    Returns
    -------
    Program
        With the hyperparameters of `kernel` in scikit-learn's order.

    Raises
    ------
    UnsupportedTypeError
        If `kernel`, or a part of it, is not a kernel, or a hyperparameter is not numeric.
    UnsupportedKernelError
        If a part is of another class (subclasses too: they may compute something else), or a
        Matern kernel has another nu.
    InvalidInputError
        If a hyperparameter is NaN, infinite, negative, or zero where it must be positive, or the
        number of length scales does not fit the features.

    Examples
    --------
    >>> from gprat.kernels import ExpSineSquared, WhiteKernel, compile
    >>> program = compile(ExpSineSquared(1.0, 2.0) ** 2 + WhiteKernel(0.1))
    >>> [instruction.opcode.name for instruction in program.instructions]
    ['EXP_SINE_SQUARED', 'POWER', 'WHITE', 'SUM']
    >>> program.parameters
    array([1. , 2. , 0.1])
    """
    compiler = _Compiler(n_features)
    compiler.visit(kernel, "")
    return compiler.program()


class _Compiler:
    """Walks a kernel in scikit-learn's order of hyperparameters and collects its program."""

    def __init__(self, n_features: int | None) -> None:
        self.n_features = None if n_features is None else _check_n_features(n_features)
        self.source_of_n_features = "the data"
        self.instructions: list[Instruction] = []
        self.hyperparameters: list[_Hyperparameter] = []
        self.n_parameters = 0

    def visit(self, kernel: Any, path: str) -> None:
        """Append the instructions of `kernel`, found at `path` in scikit-learn's nested names."""
        kind = type(kernel)
        if kind in _BINARY:
            self.visit(kernel.k1, f"{path}k1__")
            self.visit(kernel.k2, f"{path}k2__")
            self.instructions.append(Instruction(_BINARY[kind]))
        elif kind is Exponentiation:
            self.visit(kernel.kernel, f"{path}kernel__")
            exponent = _check_exponent(kernel.exponent, f"{path}exponent")
            self.instructions.append(Instruction(Opcode.POWER, exponent=exponent))
        elif kind in _LEAVES:
            self.visit_leaf(kernel, path)
        else:
            raise _cannot_compile(kernel, path)

    def visit_leaf(self, kernel: Any, path: str) -> None:
        """Append the instruction of a leaf and collect its hyperparameters."""
        opcode, names = _LEAVES[type(kernel)]
        if opcode is None:
            opcode = _matern_opcode(kernel.nu, path)
        first = self.n_parameters
        for name in names:
            hyperparameter = _read_hyperparameter(kernel, name, path)
            self.check_count(hyperparameter, kernel)
            self.hyperparameters.append(hyperparameter)
            self.n_parameters += hyperparameter.values.size
        self.instructions.append(Instruction(opcode, first, self.n_parameters - first))

    def check_count(self, hyperparameter: _Hyperparameter, kernel: Any) -> None:
        """One value serves any number of features; several must be one a feature."""
        name, count = hyperparameter.name, hyperparameter.values.size
        if count == 1:
            return
        if type(kernel) not in _WITH_LENGTH_SCALE_PER_FEATURE:
            raise InvalidInputError(
                f"{name} of {type(kernel).__name__} must be one number, got {count}; "
                f"RBF and Matern take one length scale a feature"
            )
        if self.n_features is None:
            self.n_features, self.source_of_n_features = count, name
        elif count != self.n_features:
            raise InvalidInputError(
                f"{name} has {count} values but {self.source_of_n_features} has "
                f"{self.n_features} features; give one length scale for all features, or "
                f"{self.n_features}"
            )

    def program(self) -> Program:
        """Assemble what has been collected."""
        free = [h for h in self.hyperparameters if h.log_bounds is not None]
        return Program(
            instructions=tuple(self.instructions),
            parameters=np.concatenate([h.values for h in self.hyperparameters]),
            is_free=np.concatenate(
                [np.full(h.values.size, h.log_bounds is not None) for h in self.hyperparameters]
            ),
            names=tuple(name for h in self.hyperparameters for name in h.element_names()),
            bounds=np.concatenate([np.empty((0, 2)), *(h.log_bounds for h in free)]),
            n_features=self.n_features,
        )


class _Hyperparameter(NamedTuple):
    """A scalar or vector hyperparameter of one leaf; `log_bounds` is None if it is fixed."""

    name: str
    values: npt.NDArray[np.float64]
    log_bounds: npt.NDArray[np.float64] | None

    def element_names(self) -> list[str]:
        """One name a value: an index is added where there are several."""
        if self.values.size == 1:
            return [self.name]
        return [f"{self.name}[{i}]" for i in range(self.values.size)]


def _read_hyperparameter(kernel: Any, attribute: str, path: str) -> _Hyperparameter:
    name = f"{path}{attribute}"
    values = as_real_array(getattr(kernel, attribute), name)
    if values.ndim > 1 or values.size == 0:
        raise InvalidInputError(
            f"{name} must be a number or a vector, got an array of shape {values.shape}"
        )
    bounds = getattr(kernel, f"{attribute}_bounds")
    is_fixed = isinstance(bounds, str) and bounds == "fixed"
    hyperparameter = _Hyperparameter(
        name,
        np.atleast_1d(values),
        None if is_fixed else _log_bounds(bounds, values.size, name),
    )
    _check_values(hyperparameter, may_be_zero=is_fixed and attribute in _ZERO_IF_FIXED)
    return hyperparameter


def _check_values(hyperparameter: _Hyperparameter, may_be_zero: bool) -> None:
    for name, value in zip(
        hyperparameter.element_names(), hyperparameter.values.tolist(), strict=True
    ):
        if not (0.0 < value < math.inf or (value == 0.0 and may_be_zero)):
            remedy = ""
            if value == 0.0 and name.endswith(_ZERO_IF_FIXED):
                remedy = f'; only {name}_bounds="fixed" lets it be 0, since theta is its logarithm'
            raise InvalidInputError(f"{name} must be positive and finite, got {value}{remedy}")


def _log_bounds(bounds: Any, count: int, name: str) -> npt.NDArray[np.float64]:
    """Logarithms of the bounds, one row a value; a lower bound of 0 becomes -inf."""
    limits = np.atleast_2d(as_real_array(bounds, f'{name}_bounds, unless "fixed",'))
    if limits.shape not in {(1, 2), (count, 2)}:
        raise InvalidInputError(
            f'{name}_bounds must be "fixed", a pair (low, high), or one pair for each of the '
            f"{count} values, got an array of shape {limits.shape}"
        )
    low, high = limits.T
    if not np.all((low >= 0.0) & (low < np.inf) & (low <= high) & (high > 0.0)):
        raise InvalidInputError(
            f"{name}_bounds must satisfy 0 <= low <= high, with low finite and high above 0, "
            f"got {bounds}"
        )
    with np.errstate(divide="ignore"):
        return np.log(np.broadcast_to(limits, (count, 2)))


def _check_n_features(n_features: Any) -> int:
    try:
        count = operator.index(n_features)
    except TypeError:
        raise UnsupportedTypeError(f"n_features must be an integer, got {n_features!r}") from None
    if count < 1:
        raise InvalidInputError(f"n_features must be at least 1, got {count}")
    return count


def _check_exponent(value: Any, name: str) -> float:
    exponent = as_real_array(value, name)
    if exponent.ndim != 0 or not np.isfinite(exponent):
        raise InvalidInputError(f"{name} must be one finite number, got {value!r}")
    return float(exponent)


def _matern_opcode(value: Any, path: str) -> Opcode:
    nu = as_real_array(value, f"{path}nu")
    opcode = _MATERN.get(float(nu)) if nu.ndim == 0 else None
    if opcode is None:
        raise UnsupportedKernelError(
            f"{path}nu of Matern must be 0.5, 1.5, 2.5 or inf, got {value!r}; other values need "
            f"Bessel functions and are not supported: take the nearest of these"
        )
    return opcode


def _cannot_compile(kernel: Any, path: str) -> UnsupportedTypeError | UnsupportedKernelError:
    """Explain why `kernel` is not the instance of a supported class."""
    place = path.removesuffix("__") or "kernel"
    if isinstance(kernel, type) and issubclass(kernel, Kernel):
        name = kernel.__name__
        return UnsupportedTypeError(f"{place} is the class {name}: make an instance, {name}(...)")
    if not isinstance(kernel, Kernel):
        return UnsupportedTypeError(
            f"{place} must be a kernel, such as gprat.kernels.RBF(), got {kernel!r}"
        )
    return UnsupportedKernelError(
        f"{place} is a {type(kernel).__name__}, which cannot be compiled; build it by +, * and ** "
        f"from exactly these classes (no subclasses): {_SUPPORTED}"
    )
