"""The engine on a Dask cluster: blocks of the triangle as tasks, tiles within them by the core."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from gprat._text import as_bytes
from gprat._validation import Float64Array, FloatArray, check_positive_integer
from gprat.engines.base import Adjoint, Objective, Posterior, Problem
from gprat.engines.checks import check_factor, check_input_derivatives, damaged_factor
from gprat.engines.cluster.adjoint import differentiate_likelihood
from gprat.engines.cluster.client import check_client, check_workers
from gprat.engines.cluster.conditioning import add_conditioning, add_factor
from gprat.engines.cluster.factor import Blocks
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.layout import Cuts, Grid, auto_block_size, auto_block_tile_size
from gprat.engines.cluster.leave_one_out import differentiate_leave_one_out
from gprat.engines.cluster.posterior import ClusterPosterior, KnownFactor, failures_explained
from gprat.engines.cluster.products import multiply_covariance
from gprat.engines.cluster.storage import blocks_of_tiles, factor_size, first_bad_row
from gprat.engines.registry import get_engine
from gprat.exceptions import InsufficientMemoryError
from gprat.noise import IntArray

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["ClusterEngine"]

# What the triangle takes beside its own size: blocks that are half done, and those on their way.
_MARGIN = 1.25


class ClusterEngine:
    """Blocks of the covariance matrix on the workers of a Dask cluster.

    The triangle never comes to this process, nor does all of it lie on one worker. Results are
    those of the engine on processors to rounding, and the same bits for any number of workers of
    as many threads.

    Parameters
    ----------
    client : distributed.Client
        Connected to a cluster whose workers have this version of gprat.
    block_size : int or None, default=None
        Rows of a block; None: about six blocks a side for each row of workers, of 256 to 2048
        rows; of more rows for more than 700 processors, or where there would be more than 80
        blocks a side.

    Raises
    ------
    ImportError
        If Dask's ``distributed`` is not installed.
    InvalidInputError
        If there is no client, or it is asynchronous.
    ClusterError
        If the client is closed, or a worker has another version of gprat.
    """

    def __init__(self, client: Client, block_size: int | None = None) -> None:
        if block_size is not None:
            block_size = check_positive_integer(
                block_size, "block_size", "Leave it out to have one chosen."
            )
        self._client = check_client(client)
        self._block_size = block_size
        self._lock = threading.Lock()
        self._checked: frozenset[str] = frozenset()
        self._grid()

    def _grid(self) -> Grid:
        """Return the workers that there are, all of which have been looked at once."""
        client = check_client(self._client)
        workers = frozenset(client.nthreads())
        with self._lock:
            if not workers or workers - self._checked:
                self._checked = workers = frozenset(check_workers(client))
        return Grid.of(list(workers))

    @property
    def block_size(self) -> int | None:
        """Rows of a block; None if they are chosen."""
        return self._block_size

    def workers(self) -> tuple[int, int, int | None]:
        """Return how many workers there are, the threads and the bytes that each has at least.

        None for the bytes if a worker has no limit.
        """
        threads = self._threads()
        limits = self._client.run_on_scheduler(_memory_limits)
        return len(threads), min(threads), min(limits) if all(limits) else None

    def _threads(self) -> list[int]:
        """Return the threads of each worker, of which there is one at least."""
        self._grid()
        return list(check_client(self._client).nthreads().values()) or [1]

    def _tile_size(self, problem: Problem, cuts: Cuts) -> int:
        """Return the side of the tiles that workers cut blocks into."""
        threads = min(self._threads())
        if problem.threads is not None:
            threads = min(threads, problem.threads)
        largest = min(problem.tile_size, problem.X.shape[0])
        return auto_block_tile_size(cuts.size(0), threads, largest)

    def graph(self) -> BlockGraph:
        """Return a graph for one computation, on the workers that there are."""
        return BlockGraph(self._client, self._grid())

    def cuts(self, n: int, group: int = 1) -> Cuts:
        """Cut rows, or test points, into blocks of whole groups."""
        size = self._block_size or auto_block_size(n, self._grid(), min(self._threads()))
        return Cuts.even(n, max(size // group, 1) * group)

    def ensure_memory_for(self, problem: Problem) -> None:
        """Raise `InsufficientMemoryError` if the workers have no room for a triangle."""
        n = problem.X.shape[0]
        needed = int(_MARGIN * 0.5 * n * (n + 1) * problem.X.dtype.itemsize)
        limits = self._client.run_on_scheduler(_memory_limits)
        room = sum(limits) if all(limits) else None
        if room is not None and needed > room:
            most = int((2.0 * room / (_MARGIN * problem.X.dtype.itemsize)) ** 0.5)
            workers = -(-needed * len(limits) // room)
            raise InsufficientMemoryError(
                f"the factor of {n:,} rows takes {as_bytes(needed)} on the cluster, and its "
                f"{len(limits)} workers may use {as_bytes(room)}. What would fit: {workers} "
                f"workers of this size; at most {most:,} training points.",
                needed,
                room,
            )

    def ensure_memory(self, problem: Problem, objective: Objective) -> None:
        """Raise `InsufficientMemoryError` if `differentiate` would."""
        self.ensure_memory_for(problem)

    def factorise(self, problem: Problem) -> Posterior:
        """Return the posterior; its factor is computed when first needed."""
        cuts = self.cuts(problem.X.shape[0])
        return ClusterPosterior(self, problem, cuts, self._tile_size(problem, cuts))

    def append(self, posterior: Posterior, problem: Problem) -> Posterior:
        """Return the posterior of more rows."""
        assert isinstance(posterior, ClusterPosterior), "a posterior of another engine"
        return self._update(posterior, problem, posterior.problem.X.shape[0])

    def delete(self, posterior: Posterior, rows: IntArray, problem: Problem) -> Posterior:
        """Return the posterior without some rows: blocks before the first of them stay."""
        assert isinstance(posterior, ClusterPosterior), "a posterior of another engine"
        first = int(rows[0]) if len(rows) else problem.X.shape[0]
        return self._update(posterior, problem, first)

    def _update(self, old: ClusterPosterior, problem: Problem, same: int) -> Posterior:
        """Return the posterior of a problem whose first rows are the same."""
        n = problem.X.shape[0]
        tile_size = old.block_tile_size
        if not old.has_factor:
            return ClusterPosterior(self, problem, self.cuts(n), tile_size)
        kept = old.cuts.up_to(same)
        size = self._block_size or auto_block_size(n, self._grid(), min(self._threads()))
        if len(kept) and n > kept.n and kept.size(len(kept) - 1) < size // 2:
            kept = Cuts(kept.bounds[:-1])  # a small block is no good for more than the last one
        blocks = old.first_blocks(kept)
        cuts = kept.extended(n, size)
        new = ClusterPosterior(
            self, problem, cuts, tile_size, KnownFactor(lambda _: blocks, kept.n == n)
        )
        new.ensure_factor()
        return new

    def restore(self, problem: Problem, factor: FloatArray) -> Posterior:
        """Return the posterior whose factor is known; its blocks are sent to the workers."""
        n, tile_size = problem.X.shape[0], min(problem.tile_size, problem.X.shape[0])
        check_factor(factor, problem, factor_size(n, tile_size))
        if (row := first_bad_row(factor, n, tile_size)) is not None:
            raise damaged_factor(row)
        cuts = self.cuts(n)
        side = self._tile_size(problem, cuts)

        def scatter(graph: BlockGraph) -> Blocks:
            blocks = blocks_of_tiles(factor, n, tile_size, cuts, side)
            return {index: graph.scatter(block, index) for index, block in blocks}

        return ClusterPosterior(self, problem, cuts, side, KnownFactor(scatter, True, factor))

    def differentiate(
        self, problem: Problem, objective: Objective, inputs: bool = False
    ) -> Adjoint:
        """Return the objective and its derivatives."""
        if inputs:
            check_input_derivatives(problem)
        self.ensure_memory_for(problem)
        graph, k = self.graph(), problem.Y.shape[1]
        with failures_explained(problem):
            cuts = self.cuts(problem.X.shape[0])
            factor = add_factor(graph, problem, cuts, self._tile_size(problem, cuts))
            known = add_conditioning(graph, problem, factor)
            if objective is Objective.LEAVE_ONE_OUT:
                return differentiate_leave_one_out(graph, k, known)
            return differentiate_likelihood(graph, k, known, inputs)

    def multiply_covariance(
        self, problem: Problem, B: FloatArray
    ) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Return KB, |K||B| and diag(K) without the factor."""
        return multiply_covariance(self.graph(), problem, self.cuts(problem.X.shape[0]), B)

    def color(self, problem: Problem, Z: FloatArray) -> FloatArray:
        """Return LZ."""
        empty = np.empty((problem.X.shape[0], 0), dtype=problem.X.dtype)
        bare = replace(problem, Y=empty, basis=empty, basis_names=())
        cuts = self.cuts(problem.X.shape[0])
        return ClusterPosterior(self, bare, cuts, self._tile_size(problem, cuts)).color(Z)

    def color_matrix(
        self, matrix: FloatArray, jitter: float, Z: FloatArray, threads: int | None
    ) -> FloatArray:
        """Return the Cholesky factor of a matrix times Z: this process has it already."""
        return get_engine("cpu").color_matrix(matrix, jitter, Z, threads)


def _memory_limits(dask_scheduler: Any) -> list[int]:
    """Return the bytes that each worker may use; 0 for those without a limit."""
    return [int(worker.memory_limit or 0) for worker in dask_scheduler.workers.values()]
