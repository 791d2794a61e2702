"""The tile size, from a simulation of the very tasks that would run."""

from __future__ import annotations

import math
import threading

from gprat import _core, runtime
from gprat.calibration import cache
from gprat.calibration.machine import CalibratedMachine
from gprat.calibration.measuring import calibrate
from gprat.calibration.table import Calibration
from gprat.simulation.simulate import Simulation, run
from gprat.simulation.tasks import record_tasks

__all__ = ["best_tile_size", "choose_tile_size", "is_worthwhile", "obtain"]

# Numbers of training points within so much of each other share a choice.
_ROUNDING = 1.04
_LARGEST_SIMULATED = 20_000
# Steps between the numbers of tiles that are tried, and how far they go from the usual one.
_STEP, _SPREAD = 1.12, 2.2
# Differences of times that are not worth more work in all.
_RESOLUTION = 0.02
# A second or two of calibration is little beside training whose every step takes so many seconds
# at a rate that any processor reaches.
_SECONDS_WORTH_MORE, _FLOPS_A_SECOND = 6.0, 30e9


_measuring = threading.Lock()


def choose_tile_size(
    n: int, processors: int, dtype: str, usual: int, *, may_calibrate: bool = False
) -> int:
    """Return the tile size for n training points that a calibration recommends.

    Choices are kept with the calibration, for numbers of training points some per cent apart.

    Parameters
    ----------
    n : int
        Number of training points, at least 1.
    processors : int
        Processors that the process may use.
    dtype : {"float64", "float32"}
        Precision.
    usual : int
        What to return where there is no calibration.
    may_calibrate : bool, default=False
        Whether to calibrate, where there is no calibration and the work is long beside it.

    Returns
    -------
    int
        Side of the tiles, in [1, n].
    """
    entry = obtain(dtype, may_calibrate and is_worthwhile(n, processors))
    if entry is None or entry.calibration.identity.processors != processors:
        return usual
    if n > _LARGEST_SIMULATED:
        # The best size hardly grows any more.
        return choose_tile_size(_LARGEST_SIMULATED, processors, dtype, usual)
    typical = round(_ROUNDING ** round(math.log(n, _ROUNDING)))
    tiles = entry.choice(typical)
    if tiles is None:
        size = best_tile_size(typical, entry.calibration, usual)
        tiles = -(-typical // size)
        entry.add_choice(typical, tiles)
    return _side(n, tiles)


def best_tile_size(n: int, calibration: Calibration, usual: int) -> int:
    """Return the tile size with which a simulated gradient of the likelihood takes the least time.

    Parameters
    ----------
    n : int
        Number of training points.
    calibration : Calibration
        Rates of the machine.
    usual : int
        Where to look: around this size. Of several that are equally good to two per cent, the one
        with which a single thread takes the least time is taken.

    Returns
    -------
    int
        Side of the tiles.

    Examples
    --------
    >>> from gprat.calibration import calibrate
    >>> 1 <= best_tile_size(1000, calibrate(tile_sizes=(48, 96, 192)), usual=240) <= 1000
    True
    """
    processors = calibration.identity.processors
    machine = CalibratedMachine(calibration, inline=processors == 1)

    def simulate(size: int) -> Simulation:
        tasks = record_tasks(
            "fit", n, tile_size=size, dtype=calibration.identity.dtype, threads=processors
        )
        return run(tasks, machine, processors)

    simulations = {size: simulate(size) for size in _candidates(n, usual)}
    least = min(simulation.makespan for simulation in simulations.values())
    good = {
        size: simulation.serial_seconds
        for size, simulation in simulations.items()
        if simulation.makespan <= (1.0 + _RESOLUTION) * least
    }
    return min(good, key=good.__getitem__)


def obtain(dtype: str, measure: bool, *, asked: bool = False) -> cache.Entry | None:
    """Return the calibration of this machine that is kept, or else a new one if that is wanted.

    Unless the user has asked for it, None where calibrations are switched off; and nothing is
    measured where the process may not use all processors: it shares them with others.
    """
    if not asked and not cache.is_automatic():
        return None
    entry = cache.find_entry(cache.this_machine(dtype))
    if entry is not None or not measure or not (asked or runtime.is_whole_machine()):
        return entry
    # While another thread measures, rates would be wrong. Waiting might be for ever: in a forked
    # child, that thread does not exist.
    if not _measuring.acquire(blocking=False):
        return None
    try:
        return cache.find_entry(cache.this_machine(dtype)) or cache.keep(calibrate(dtype))
    finally:
        _measuring.release()


def is_worthwhile(n: int, processors: int) -> bool:
    """Tell whether fitting n training points takes much longer than a calibration."""
    return float(n) ** 3 > _SECONDS_WORTH_MORE * _FLOPS_A_SECOND * processors


def _candidates(n: int, usual: int) -> list[int]:
    """Return tile sizes, each for another number of tiles a side."""
    tiles = -(-n // usual)
    fewest = max(-(-n // _core.tiles.LARGEST), int(tiles / _SPREAD), 1)
    most = max(min(-(-n // _core.tiles.SMALLEST), math.ceil(tiles * _SPREAD)), fewest)
    counts, count = {tiles, most}, fewest
    while count < most:
        counts.add(count)
        count = max(count + 1, round(count * _STEP))
    return sorted({_side(n, count) for count in counts})


def _side(n: int, tiles: int) -> int:
    """Return the side of so many tiles of nearly the same size, a multiple of what kernels like."""
    return min(n, _core.tiles.side_at_least(n / tiles))
