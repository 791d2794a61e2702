"""What a computation takes on each worker, and whether the workers have it, in memory or on disk.

A worker holds its share of the blocks, in memory or, where Dask spills, on its disk; and what the
tasks work with that it is at, which must be in memory.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gprat._text import as_bytes
from gprat.engines.cluster.layout import Cuts, Grid
from gprat.engines.cluster.sums import PANELS
from gprat.exceptions import InsufficientMemoryError

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["Need", "WorkerMemory", "find_memory", "largest_block", "refusal"]

# What blocks take beside the triangle, measured: those that are half done, and those on their way;
# with the gradient the factor, its inverse and that of K partly live at the same time.
_OF_FACTOR, _OF_GRADIENT = 1.5, 2.5
# Blocks that a task works with: two factors of each product, what it starts from, and its result.
_BLOCKS_OF_TASK = 2 * PANELS + 3
# More workers than anybody has, and rows of a block.
_MOST_WORKERS, _MOST_ROWS = 1 << 12, 1 << 16


@dataclass(frozen=True, slots=True)
class Need:
    """What a factorisation takes on the worker that has most of it.

    Parameters
    ----------
    stored : int
        Bytes of blocks, which may be on its disk.
    working : int
        Bytes that must be in memory.
    """

    stored: int
    working: int

    @classmethod
    def of(
        cls,
        cuts: Cuts,
        grid: Grid,
        itemsize: int,
        threads: int = 1,
        *,
        gradient: bool = False,
        columns: int = 0,
    ) -> Need:
        """Return the need of a factorisation, or of a likelihood with its gradient.

        Parameters
        ----------
        cuts : Cuts
            How rows are cut into blocks.
        grid : Grid
            Who owns which block.
        itemsize : int
            Bytes of a number.
        threads : int, default=1
            Tasks that a worker is at at a time.
        gradient : bool, default=False
            Whether the gradient is computed too.
        columns : int, default=0
            Test points for which L⁻¹k(X, X*) is there as a whole.
        """
        sizes = np.diff(np.array(cuts.bounds, dtype=np.float64))
        numbers = np.tril(np.multiply.outer(sizes, sizes))
        np.fill_diagonal(numbers, 0.5 * sizes**2)
        row_of, column_of = (np.arange(len(cuts)) % side for side in (grid.rows, grid.columns))
        owners = np.add.outer(row_of * grid.columns, column_of)
        share = float(np.bincount(owners.ravel(), numbers.ravel()).max(initial=0.0))
        stored = (_OF_GRADIENT if gradient else _OF_FACTOR) * share
        stored += _OF_FACTOR * columns * cuts.n / (grid.rows * grid.columns)
        working = threads * _BLOCKS_OF_TASK * float(sizes.max(initial=0.0)) ** 2
        return cls(int(itemsize * stored), int(itemsize * working))


@dataclass(frozen=True, slots=True)
class WorkerMemory:
    """What one worker may take.

    Parameters
    ----------
    memory : int
        Bytes of memory for blocks: what Dask lets it use before it starts no more tasks, less
        what its process takes without them.
    disk : int
        Bytes of its disk to which Dask may spill; 0 if it doesn't.
    threads : int
        Tasks that it is at at a time.
    """

    memory: int
    disk: int
    threads: int

    def holds(self, need: Need) -> bool:
        """Tell whether there is room."""
        return need.working <= self.memory and need.stored + need.working <= self.memory + self.disk


def find_memory(client: Client, *, with_disk: bool) -> list[WorkerMemory] | None:
    """Return what each worker may take; None if one of them has no limit."""
    found = client.run(_memory_of_worker, with_disk, on_error="return")
    # A worker that has just gone tells nothing.
    facts = [fact for fact in found.values() if isinstance(fact, tuple)]
    if not all(limit for limit, *_ in facts):
        return None
    return [
        WorkerMemory(max(0, int(pause * limit) - used), disk, threads)
        for limit, pause, used, disk, threads in facts
    ] or None


def largest_block(workers: Sequence[WorkerMemory] | None, itemsize: int) -> int:
    """Return how many rows a block may have, so that tasks use half of the memory at most."""
    if workers is None:
        return _MOST_ROWS
    of_block = min(worker.memory // (2 * worker.threads * _BLOCKS_OF_TASK) for worker in workers)
    return min(_MOST_ROWS, max(1, int((of_block / itemsize) ** 0.5)))


def refusal(
    n: int,
    need: Need,
    workers: Sequence[WorkerMemory],
    need_of: Callable[[int, int], Need],
    has_points: bool,
) -> InsufficientMemoryError:
    """Return the error for a factorisation that does not fit, which says what would.

    Parameters
    ----------
    n : int
        Rows.
    need : Need
        What it takes.
    workers : sequence of WorkerMemory
        What there is.
    need_of : callable
        ``need_of(n, workers)`` is the need of so many rows on so many workers.
    has_points : bool
        Whether test points take part of it.
    """
    least = min(workers, key=lambda worker: worker.memory + worker.disk)
    remedies = ["fewer test points at a time"] if has_points else []
    if need.working > least.memory:
        remedies.append("a smaller block_size")
    enough = _first(lambda count: least.holds(need_of(n, count)), len(workers), _MOST_WORKERS)
    if enough < _MOST_WORKERS:
        remedies.append(f"{enough} workers of this size")
    most = _first(lambda rows: not least.holds(need_of(rows, len(workers))), 0, n) - 1
    if most > 0:
        remedies.append(f"at most {most:,} training points")
    needed, room = need.stored + need.working, least.memory + least.disk
    on_disk = f", of which {as_bytes(least.disk)} on disk" if least.disk else ""
    return InsufficientMemoryError(
        f"the blocks of {n:,} rows take {as_bytes(needed)} on the worker that has most of them, "
        f"{as_bytes(need.working)} of it for the tasks that it is at; and {len(workers)} "
        f"worker{'s' * (len(workers) != 1)} may take {as_bytes(room)} each{on_disk}. What would "
        f"fit: {'; '.join(remedies) or 'nothing of the kind'}.",
        needed,
        room,
    )


def _memory_of_worker(with_disk: bool, dask_worker: Any = None) -> tuple[int, float, int, int, int]:
    """Return the limit, from which part of it on nothing starts, what is used, disk and threads."""
    manager, data = dask_worker.memory_manager, dask_worker.data
    # What Dask holds in memory; it may be on disk instead, or gone soon.
    held = int(getattr(data, "memory_total", dask_worker.state.nbytes))
    used = max(0, int(dask_worker.monitor.get_process_memory()) - held)
    spills = bool(manager.memory_target_fraction or manager.memory_spill_fraction)
    free = shutil.disk_usage(dask_worker.local_directory).free if with_disk and spills else 0
    pause = float(manager.memory_pause_fraction or 1.0)
    return int(manager.memory_limit or 0), pause, used, free, int(dask_worker.state.nthreads)


def _first(holds: Callable[[int], bool], below: int, most: int) -> int:
    """Return the first number above `below` from which on something holds; `most` if none does."""
    low, high = below, most
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
