"""The engine on a Dask cluster: blocks of the triangle as tasks, tiles within them by the core."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from gprat._validation import Float64Array, FloatArray, check_positive_integer
from gprat.engines.base import Adjoint, Cluster, Objective, Posterior, Problem
from gprat.engines.calls import ensure_fits, is_long
from gprat.engines.checks import check_factor, check_input_derivatives, damaged_factor
from gprat.engines.cluster.adjoint import differentiate_likelihood
from gprat.engines.cluster.client import (
    check_client,
    check_workers,
    failures_of_cluster_explained,
    teach_scheduler,
)
from gprat.engines.cluster.conditioned import KnownFactor, failures_explained
from gprat.engines.cluster.conditioning import add_conditioning, add_factor
from gprat.engines.cluster.factor import Blocks
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.layout import Cuts, Grid, auto_block_size, auto_block_tile_size
from gprat.engines.cluster.leave_one_out import differentiate_leave_one_out
from gprat.engines.cluster.memory import (
    Need,
    WorkerMemory,
    find_memory,
    largest_block,
    refusal,
)
from gprat.engines.cluster.posterior import ClusterPosterior
from gprat.engines.cluster.products import multiply_covariance
from gprat.engines.cluster.storage import blocks_of_tiles, factor_size, first_bad_row
from gprat.engines.registry import get_engine
from gprat.noise import IntArray

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["ClusterEngine"]

_DOUBLE = 8


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
        self._memory: list[WorkerMemory] | None = None
        self._grid()

    def _grid(self) -> Grid:
        """Return the workers that there are, all of which have been looked at once."""
        client = check_client(self._client)
        with failures_of_cluster_explained(), self._lock:
            workers = frozenset(client.nthreads())
            if not workers or workers - self._checked:
                self._checked = workers = frozenset(check_workers(client))
                teach_scheduler(client)
                self._memory = find_memory(client, with_disk=False)
        return Grid.of(list(workers))

    @property
    def block_size(self) -> int | None:
        """Rows of a block; None if they are chosen."""
        return self._block_size

    def cluster(self) -> Cluster:
        """Return the workers that there are."""
        threads = self._threads()
        room = None if self._memory is None else min(w.memory for w in self._memory)
        return Cluster(len(threads), min(threads), room, self._block_size)

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

    def graph(self, what: str, n: int) -> BlockGraph:
        """Return a graph for one computation with n points, on the workers that there are."""
        # A third of the operations of the factorisation is less than any but predictions take.
        return BlockGraph(self._client, self._grid(), f"{what}, n = {n:,}", is_long(n**3 / 9.0))

    def cuts(self, n: int, group: int = 1) -> Cuts:
        """Cut rows, or test points, into blocks of whole groups."""
        return self._cuts(n, self._grid(), group)

    def _cuts(self, n: int, grid: Grid, group: int = 1) -> Cuts:
        size = self._size_of_blocks(n, grid)
        return Cuts.even(n, max(size // group, 1) * group)

    def _size_of_blocks(self, n: int, grid: Grid) -> int:
        if self._block_size is not None:
            return self._block_size
        most = largest_block(self._memory, _DOUBLE)
        return auto_block_size(n, grid, min(self._threads()), most)

    def ensure_memory_for(
        self, problem: Problem, *, gradient: bool = False, columns: int = 0
    ) -> None:
        """Raise `InsufficientMemoryError` if the workers have no room, in memory or on disk."""
        grid, workers = self._grid(), self._memory
        if workers is None:
            return
        itemsize, threads = problem.X.dtype.itemsize, max(worker.threads for worker in workers)

        def need_of(rows: int, count: int) -> Need:
            some = grid if count == len(grid.workers) else Grid.of([str(i) for i in range(count)])
            cuts = self._cuts(rows, some)
            return Need.of(cuts, some, itemsize, threads, gradient=gradient, columns=columns)

        n = problem.X.shape[0]
        need = need_of(n, len(grid.workers))
        if all(worker.holds(need) for worker in workers):
            return
        # Only now, since it takes a message to every worker.
        workers = find_memory(self._client, with_disk=True) or workers
        if not all(worker.holds(need) for worker in workers):
            raise refusal(n, need, workers, need_of, columns > 0)

    def ensure_memory(self, problem: Problem, objective: Objective) -> None:
        """Raise `InsufficientMemoryError` if `differentiate` would."""
        self.ensure_memory_for(problem, gradient=True)

    def ensure_samples(
        self, problem: Problem, m: int, columns: int, *, of_posterior: bool, has_factor: bool
    ) -> None:
        """Raise `InsufficientMemoryError` if this process has no memory for samples."""
        # Random numbers come in float64, and are copied once, as their covariance is.
        numbers = m**2 * 2 if of_posterior else 0
        needed = (16 + problem.X.dtype.itemsize) * m * columns + problem.X.dtype.itemsize * numbers
        title, remedy = f"samples at {m:,} points", "fewer points, or fewer samples, at a time"
        ensure_fits(title, needed, 0, problem.memory_limit, remedy)

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
        size = self._size_of_blocks(n, self._grid())
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
        self.ensure_memory_for(problem, gradient=True)
        n, k = problem.Y.shape
        is_likelihood = objective is Objective.MARGINAL_LIKELIHOOD
        title = "likelihood and gradient" if is_likelihood else "leave-one-out and gradient"
        with failures_explained(problem), self.graph(title, n) as graph:
            cuts = self.cuts(n)
            factor = add_factor(graph, problem, cuts, self._tile_size(problem, cuts))
            known = add_conditioning(graph, problem, factor)
            if is_likelihood:
                return differentiate_likelihood(graph, k, known, inputs)
            return differentiate_leave_one_out(graph, k, known)

    def multiply_covariance(
        self, problem: Problem, B: FloatArray
    ) -> tuple[Float64Array, Float64Array, Float64Array]:
        """Return KB, |K||B| and diag(K) without the factor."""
        n = problem.X.shape[0]
        with self.graph("products with the covariance matrix", n) as graph:
            return multiply_covariance(graph, problem, self.cuts(n), B)

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
