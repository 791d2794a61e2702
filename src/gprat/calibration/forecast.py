"""How long an operation will take on this machine."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import cast

from gprat._costs import Operation, Work
from gprat.calibration.machine import CalibratedMachine
from gprat.calibration.table import Calibration
from gprat.simulation.simulate import run
from gprat.simulation.tasks import LARGEST_SIZE, MOST_THREADS, OperationName, record_tasks

__all__ = ["forecast", "is_simulated"]

# Tasks that are simulated in a fraction of a second. Larger graphs are scaled up from those with
# fewer tiles of the same size: they have the same rates.
_MOST_TASKS = 200_000
# Measured: what Python and the border to the core take for a call.
_SECONDS_PER_CALL = 60e-6
# Less work is done by the calling thread alone (problem.hpp).
_FLOPS_WORTH_WORKERS = 5e6
# Freed memory is kept up to this size for the next evaluation (page_cache.hpp).
_KEPT_BYTES = 1 << 30


def forecast(work: Work, n: int, calibration: Calibration) -> tuple[float, float, float]:
    """Say how long an operation takes.

    Parameters
    ----------
    work : Work
        The operation.
    n : int
        Number of training points.
    calibration : Calibration
        Rates of this machine.

    Returns
    -------
    seconds : float
        Time of the operation.
    critical_path_seconds : float
        Time of its longest chain of tasks.
    efficiency : float
        Time of one thread over that of all threads together, in (0, 1].
    """
    simulated, size = _simulated(work, n)
    threads = work.threads if _flops_that_count(work, n) >= _FLOPS_WORTH_WORKERS else 1
    machine = CalibratedMachine(calibration, d=work.d, inline=threads == 1)
    tasks = record_tasks(
        cast(OperationName, work.operation.value),
        size,
        work.d,
        simulated.m,
        n_outputs=work.k,
        n_hyperparameters=work.p,
        tile_size=simulated.tile_size_for(size),
        dtype=calibration.identity.dtype,
        threads=threads,
        processors=work.processors,
    )
    simulation = run(tasks, machine, threads)
    seconds = simulation.makespan * (work.flops(n) / simulated.flops(size))
    critical = min(simulation.critical_path_seconds * (n / size), seconds)
    overhead = _SECONDS_PER_CALL + _fresh_bytes(work, n) / calibration.first_touch
    efficiency = min(1.0, simulation.efficiency) * threads / work.threads
    return seconds + overhead, critical, efficiency


def is_simulated(work: Work) -> bool:
    """Whether there are no more features, outputs, hyperparameters, threads than simulations take.

    Points may be any number: what fewer take is scaled up.
    """
    return max(work.d, work.k, work.p) <= LARGEST_SIZE and work.threads <= MOST_THREADS


def _simulated(work: Work, n: int) -> tuple[Work, int]:
    """Return the largest operation up to this one that can be simulated, with its size."""
    tile = work.tile_size_for(n)

    def shrunk(size: int, points: int) -> Work:
        return dataclasses.replace(work, m=points, tile_size_for=lambda _: min(tile, size))

    def in_proportion(size: int) -> int:
        return max(1, work.m * size // n) if work.m else 0

    def is_possible(size: int, points: int) -> bool:
        if max(size, points) > LARGEST_SIZE:
            return False
        return shrunk(size, points).tasks(size) <= _MOST_TASKS

    size = _largest(n, lambda size: is_possible(size, in_proportion(size)))
    # Of far more test points than training points, some are enough for one training point too.
    points = in_proportion(size)
    points = _largest(points, lambda points: is_possible(size, points)) if points else 0
    return shrunk(size, points), size


def _largest(most: int, is_possible: Callable[[int], bool]) -> int:
    """Return the largest number up to `most` that is possible; 1 if none is."""
    low, high = (most, most + 1) if is_possible(most) else (1, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if is_possible(middle) else (low, middle)
    return low


def _flops_that_count(work: Work, n: int) -> float:
    return float(n) ** 3 if work.operation is Operation.FIT else work.flops(n)


def _fresh_bytes(work: Work, n: int) -> int:
    """Return how much memory the system clears: evaluations one after the other reuse theirs."""
    peak = work.peak_bytes(n)
    return 0 if work.operation is Operation.FIT and peak <= _KEPT_BYTES else peak
