"""Compile kernels, scikit-learn's and gprat's own, into kernel programs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from sklearn.gaussian_process import kernels as sk

from gprat.exceptions import InvalidInputError, UnsupportedKernelError, UnsupportedTypeError
from gprat.kernels._reading import (
    ReadHyperparameter,
    check_columns,
    check_integer,
    check_number,
    read_hyperparameter,
)
from gprat.kernels.active_dims import ActiveDims
from gprat.kernels.arc_cosine import ArcCosine, check_order
from gprat.kernels.change_point import ChangePoint
from gprat.kernels.cosine import Cosine
from gprat.kernels.linear import Linear, Polynomial
from gprat.kernels.periodic import Periodic
from gprat.kernels.program import Instruction, Opcode, Program, as_real_array
from gprat.kernels.python_program import PythonProgram
from gprat.kernels.rational_quadratic import RationalQuadratic
from gprat.kernels.spectral_mixture import SpectralMixture

__all__ = ["KernelProgram", "compile"]

KernelProgram: TypeAlias = Program | PythonProgram
"""What `compile` returns."""

_Columns: TypeAlias = tuple[int, ...]
_Range: TypeAlias = tuple[int, int]


def compile(
    kernel: sk.Kernel, n_features: int | None = None, *, allow_python: bool = True
) -> KernelProgram:
    """Compile a kernel into the program that engines run.

    Parameters
    ----------
    kernel : Kernel
        Any nesting of the classes in `gprat.kernels`. It is read, not kept. A kernel with a part
        of another class, such as one of your own, is not compiled but called.
    n_features : int, optional
        Number of features of the points, at least 1. If given, vectors of hyperparameters must
        have this length, and columns must exist; if not, lengths need only agree.
    allow_python : bool, default=True
        Whether a kernel that cannot be compiled gives a `PythonProgram`; if not, it is refused.

    Returns
    -------
    Program or PythonProgram
        With the hyperparameters of `kernel` in scikit-learn's order. The second, for kernels that
        cannot be compiled, is much slower; its `reason` says which part is to blame.

    Raises
    ------
    UnsupportedTypeError
        If `kernel`, or a part of it, is not a kernel, or a hyperparameter is not numeric.
    UnsupportedKernelError
        If a part stacks matrices of several kernels (`CompoundKernel`), or is of a class that
        cannot be compiled (subclasses too: they may compute something else) and `allow_python`
        is false, or is one that cannot be cloned.
    InvalidInputError
        If a hyperparameter is NaN or infinite, or negative or zero where it must be positive, or
        the number of values or a column does not fit the features.

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
    compiler.visit(kernel, "", None)
    if compiler.reason is None:
        return compiler.program()
    if not allow_python:
        raise UnsupportedKernelError(
            f"the kernel cannot be compiled because {compiler.reason}; build it by +, * and ** "
            f"from exactly these classes (no subclasses): {_supported()}"
        )
    return PythonProgram.from_kernel(kernel, compiler.reason, compiler.n_features)


class _Leaf(NamedTuple):
    """How a kernel without kernels inside becomes one instruction.

    `hyperparameters` are in the order of the instruction; those of `per_feature` may have one
    value a feature, the others have one value.
    """

    opcode: Opcode
    hyperparameters: tuple[str, ...]
    per_feature: tuple[str, ...] = ()


_LEAVES: dict[type, _Leaf] = {
    sk.ConstantKernel: _Leaf(Opcode.CONSTANT, ("constant_value",)),
    sk.WhiteKernel: _Leaf(Opcode.WHITE, ("noise_level",)),
    sk.RBF: _Leaf(Opcode.RBF, ("length_scale",), ("length_scale",)),
    sk.RationalQuadratic: _Leaf(Opcode.RATIONAL_QUADRATIC, ("alpha", "length_scale")),
    sk.ExpSineSquared: _Leaf(Opcode.EXP_SINE_SQUARED, ("length_scale", "periodicity")),
    sk.DotProduct: _Leaf(Opcode.DOT_PRODUCT, ("sigma_0",)),
    RationalQuadratic: _Leaf(
        Opcode.RATIONAL_QUADRATIC, ("alpha", "length_scale"), ("length_scale",)
    ),
    Periodic: _Leaf(
        Opcode.PERIODIC, ("length_scale", "periodicity"), ("length_scale", "periodicity")
    ),
    Linear: _Leaf(Opcode.LINEAR, ("variance", "centre"), ("variance", "centre")),
    Cosine: _Leaf(Opcode.COSINE, ("period",), ("period",)),
}
# Powers beyond are 0, 1 or infinity in floating-point numbers.
_HIGHEST_DEGREE = 1 << 53
_READS_NO_FEATURES = (Opcode.CONSTANT, Opcode.WHITE)
_MATERN = {
    0.5: Opcode.MATERN12,
    1.5: Opcode.MATERN32,
    2.5: Opcode.MATERN52,
    math.inf: Opcode.RBF,  # R&W 2006, section 4.2.1: the limit of Matern for large nu
}


class _Compiler:
    """Walks a kernel in scikit-learn's order of hyperparameters and collects its program.

    `path` is what precedes the names of a part's hyperparameters, `columns` are those that the
    part reads, None for all. `reason` says which part cannot be compiled, None if all can.
    """

    def __init__(self, n_features: int | None) -> None:
        self.n_features = (
            None if n_features is None else check_integer(n_features, "n_features", minimum=1)
        )
        self.source_of_n_features = "the data"
        self.reason: str | None = None
        self.instructions: list[Instruction] = []
        self.hyperparameters: list[ReadHyperparameter] = []
        self.n_parameters = 0

    def visit(self, kernel: Any, path: str, columns: _Columns | None) -> None:
        """Append the instructions of `kernel`."""
        kind = type(kernel)
        if kind in _LEAVES:
            self.leaf(kernel, path, columns, _LEAVES[kind])
        elif kind in _VISITS:
            _VISITS[kind](self, kernel, path, columns)
        else:
            reason = _why_not(kernel, path)
            self.reason = self.reason or reason

    def leaf(
        self,
        kernel: Any,
        path: str,
        columns: _Columns | None,
        leaf: _Leaf,
        *,
        constant: float = 0.0,
    ) -> None:
        """Collect the hyperparameters of a leaf and append its instruction."""
        # scikit-learn orders hyperparameters by their names.
        ranges = {
            name: self.take(kernel, name, path, columns, per_feature=name in leaf.per_feature)
            for name in sorted(leaf.hyperparameters)
        }
        self.emit(leaf.opcode, [ranges[name] for name in leaf.hyperparameters], columns, constant)

    def emit(
        self,
        opcode: Opcode,
        ranges: list[_Range] | None = None,
        columns: _Columns | None = None,
        constant: float = 0.0,
        reciprocal: float = 0.0,
    ) -> None:
        """Append an instruction."""
        features = () if columns is None or opcode in _READS_NO_FEATURES else columns
        self.instructions.append(
            Instruction(opcode, tuple(ranges or ()), features, constant, reciprocal)
        )

    def take(
        self,
        kernel: Any,
        attribute: str,
        path: str,
        columns: _Columns | None,
        *,
        per_feature: bool = False,
    ) -> _Range:
        """Collect one hyperparameter; return the index of its first value and their number."""
        hyperparameter = read_hyperparameter(kernel, attribute, path)
        self.check_count(hyperparameter, type(kernel).__name__, columns, per_feature)
        return self.append(hyperparameter)

    def append(self, hyperparameter: ReadHyperparameter) -> _Range:
        """Collect a hyperparameter that has been read already."""
        first, count = self.n_parameters, hyperparameter.values.size
        self.hyperparameters.append(hyperparameter)
        self.n_parameters += count
        return first, count

    def check_count(
        self,
        hyperparameter: ReadHyperparameter,
        kind: str,
        columns: _Columns | None,
        per_feature: bool,
    ) -> None:
        """One value serves any number of features; several must be one a feature."""
        name, count = hyperparameter.name, hyperparameter.values.size
        if count == 1:
            return
        if not per_feature:
            raise InvalidInputError(
                f"{name} of {kind} must be one number, got {count}; "
                f"RBF, Matern and gprat's own kernels take one value a feature"
            )
        self.check_width(count, f"{name} has {count} values", name, columns)

    def check_width(self, count: int, what: str, name: str, columns: _Columns | None) -> None:
        """Check that `count` values, one a feature, fit the features that the part reads."""
        if columns is None and self.n_features is None:
            self.n_features, self.source_of_n_features = count, name
        width, source = self.n_features, self.source_of_n_features
        if columns is not None:
            width, source = len(columns), "its ActiveDims"
        if count != width:
            raise InvalidInputError(
                f"{what} but {source} has {width} features; give one value for all features, or "
                f"{width}"
            )

    def check_rows(self, matrix: ReadHyperparameter, count: int, columns: _Columns | None) -> None:
        """Check a hyperparameter with one row a component, of one value or one a feature."""
        name, shape = matrix.name, matrix.values.shape
        if shape[0] != count:
            raise InvalidInputError(
                f"{name} must have one row for each of the {count} weights, got shape {shape}"
            )
        width = math.prod(shape[1:])
        if width > 1:
            self.check_width(width, f"{name} has {width} values a row", name, columns)

    def columns(self, dims: Any, name: str, columns: _Columns | None) -> _Columns:
        """Return the columns of the points that `dims` selects out of `columns`."""
        if columns is None:
            return check_columns(dims, name, self.n_features)
        return tuple(columns[i] for i in check_columns(dims, name, len(columns)))

    def program(self) -> Program:
        """Assemble what has been collected."""
        found = self.hyperparameters
        bounds = [h.theta_bounds for h in found if h.theta_bounds is not None]
        counts = [h.values.size for h in found]
        return Program(
            instructions=tuple(self.instructions),
            parameters=np.concatenate([h.values.ravel() for h in found]),
            is_free=np.repeat([h.is_free for h in found], counts),
            is_log=np.repeat([h.is_log for h in found], counts),
            names=tuple(name for h in found for name in h.element_names()),
            bounds=np.concatenate([np.empty((0, 2)), *bounds]),
            n_features=self.n_features,
        )


def _visit_sum(compiler: _Compiler, kernel: Any, path: str, columns: _Columns | None) -> None:
    compiler.visit(kernel.k1, f"{path}k1__", columns)
    compiler.visit(kernel.k2, f"{path}k2__", columns)
    compiler.emit(Opcode.SUM)


def _visit_product(compiler: _Compiler, kernel: Any, path: str, columns: _Columns | None) -> None:
    compiler.visit(kernel.k1, f"{path}k1__", columns)
    compiler.visit(kernel.k2, f"{path}k2__", columns)
    compiler.emit(Opcode.PRODUCT)


def _visit_power(compiler: _Compiler, kernel: Any, path: str, columns: _Columns | None) -> None:
    compiler.visit(kernel.kernel, f"{path}kernel__", columns)
    exponent = check_number(kernel.exponent, f"{path}exponent")
    compiler.emit(Opcode.POWER, constant=exponent)


def _visit_matern(compiler: _Compiler, kernel: Any, path: str, columns: _Columns | None) -> None:
    value = as_real_array(kernel.nu, f"{path}nu")
    nu = float(value) if value.ndim == 0 else math.nan
    if not nu > 0.0:
        raise InvalidInputError(f"{path}nu of Matern must be a positive number, got {kernel.nu!r}")
    opcode = _MATERN.get(nu, Opcode.MATERN)
    compiler.leaf(
        kernel,
        path,
        columns,
        _Leaf(opcode, ("length_scale",), ("length_scale",)),
        constant=nu if opcode == Opcode.MATERN else 0.0,
    )


def _visit_compound(compiler: _Compiler, kernel: Any, path: str, columns: _Columns | None) -> None:
    if len(kernel.kernels) != 1:
        place = path.removesuffix("__") or "kernel"
        raise UnsupportedKernelError(
            f"{place} is a CompoundKernel of {len(kernel.kernels)} kernels, which stacks their "
            f"matrices and is no covariance function; to model several outputs, give y one column "
            f"each if they share one kernel, or make one model an output"
        )
    compiler.visit(kernel.kernels[0], path, columns)


def _visit_polynomial(
    compiler: _Compiler, kernel: Any, path: str, columns: _Columns | None
) -> None:
    degree = check_integer(kernel.degree, f"{path}degree of Polynomial", minimum=1)
    if degree > _HIGHEST_DEGREE:
        raise InvalidInputError(
            f"{path}degree of Polynomial must be at most {_HIGHEST_DEGREE:,}, got {degree:,}"
        )
    offset = compiler.take(kernel, "offset", path, columns)
    variance = compiler.take(kernel, "variance", path, columns, per_feature=True)
    origin = compiler.append(ReadHyperparameter(f"{path}centre", np.zeros(1), False, None))
    compiler.emit(Opcode.LINEAR, [variance, origin], columns)
    compiler.emit(Opcode.CONSTANT, [offset])
    compiler.emit(Opcode.SUM)
    if degree > 1:
        compiler.emit(Opcode.POWER, constant=float(degree))


def _visit_spectral_mixture(
    compiler: _Compiler, kernel: Any, path: str, columns: _Columns | None
) -> None:
    means, scales = (
        read_hyperparameter(kernel, name, path, max_ndim=2) for name in ("means", "scales")
    )
    weights = read_hyperparameter(kernel, "weights", path)
    count = weights.values.size
    for matrix in (means, scales):
        compiler.check_rows(matrix, count, columns)
    ranges = [compiler.append(read) for read in (means, scales, weights)]
    for q in range(count):
        # The values of component q: one row of each matrix.
        mean, scale, weight = (
            (first + q * (size // count), size // count) for first, size in ranges
        )
        compiler.emit(Opcode.CONSTANT, [weight])
        # A standard deviation of frequencies s is an RBF kernel of length scale 1/(2π s), and a
        # frequency is 1/period.
        compiler.emit(Opcode.RBF, [scale], columns, reciprocal=0.5 / math.pi)
        compiler.emit(Opcode.PRODUCT)
        compiler.emit(Opcode.COSINE, [mean], columns, reciprocal=1.0)
        compiler.emit(Opcode.PRODUCT)
        if q > 0:
            compiler.emit(Opcode.SUM)


def _visit_arc_cosine(
    compiler: _Compiler, kernel: Any, path: str, columns: _Columns | None
) -> None:
    order = check_order(kernel.order, f"{path}order of ArcCosine")
    bias = compiler.take(kernel, "bias_variance", path, columns)
    weight = compiler.take(kernel, "weight_variance", path, columns, per_feature=True)
    compiler.emit(Opcode.ANGULAR, [weight, bias], columns, constant=float(order))
    if order > 0:
        compiler.emit(Opcode.NORM, [weight, bias], columns, constant=float(order))
        compiler.emit(Opcode.PRODUCT)


def _visit_active_dims(
    compiler: _Compiler, kernel: Any, path: str, columns: _Columns | None
) -> None:
    inside = compiler.columns(kernel.dims, f"{path}dims of ActiveDims", columns)
    compiler.visit(kernel.kernel, f"{path}kernel__", inside)


def _visit_change_point(
    compiler: _Compiler, kernel: Any, path: str, columns: _Columns | None
) -> None:
    feature = compiler.columns([kernel.feature], f"{path}feature of ChangePoint", columns)
    # In theta the kernels come before the place of the change, so the first sigmoid is put in
    # behind k1 when its hyperparameters are known.
    compiler.visit(kernel.k1, f"{path}k1__", columns)
    end_of_k1 = len(compiler.instructions)
    compiler.visit(kernel.k2, f"{path}k2__", columns)
    shape = [compiler.take(kernel, name, path, columns) for name in ("location", "width")]
    falling = Instruction(Opcode.SIGMOID, tuple(shape), feature, constant=-1.0)
    compiler.instructions[end_of_k1:end_of_k1] = [falling, Instruction(Opcode.PRODUCT)]
    compiler.emit(Opcode.SIGMOID, shape, feature, constant=1.0)
    compiler.emit(Opcode.PRODUCT)
    compiler.emit(Opcode.SUM)


_Visit: TypeAlias = Callable[[_Compiler, Any, str, "_Columns | None"], None]

_VISITS: dict[type, _Visit] = {
    sk.Matern: _visit_matern,
    sk.Sum: _visit_sum,
    sk.Product: _visit_product,
    sk.Exponentiation: _visit_power,
    sk.CompoundKernel: _visit_compound,
    Polynomial: _visit_polynomial,
    SpectralMixture: _visit_spectral_mixture,
    ArcCosine: _visit_arc_cosine,
    ActiveDims: _visit_active_dims,
    ChangePoint: _visit_change_point,
}


def _supported() -> str:
    kinds = [*_LEAVES, *(kind for kind in _VISITS if kind is not sk.CompoundKernel)]
    return ", ".join(dict.fromkeys(kind.__name__ for kind in kinds))


def _why_not(kernel: Any, path: str) -> str:
    """Say, as a clause, why a kernel cannot be compiled; refuse what is no kernel at all."""
    place = path.removesuffix("__") or "kernel"
    if isinstance(kernel, type) and issubclass(kernel, sk.Kernel):
        name = kernel.__name__
        raise UnsupportedTypeError(f"{place} is the class {name}: make an instance, {name}(...)")
    if not isinstance(kernel, sk.Kernel):
        raise UnsupportedTypeError(
            f"{place} must be a kernel, such as gprat.kernels.RBF(), got {kernel!r}"
        )
    kind = type(kernel)
    parent = next((base for base in kind.__mro__ if base in _LEAVES or base in _VISITS), None)
    if parent is not None:
        return (
            f"{place} is a {kind.__name__}, a subclass of {parent.__name__} that may compute "
            f"something else"
        )
    return f"{place} is a {kind.__name__}, which is none of gprat's kernels"
