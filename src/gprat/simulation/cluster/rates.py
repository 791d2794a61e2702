"""How long a block takes on a worker, from how long tiles take on its machine."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from gprat.engines.cluster.recording import BlockTasks
from gprat.simulation.machine import Machine
from gprat.simulation.tasks import TaskList

__all__ = ["block_seconds"]

# Bytes a second that one thread reads or writes where it does little else.
_COPIED = 6e9


def block_seconds(
    tasks: BlockTasks, machine: Machine, threads: int, overhead: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return how long each task takes with one thread, and at least with any number of them.

    A block is cut into tiles, all of which are summed at the same time. Solves and factors go
    through them step by step: from one to the next lead a tile's factor or solve, and its update.

    Parameters
    ----------
    tasks : BlockTasks
        The tasks.
    machine : Machine
        Says how long tiles take.
    threads : int
        Threads of a worker.
    overhead : float
        Seconds that a worker spends on a task besides running it.

    Returns
    -------
    work, span : ndarray of float64, shape (n_tasks,)
        Seconds.
    """
    costs, side = tasks.costs, float(tasks.tile_size)
    product, solve, factor, pair, derivative = _seconds_a_unit(tasks, machine, threads)
    in_tiles = costs["products"] * product + costs["evaluated"] * pair
    in_tiles += costs["contracted"] * derivative
    in_tiles = np.maximum(in_tiles, costs["moved"] / _COPIED)
    in_steps = costs["solves"] * solve + costs["factors"] * product
    is_factor = costs["factors"] > 0.0
    step = side**3 * (solve + 2.0 * product + np.where(is_factor, factor / 3.0, 0.0))
    in_steps += np.where(is_factor, costs["steps"] * side**3 / 3.0 * (factor - product), 0.0)
    chain = np.minimum(costs["steps"] * step, in_steps)
    work: npt.NDArray[np.float64] = in_tiles + in_steps + overhead
    span: npt.NDArray[np.float64] = in_tiles / costs["tiles"] + chain + overhead
    return work, np.minimum(span, work)


def _seconds_a_unit(
    tasks: BlockTasks, machine: Machine, threads: int
) -> tuple[float, float, float, float, float]:
    """Return the seconds of an operation in products, solves, factors; of a pair, its derivatives.

    The machine is asked for one tile of each kind.
    """
    side, itemsize = float(tasks.tile_size), tasks.sizes.itemsize
    names = ("gemm", "trsm", "potrf", "assemble", "contract")
    work = np.array([2.0 * side**3, side**3, side**3 / 3.0, side**2, side**2])
    count = len(names)
    nothing = np.zeros(count, dtype=np.int64)
    tiles = TaskList(
        what=tasks.sizes.operation.value,
        n=tasks.block_size,
        m=0,
        tile_size=tasks.tile_size,
        itemsize=itemsize,
        names=names,
        kind=np.arange(count),
        row=nothing,
        column=nothing,
        work=work,
        bytes=itemsize * side**2 * np.array([3.0, 2.0, 1.0, 1.0, 1.0]),
        rank=nothing,
        predecessors=np.empty(0, dtype=np.int32),
        offsets=np.zeros(count + 1, dtype=np.int64),
    )
    product, solve, factor, pair, derivative = (machine.seconds(tiles, threads) / work).tolist()
    return product, solve, factor, pair, derivative
