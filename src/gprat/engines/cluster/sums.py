"""A block as a sum of products, some panels at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from gprat.engines.cluster.blocks import Product, compute, triangle
from gprat.engines.cluster.futures import Future
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.layout import Cuts

__all__ = ["PANELS", "Last", "Sum", "accumulate", "always"]

# Panels that one task adds to a block: it makes a copy of the block, which by so many products is
# little beside them.
PANELS = 4


@dataclass(frozen=True, slots=True)
class Sum:
    """A block as a sum.

    Parameters
    ----------
    model : Future
        Of a `Model`.
    start : object
        What it starts from: None for zeros, covariances, or the future of a block.
    products : sequence of (int, Product)
        What is added, in this order, each with the panel that it comes from.
    shape : tuple of two int, or int
        Of a dense block, or of a triangle.
    cuts : Cuts
        The sizes of the panels.
    """

    model: Future
    start: Any
    products: Sequence[tuple[int, Product]]
    shape: tuple[int, int] | int
    cuts: Cuts

    def work(self, panels: Sequence[tuple[int, Product]]) -> float:
        """Return the operations of some of the products."""
        area = 0.5 * self.shape**2 if isinstance(self.shape, int) else self.shape[0] * self.shape[1]
        return 2.0 * area * sum(self.cuts.size(panel) for panel, _ in panels)


@dataclass(frozen=True, slots=True)
class Last:
    """What the last task of a sum does: ``function(model, start, products, *arguments)``.

    Parameters
    ----------
    function : callable
        Computes it.
    arguments : tuple
        What it is given beyond what is left of the sum.
    work : float, default=0.0
        Operations beyond those of the products.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    work: float = 0.0


def accumulate(
    graph: BlockGraph,
    name: str,
    index: tuple[int, int],
    total: Sum,
    last: Last,
    ranks: tuple[Callable[[int], int], int],
) -> Future:
    """Add the tasks that sum products into a block.

    Parameters
    ----------
    graph : BlockGraph
        Takes the tasks.
    name, index : str, tuple of two int
        The block: what the last task is called, and who owns it.
    total : Sum
        What is summed.
    last : Last
        The last task.
    ranks : tuple of callable and int
        ``rank(panel)`` of an update that has waited for this panel, and that of the last task.
    """
    rank, last_rank = ranks
    start = total.start
    *early, late = _batches(total.products)
    for batch in early:
        panel = batch[-1][0]
        start = graph.add(
            f"update_{name}",
            (*index, panel),
            triangle if isinstance(total.shape, int) else compute,
            total.model,
            start,
            [product for _, product in batch],
            total.shape,
            at=index,
            rank=rank(panel),
            work=total.work(batch),
        )
    return graph.add(
        name,
        index,
        last.function,
        total.model,
        start,
        [product for _, product in late],
        *last.arguments,
        at=index,
        rank=last_rank,
        work=total.work(late) + last.work,
    )


def always(rank: int) -> Callable[[int], int]:
    """Return the rank of updates that does not depend on their panel."""
    return lambda _: rank


def _batches(products: Sequence[tuple[int, Product]]) -> list[list[tuple[int, Product]]]:
    """Return what one task adds each: whole groups of panels, and the last panel alone.

    It is the last to be known, and nothing else waits for it. Groups begin at the same panels in
    all blocks, so that a panel soon has been used by all.
    """
    groups = [
        list(group) for _, group in groupby(products[:-1], key=lambda product: product[0] // PANELS)
    ]
    return [*groups, list(products[-1:])]
