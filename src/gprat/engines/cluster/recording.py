"""The tasks of an operation on a cluster, written down by the functions that would run them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NoReturn, cast
from weakref import ref

import numpy as np
import numpy.typing as npt

from gprat._costs import Operation
from gprat._validation import FloatArray
from gprat.engines.base import Problem
from gprat.engines.cluster.adjoint import differentiate_likelihood
from gprat.engines.cluster.conditioning import add_conditioning, add_factor
from gprat.engines.cluster.costs import Cost, Costs, Sized
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.layout import Cuts, Grid
from gprat.engines.cluster.model import Model, Points
from gprat.engines.cluster.prediction import predict_covariance, predict_mean, predict_variance
from gprat.engines.cluster.whitened import TestBlocks
from gprat.kernels import RBF, compile

if TYPE_CHECKING:
    from gprat.engines.cluster.futures import Future

__all__ = ["BlockTasks", "Sizes", "record_operation"]

_MODEL_BYTES = 4096
# As `BlockGraph.share` has it: data come first.
_SHARED_RANK = -1


@dataclass(frozen=True, slots=True)
class Sizes:
    """What an operation is given.

    Parameters
    ----------
    operation : Operation
        One that `gprat.plan` plans.
    n, d, m : int
        Training points, features, test points.
    n_outputs : int
        Columns of y.
    n_hyperparameters : int
        What the gradient has entries for.
    dtype : str
        Precision, "float64" or "float32".
    """

    operation: Operation
    n: int
    d: int = 1
    m: int = 0
    n_outputs: int = 1
    n_hyperparameters: int = 3
    dtype: str = "float64"

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return np.dtype(self.dtype).itemsize


@dataclass(frozen=True, slots=True, eq=False)
class BlockTasks:
    """Tasks in the order in which they are added, and which wait for which.

    Parameters
    ----------
    sizes : Sizes
        The operation.
    workers : int
        Workers of the cluster.
    block_size, tile_size : int
        Rows of a block, and of the tiles that it is cut into.
    names : tuple of str
        Kinds of tasks.
    kind : ndarray of int64, shape (n_tasks,)
        The index of each task's kind in `names`.
    owner : ndarray of int64, shape (n_tasks,)
        The worker that is told to run each.
    rank : ndarray of int64, shape (n_tasks,)
        Of the tasks that are ready, those of the smallest rank run first.
    costs : dict of str to ndarray of float64, shape (n_tasks,)
        The figures of `gprat.engines.cluster.costs.Cost`, by name.
    released : ndarray of int64, shape (n_tasks,)
        How many tasks the client has added when it forgets the result; one more than there are, if
        it holds it until the end.
    predecessors : ndarray of int32, shape (n_edges,)
        Indices of the tasks that are waited for. Task i waits for
        ``predecessors[offsets[i]:offsets[i + 1]]``, all of them less than i.
    offsets : ndarray of int64, shape (n_tasks + 1,)
        Where each task's predecessors begin.
    """

    sizes: Sizes
    workers: int
    block_size: int
    tile_size: int
    names: tuple[str, ...]
    kind: npt.NDArray[np.int64]
    owner: npt.NDArray[np.int64]
    rank: npt.NDArray[np.int64]
    costs: dict[str, npt.NDArray[np.float64]]
    released: npt.NDArray[np.int64]
    predecessors: npt.NDArray[np.int32]
    offsets: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return self.kind.size

    @property
    def bytes(self) -> npt.NDArray[np.float64]:
        """Size of each result."""
        return self.costs["size"]

    @property
    def flops(self) -> float:
        """Additions and multiplications; a pair of points counts as one a feature."""
        linear_algebra = sum(self.costs[name].sum() for name in ("products", "solves", "factors"))
        pairs = self.costs["evaluated"].sum() * self.sizes.d
        derivatives = self.costs["contracted"].sum() * (self.sizes.d + self.sizes.n_hyperparameters)
        return float(linear_algebra + pairs + derivatives)

    def counts(self) -> dict[str, int]:
        """Return how many tasks there are of each name."""
        counts = np.bincount(self.kind, minlength=len(self.names)).tolist()
        return dict(zip(self.names, counts, strict=True))


class _RecordedError(Exception):
    """All tasks are written down: there are no results to go on with."""


class RecordingGraph(BlockGraph):
    """Writes tasks down instead of giving them to a cluster.

    Futures are `Sized`: descriptions of blocks. Dask keeps what a client refers to, so it is noted
    when each of them goes; those that are there when the client waits for results stay.

    Parameters
    ----------
    grid : Grid
        Who owns which block.
    costs : Costs
        What tasks cost.
    """

    def __init__(self, grid: Grid, costs: Costs) -> None:
        # There is no client: all that the base class asks of it is overridden here.
        self.grid = grid
        self._costs = costs
        self._index = {address: index for index, address in enumerate(grid.workers)}
        self._kinds: dict[str, int] = {}
        self._kind: list[int] = []
        self._owner: list[int] = []
        self._rank: list[int] = []
        self._noted: list[Cost] = []
        self._predecessors: list[list[int]] = []
        self._blocks: list[ref[Sized]] = []
        self._released: list[int] = []
        self._is_complete = False

    def add(
        self,
        name: str,
        index: tuple[int, ...],
        function: Callable[..., Any],
        *arguments: Any,
        at: tuple[int, int],
        rank: int,
        work: float = 0.0,
    ) -> Future:
        """Write a task down."""
        cost = self._costs.of(function, arguments)
        return self._note(name, self._index[self.grid.owner(*at)], rank, cost, arguments)

    def share(self, name: str, index: tuple[int, ...], value: Any) -> Future:
        """Write down that a value is given to the cluster; Dask deals such tasks out in turn."""
        if isinstance(value, Points):
            value = value.X
        rows, columns, size = 0, 0, _MODEL_BYTES
        if not isinstance(value, Model):
            rows, columns = value.shape
            size = self._costs.matrix(rows, columns)
        owner = len(self._kind) % len(self.grid.workers)
        return self._note(name, owner, _SHARED_RANK, Cost(rows, columns, size), ())

    def results(self, futures: Sequence[Future]) -> NoReturn:
        """End. What the client still refers to it holds while it waits."""
        self._is_complete = True
        raise _RecordedError

    def _note(self, name: str, owner: int, rank: int, cost: Cost, arguments: Any) -> Future:
        index = len(self._kind)
        predecessors: set[int] = set()
        _collect(arguments, predecessors)
        self._kind.append(self._kinds.setdefault(name, len(self._kinds)))
        self._owner.append(owner)
        self._rank.append(rank)
        self._noted.append(cost)
        self._predecessors.append(sorted(predecessors))
        block = Sized(index, cost.rows, cost.columns, cost.size)
        self._released.append(-1)
        self._blocks.append(ref(block, partial(self._forget, index)))
        future: Future = cast("Future", block)
        return future

    def _forget(self, index: int, _: ref[Sized]) -> None:
        """Note that the client refers to a block no more."""
        if not self._is_complete:
            self._released[index] = len(self._kind)

    def tasks(self, sizes: Sizes, cuts: Cuts, tile_size: int) -> BlockTasks:
        """Return what was written down."""
        lengths = [0, *map(len, self._predecessors)]
        released = np.array(self._released, dtype=np.int64)
        return BlockTasks(
            sizes,
            len(self.grid.workers),
            cuts.size(0),
            tile_size,
            tuple(self._kinds),
            np.array(self._kind, dtype=np.int64),
            np.array(self._owner, dtype=np.int64),
            np.array(self._rank, dtype=np.int64),
            {
                name: np.array([getattr(cost, name) for cost in self._noted], dtype=np.float64)
                for name in Cost.names()
            },
            np.where(released < 0, len(released) + 1, released),
            np.fromiter(chain.from_iterable(self._predecessors), dtype=np.int32),
            np.cumsum(lengths, dtype=np.int64),
        )


def record_operation(
    sizes: Sizes, grid: Grid, cuts: Cuts, test_cuts: Cuts, tile_size: int
) -> BlockTasks:
    """Write down the tasks of an operation; neither data nor a cluster are needed.

    Parameters
    ----------
    sizes : Sizes
        The operation.
    grid : Grid
        Who owns which block; addresses may be any names.
    cuts, test_cuts : Cuts
        How training points and test points are cut into blocks.
    tile_size : int
        Side of the tiles that blocks are cut into.

    Returns
    -------
    BlockTasks
        The tasks, in the order in which they would be added.

    Examples
    --------
    >>> sizes, grid = Sizes(Operation.FIT, 600), Grid.of(["a", "b"])
    >>> tasks = record_operation(sizes, grid, Cuts.even(600, 200), Cuts.even(0, 1), 100)
    >>> tasks.counts()["cholesky"], tasks.counts()["panel"]
    (3, 3)
    """
    graph = RecordingGraph(grid, Costs(sizes.itemsize, tile_size, sizes.n_hyperparameters))
    problem = _problem(sizes, tile_size)
    with suppress(_RecordedError):
        factor = add_factor(graph, problem, cuts, tile_size)
        known = add_conditioning(graph, problem, factor)
        if sizes.operation is Operation.FIT:
            differentiate_likelihood(graph, sizes.n_outputs, known, False)
        points = _nothing(sizes.m, sizes.d, sizes.dtype)
        test = TestBlocks.of(graph, points, _nothing(sizes.m, 0, sizes.dtype), test_cuts)
        match sizes.operation:
            case Operation.PREDICT:
                predict_mean(graph, known, test)
            case Operation.VARIANCE:
                predict_variance(graph, known, test)
            case Operation.COVARIANCE:
                predict_covariance(graph, known, test)
    return graph.tasks(sizes, cuts, tile_size)


def _problem(sizes: Sizes, tile_size: int) -> Problem:
    """Return a problem of these sizes, of which nothing is ever read but shapes."""
    return Problem(
        X=_nothing(sizes.n, sizes.d, sizes.dtype),
        Y=_nothing(sizes.n, sizes.n_outputs, sizes.dtype),
        basis=_nothing(sizes.n, 0, sizes.dtype),
        basis_names=(),
        program=compile(RBF(), 1),
        noise=np.ones(1),
        tile_size=tile_size,
        threads=None,
    )


def _nothing(rows: int, columns: int, dtype: str) -> FloatArray:
    """Return zeros that take no memory."""
    zeros: FloatArray = np.broadcast_to(np.zeros(1, dtype=dtype), (rows, columns))
    return zeros


def _collect(arguments: Any, found: set[int]) -> None:
    """Add the indices of all tasks whose results are among arguments."""
    if isinstance(arguments, Sized):
        found.add(arguments.index)
    elif isinstance(arguments, list | tuple):
        for argument in arguments:
            _collect(argument, found)
