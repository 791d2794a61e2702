"""Blocks as tasks of Dask: where each is computed, what comes first, and how results come back."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from gprat.engines.cluster.blocks import Product, compute, triangle
from gprat.engines.cluster.failures import Indefinite, RankDeficient, call, failure_among
from gprat.engines.cluster.layout import Grid
from gprat.exceptions import ClusterError

if TYPE_CHECKING:
    from distributed import Client

    from gprat.engines.cluster.futures import Future

__all__ = ["BlockFailedError", "BlockGraph", "Sum", "always"]

# Panels that one task adds to a block: it makes a copy of the block, which by so many products is
# little beside them.
_PANELS = 4


class BlockFailedError(Exception):
    """A computation found that it has no result; the engine says why.

    Parameters
    ----------
    failure : Indefinite or RankDeficient
        What was found.
    """

    def __init__(self, failure: Indefinite | RankDeficient) -> None:
        super().__init__(failure)
        self.failure = failure


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
    """

    model: Future
    start: Any
    products: Sequence[tuple[int, Product]]
    shape: tuple[int, int] | int


class BlockGraph:
    """Adds tasks, all of which belong to one computation.

    A task is pure: its result is a new block. So Dask may run it again when a worker is lost, and
    the same bits come out. Tasks are told the worker that owns their block, but others may take
    them when that one is gone. A block lives as long as something needs it: tasks to come, or a
    future that is kept.

    Parameters
    ----------
    client : distributed.Client
        Connected to the cluster.
    grid : Grid
        Who owns which block.
    """

    def __init__(self, client: Client, grid: Grid) -> None:
        self._client = client
        self.grid = grid
        self._token = uuid.uuid4().hex

    def add(
        self,
        name: str,
        index: tuple[int, ...],
        function: Callable[..., Any],
        *arguments: Any,
        at: tuple[int, int],
        rank: int,
    ) -> Future:
        """Add a task.

        Parameters
        ----------
        name : str
            What Dask's dashboard calls it.
        index : tuple of int
            Which of that name it is.
        function : callable
            Computes the result.
        *arguments : object
            Its arguments; futures in them, or in lists and tuples of them, stand for their results.
        at : tuple of two int
            The block whose owner computes it.
        rank : int
            Among the tasks that are ready, those of smaller rank are first.
        """
        future: Future = self._client.submit(
            call,
            function,
            *arguments,
            key=(f"{name}-{self._token}", *index),
            workers=[self.grid.owner(*at)],
            allow_other_workers=True,
            priority=-rank,
            pure=False,
        )
        return future

    def share(self, name: str, index: tuple[int, ...], value: Any) -> Future:
        """Give a value to the cluster, as a task: it can be had again when a worker is lost."""
        future: Future = self._client.submit(
            _returned, value, key=(f"{name}-{self._token}", *index), priority=1, pure=False
        )
        return future

    def all(self, name: str, futures: Sequence[Future]) -> Future:
        """Add a task whose result is a list of small results."""
        return self.add(name, (), _returned, list(futures), at=(0, 0), rank=-1)

    def scatter(self, block: Any, at: tuple[int, int]) -> Future:
        """Send a block to its owner. Unlike a task's result it is gone if the owner is lost."""
        future: Future = self._client.scatter(block, workers=[self.grid.owner(*at)], hash=False)
        return future

    def accumulate(
        self,
        name: str,
        index: tuple[int, int],
        total: Sum,
        last: tuple[Callable[..., Any], Any],
        ranks: tuple[Callable[[int], int], int],
    ) -> Future:
        """Add the tasks that sum products into a block, some panels at a time.

        Parameters
        ----------
        name, index : str, tuple of two int
            The block: what the last task is called, and who owns it.
        total : Sum
            What is summed.
        last : tuple of callable and list
            Computes the last task: ``function(model, start, products, *arguments)``.
        ranks : tuple of callable and int
            ``rank(panel)`` of an update that has waited for this panel, and that of the last task.
        """
        function, arguments = last
        rank, last_rank = ranks
        start = total.start
        *early, late = _batches(total.products)
        for batch in early:
            panel = batch[-1][0]
            start = self.add(
                f"update_{name}",
                (*index, panel),
                triangle if isinstance(total.shape, int) else compute,
                total.model,
                start,
                [product for _, product in batch],
                total.shape,
                at=index,
                rank=rank(panel),
            )
        products = [product for _, product in late]
        return self.add(
            name,
            index,
            function,
            total.model,
            start,
            products,
            *arguments,
            at=index,
            rank=last_rank,
        )

    def results(self, futures: Sequence[Future]) -> list[Any]:
        """Wait for results, which may be interrupted.

        Raises
        ------
        BlockFailedError
            If one of them is a failure.
        ClusterError
            If the cluster does not deliver them.
        """
        with _explained():
            values: list[Any] = self._client.gather(list(futures))
        if (failure := failure_among(values)) is not None:
            raise BlockFailedError(failure)
        return values


def always(rank: int) -> Callable[[int], int]:
    """Return the rank of updates that does not depend on their panel."""
    return lambda _: rank


def _returned(value: Any) -> Any:
    return value


def _batches(products: Sequence[tuple[int, Product]]) -> list[list[tuple[int, Product]]]:
    """Return what one task adds each: whole groups of panels, and the last panel alone.

    It is the last to be known, and nothing else waits for it. Groups begin at the same panels in
    all blocks, so that a panel soon has been used by all.
    """
    groups = [
        list(group)
        for _, group in groupby(products[:-1], key=lambda product: product[0] // _PANELS)
    ]
    return [*groups, list(products[-1:])]


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what Dask says of a cluster that is gone into an error of ours."""
    from distributed.scheduler import KilledWorker

    try:
        yield
    except KilledWorker as error:
        raise ClusterError(
            f"the cluster lost every worker that tried to compute a block: {error}. Workers that "
            "run out of memory are killed: use more workers, or a smaller block_size."
        ) from error
    except (CancelledError, OSError) as error:
        raise ClusterError(
            "the cluster no longer answers, or has cancelled the computation: "
            f"{type(error).__name__}: {error}. The model itself is unchanged: give it a client "
            "that is connected, and call again."
        ) from error
