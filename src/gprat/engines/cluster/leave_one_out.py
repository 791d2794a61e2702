"""The leave-one-out log density with its derivatives, by blocks (R&W 5.10 to 5.13).

With S = K⁻¹, P = S − UUᵀ, s = diag(P), b = α/s, v = P·b and c = ½(k + Σ α²/s)/s its adjoint at K is
W = ABᵀ − S·diag(c)·S, where A = [U, Z, ½α, ½v], B = [Z, U, v, α] and
Z = S·diag(c)·U − ½U(Uᵀdiag(c)·U).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gprat._validation import FloatArray
from gprat.engines.base import Adjoint
from gprat.engines.cluster.adjoint import add_sums
from gprat.engines.cluster.blocks import Product, by_panel, compute, nn, nt, symmetric, tn, triangle
from gprat.engines.cluster.conditioning import Conditioning
from gprat.engines.cluster.contraction import Contracted, contract_symmetric
from gprat.engines.cluster.factor import Blocks
from gprat.engines.cluster.futures import Future
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.inverse import add_gram, add_triangular_inverse, inverse_end_rank
from gprat.engines.cluster.model import Model, Points
from gprat.engines.cluster.sums import Last, Sum, accumulate, always

__all__ = ["differentiate_leave_one_out"]


def differentiate_leave_one_out(graph: BlockGraph, k: int, known: Conditioning) -> Adjoint:
    """Return the leave-one-out log density and its derivatives."""
    factor = known.factor
    cuts, model = factor.cuts, factor.model
    count, rank = len(cuts), inverse_end_rank(factor)

    def last(i: int, j: int) -> tuple[str, Last]:
        if i == j:
            return "inverse", Last(triangle, (cuts.size(i),))
        return "inverse", Last(compute, ((cuts.size(i), cuts.size(j)),))

    S = add_gram(
        graph, factor, add_triangular_inverse(graph, factor, known.half_log_determinants), 1.0, last
    )
    for i in range(count):
        S[i, i] = graph.add(
            "symmetric", (i,), symmetric, model, S[i, i], cuts.size(i), at=(i, i), rank=rank
        )
    coefficients = [
        graph.add(
            "loo_coefficients",
            (i,),
            _coefficients,
            k,
            S[i, i],
            known.weights[i],
            at=(i, i),
            rank=rank,
        )
        for i in range(count)
    ]
    columns = [
        graph.add("loo_columns", (i,), _second, coefficients[i], at=(i, i), rank=rank)
        for i in range(count)
    ]
    products = _add_symmetric_products(graph, known, S, columns)
    low_rank = graph.add(
        "loo_low_rank",
        (),
        _low_rank,
        k,
        coefficients,
        products,
        known.weights,
        at=(0, 0),
        rank=rank,
    )
    parts = _add_loo_contraction(graph, known, S, low_rank)
    sums = add_sums(graph, known, parts, by_points=False)
    S.clear()
    factor.blocks.clear()
    (A, _, _, value), (parameters, noise, _) = graph.results([low_rank, sums])
    v = 2.0 * A[:, -k:]
    return Adjoint(value, parameters, noise, -v.astype(np.float64), None, None)


def _add_symmetric_products(
    graph: BlockGraph, known: Conditioning, S: Blocks, columns: Sequence[Future]
) -> list[Future]:
    """Add S times a few columns, computed where the blocks of S are, each block on its own."""
    factor, model = known.factor, known.factor.model
    count, rank = len(factor.cuts), inverse_end_rank(factor)
    results = []
    for i in range(count):
        owned: dict[str, list[tuple[int, tuple[int, int]]]] = {}
        for t in range(count):
            at = max(i, t), min(i, t)
            owned.setdefault(graph.grid.owner(*at), []).append((t, at))
        terms = [
            graph.add(
                "loo_product",
                (i, mine[0][0]),
                _times,
                model,
                [(t, S[at], columns[t], i < t) for t, at in mine],
                at=mine[0][1],
                rank=rank,
            )
            for mine in owned.values()
        ]
        results.append(graph.add("loo_sum", (i,), _total, terms, at=(i, i), rank=rank))
    return results


def _add_loo_contraction(
    graph: BlockGraph, known: Conditioning, S: Blocks, low_rank: Future
) -> Blocks:
    factor = known.factor
    cuts, rank = factor.cuts, inverse_end_rank(factor)
    parts = cuts.slices()
    weights = [
        graph.add("loo_weights", (i,), _part, low_rank, part.start, part.stop, at=(i, i), rank=rank)
        for i, part in enumerate(parts)
    ]
    c = [
        graph.add("loo_c", (i,), _third, weights[i], at=(i, i), rank=rank) for i in range(len(cuts))
    ]
    blocks: Blocks = {}
    for i in range(len(cuts)):
        for j in range(i + 1):
            panels = [(t, _symmetric_product(S, i, t, j, c[t])) for t in range(len(cuts))]
            shape = cuts.size(i) if i == j else (cuts.size(i), cuts.size(j))
            further = factor.rows[i], factor.rows[j], weights[i], weights[j]
            blocks[i, j] = accumulate(
                graph,
                "loo_gradient",
                (i, j),
                Sum(factor.model, None, panels, shape, cuts),
                Last(_contract_leave_one_out, further),
                (always(rank), rank),
            )
    return blocks


def _symmetric_product(S: Blocks, i: int, t: int, j: int, c: Future) -> Product:
    """Return −S_it·diag(c)·S_tj where only the lower triangle of S is there."""
    left = S[max(i, t), min(i, t)], i < t, False
    right = S[max(t, j), min(t, j)], t < j, False
    return (-1.0, *left, *right, c)


def _contract_leave_one_out(
    model: Model,
    start: Any,
    products: list[Product],
    rows: Points,
    columns: Points,
    row_weights: tuple[FloatArray, FloatArray, FloatArray],
    column_weights: tuple[FloatArray, FloatArray, FloatArray],
) -> Contracted:
    low_rank = nt(1.0, row_weights[0], column_weights[1])
    return contract_symmetric(model, start, [*products, low_rank], rows, columns, False)


def _coefficients(
    k: int, S: FloatArray, weights: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Return c, [b, diag(c)·U] and the objective of a block of rows."""
    exact = weights.astype(np.float64)
    alpha, U = exact[:, :k], exact[:, k:]
    precision = np.diagonal(S).astype(np.float64) - np.sum(U**2, axis=1)
    fit = np.sum(alpha**2, axis=1) / precision
    c = 0.5 * (k + fit) / precision
    columns = np.hstack([alpha / precision[:, np.newaxis], c[:, np.newaxis] * U])
    value = 0.5 * float(np.sum(k * np.log(precision) - fit - k * np.log(2.0 * np.pi)))
    return c.astype(S.dtype), np.asfortranarray(columns, dtype=S.dtype), value


def _low_rank(
    k: int,
    coefficients: Sequence[tuple[FloatArray, FloatArray, float]],
    products: Sequence[FloatArray],
    weights: Sequence[FloatArray],
) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """Return A, B, c and the objective."""
    c = np.concatenate([part[0] for part in coefficients])
    columns, all_products, all_weights = (
        np.vstack(list(blocks))
        for blocks in ([part[1] for part in coefficients], products, weights)
    )
    alpha, U = all_weights[:, :k], all_weights[:, k:]
    v = all_products[:, :k] - U @ (U.T @ columns[:, :k])
    Z = all_products[:, k:] - 0.5 * U @ (U.T @ columns[:, k:])
    A = np.asfortranarray(np.hstack([U, Z, 0.5 * alpha, 0.5 * v]), dtype=c.dtype)
    B = np.asfortranarray(np.hstack([Z, U, v, alpha]), dtype=c.dtype)
    return A, B, c, float(sum(part[2] for part in coefficients))


def _part(
    low_rank: tuple[FloatArray, FloatArray, FloatArray, float], begin: int, end: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    A, B, c, _ = low_rank
    return np.asfortranarray(A[begin:end]), np.asfortranarray(B[begin:end]), c[begin:end]


def _second(values: Sequence[Any]) -> Any:
    return values[1]


def _third(values: Sequence[Any]) -> Any:
    return values[2]


def _times(
    model: Model, parts: Sequence[tuple[int, FloatArray, FloatArray, bool]]
) -> list[tuple[int, FloatArray]]:
    """Return the products of some blocks, which may be transposed, with the panels they are of."""
    results = []
    for panel, S, columns, is_transposed in parts:
        product = (tn if is_transposed else nn)(1.0, S, columns)
        shape = S.shape[1 if is_transposed else 0], columns.shape[1]
        results.append((panel, compute(model, None, [product], shape)))
    return results


def _total(terms: Sequence[Sequence[tuple[int, FloatArray]]]) -> FloatArray:
    total: FloatArray = np.sum(by_panel(terms), axis=0)
    return total
