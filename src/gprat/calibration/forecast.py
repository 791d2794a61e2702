"""How long an operation will take on this machine."""

from __future__ import annotations

from gprat._costs import Operation, Work
from gprat.calibration.machine import CalibratedMachine
from gprat.calibration.table import Calibration
from gprat.simulation.simulate import run
from gprat.simulation.tasks import record_tasks

__all__ = ["forecast"]

# Tasks that are simulated in a fraction of a second. Larger graphs are scaled up from those with
# fewer tiles of the same size: they have the same rates.
_MOST_TASKS = 200_000
_LARGEST_N = 1_000_000
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
    tile, size = work.tile_size_for(n), _simulated_size(work, n)
    share = size / n
    threads = work.threads if _flops_that_count(work, n) >= _FLOPS_WORTH_WORKERS else 1
    machine = CalibratedMachine(calibration, d=work.d, inline=threads == 1)
    tasks = record_tasks(
        work.operation.value,
        size,
        work.d,
        max(1, round(work.m * share)) if work.m else 0,
        n_outputs=work.k,
        n_hyperparameters=work.p,
        tile_size=min(tile, size),
        dtype=calibration.identity.dtype,
        threads=threads,
        processors=work.processors,
    )
    simulation = run(tasks, machine, threads)
    seconds = simulation.makespan / share**3
    critical = min(simulation.critical_path_seconds / share, seconds)
    overhead = _SECONDS_PER_CALL + _fresh_bytes(work, n) / calibration.first_touch
    return seconds + overhead, critical, min(1.0, simulation.efficiency) * threads / work.threads


def _simulated_size(work: Work, n: int) -> int:
    """Return the largest number of training points up to n whose tasks can be simulated."""
    tile = work.tile_size_for(n)

    def count(size: int) -> float:
        # Tasks grow with the cube of the number of tiles, and those of a prediction with m too.
        return _tasks(work, size, tile) * (size / n if work.m else 1.0)

    if n <= _LARGEST_N and count(n) <= _MOST_TASKS:
        return n
    low, high = 1, min(n, _LARGEST_N)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(middle) <= _MOST_TASKS else (low, middle)
    return low


def _tasks(work: Work, size: int, tile: int) -> int:
    return Work(
        work.operation, work.d, work.m, work.k, work.p, work.threads, work.processors,
        work.itemsize, lambda _: min(tile, size),
    ).tasks(size)  # fmt: skip


def _flops_that_count(work: Work, n: int) -> float:
    return float(n) ** 3 if work.operation is Operation.FIT else work.flops(n)


def _fresh_bytes(work: Work, n: int) -> int:
    """Return how much memory the system clears: evaluations one after the other reuse theirs."""
    peak = work.peak_bytes(n)
    return 0 if work.operation is Operation.FIT and peak <= _KEPT_BYTES else peak
