"""K⁻¹ by blocks: X = L⁻¹ row by row, and XᵀX as the rows come.

A row of X is dead once the rows below and XᵀX have taken their share, as is a block of L once the
row of X is known. So all that lives at a time is about one triangle, as it is on one machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gprat._validation import Float64Array, FloatArray
from gprat.engines.cluster.blocks import Finish, compute, invert, nn, tn
from gprat.engines.cluster.factor import Blocks, Factor
from gprat.engines.cluster.futures import Future
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.model import Model
from gprat.engines.cluster.sums import Last, Sum, accumulate

__all__ = ["add_gram", "add_triangular_inverse", "diagonal_of_inverse", "inverse_end_rank"]

# Columns of the factor that are not done when the inverse begins: they are little work, but each
# waits for the one before it.
_LOOKAHEAD = 3


def inverse_end_rank(factor: Factor) -> int:
    """Return the rank of what comes after the inverse."""
    return factor.end_rank + 4 * len(factor.cuts) + 4


def add_triangular_inverse(
    graph: BlockGraph, factor: Factor, columns_done: Sequence[Future]
) -> Blocks:
    """Add X = L⁻¹: X_ij = −L_ii⁻¹ Σ L_ik X_kj over j ≤ k < i. Blocks on its diagonal are dense.

    It begins when the factorisation is nearly done, so that not much of both lives at a time.

    Parameters
    ----------
    graph : BlockGraph
        Takes the tasks.
    factor : Factor
        L.
    columns_done : sequence of Future
        Small results that are there when a column of the factor is.
    """
    nearly_done = columns_done[max(0, len(columns_done) - _LOOKAHEAD)]
    cuts, L, model = factor.cuts, factor.blocks, factor.model
    X: Blocks = {}
    for i in range(len(cuts)):
        rank = _row_rank(factor, i)
        size = cuts.size(i)
        X[i, i] = graph.add(
            "invert",
            (i, i),
            _invert_after,
            model,
            L[i, i],
            size,
            nearly_done,
            at=(i, i),
            rank=rank,
            work=size**3 / 3.0,
        )
        for j in range(i):
            shape = size, cuts.size(j)
            panels = [(k, nn(-1.0, L[i, k], X[k, j], is_lower=k == j)) for k in range(j, i)]
            solve = Last(compute, (shape, Finish.SOLVE, L[i, i]), float(size**2 * shape[1]))
            X[i, j] = accumulate(
                graph,
                "invert",
                (i, j),
                Sum(model, None, panels, shape, cuts),
                solve,
                (lambda k: _row_rank(factor, k) + 1, rank),
            )
    return X


def add_gram(
    graph: BlockGraph,
    factor: Factor,
    X: Blocks,
    scale: float,
    last: Callable[[int, int], tuple[str, Last]],
) -> Blocks:
    """Add the lower triangle of scale·XᵀX.

    Parameters
    ----------
    graph : BlockGraph
        Takes the tasks.
    factor : Factor
        L.
    X : dict of (int, int) to Future
        Its inverse.
    scale : float
        A factor of all of it.
    last : callable
        ``last(i, j)`` is the name of a block, and its last task.
    """
    cuts = factor.cuts
    S: Blocks = {}
    for i in range(len(cuts)):
        for j in range(i + 1):
            panels = [
                (k, tn(scale, X[k, i], X[k, j], lower=(k == i, k == j)))
                for k in range(i, len(cuts))
            ]
            shape = cuts.size(i) if i == j else (cuts.size(i), cuts.size(j))
            name, task = last(i, j)
            S[i, j] = accumulate(
                graph,
                name,
                (i, j),
                Sum(factor.model, None, panels, shape, cuts),
                task,
                (lambda k: _row_rank(factor, k) + 2, inverse_end_rank(factor)),
            )
    return S


def diagonal_of_inverse(
    graph: BlockGraph, factor: Factor, columns_done: Sequence[Future], weights: Sequence[Future]
) -> FloatArray:
    """Return diag(P), P = K⁻¹ − UUᵀ: column by column of X, with no block of XᵀX."""
    X, cuts = add_triangular_inverse(graph, factor, columns_done), factor.cuts
    rank = inverse_end_rank(factor)
    diagonals = []
    for i in range(len(cuts)):
        squares = [
            graph.add("squares", (k, i), _squares, X[k, i], at=(k, i), rank=rank)
            for k in range(i, len(cuts))
        ]
        diagonals.append(
            graph.add(
                "inverse_diagonal",
                (i,),
                _precision,
                factor.model,
                cuts.n,
                squares,
                weights[i],
                at=(i, i),
                rank=rank,
            )
        )
    del X
    return np.concatenate(graph.results(diagonals))


def _invert_after(model: Model, tiles: FloatArray, size: int, _: float) -> FloatArray:
    return invert(model, tiles, size)


def _squares(block: FloatArray) -> Float64Array:
    squares: Float64Array = np.einsum("ij,ij->j", block, block, dtype=np.float64)
    return squares


def _precision(
    model: Model, n: int, squares: Sequence[Float64Array], weights: FloatArray
) -> FloatArray:
    total: Float64Array = np.sum(squares, axis=0)
    U = weights[:, model.n_outputs :].astype(np.float64)
    rest = total - np.sum(U**2, axis=1)
    # A row that alone determines a coefficient leaves nothing but rounding.
    rounding = n * float(np.finfo(model.dtype).eps) * total
    return np.where(rest > rounding, rest, 0.0).astype(model.dtype)


def _row_rank(factor: Factor, i: int) -> int:
    """Return the rank of row i of X; its updates, and its share of XᵀX, have the next two."""
    return factor.end_rank + 2 + 4 * i
