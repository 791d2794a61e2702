"""The marginal likelihood with its derivatives, in reverse and by blocks (R&W 5.9)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.linalg import solve_triangular

from gprat._validation import Float64Array, FloatArray
from gprat.engines.base import Adjoint
from gprat.engines.cluster.blocks import Product, nt
from gprat.engines.cluster.conditioning import Conditioning, Trend
from gprat.engines.cluster.contraction import Contracted, contract_symmetric, total_of
from gprat.engines.cluster.factor import Blocks
from gprat.engines.cluster.futures import Future
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.inverse import add_gram, add_triangular_inverse, inverse_end_rank
from gprat.engines.cluster.model import Model, Points
from gprat.engines.cluster.sums import Last

__all__ = [
    "add_sums",
    "differentiate_likelihood",
    "log_marginal_likelihood",
]


def log_marginal_likelihood(
    n: int, k: int, trend: Trend, half_log_determinants: Sequence[float]
) -> float:
    """Return the sum over k outputs (R&W 2.30, 2.45), yᵀPy as the squares of what is whitened."""
    q = trend.R.shape[0]
    normaliser = 2.0 * sum(half_log_determinants) + (n - q) * np.log(2.0 * np.pi)
    normaliser += 2.0 * float(np.sum(np.log(np.diagonal(trend.R).astype(np.float64))))
    return -0.5 * (trend.squares + k * float(normaliser))


def differentiate_likelihood(
    graph: BlockGraph, k: int, known: Conditioning, by_points: bool
) -> Adjoint:
    """Return the likelihood and its derivatives: W = ½(ααᵀ + k(UUᵀ − K⁻¹)) is its adjoint at K."""
    factor = known.factor

    def last(i: int, j: int) -> tuple[str, Last]:
        weights = known.weights[i], known.weights[j]
        further = factor.rows[i], factor.rows[j], *weights, by_points
        return "gradient", Last(_contract_likelihood, further)

    X = add_triangular_inverse(graph, factor, known.half_log_determinants)
    # Below the diagonal a block stands for its mirror image too, which the last task knows.
    parts = add_gram(graph, factor, X, -0.5 * k, last)
    del X
    halves = graph.all("half_log_determinants", known.half_log_determinants)
    sums = add_sums(graph, known, parts, by_points)
    del parts
    alphas = graph.all("all_weights", known.weights)
    # Nothing holds the factor any more: its blocks go as soon as they are dead.
    factor.blocks.clear()
    trend, half_log_determinants, weights, (parameters, noise, inputs) = graph.results(
        [known.trend, halves, alphas, sums]
    )
    weights = np.vstack(weights)
    alpha, U = weights[:, :k], weights[:, k:]
    return Adjoint(
        log_marginal_likelihood(len(alpha), k, trend, half_log_determinants),
        parameters,
        noise,
        -alpha.astype(np.float64),
        inputs,
        _differentiate_basis(alpha, U, trend) if by_points else None,
    )


def _contract_likelihood(
    model: Model,
    start: FloatArray | None,
    products: list[Product],
    rows: Points,
    columns: Points,
    row_weights: FloatArray,
    column_weights: FloatArray,
    by_points: bool,
) -> Contracted:
    k = model.n_outputs
    low_rank = [nt(0.5, *(np.asfortranarray(w[:, :k]) for w in (row_weights, column_weights)))]
    if model.n_trends:
        U = (np.asfortranarray(w[:, k:]) for w in (row_weights, column_weights))
        low_rank.append(nt(0.5 * k, *U))
    return contract_symmetric(model, start, [*products, *low_rank], rows, columns, by_points)


def add_sums(graph: BlockGraph, known: Conditioning, parts: Blocks, by_points: bool) -> Future:
    """Add what all blocks give: by parameters, by noise, by points; in a fixed order."""
    factor = known.factor
    count, rank = len(factor.cuts), inverse_end_rank(factor) + 1
    rows = []
    for i in range(count):
        left = [parts[i, j] for j in range(i + 1)]
        # Its rows as columns of the blocks below.
        below = [parts[k, i] for k in range(i + 1, count)] if by_points else []
        rows.append(graph.add("sum_gradient", (i,), _sum_row, left, below, at=(i, i), rank=rank))
    return graph.add("gradient_total", (), _sum_rows, rows, at=(0, 0), rank=rank)


def _sum_row(left: Sequence[Contracted], below: Sequence[Contracted]) -> Contracted:
    """Return the derivatives of one block of rows."""
    parameters = np.sum([part[0] for part in left], axis=0)
    points = None
    if left[-1][2] is not None:
        by_points = [part[2] for part in left] + [part[3] for part in below]
        points = total_of(by_points)
    return parameters, left[-1][1], points, None


def _sum_rows(
    rows: Sequence[Contracted],
) -> tuple[Float64Array, Float64Array, Float64Array | None]:
    """Return the derivatives by parameters, by the noise of all rows, and by all points."""
    parameters: Float64Array = np.sum([row[0] for row in rows], axis=0)
    noise: Float64Array = np.concatenate([row[1] for row in rows if row[1] is not None])
    points = [row[2] for row in rows if row[2] is not None]
    return parameters, noise, np.vstack(points) if points else None


def _differentiate_basis(alpha: FloatArray, U: FloatArray, trend: Trend) -> Float64Array:
    """Return αβᵀ − k·UR⁻ᵀ, the derivatives by the basis functions."""
    alpha, U, R, beta = (a.astype(np.float64) for a in (alpha, U, trend.R, trend.beta))
    if not R.size:
        return np.empty((len(alpha), 0))
    result: Float64Array = alpha @ beta.T - alpha.shape[1] * solve_triangular(R, U.T).T
    return result
