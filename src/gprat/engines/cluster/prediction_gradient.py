"""Derivatives of predictions by their points, block by block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import solve_triangular

from gprat._validation import Float64Array, FloatArray
from gprat.engines.cluster.conditioning import Conditioning, Trend
from gprat.engines.cluster.contraction import Wanted, contract, contract_groups
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.model import Covariances, Model, Points
from gprat.engines.cluster.whitened import (
    Known,
    TestBlocks,
    add_known,
    add_kriging_weights,
    add_whitened,
)

__all__ = ["predict_gradient"]


def predict_gradient(
    graph: BlockGraph, known: Conditioning, test: TestBlocks
) -> list[tuple[Float64Array, Float64Array, Float64Array]]:
    """Return derivatives by the points, of means and variances, and by H*, of each block.

    The adjoint of the variance at k* is −2·L⁻ᵀ(v + Qg).
    """
    factor = known.factor
    model, rank = factor.model, factor.end_rank
    results = []
    for q, points in enumerate(test.points):
        width = test.cuts.size(q)
        V = add_whitened(graph, factor, points, q, width)
        fact = add_known(graph, known, V, points, q, width)
        W = add_kriging_weights(graph, known, V, fact, q, width)
        parts = [
            graph.add(
                "part_gradient",
                (i, q),
                _contract_rows,
                model,
                known.weights[i],
                W[i],
                factor.rows[i],
                points,
                at=(i, q),
                rank=rank,
            )
            for i in range(len(W))
        ]
        results.append(
            graph.add(
                "prediction_gradient",
                (q,),
                _gradient,
                model,
                points,
                fact,
                known.trend,
                parts,
                at=(q, q),
                rank=rank,
            )
        )
    return graph.results(results)


def _contract_rows(
    model: Model, weights: FloatArray, W: FloatArray, rows: Points, points: Points
) -> tuple[Float64Array, Float64Array]:
    """Return derivatives of k(X*, rows)α by the points, shape (m, k, d), and of variances."""
    by_output = []
    for alpha in weights.T[: model.n_outputs]:
        block = np.broadcast_to(alpha[:, np.newaxis], (len(alpha), len(points.X)))
        by_output.append(_contract_columns(model, block, rows, points))
    return np.stack(by_output, axis=1), -2.0 * _contract_columns(model, W, rows, points)


def _contract_columns(
    model: Model, weights: FloatArray, rows: Points, points: Points
) -> Float64Array:
    pairs = Covariances(rows, points, is_cross=True)
    by_points = contract(model, np.asfortranarray(weights), [], pairs, Wanted.POINTS)[3]
    assert by_points is not None
    return by_points


def _gradient(
    model: Model,
    points: Points,
    known: Known,
    trend: Trend,
    parts: Sequence[tuple[Float64Array, Float64Array]],
) -> tuple[Float64Array, Float64Array, Float64Array]:
    mean: Float64Array = np.sum([by_mean for by_mean, _ in parts], axis=0)
    ones = np.ones((len(points.X), 1, 1))
    own = contract_groups(model, points, ones, Wanted.POINTS)[1]
    variance = np.sum([by_variance for _, by_variance in parts], axis=0) + own
    G = known.G.astype(np.float64)
    basis = 2.0 * solve_triangular(trend.R.astype(np.float64), G).T if G.size else G.T
    return mean, variance, basis
