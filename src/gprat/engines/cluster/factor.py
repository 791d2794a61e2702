"""The factor of K by blocks, and what is solved and multiplied with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from gprat.engines.cluster.blocks import (
    Finish,
    Product,
    add_and_finish,
    compute,
    factorise,
    itself,
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
        return len(self.cuts) * (len(self.cuts) + 1)


def add_cholesky(
    graph: BlockGraph,
    model: Future,
    cuts: Cuts,
    rows: Sequence[Future],
    known: Mapping[tuple[int, int], Future] | None = None,
) -> Factor:
    """Add the assembly of K and its factorisation (Golub and Van Loan, section 4.2.5).

    What is finished comes before everything else; then updates, panel by panel, and those of the
    next columns first. So a panel soon has been used by all, and its copies on other workers go:
    they are copies of what the factorisation alone uses. The factor itself stays where it is.

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
    count = len(cuts)
    blocks: Blocks = dict(known or {})
    moving: Blocks = dict(blocks)
    for j in range(count):
        for i in range(j, count):
            if (i, j) in blocks:
                continue
            total, last = _block_of_factor(model, cuts, rows, moving, (i, j))
            name, ranks = "cholesky" if i == j else "panel", _ranks(count, j)
            moving[i, j] = accumulate(graph, name, (i, j), total, last, ranks)
            blocks[i, j] = graph.add(
                "factor", (i, j), itself, moving[i, j], at=(i, j), rank=ranks[1]
            )
    return Factor(model, cuts, rows, blocks)


def _block_of_factor(
    model: Future, cuts: Cuts, rows: Sequence[Future], L: Blocks, at: tuple[int, int]
) -> tuple[Sum, Last]:
    """Return K_ij − Σ L_ik·L_jkᵀ, and what makes a block of the factor of it."""
    i, j = at
    size = cuts.size(j)
    panels = [(k, nt(-1.0, L[i, k], L[j, k])) for k in range(j)]
    start = (rows[i], rows[j], False)
    if i == j:
        factorised = Last(factorise, (size, cuts.begin(j)), size**3 / 3.0)
        return Sum(model, start, panels, size, cuts), factorised
    shape = cuts.size(i), size
    finish = shape, Finish.SOLVE_FROM_RIGHT, L[j, j]
    solved = Last(compute, finish, float(shape[0] * size**2))
    return Sum(model, start, panels, shape, cuts), solved


def _ranks(count: int, j: int) -> tuple[Callable[[int], int], int]:
    """Return the rank of updates in column j that have waited for a panel, and of its end."""
    return lambda panel: count * (panel + 1) + j - panel, j


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
