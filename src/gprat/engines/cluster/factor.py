"""The factor of K by blocks, and what is solved and multiplied with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from gprat.engines.cluster.blocks import (
    Finish,
    Product,
    add_and_finish,
    compute,
    factorise,
    nn,
    nt,
    products_of,
    tn,
)
from gprat.engines.cluster.futures import Future
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.layout import Cuts
from gprat.engines.cluster.sums import Last, Sum, accumulate, always

__all__ = ["Blocks", "Factor", "add_cholesky", "add_columns", "add_vectors"]

Blocks: TypeAlias = dict[tuple[int, int], Future]


@dataclass(frozen=True, slots=True)
class Factor:
    """L by blocks, and the points that it belongs to.

    Parameters
    ----------
    model : Future
        Of a `Model`.
    cuts : Cuts
        Of the rows.
    rows : sequence of Future
        `Points` of each block of rows.
    blocks : dict of (int, int) to Future
        Of the lower triangle.
    """

    model: Future
    cuts: Cuts
    rows: Sequence[Future]
    blocks: Blocks

    @property
    def end_rank(self) -> int:
        """Rank of what comes after the factorisation."""
        return 4 * len(self.cuts)


def add_cholesky(
    graph: BlockGraph,
    model: Future,
    cuts: Cuts,
    rows: Sequence[Future],
    known: Mapping[tuple[int, int], Future] | None = None,
) -> Factor:
    """Add the assembly of K and its factorisation (Golub and Van Loan, section 4.2.9).

    A column is found from those to its left, so that few blocks are half done at a time. Ranks go
    by columns: what is on the diagonal first, then the column below, then updates.

    Parameters
    ----------
    graph : BlockGraph
        Takes the tasks.
    model : Future
        Of a `Model`.
    cuts : Cuts
        Of the rows.
    rows : sequence of Future
        `Points` of each block of rows.
    known : mapping of (int, int) to Future, optional
        Blocks of the factor that are known: its first rows.
    """
    blocks: Blocks = dict(known or {})
    for j in range(len(cuts)):
        for i in range(j, len(cuts)):
            if (i, j) in blocks:
                continue
            panels = [(k, nt(-1.0, blocks[i, k], blocks[j, k])) for k in range(j)]
            ranks = always(4 * j + 2), 4 * j + (i > j)
            start = (rows[i], rows[j], False)
            size = cuts.size(j)
            if i == j:
                total = Sum(model, start, panels, size, cuts)
                last = Last(factorise, (size, cuts.begin(j)), size**3 / 3.0)
                blocks[j, j] = accumulate(graph, "cholesky", (j, j), total, last, ranks)
            else:
                shape = cuts.size(i), size
                total = Sum(model, start, panels, shape, cuts)
                finish = shape, Finish.SOLVE_FROM_RIGHT, blocks[j, j]
                solve = Last(compute, finish, float(shape[0] * size**2))
                blocks[i, j] = accumulate(graph, "panel", (i, j), total, solve, ranks)
    return Factor(model, cuts, rows, blocks)


def add_vectors(
    graph: BlockGraph,
    factor: Factor,
    finish: Finish,
    columns: Sequence[Any],
    name: str,
    width: int,
    number: int = 0,
) -> list[Future]:
    """Add L⁻¹B, L⁻ᵀB, LB or LᵀB for a few columns, as blocks of rows.

    The factor stays where it is: products are computed by the owners of its blocks, all of a row
    that one of them has in one task, and travel. Each is added on its own, in a fixed order.

    Parameters
    ----------
    graph : BlockGraph
        Takes the tasks.
    factor : Factor
        L.
    finish : Finish
        Which of the four.
    columns : sequence
        Blocks of B: futures, or what `compute` starts from.
    name : str
        What the tasks are called.
    width : int
        Columns of B.
    number : int, default=0
        Which of that name they are.
    """
    count, model, L = len(factor.cuts), factor.model, factor.blocks
    is_transposed = finish in (Finish.SOLVE_TRANSPOSED, Finish.MULTIPLY_TRANSPOSED)
    results: list[Any] = [None] * count
    source = columns if finish.is_product else results
    for i in range(count - 1, -1, -1) if is_transposed else range(count):
        shape = factor.cuts.size(i), width
        others = range(i + 1, count) if is_transposed else range(i)
        places = [(k, i) if is_transposed else (i, k) for k in others]
        owned: dict[str, list[tuple[int, Product, tuple[int, int]]]] = {}
        for k, at in zip(others, places, strict=True):
            product = (tn if is_transposed else nn)(1.0, L[at], source[k])
            owned.setdefault(graph.grid.owner(*at), []).append((k, product, at))
        terms = [
            graph.add(
                f"{name}_product",
                (*mine[0][2], number),
                products_of,
                model,
                [(k, product) for k, product, _ in mine],
                shape,
                at=mine[0][2],
                rank=factor.end_rank,
            )
            for mine in owned.values()
        ]
        results[i] = graph.add(
            name,
            (i, number),
            add_and_finish,
            model,
            columns[i],
            terms,
            shape,
            finish,
            L[i, i],
            at=(i, i),
            rank=factor.end_rank,
        )
    return results


def add_columns(
    graph: BlockGraph, factor: Factor, points: Future, q: int, width: int
) -> list[Future]:
    """Add V = L⁻¹k(X, X*) for a block of many test points, as blocks of rows.

    The columns are as many as the factor's rows, so that here its blocks travel.
    """
    cuts, L = factor.cuts, factor.blocks
    V: list[Future] = []
    for i in range(len(cuts)):
        shape = cuts.size(i), width
        panels = [(k, nn(-1.0, L[i, k], V[k])) for k in range(i)]
        total = Sum(factor.model, (factor.rows[i], points, True), panels, shape, cuts)
        rank = factor.end_rank + 1 + q * len(cuts) + i
        solve = Last(compute, (shape, Finish.SOLVE, L[i, i]), float(shape[0] ** 2 * width))
        V.append(accumulate(graph, "whiten", (i, q), total, solve, (always(rank), rank)))
    return V
