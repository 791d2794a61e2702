"""The factor of K by blocks, and what is solved and multiplied with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from gprat.engines.cluster.blocks import Finish, add_and_finish, compute, factorise, nn, nt, tn
from gprat.engines.cluster.graph import BlockGraph, Sum, always
from gprat.engines.cluster.layout import Cuts

if TYPE_CHECKING:
    from gprat.engines.cluster.futures import Future

__all__ = ["Blocks", "Factor", "add_cholesky", "add_columns", "add_vectors"]

Blocks: TypeAlias = "dict[tuple[int, int], Future]"


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
            if i == j:
                total = Sum(model, start, panels, cuts.size(j))
                last = factorise, (cuts.size(j), cuts.begin(j))
                blocks[j, j] = graph.accumulate("cholesky", (j, j), total, last, ranks)
            else:
                shape = cuts.size(i), cuts.size(j)
                total = Sum(model, start, panels, shape)
                solve = compute, (shape, Finish.SOLVE_FROM_RIGHT, blocks[j, j])
                blocks[i, j] = graph.accumulate("panel", (i, j), total, solve, ranks)
    return Factor(model, cuts, rows, blocks)


def add_vectors(
    graph: BlockGraph,
    factor: Factor,
    finish: Finish,
    columns: Sequence[Future],
    name: str,
    width: int,
) -> list[Future]:
    """Add L⁻¹B, L⁻ᵀB, LB or LᵀB for a few columns, as blocks of rows.

    The factor stays where it is: products are computed by the owner of its blocks, and travel.
    """
    count, model, L = len(factor.cuts), factor.model, factor.blocks
    is_product = finish.is_product
    is_transposed = finish in (Finish.SOLVE_TRANSPOSED, Finish.MULTIPLY_TRANSPOSED)
    results: list[Any] = [None] * count
    source = columns if is_product else results
    for i in range(count - 1, -1, -1) if is_transposed else range(count):
        shape = factor.cuts.size(i), width
        terms = []
        for k in range(i + 1, count) if is_transposed else range(i):
            at = (k, i) if is_transposed else (i, k)
            product = (tn if is_transposed else nn)(1.0, L[at], source[k])
            terms.append(
                graph.add(
                    f"{name}_product",
                    at,
                    compute,
                    model,
                    None,
                    [product],
                    shape,
                    at=at,
                    rank=factor.end_rank,
                )
            )
        results[i] = graph.add(
            name,
            (i,),
            add_and_finish,
            model,
            columns[i],
            terms,
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
        total = Sum(factor.model, (factor.rows[i], points, True), panels, shape)
        rank = factor.end_rank + 1 + q * len(cuts) + i
        solve = compute, (shape, Finish.SOLVE, L[i, i])
        V.append(graph.accumulate("whiten", (i, q), total, solve, (always(rank), rank)))
    return V
