"""Products with K itself, block by block, in float64: what results are held against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gprat._validation import Float64Array, FloatArray
from gprat.engines.base import Problem
from gprat.engines.cluster.blocks import compute
from gprat.engines.cluster.conditioning import share_points
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.layout import Cuts
from gprat.engines.cluster.model import Model, Points

__all__ = ["multiply_covariance"]

Products = tuple[Float64Array, Float64Array, Float64Array]


def multiply_covariance(graph: BlockGraph, problem: Problem, cuts: Cuts, B: FloatArray) -> Products:
    """Return KB, |K||B| and diag(K)."""
    model, points = share_points(graph, problem, cuts, problem.tile_size)
    columns = [
        graph.share("columns", (i,), np.ascontiguousarray(B[part]))
        for i, part in enumerate(cuts.slices())
    ]
    parts = [
        graph.add("product", (i,), _multiply, model, rows, points, columns, at=(i, i), rank=0)
        for i, rows in enumerate(points)
    ]
    results: Sequence[Products] = graph.results(parts)
    values, magnitudes, diagonals = zip(*results, strict=True)
    return np.vstack(values), np.vstack(magnitudes), np.concatenate(diagonals)


def _multiply(
    model: Model, rows: Points, all_points: Sequence[Points], all_columns: Sequence[FloatArray]
) -> Products:
    """Return the rows of the products that belong to a block of points."""
    shape = len(rows.X), all_columns[0].shape[1]
    values, magnitudes = np.zeros(shape), np.zeros(shape)
    diagonal = np.empty(0)
    # Noise on its own, to the digits that it has beside a variance of the dtype that is far larger.
    noiseless = Points(rows.X, rows.basis, rows.first, None)
    for points, columns in zip(all_points, all_columns, strict=True):
        B = columns.astype(np.float64)
        block = compute(model, (noiseless, points, False), [], (len(rows.X), len(points.X))).astype(
            np.float64
        )
        if points.first == rows.first:
            block = np.tril(block) + np.tril(block, -1).T
            assert rows.noise is not None
            noise = rows.noise[:, np.newaxis] * B
            values += noise
            magnitudes += np.abs(noise)
            diagonal = np.diagonal(block) + rows.noise
        values += block @ B
        magnitudes += np.abs(block) @ np.abs(B)
    return values, magnitudes, diagonal
