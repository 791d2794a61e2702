"""How an operation would run on a cluster."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gprat import _validation as validation
from gprat._costs import Operation, check_operation
from gprat.engines.cluster.layout import Cuts, Grid, auto_block_size, auto_block_tile_size
from gprat.engines.cluster.recording import BlockTasks, Sizes, record_operation
from gprat.exceptions import InvalidInputError
from gprat.simulation.cluster.events import Events
from gprat.simulation.cluster.network import Network
from gprat.simulation.cluster.rates import block_seconds
from gprat.simulation.cluster.result import ClusterSimulation
from gprat.simulation.machine import Machine, ModelMachine
from gprat.simulation.tasks import (
    OperationName,
    check_points,
    check_size,
    check_threads,
)

__all__ = ["MOST_WORKERS", "check_workers", "record_blocks", "run_blocks", "simulate_cluster"]

MOST_WORKERS = 4096
# Blocks a side whose tasks are simulated in a minute or so.
_MOST_BLOCKS = 200


def simulate_cluster(
    n: int,
    d: int = 8,
    m: int = 0,
    *,
    what: OperationName = "fit",
    workers: int = 64,
    threads: int = 32,
    block_size: int | Literal["auto"] = "auto",
    tile_size: int | Literal["auto"] = "auto",
    dtype: npt.DTypeLike = "float64",
    machine: Machine | None = None,
    network: Network | None = None,
) -> ClusterSimulation:
    """Say how an operation would run on a cluster of workers.

    The tasks, what they wait for, and which worker has which, are those of ``engine="cluster"``,
    written down by the functions that would give them to Dask; nothing is computed, and neither a
    cluster nor memory for matrices are needed.

    Parameters
    ----------
    n : int
        Number of training points, at most 1,000,000.
    d : int, default=8
        Number of features; the kernel has d + 2 hyperparameters.
    m : int, default=0
        Number of test points; at least 1 unless `what` is "fit".
    what : {"fit", "predict", "variance", "covariance"}, default="fit"
        "fit": one evaluation of the log marginal likelihood and its gradient. The others: the
        first prediction of a model, which computes the factor too.
    workers : int, default=64
        Workers of the cluster, from 1 to 4096.
    threads : int, default=32
        Threads of each, all of which compute, from 1 to 4096.
    block_size : int or "auto", default="auto"
        Rows of a block; "auto" for what the engine would choose.
    tile_size : int or "auto", default="auto"
        Side of the tiles that a worker cuts a block into, at most: it has no fewer than two for
        each thread. "auto" for what a model would choose.
    dtype : {"float64", "float32"}, default="float64"
        Precision.
    machine : Machine, default=None
        Says how long tiles take on a worker; None for a `gprat.simulation.ModelMachine` with its
        default figures.
    network : Network, default=None
        How workers are joined; None for a `Network` with its default figures, 10 Gbit/s.

    Returns
    -------
    ClusterSimulation
        Time, efficiency, traffic and memory, and what limits them. Prints as a table.

    Raises
    ------
    InvalidInputError
        If a number is out of its range, `what` is unknown, test points are missing, or blocks are
        so small that there are more than 200 a side.
    UnsupportedTypeError
        If a number is not a whole number, or the dtype is none of the two.

    Examples
    --------
    >>> from gprat.simulation import simulate_cluster
    >>> print(simulate_cluster(20_000, workers=4))
    Likelihood and gradient, 20,000 training points, on 4 workers of 32 threads
    <BLANKLINE>
    time ...
    """
    operation, features = check_operation(what), check_size(d, "d")
    sizes = Sizes(
        operation,
        check_size(n, "n"),
        features,
        0 if operation is Operation.FIT else check_points(m, operation),
        n_hyperparameters=features + 2,
        dtype=str(validation.check_dtype(dtype, None)),
    )
    count, width = check_workers(workers), check_threads(threads)
    tasks = record_blocks(sizes, count, width, block_size, tile_size)
    return run_blocks(tasks, width, machine or ModelMachine(), network or Network())


def record_blocks(
    sizes: Sizes,
    workers: int,
    threads: int,
    block_size: int | Literal["auto"] = "auto",
    tile_size: int | Literal["auto"] = "auto",
) -> BlockTasks:
    """Return the tasks of an operation as the engine would cut it."""
    grid = Grid.of([f"worker {index:04d}" for index in range(workers)])

    def cuts(points: int) -> Cuts:
        chosen = auto_block_size(points, grid, threads) if block_size == "auto" else block_size
        return Cuts.even(points, check_size(chosen, "block_size"))

    rows, test_rows = cuts(sizes.n), cuts(sizes.m) if sizes.m else Cuts.even(0, 1)
    if max(len(rows), len(test_rows)) > _MOST_BLOCKS:
        raise InvalidInputError(
            f"blocks of {rows.size(0):,} rows are {len(rows):,} a side; at most {_MOST_BLOCKS} are "
            "simulated, and Dask's scheduler would be busy for long with more. Pass larger ones, "
            f"such as block_size={2 * -(-max(sizes.n, sizes.m) // _MOST_BLOCKS)}."
        )
    # Imported here, as the planner asks for simulations.
    from gprat.planning.tile_size import auto_tile_size

    if tile_size == "auto":
        largest = auto_tile_size(sizes.n, threads)
    else:
        largest = min(check_size(tile_size, "tile_size"), sizes.n)
    side = auto_block_tile_size(rows.size(0), threads, largest)
    return record_operation(sizes, grid, rows, test_rows, side)


def run_blocks(
    tasks: BlockTasks, threads: int, machine: Machine, network: Network
) -> ClusterSimulation:
    """Simulate a cluster on a list of tasks."""
    work, span = block_seconds(tasks, machine, threads, network.overhead)
    events = Events(tasks, work, span, threads, network)
    events.run()
    memory = events.memory
    return ClusterSimulation(
        tasks,
        threads,
        network,
        events.start,
        events.end,
        work,
        np.array(events.links.received),
        np.array(events.links.sent),
        np.array([each.peak for each in memory]),
        np.array([each.written for each in memory]),
        np.array([each.read for each in memory]),
        _critical_path(tasks, np.maximum(span, work / threads), network),
    )


def check_workers(workers: Any) -> int:
    """Return a number of workers that a cluster may have, from 1 to 4096."""
    remedy = "Pass how many workers compute, such as workers=8."
    count = validation.check_positive_integer(workers, "workers", remedy)
    if count > MOST_WORKERS:
        raise InvalidInputError(
            f"workers must be at most {MOST_WORKERS:,}, got {count:,}: that is more than one "
            f"scheduler of Dask serves. {remedy}"
        )
    return count


def _critical_path(tasks: BlockTasks, least: npt.NDArray[np.float64], network: Network) -> float:
    """Return the length of the longest chain, with blocks that travel and what tells of tasks."""
    owner, sizes, seconds = tasks.owner.tolist(), tasks.bytes.tolist(), least.tolist()
    offsets, flat = tasks.offsets.tolist(), tasks.predecessors.tolist()
    told = 2.0 * network.latency + network.scheduling
    end: list[float] = []
    for task, duration in enumerate(seconds):
        begin = network.latency
        for before in flat[offsets[task] : offsets[task + 1]]:
            arrival = end[before] + told
            if owner[before] != owner[task]:
                arrival += network.seconds(sizes[before])
            begin = max(begin, arrival)
        end.append(begin + duration)
    return max(end, default=0.0)
