"""Predictions by blocks of test points (R&W 2.25, 2.26; with a trend 2.41, 2.42)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.linalg import solve_triangular

from gprat._validation import Float64Array, FloatArray
from gprat.engines.cluster.blocks import (
    Covariances,
    Finish,
    Model,
    Points,
    Product,
    Wanted,
    compute,
    contract,
    contract_groups,
    nn,
    tn,
)
from gprat.engines.cluster.conditioning import Conditioning, Trend
from gprat.engines.cluster.factor import add_columns
from gprat.engines.cluster.graph import BlockGraph, Sum, always
from gprat.engines.cluster.layout import Cuts

if TYPE_CHECKING:
    from gprat.engines.cluster.futures import Future

__all__ = [
    "Kept",
    "Known",
    "TestBlocks",
    "add_known",
    "add_kriging_weights",
    "predict_covariance",
    "predict_gradient",
    "predict_mean",
    "predict_variance",
]


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


def predict_mean(graph: BlockGraph, known: Conditioning, test: TestBlocks) -> list[FloatArray]:
    """Return the means of each block, from covariances that are made and dropped."""
    factor = known.factor
    return graph.results(
        [
            graph.add(
                "mean",
                (q,),
                _mean,
                factor.model,
                factor.rows,
                points,
                known.weights,
                known.trend,
                at=(q, q),
                rank=factor.end_rank,
            )
            for q, points in enumerate(test.points)
        ]
    )


def predict_variance(
    graph: BlockGraph, known: Conditioning, test: TestBlocks, kept: Kept | None = None
) -> list[tuple[FloatArray, FloatArray, int, float]]:
    """Return means, variances, how many were clipped and how far, of each block.

    Blocks of V are added to what is kept, if anything is.
    """
    rank = known.factor.end_rank
    results = []
    for q, points in enumerate(test.points):
        V = add_columns(graph, known.factor, points, q, test.cuts.size(q))
        if kept is not None:
            kept.columns.append(V)
        explained = add_known(graph, known, V, points, q)
        results.append(
            graph.add(
                "variance",
                (q,),
                _variance,
                known.factor.model,
                points,
                explained,
                at=(q, q),
                rank=rank,
            )
        )
    return graph.results(results)


def predict_covariance(
    graph: BlockGraph,
    known: Conditioning,
    test: TestBlocks,
    blocks: str = "all",
    kept: Kept | None = None,
) -> tuple[list[FloatArray], dict[tuple[int, int], FloatArray], int, float]:
    """Return means of each block, covariances of pairs of blocks, and clippings.

    Parameters
    ----------
    graph : BlockGraph
        Takes the tasks.
    known : Conditioning
        What the data say.
    test : TestBlocks
        The points.
    blocks : {"all", "diagonal"}
        Whether covariances between different blocks are wanted: those with p ≥ q.
    kept : Kept or None, default=None
        What blocks of V are added to.
    """
    count, model = len(test.cuts), known.factor.model
    rank = known.factor.end_rank + 1 + count * len(known.factor.cuts)
    Vs, facts = [], []
    for q, points in enumerate(test.points):
        Vs.append(add_columns(graph, known.factor, points, q, test.cuts.size(q)))
        facts.append(add_known(graph, known, Vs[q], points, q))
    wanted = [(p, q) for p in range(count) for q in range(p + 1) if blocks == "all" or p == q]
    futures = []
    for p, q in wanted:
        shape = test.cuts.size(p), test.cuts.size(q)
        panels = [
            (i, tn(-1.0, Vp, Vq)) for i, (Vp, Vq) in enumerate(zip(Vs[p], Vs[q], strict=True))
        ]
        start = (test.points[p], test.points[q], False)
        last = _covariance, (shape, test.points[p], facts[p], facts[q], p == q)
        futures.append(
            graph.accumulate(
                "covariance",
                (p, q),
                Sum(model, start, panels, shape),
                last,
                (always(rank), rank),
            )
        )
    if kept is not None:
        kept.columns.extend(Vs)
    del Vs
    means = [
        graph.add("mean", (q,), _mean_of, fact, at=(q, q), rank=rank)
        for q, fact in enumerate(facts)
    ]
    results = graph.results([*means, *futures])
    covariances = results[count:]
    clipped = sum(count for _, count, _ in covariances)
    worst = max((worst for *_, worst in covariances), default=0.0)
    by_pair = {pair: block for pair, (block, *_) in zip(wanted, covariances, strict=True)}
    return results[:count], by_pair, clipped, worst


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
        V = add_columns(graph, factor, points, q, test.cuts.size(q))
        fact = add_known(graph, known, V, points, q)
        W = add_kriging_weights(graph, known, V, fact, q, test.cuts.size(q))
        by_variance = [
            graph.add(
                "variance_gradient",
                (i, q),
                _scaled_contraction,
                model,
                W[i],
                factor.rows[i],
                points,
                at=(i, q),
                rank=rank,
            )
            for i in range(len(W))
        ]
        by_mean = [
            graph.add(
                "mean_gradient",
                (i, q),
                _mean_gradient,
                model,
                known.weights[i],
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
                by_mean,
                by_variance,
                at=(q, q),
                rank=rank,
            )
        )
    return graph.results(results)


def add_kriging_weights(
    graph: BlockGraph, known: Conditioning, V: Sequence[Future], fact: Future, q: int, width: int
) -> list[Future]:
    """Add W = L⁻ᵀ(V + QG), as blocks of rows: the mean is WᵀY."""
    factor = known.factor
    cuts, L, count = factor.cuts, factor.blocks, len(factor.cuts)
    rank = factor.end_rank + 1 + (q + 1) * count
    W: list[Any] = [None] * count
    for i in range(count - 1, -1, -1):
        shape = cuts.size(i), width
        start = graph.add(
            "trend_weights",
            (i, q),
            _with_trend,
            factor.model,
            V[i],
            known.whitened[i],
            fact,
            at=(i, q),
            rank=rank,
        )
        panels = [(k, tn(-1.0, L[k, i], W[k])) for k in range(count - 1, i, -1)]
        solve = compute, (shape, Finish.SOLVE_TRANSPOSED, L[i, i])
        total = Sum(factor.model, start, panels, shape)
        W[i] = graph.accumulate("kriging", (i, q), total, solve, (always(rank), rank))
    return W


def add_known(
    graph: BlockGraph, known: Conditioning, V: Sequence[Future], points: Future, q: int
) -> Future:
    """Add what a block V = L⁻¹k(X, X*) says of its points: the future of a `Known`."""
    rank, model = known.factor.end_rank, known.factor.model
    parts = [
        graph.add("explain", (i, q), _explain, model, v, z, at=(i, q), rank=rank)
        for i, (v, z) in enumerate(zip(V, known.whitened, strict=True))
    ]
    return graph.add(
        "explained", (q,), _known, model, points, known.trend, parts, at=(q, q), rank=rank
    )


def _mean(
    model: Model,
    rows: Sequence[Points],
    points: Points,
    weights: Sequence[FloatArray],
    trend: Trend,
) -> FloatArray:
    m, k = len(points.X), model.n_outputs
    mean: FloatArray = np.zeros((m, k), dtype=model.dtype, order="F")
    for training, alpha in zip(rows, weights, strict=True):
        covariances = compute(model, (training, points, True), [], (len(training.X), m))
        alpha = np.asfortranarray(alpha[:, :k])
        mean = compute(model, mean, [tn(1.0, covariances, alpha)], (m, k))
    return mean + points.basis @ trend.beta


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


def _mean_of(known: Known) -> FloatArray:
    return known.mean


def _clip(left: Float64Array, prior: Float64Array) -> tuple[Float64Array, int, float]:
    """Set variances that rounding has made negative to zero; NaN is none that it explains."""
    is_negative = left < 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = np.where(prior > 0.0, -left / prior, 1.0)[is_negative]
    worst = float(depth.max(initial=0.0))
    return np.where(is_negative, 0.0, left), int(is_negative.sum()), worst


def _variance(
    model: Model, points: Points, known: Known
) -> tuple[FloatArray, FloatArray, int, float]:
    prior = model.covariance.diagonal(points.X).astype(np.float64)
    left, count, worst = _clip(prior - known.squares, prior)
    variance = left + np.sum(known.G.astype(np.float64) ** 2, axis=0)
    return known.mean, variance.astype(model.dtype), count, worst


def _covariance(
    model: Model,
    start: Any,
    products: list[Product],
    shape: tuple[int, int],
    points: Points,
    rows: Known,
    columns: Known,
    is_diagonal: bool,
) -> tuple[FloatArray, int, float]:
    block, count, worst = compute(model, start, products, shape), 0, 0.0
    if is_diagonal:
        # Above the diagonal covariances were not evaluated.
        block = np.tril(block) + np.tril(block, -1).T
        prior = model.covariance.diagonal(points.X).astype(np.float64)
        diagonal = np.diagonal(block).astype(np.float64)
        diagonal, count, worst = _clip(diagonal, prior)
        np.fill_diagonal(block, diagonal)
    return block + rows.G.T @ columns.G, count, worst


def _with_trend(model: Model, V: FloatArray, whitened: FloatArray, known: Known) -> FloatArray:
    Q = np.asfortranarray(whitened[:, model.n_outputs :])
    return compute(model, V, [nn(1.0, Q, known.G)], V.shape) if model.n_trends else V


def _scaled_contraction(model: Model, W: FloatArray, rows: Points, points: Points) -> Float64Array:
    return -2.0 * _contract_columns(model, W, rows, points)


def _contract_columns(
    model: Model, weights: FloatArray, rows: Points, points: Points
) -> Float64Array:
    pairs = Covariances(rows, points, is_cross=True)
    by_points = contract(model, np.asfortranarray(weights), [], pairs, Wanted.POINTS)[3]
    assert by_points is not None
    return by_points


def _mean_gradient(model: Model, weights: FloatArray, rows: Points, points: Points) -> Float64Array:
    """Return derivatives of k(X*, rows)α by the points, shape (m, k, d)."""
    by_output = []
    for alpha in weights.T[: model.n_outputs]:
        block = np.broadcast_to(alpha[:, np.newaxis], (len(alpha), len(points.X)))
        by_output.append(_contract_columns(model, block, rows, points))
    return np.stack(by_output, axis=1)


def _gradient(
    model: Model,
    points: Points,
    known: Known,
    trend: Trend,
    by_mean: Sequence[Float64Array],
    by_variance: Sequence[Float64Array],
) -> tuple[Float64Array, Float64Array, Float64Array]:
    mean: Float64Array = np.sum(by_mean, axis=0)
    ones = np.ones((len(points.X), 1, 1))
    variance = np.sum(by_variance, axis=0) + contract_groups(model, points, ones, Wanted.POINTS)[1]
    G = known.G.astype(np.float64)
    basis = 2.0 * solve_triangular(trend.R.astype(np.float64), G).T if G.size else G.T
    return mean, variance, basis
