"""Arithmetic of blocks on a worker: each function is a task of Dask's, pure and repeatable.

Dense blocks are column-major, triangles on the diagonal are one-dimensional: their tiles, as
`gprat.engines.base` describes them. Arguments never change, since a task may run again when a
worker is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any, TypeAlias

import numpy as np

from gprat import _core
from gprat._validation import Float64Array, FloatArray
from gprat.engines.cluster.failures import Indefinite
from gprat.engines.cluster.threads import worker_threads
from gprat.engines.core_kernels import core_covariance
from gprat.kernels import KernelProgram

__all__ = [
    "Contracted",
    "Covariances",
    "Finish",
    "Model",
    "Points",
    "Product",
    "Wanted",
    "add_and_finish",
    "compute",
    "contract",
    "contract_groups",
    "contract_symmetric",
    "dense",
    "factorise",
    "identity",
    "nn",
    "nt",
    "symmetric",
    "tn",
    "total_of",
    "triangle",
]

# scale, A, is A transposed, is A lower triangular, the same of B, weights: scale·A·diag(weights)·B.
Product: TypeAlias = tuple[float, Any, bool, bool, Any, bool, bool, Any]


class Finish(IntEnum):
    """What is done to a block at the end, with a triangle L."""

    NONE = 0
    SOLVE = 1
    """L⁻¹B"""
    SOLVE_TRANSPOSED = 2
    """L⁻ᵀB"""
    SOLVE_FROM_RIGHT = 3
    """BL⁻ᵀ"""
    MULTIPLY = 4
    """LB"""
    MULTIPLY_TRANSPOSED = 5
    """LᵀB"""

    @property
    def is_product(self) -> bool:
        """Whether L multiplies instead of being solved with."""
        return self >= Finish.MULTIPLY


@dataclass(frozen=True, eq=False)
class Model:
    """The kernel, and what all blocks share.

    Parameters
    ----------
    program : Program or PythonProgram
        The kernel with its hyperparameters.
    n_features, n_outputs, n_trends : int
        Columns of X, Y and H.
    dtype : str
        Of the computation.
    tile_size : int
        Side of the tiles in which a worker cuts a block.
    threads : int or None
        The most threads of a worker that a block may use; None for all.
    """

    program: KernelProgram
    n_features: int
    n_outputs: int
    n_trends: int
    dtype: str
    tile_size: int
    threads: int | None
    _made: dict[str, Any] = field(default_factory=dict, repr=False)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @property
    def covariance(self) -> Any:
        """The kernel as the core has it."""
        if "covariance" not in self._made:
            dtype = np.dtype(self.dtype)
            self._made["covariance"] = core_covariance(self.program, self.n_features, dtype)
        return self._made["covariance"]

    def core(self, name: str) -> Any:
        """Return the core's function of that name for the dtype."""
        return getattr(_core.blocks, f"{name}_{self.dtype}")

    def pairs(self, covariances: Covariances) -> Any:
        """Return the pairs of points of a block as the core has them."""
        rows, columns = covariances.rows, covariances.columns
        block = getattr(_core.blocks, "CovarianceBlock" + self.dtype.capitalize())
        return block(
            self.covariance,
            rows.X,
            rows.first,
            columns.X,
            columns.first,
            not covariances.is_cross,
            rows.noise,
        )


@dataclass(frozen=True, eq=False)
class Points:
    """Consecutive training or test points.

    Parameters
    ----------
    X : ndarray of shape (r, d)
        The points.
    basis : ndarray of shape (r, q)
        Basis functions there.
    first : int
        The index of the first of them.
    noise : ndarray of shape (r,) or None
        Noise variances of training points.
    """

    X: FloatArray
    basis: FloatArray
    first: int
    noise: Float64Array | None

    def part(self, begin: int, end: int) -> Points:
        """Return some of the points."""
        noise = None if self.noise is None else self.noise[begin:end]
        return Points(self.X[begin:end], self.basis[begin:end], self.first + begin, noise)


@dataclass(frozen=True, slots=True)
class Covariances:
    """k(rows, columns), of two parts of one set, or of two sets."""

    rows: Any
    columns: Any
    is_cross: bool = False


def nt(scale: float, A: Any, B: Any, weights: Any = None) -> Product:
    """Return scale·ABᵀ."""
    return scale, A, False, False, B, True, False, weights


def nn(scale: float, A: Any, B: Any, *, is_lower: bool = False, weights: Any = None) -> Product:
    """Return scale·AB; B may be lower triangular."""
    return scale, A, False, False, B, False, is_lower, weights


def tn(scale: float, A: Any, B: Any, *, lower: tuple[bool, bool] = (False, False)) -> Product:
    """Return scale·AᵀB; either may be lower triangular."""
    return scale, A, True, lower[0], B, False, lower[1], None


def _start(model: Model, start: Any) -> Any:
    """Hand what a block starts from to the core: covariances come as (rows, columns, is_cross)."""
    return model.pairs(Covariances(*start)) if isinstance(start, tuple) else start


def compute(
    model: Model,
    start: Any,
    products: list[Product],
    shape: tuple[int, int],
    finish: Finish = Finish.NONE,
    triangle: FloatArray | None = None,
) -> FloatArray:
    """Return a dense block: what it starts from, the products, and what is done at the end."""
    block: FloatArray = model.core("compute")(
        _start(model, start),
        products,
        *shape,
        model.tile_size,
        int(finish),
        triangle,
        worker_threads(model.threads),
    )
    return block


def triangle(model: Model, start: Any, products: list[Product], size: int) -> FloatArray:
    """Return the lower triangle of a block on the diagonal."""
    return _triangle(model, start, products, size, False)


def factorise(
    model: Model, start: Any, products: list[Product], size: int, first: int
) -> FloatArray | Indefinite:
    """Return the Cholesky factor of a block on the diagonal, whose first row is given."""
    try:
        return _triangle(model, start, products, size, True)
    except _core.NotPositiveDefinite as failure:
        row, is_finite = failure.args
        return Indefinite(first + row, is_finite)


def _triangle(
    model: Model, start: Any, products: list[Product], size: int, factorise: bool
) -> FloatArray:
    tiles: FloatArray = model.core("compute_triangle")(
        _start(model, start),
        products,
        size,
        model.tile_size,
        factorise,
        worker_threads(model.threads),
    )
    return tiles


def add_and_finish(
    model: Model, block: FloatArray, terms: list[FloatArray], finish: Finish, tiles: FloatArray
) -> FloatArray:
    """Return L⁻¹(B − Σ terms), or LB + Σ terms, or the same with Lᵀ."""
    is_product = finish.is_product
    total = np.array(block, order="F")
    if not is_product:
        for term in terms:
            total -= term
    total = compute(model, total, [], total.shape, finish, tiles)
    if is_product:
        for term in terms:
            total += term
    return np.asfortranarray(total)


class Wanted(IntFlag):
    """What derivatives of covariances are by."""

    PARAMETERS = 1
    POINTS = 2


# By parameters, by noise (on the diagonal), by the points of the rows, by those of the columns.
Contracted: TypeAlias = tuple[
    Float64Array, Float64Array | None, Float64Array | None, Float64Array | None
]

# Points whose own variances are differentiated at a time: all pairs are evaluated, few are needed.
_PAIRS = 8


def contract(
    model: Model, start: Any, products: list[Product], pairs: Covariances, wanted: Wanted
) -> Contracted:
    """Return the derivatives of Σ adjoint_ij·k_ij; see the core's gp/blocks.hpp."""
    result: Contracted = model.core("contract")(
        start,
        products,
        model.pairs(pairs),
        int(wanted),
        model.tile_size,
        worker_threads(model.threads),
    )
    return result


def contract_symmetric(
    model: Model,
    start: Any,
    products: list[Product],
    rows: Points,
    columns: Points,
    by_points: bool,
) -> Contracted:
    """Return those through a block of the lower triangle of K and its mirror image."""
    wanted = Wanted.PARAMETERS | (Wanted.POINTS if by_points else Wanted(0))
    result = contract(model, start, products, Covariances(rows, columns), wanted)
    if rows.first == columns.first:
        return result
    parameters, noise, by_rows, by_columns = result
    double = [None if part is None else 2.0 * part for part in (by_rows, by_columns)]
    return 2.0 * parameters, noise, double[0], double[1]


def contract_groups(
    model: Model, points: Points, weights: FloatArray, wanted: Wanted
) -> tuple[Float64Array, Float64Array | None]:
    """Return those of Σ weights·k over joint covariances of so many consecutive points each.

    `weights` has the shape (m/group, group, group); the results are by parameters and by points.
    """
    group = weights.shape[1]
    step = group if group > 1 else _PAIRS
    parameters, by_points = np.zeros(model.program.n_parameters), []
    for begin in range(0, len(points.X), step):
        part = points.part(begin, min(begin + step, len(points.X)))
        block = (
            weights[begin // group] if group > 1 else np.diag(weights[begin : begin + step, 0, 0])
        )
        block = np.asfortranarray(block, dtype=model.dtype)
        result = contract(model, block, [], Covariances(part, part), wanted)
        if Wanted.PARAMETERS in wanted:
            parameters += result[0]
        by_points.append(result[2])
    found = [part for part in by_points if part is not None]
    return parameters, np.vstack(found) if found else None


def total_of(parts: Sequence[Float64Array | None]) -> Float64Array:
    """Return the sum of those parts that are there, of which there is one at least."""
    total: Float64Array = np.sum([part for part in parts if part is not None], axis=0)
    return total


def identity(model: Model, size: int) -> FloatArray:
    """Return the identity, column-major."""
    return np.eye(size, dtype=model.dtype, order="F")


def dense(model: Model, tiles: FloatArray, size: int) -> FloatArray:
    """Return a triangle as a dense block, with zeros above the diagonal."""
    block = np.zeros((size, size), dtype=model.dtype, order="F")
    offset = 0
    for begin in range(0, size, model.tile_size):
        end = min(begin + model.tile_size, size)
        count = (end - begin) * end
        block[begin:end, :end] = tiles[offset : offset + count].reshape(end, end - begin).T
        offset += count
    return np.asfortranarray(np.tril(block))


def symmetric(model: Model, tiles: FloatArray, size: int) -> FloatArray:
    """Return the symmetric block of which a triangle is given."""
    lower = dense(model, tiles, size)
    return np.asfortranarray(lower + np.tril(lower, -1).T)
