"""Derivatives of functions of predictions, by blocks; the equations are the core's gp/pull_back.

With the kriging weights W and N = 2R⁻¹G the adjoints of the mean's cotangent m̄ and the covariances'
C̄ are, B being Wm̄: at Y it is B, at K it is WC̄Wᵀ − ½(αBᵀ + Bαᵀ), at K* it is αm̄ᵀ − 2WC̄, at K**
it is C̄; by Hᵀ −βBᵀ + ½(Nm̄)αᵀ − N(WC̄)ᵀ, and by H*ᵀ βm̄ᵀ + NC̄.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from gprat._validation import Float64Array, FloatArray
from gprat.engines.base import Derivatives, PosteriorAdjoint, Problem
from gprat.engines.cluster.blocks import Product, nt
from gprat.engines.cluster.conditioning import Conditioning, Trend
from gprat.engines.cluster.contraction import (
    Contracted,
    Wanted,
    contract,
    contract_groups,
    contract_symmetric,
    total_of,
)
from gprat.engines.cluster.futures import Future
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.model import Covariances, Model, Points
from gprat.engines.cluster.whitened import (
    Kept,
    Known,
    TestBlocks,
    add_known,
    add_kriging_weights,
    add_whitened,
)
from gprat.kernels import Program

__all__ = ["nothing_pulled_back", "pull_back"]

_THROUGH_K = Derivatives.PARAMETERS | Derivatives.NOISE | Derivatives.INPUTS


@dataclass(frozen=True, eq=False)
class _Rows:
    """What a block of training points has.

    Parameters
    ----------
    left, right : ndarray of shape (r, w)
        [WC̄ −½α −½B] and [W B α], without W where there is no C̄: left·rightᵀ is the adjoint at K.
    by_noise : ndarray of shape (r,)
        Its diagonal.
    by_targets : ndarray of shape (r, k)
        B.
    by_basis : ndarray of shape (r, q)
        By H.
    """

    left: FloatArray
    right: FloatArray
    by_noise: Float64Array
    by_targets: Float64Array
    by_basis: Float64Array


def pull_back(
    graph: BlockGraph,
    known: Conditioning,
    test: TestBlocks,
    given: tuple[FloatArray, FloatArray | None],
    wanted: Derivatives,
    kept: Kept | None,
) -> PosteriorAdjoint:
    """Return the derivatives; see `gprat.engines.base.Posterior`."""
    factor, rank = known.factor, known.factor.end_rank
    count, (mean_cotangent, covariance_cotangent) = len(factor.cuts), given
    cotangents = graph.share("cotangents", (), given)
    W, facts = [], []
    for q, points in enumerate(test.points):
        width = test.cuts.size(q)
        V = kept.columns[q] if kept else add_whitened(graph, factor, points, q, width)
        facts.append(add_known(graph, known, V, points, q, width))
        W.append(add_kriging_weights(graph, known, V, facts[q], q, width))
    N = graph.add("multipliers", (), _multipliers, known.trend, facts, at=(0, 0), rank=rank)
    rows = [
        graph.add(
            "pull_back_rows",
            (i,),
            _make_rows,
            factor.model,
            [w[i] for w in W],
            known.weights[i],
            cotangents,
            known.trend,
            N,
            at=(i, 0),
            rank=rank,
        )
        for i in range(count)
    ]
    del W
    by_points = bool(wanted & Derivatives.INPUTS)
    cross = _add_cross(graph, known, test, rows, cotangents)
    prior = [
        graph.add(
            "pull_back_prior",
            (q,),
            _contract_prior,
            factor.model,
            points,
            cotangents,
            part.start,
            part.stop,
            at=(q, q),
            rank=rank,
        )
        for q, (points, part) in enumerate(zip(test.points, test.cuts.slices(), strict=True))
    ]
    training = _add_training(graph, known, rows, by_points) if wanted & _THROUGH_K else []
    sums = graph.add(
        "pull_back_total",
        (),
        _total,
        training,
        cross,
        prior,
        factor.cuts.slices(),
        at=(0, 0),
        rank=rank,
    )
    outer = graph.all(
        "pull_back_vectors",
        [
            graph.add("pull_back_vectors", (i,), _vectors, row, at=(i, 0), rank=rank)
            for i, row in enumerate(rows)
        ],
    )
    (parameters, inputs, test_inputs), vectors, N, trend = graph.results(
        [sums, outer, N, known.trend]
    )
    noise, targets, by_basis = (np.concatenate(parts) for parts in zip(*vectors, strict=True))
    test_basis = mean_cotangent @ trend.beta.T.astype(np.float64)
    if covariance_cotangent is not None:
        test_basis = test_basis + _times_cotangent(N, covariance_cotangent).T
    return PosteriorAdjoint(
        parameters if Derivatives.PARAMETERS in wanted else None,
        noise if Derivatives.NOISE in wanted else None,
        targets if Derivatives.TARGETS in wanted else None,
        inputs if by_points else None,
        by_basis if by_points else None,
        test_inputs if Derivatives.TEST_INPUTS in wanted else None,
        test_basis if Derivatives.TEST_INPUTS in wanted else None,
    )


def nothing_pulled_back(problem: Problem, wanted: Derivatives) -> PosteriorAdjoint:
    """Return the derivatives of a function of no predictions: zeros."""
    (n, d), k, q = problem.X.shape, problem.Y.shape[1], problem.basis.shape[1]

    def zeros(what: Derivatives, *shape: int) -> Float64Array | None:
        return np.zeros(shape) if what in wanted else None

    return PosteriorAdjoint(
        zeros(Derivatives.PARAMETERS, problem.program.n_parameters),
        zeros(Derivatives.NOISE, n),
        zeros(Derivatives.TARGETS, n, k),
        zeros(Derivatives.INPUTS, n, d),
        zeros(Derivatives.INPUTS, n, q),
        zeros(Derivatives.TEST_INPUTS, 0, d),
        zeros(Derivatives.TEST_INPUTS, 0, q),
    )


def _add_cross(
    graph: BlockGraph,
    known: Conditioning,
    test: TestBlocks,
    rows: Sequence[Future],
    cotangents: Future,
) -> list[list[Future]]:
    """Add the derivatives through k(X, X*), a list of blocks of rows for each of test points."""
    factor = known.factor
    return [
        [
            graph.add(
                "pull_back_cross",
                (i, q),
                _contract_cross,
                factor.model,
                row,
                factor.rows[i],
                points,
                known.weights[i],
                cotangents,
                part.start,
                part.stop,
                at=(i, 0),
                rank=factor.end_rank,
            )
            for i, row in enumerate(rows)
        ]
        for q, (points, part) in enumerate(zip(test.points, test.cuts.slices(), strict=True))
    ]


def _add_training(
    graph: BlockGraph, known: Conditioning, rows: Sequence[Future], by_points: bool
) -> list[tuple[int, int, Future]]:
    """Add the derivatives through the lower triangle of K."""
    factor = known.factor
    return [
        (
            i,
            j,
            graph.add(
                "pull_back_training",
                (i, j),
                _contract_training,
                factor.model,
                rows[i],
                rows[j],
                factor.rows[i],
                factor.rows[j],
                by_points,
                at=(i, j),
                rank=factor.end_rank,
            ),
        )
        for i in range(len(rows))
        for j in range(i + 1)
    ]


def _multipliers(trend: Trend, facts: Sequence[Known]) -> Float64Array:
    """Return N = 2R⁻¹G, shape (q, m)."""
    G = np.hstack([known.G for known in facts]).astype(np.float64)
    N: Float64Array = 2.0 * solve_triangular(trend.R.astype(np.float64), G) if G.size else G
    return N


def _times_cotangent(A: FloatArray, cotangent: FloatArray) -> FloatArray:
    """Return AC̄ for a block diagonal C̄ of shape (m/group, group, group)."""
    groups, group, _ = cotangent.shape
    product: FloatArray = np.einsum("iga,gab->igb", A.reshape(len(A), groups, group), cotangent)
    return product.reshape(A.shape)


def _make_rows(
    model: Model,
    W: Sequence[FloatArray],
    weights: FloatArray,
    cotangents: tuple[FloatArray, FloatArray | None],
    trend: Trend,
    N: Float64Array,
) -> _Rows:
    mean_cotangent, covariance_cotangent = cotangents
    all_weights = np.hstack(list(W))
    alpha, B = weights[:, : model.n_outputs], all_weights @ mean_cotangent
    left, right = [-0.5 * alpha, -0.5 * B], [B, alpha]
    by_mean = N @ mean_cotangent.astype(np.float64)
    by_basis = -B @ trend.beta.T + 0.5 * alpha @ by_mean.T
    if covariance_cotangent is not None:
        product = _times_cotangent(all_weights, covariance_cotangent)
        left, right = [product, *left], [all_weights, *right]
        by_basis = by_basis - product @ N.T
    both = [np.asfortranarray(np.hstack(part), dtype=model.dtype) for part in (left, right)]
    by_noise: Float64Array = np.einsum("ij,ij->i", *both, dtype=np.float64)
    return _Rows(both[0], both[1], by_noise, B.astype(np.float64), by_basis.astype(np.float64))


def _vectors(rows: _Rows) -> tuple[Float64Array, Float64Array, Float64Array]:
    return rows.by_noise, rows.by_targets, rows.by_basis


def _contract_training(
    model: Model, left: _Rows, right: _Rows, rows: Points, columns: Points, by_points: bool
) -> Contracted:
    product = [nt(1.0, left.left, right.right)]
    return contract_symmetric(model, None, product, rows, columns, by_points)


def _contract_cross(
    model: Model,
    of_rows: _Rows,
    rows: Points,
    points: Points,
    weights: FloatArray,
    cotangents: tuple[FloatArray, FloatArray | None],
    begin: int,
    end: int,
) -> Contracted:
    """Contract αm̄ᵀ − 2WC̄, the adjoint at K*."""
    mean_cotangent, covariance_cotangent = cotangents
    start: Any = None
    if covariance_cotangent is not None:
        start = np.asfortranarray(-2.0 * of_rows.left[:, begin:end], dtype=model.dtype)
    alpha = np.asfortranarray(weights[:, : model.n_outputs])
    products: list[Product] = [nt(1.0, alpha, np.asfortranarray(mean_cotangent[begin:end]))]
    wanted = Wanted.PARAMETERS
    if isinstance(model.program, Program):
        wanted |= Wanted.POINTS
    return contract(model, start, products, Covariances(rows, points, is_cross=True), wanted)


def _contract_prior(
    model: Model,
    points: Points,
    cotangents: tuple[FloatArray, FloatArray | None],
    begin: int,
    end: int,
) -> tuple[Float64Array, Float64Array | None]:
    covariance_cotangent = cotangents[1]
    if covariance_cotangent is None:
        return np.zeros(model.program.n_parameters), None
    group = covariance_cotangent.shape[1]
    wanted = Wanted.PARAMETERS
    if isinstance(model.program, Program):
        wanted |= Wanted.POINTS
    blocks = covariance_cotangent[begin // group : end // group]
    return contract_groups(model, points, blocks, wanted)


def _total(
    training: Sequence[tuple[int, int, Contracted]],
    cross: Sequence[Sequence[Contracted]],
    prior: Sequence[tuple[Float64Array, Float64Array | None]],
    parts: Sequence[slice],
) -> tuple[Float64Array, Float64Array | None, Float64Array | None]:
    """Return the sums by parameters, by training points, and by test points."""
    parameters = np.sum([part[0] for part in prior], axis=0)
    for column in cross:
        parameters = parameters + np.sum([part[0] for part in column], axis=0)
    for _, _, part in training:
        parameters = parameters + part[0]
    if cross[0][0][2] is None:
        return parameters, None, None
    rows = [total_of([column[i][2] for column in cross]) for i in range(len(parts))]
    for i, j, (_, _, by_rows, by_columns) in training:
        if by_rows is not None:
            rows[i] = rows[i] + by_rows
        if by_columns is not None:
            rows[j] = rows[j] + by_columns
    points = [
        total_of([part[3] for part in column]) + (0.0 if of_prior[1] is None else of_prior[1])
        for column, of_prior in zip(cross, prior, strict=True)
    ]
    return parameters, np.vstack(rows), np.vstack(points)
