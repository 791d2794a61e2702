"""Test points on a cluster: V = L⁻¹k(X, X*), what it says of them, and their kriging weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from gprat._validation import Float64Array, FloatArray
from gprat.engines.cluster.blocks import Finish, compute, nn, tn
from gprat.engines.cluster.conditioning import Conditioning, Trend
from gprat.engines.cluster.factor import Factor, add_columns, add_vectors
from gprat.engines.cluster.futures import Future
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.layout import Cuts
from gprat.engines.cluster.model import Model, Points
from gprat.engines.cluster.sums import Last, Sum, accumulate, always

__all__ = ["Kept", "Known", "TestBlocks", "add_known", "add_kriging_weights", "add_whitened"]

# Up to so many points products travel, which are small; with more of them the factor's blocks do.
_FEW = 128


@dataclass(frozen=True, eq=False)
class TestBlocks:
    """Test points on the cluster.

    Parameters
    ----------
    cuts : Cuts
        Of the points.
    points : list of Future
        `Points` of each block.
    """

    cuts: Cuts
    points: list[Future]

    @classmethod
    def of(cls, graph: BlockGraph, X: FloatArray, basis: FloatArray, cuts: Cuts) -> TestBlocks:
        """Give test points to the cluster."""
        points = [
            graph.share("test_points", (q,), Points(X[part], basis[part], part.start, None))
            for q, part in enumerate(cuts.slices())
        ]
        return cls(cuts, points)


@dataclass(frozen=True, eq=False)
class _Whitened:
    """What a block of V = L⁻¹k(X, X*) says of its points.

    Parameters
    ----------
    squares : ndarray of shape (m,)
        ‖v‖² of each column.
    projected : ndarray of shape (m, k + q)
        Vᵀ[L⁻¹Y Q].
    """

    squares: Float64Array
    projected: FloatArray


@dataclass(frozen=True, eq=False)
class Known:
    """What the data say of some test points.

    Parameters
    ----------
    mean : ndarray of shape (m, k)
        Predictions.
    G : ndarray of shape (q, m)
        R⁻ᵀH*ᵀ − QᵀV, what the data leave open about the trend.
    squares : ndarray of shape (m,)
        ‖v‖².
    """

    mean: FloatArray
    G: FloatArray
    squares: Float64Array


@dataclass(frozen=True, eq=False)
class Kept:
    """V = L⁻¹k(X, X*) on the cluster, for what comes after a prediction.

    Parameters
    ----------
    cuts : Cuts
        Of the test points.
    columns : list of list of Future
        Blocks of rows, for each block of points.
    """

    cuts: Cuts
    columns: list[list[Future]]


def add_whitened(
    graph: BlockGraph, factor: Factor, points: Future, q: int, width: int
) -> list[Future]:
    """Add V = L⁻¹k(X, X*) for a block of test points, as blocks of rows."""
    if width > _FEW:
        return add_columns(graph, factor, points, q, width)
    covariances = [(rows, points, True) for rows in factor.rows]
    return add_vectors(graph, factor, Finish.SOLVE, covariances, "whiten", width, q)


def add_kriging_weights(
    graph: BlockGraph, known: Conditioning, V: Sequence[Future], fact: Future, q: int, width: int
) -> list[Future]:
    """Add W = L⁻ᵀ(V + QG), as blocks of rows: the mean is WᵀY."""
    factor = known.factor
    cuts, L, count = factor.cuts, factor.blocks, len(factor.cuts)
    rank = factor.end_rank + 1 + (q + 1) * count
    starts = [
        graph.add(
            "trend_weights",
            (i, q),
            _with_trend,
            factor.model,
            V[i],
            known.whitened[i],
            fact,
            at=(i, q if width > _FEW else i),
            rank=rank,
        )
        for i in range(count)
    ]
    if width <= _FEW:
        return add_vectors(graph, factor, Finish.SOLVE_TRANSPOSED, starts, "kriging", width, q)
    W: list[Any] = [None] * count
    for i in range(count - 1, -1, -1):
        shape = cuts.size(i), width
        panels = [(k, tn(-1.0, L[k, i], W[k])) for k in range(count - 1, i, -1)]
        finish = shape, Finish.SOLVE_TRANSPOSED, L[i, i]
        solve = Last(compute, finish, float(shape[0] ** 2 * width))
        total = Sum(factor.model, starts[i], panels, shape, cuts)
        W[i] = accumulate(graph, "kriging", (i, q), total, solve, (always(rank), rank))
    return W


def add_known(
    graph: BlockGraph, known: Conditioning, V: Sequence[Future], points: Future, q: int, width: int
) -> Future:
    """Add what a block V = L⁻¹k(X, X*) says of its points: the future of a `Known`."""
    rank, model = known.factor.end_rank, known.factor.model
    pairs = list(zip(V, known.whitened, strict=True))
    given: list[Any] = pairs
    if width > _FEW:
        given = [
            graph.add("explain", (i, q), _explain, model, *pair, at=(i, q), rank=rank)
            for i, pair in enumerate(pairs)
        ]
    explain: Callable[..., Known] = _known if width > _FEW else _explain_all
    return graph.add(
        "explained", (q,), explain, model, points, known.trend, given, at=(q, q), rank=rank
    )


def _explain_all(
    model: Model, points: Points, trend: Trend, pairs: Sequence[tuple[FloatArray, FloatArray]]
) -> Known:
    return _known(model, points, trend, [_explain(model, *pair) for pair in pairs])


def _explain(model: Model, V: FloatArray, whitened: FloatArray) -> _Whitened:
    projected = compute(model, None, [tn(1.0, V, whitened)], (V.shape[1], whitened.shape[1]))
    return _Whitened(np.einsum("ij,ij->j", V, V, dtype=np.float64), projected)


def _known(model: Model, points: Points, trend: Trend, parts: Sequence[_Whitened]) -> Known:
    k = model.n_outputs
    projected = np.sum([part.projected for part in parts], axis=0)
    squares: Float64Array = np.sum([part.squares for part in parts], axis=0)
    G = np.empty((0, len(points.X)), dtype=projected.dtype)
    mean = projected[:, :k]
    if model.n_trends:
        G = solve_triangular(trend.R, points.basis.T, trans="T") - projected[:, k:].T
        mean = mean + points.basis @ trend.beta
    return Known(mean, np.asfortranarray(G, dtype=projected.dtype), squares)


def _with_trend(model: Model, V: FloatArray, whitened: FloatArray, known: Known) -> FloatArray:
    Q = np.asfortranarray(whitened[:, model.n_outputs :])
    return compute(model, V, [nn(1.0, Q, known.G)], V.shape) if model.n_trends else V
