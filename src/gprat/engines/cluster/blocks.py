"""Arithmetic of blocks on a worker: each function is a task of Dask's, pure and repeatable.

Dense blocks are column-major, triangles on the diagonal are one-dimensional: their tiles, as
`gprat.engines.base` describes them. Arguments never change, since a task may run again when a
worker is lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np

from gprat import _core
from gprat._validation import FloatArray
from gprat.engines.cluster.failures import Indefinite
from gprat.engines.cluster.model import Covariances, Model
from gprat.engines.cluster.threads import worker_threads

__all__ = [
    "Finish",
    "Product",
    "add_and_finish",
    "by_panel",
    "compute",
    "dense",
    "factorise",
    "invert",
    "itself",
    "nn",
    "nt",
    "products_of",
    "symmetric",
    "tn",
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


class _TriangleFinish(IntEnum):
    NONE = 0
    CHOLESKY = 1
    INVERSE = 2


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
    return _triangle(model, start, products, size, _TriangleFinish.NONE)


def factorise(
    model: Model, start: Any, products: list[Product], size: int, first: int
) -> FloatArray | Indefinite:
    """Return the Cholesky factor of a block on the diagonal, whose first row is given."""
    try:
        return _triangle(model, start, products, size, _TriangleFinish.CHOLESKY)
    except _core.NotPositiveDefinite as failure:
        row, is_finite = failure.args
        return Indefinite(first + row, is_finite)


def invert(model: Model, tiles: FloatArray, size: int) -> FloatArray:
    """Return the inverse of a triangle, dense with zeros above the diagonal."""
    return dense(model, _triangle(model, tiles, [], size, _TriangleFinish.INVERSE), size)


def _triangle(
    model: Model, start: Any, products: list[Product], size: int, finish: _TriangleFinish
) -> FloatArray:
    tiles: FloatArray = model.core("compute_triangle")(
        _start(model, start),
        products,
        size,
        model.tile_size,
        int(finish),
        worker_threads(model.threads),
    )
    return tiles


def products_of(
    model: Model, products: list[tuple[int, Product]], shape: tuple[int, int]
) -> list[tuple[int, FloatArray]]:
    """Return products of the same shape, each on its own, with the panel that it comes from."""
    return [(panel, compute(model, None, [product], shape)) for panel, product in products]


def add_and_finish(
    model: Model,
    start: Any,
    terms: Sequence[Sequence[tuple[int, FloatArray]]],
    shape: tuple[int, int],
    finish: Finish,
    tiles: FloatArray,
) -> FloatArray:
    """Return L⁻¹(B − Σ terms), or LB + Σ terms, or the same with Lᵀ; terms panel by panel."""
    total = compute(model, start, [], shape)
    if not finish.is_product:
        for term in by_panel(terms):
            total -= term
    total = compute(model, total, [], shape, finish, tiles)
    if finish.is_product:
        for term in by_panel(terms):
            total += term
    return np.asfortranarray(total)


def by_panel(terms: Sequence[Sequence[tuple[int, FloatArray]]]) -> list[FloatArray]:
    """Return blocks, of which several tasks have given some each, in the order of their panels."""
    pairs = [pair for part in terms for pair in part]
    return [term for _, term in sorted(pairs, key=lambda pair: pair[0])]


def itself(block: FloatArray) -> FloatArray:
    """Return the block."""
    return block


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
