"""Predictions by blocks of test points (R&W 2.25, 2.26; with a trend 2.41, 2.42)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gprat._validation import Float64Array, FloatArray
from gprat.engines.cluster.blocks import Product, compute, tn
from gprat.engines.cluster.conditioning import Conditioning, Trend
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.model import Model, Points
from gprat.engines.cluster.sums import Last, Sum, accumulate, always
from gprat.engines.cluster.whitened import Kept, Known, TestBlocks, add_known, add_whitened

__all__ = ["predict_covariance", "predict_mean", "predict_variance"]


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
        width = test.cuts.size(q)
        V = add_whitened(graph, known.factor, points, q, width)
        if kept is not None:
            kept.columns.append(V)
        explained = add_known(graph, known, V, points, q, width)
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
        width = test.cuts.size(q)
        Vs.append(add_whitened(graph, known.factor, points, q, width))
        facts.append(add_known(graph, known, Vs[q], points, q, width))
    wanted = [(p, q) for p in range(count) for q in range(p + 1) if blocks == "all" or p == q]
    futures = []
    for p, q in wanted:
        shape = test.cuts.size(p), test.cuts.size(q)
        panels = [
            (i, tn(-1.0, Vp, Vq)) for i, (Vp, Vq) in enumerate(zip(Vs[p], Vs[q], strict=True))
        ]
        start = (test.points[p], test.points[q], False)
        last = Last(_covariance, (shape, test.points[p], facts[p], facts[q], p == q))
        futures.append(
            accumulate(
                graph,
                "covariance",
                (p, q),
                Sum(model, start, panels, shape, known.factor.cuts),
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
