"""Derivatives through the covariances of a block; see the core's gp/blocks.hpp."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntFlag
from typing import Any, TypeAlias

import numpy as np

from gprat._validation import Float64Array, FloatArray
from gprat.engines.cluster.blocks import Product
from gprat.engines.cluster.model import Covariances, Model, Points
from gprat.engines.cluster.threads import worker_threads

__all__ = [
    "Contracted",
    "Wanted",
    "contract",
    "contract_groups",
    "contract_symmetric",
    "total_of",
]


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
