"""Measure how fast tasks run."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from gprat import _validation as validation
from gprat import runtime
from gprat._core import calibration as _core
from gprat.calibration import cache
from gprat.calibration.table import PAIRS, Calibration, Rates

__all__ = ["calibrate", "tune"]

_TILE_SIZES = (48, 96, 192, 360, 720)
_FEATURES = (1, 8, 32)
# Of the middle of them, tasks of all tile sizes are measured; of the others, one.
_USUAL_FEATURES, _USUAL_TILE = 8, 192
# Enough tiles a side that every kind of task occurs, and more memory than a thread's own cache; the
# same size for all large tiles, as caches help small matrices.
_MOST_TILES, _SIZE = 16, 1728
_TILES_FOR_PAIRS = 4
_TEST_POINTS, _RIGHT_HAND_SIDES = 384, 384

# What others do on the machine disturbs one round less often than both.
_MOST_ROUNDS, _SECONDS_FOR_MORE = 2, 1.5

# Seconds a unit of work by kind, for each tile size or number of features.
_Times: TypeAlias = dict[str, tuple[float, ...]]


def tune(dtype: npt.DTypeLike | None = None) -> Calibration:
    """Measure how fast this machine is, and keep the figures for later processes.

    It takes a second or two, in which nothing else should run. There is no need to call it: where
    the work is worth it, models do so by themselves. Call it again when something else kept the
    machine busy the first time. The figures are kept in the user's cache folder, GPRAT_CACHE_DIR
    if that is set; tile sizes that were chosen by the last ones are forgotten.

    Parameters
    ----------
    dtype : {"float64", "float32"}, default=None
        Precision; None for float64.

    Returns
    -------
    Calibration
        Rates of all kinds of tasks by tile size. Prints as a table.

    Raises
    ------
    RuntimeSuspendedError
        If the runtime is suspended.
    UnsupportedTypeError
        If the dtype is none of the two.

    Examples
    --------
    >>> import gprat
    >>> print(gprat.tune("float32"))
    Calibration for float32, ...
    """
    calibration = calibrate("float64" if dtype is None else dtype)
    cache.keep(calibration)
    return calibration


def calibrate(
    dtype: npt.DTypeLike = "float64", *, tile_sizes: Sequence[int] = _TILE_SIZES
) -> Calibration:
    """Measure how fast this machine is, and keep nothing.

    Models of some hundred rows and an RBF kernel are fitted and asked for predictions, first on
    one thread, then on as many as there are processors, each with a model of its own. All of
    their tasks are timed.

    Parameters
    ----------
    dtype : {"float64", "float32"}, default="float64"
        Precision.
    tile_sizes : sequence of int, default=(48, 96, 192, 360, 720)
        The tile sizes that are measured, ascending.

    Returns
    -------
    Calibration
        The figures.

    Raises
    ------
    RuntimeSuspendedError
        If the runtime is suspended.
    UnsupportedTypeError
        If the dtype is none of the two.
    """
    precision = str(validation.check_dtype(dtype, None))
    # Refuses where tasks would wait for the runtime to be resumed.
    runtime.threads_for_call(None)
    start = time.perf_counter()
    processors = runtime.processors()
    alone, together, pairs = _measure_round(precision, tile_sizes, processors)
    rounds = 1
    while rounds < _MOST_ROUNDS and time.perf_counter() - start < _SECONDS_FOR_MORE:
        again = _measure_round(precision, tile_sizes, processors)
        alone, together, pairs = map(_least, (alone, together, pairs), again)
        rounds += 1
    submission, overhead = _core.measure_graph(processors)
    first_touch, bandwidth = _core.measure_memory(processors)
    return Calibration(
        cache.this_machine(precision),
        tuple(tile_sizes),
        {kind: Rates(alone[kind], together[kind]) for kind in alone},
        _FEATURES,
        pairs,
        submission=submission,
        overhead=overhead,
        inline_overhead=_core.measure_graph(1)[1],
        bandwidth=bandwidth,
        first_touch=first_touch,
        seconds=time.perf_counter() - start,
    )


def _measure_round(
    dtype: str, tile_sizes: Sequence[int], processors: int
) -> tuple[_Times, _Times, _Times]:
    """Return the seconds of one thread alone, of one of all at once, and by features."""
    alone = _measure_tiles(dtype, tile_sizes, 1)
    together = alone if processors == 1 else _measure_tiles(dtype, tile_sizes, processors)
    return alone, together, _measure_pairs(dtype)


def _measure_tiles(dtype: str, tile_sizes: Sequence[int], threads: int) -> _Times:
    """Return seconds a unit of work by kind and tile size, NaN where a kind did not occur."""
    by_tile = []
    for tile in tile_sizes:
        size = min(_MOST_TILES * tile, max(_SIZE, 2 * tile + 1))
        by_tile.append(_seconds_a_unit(dtype, size, _USUAL_FEATURES, tile, threads))
    kinds = dict.fromkeys(kind for seconds in by_tile for kind in seconds)
    return {kind: tuple(seconds.get(kind, math.nan) for seconds in by_tile) for kind in kinds}


def _measure_pairs(dtype: str) -> _Times:
    """Return seconds of a pair of points by number of features."""
    size = _TILES_FOR_PAIRS * _USUAL_TILE
    by_features = [_seconds_a_unit(dtype, size, d, _USUAL_TILE, 1) for d in _FEATURES]
    return {kind: tuple(seconds[kind] for seconds in by_features) for kind in PAIRS}


def _least(once: _Times, again: _Times) -> _Times:
    return {kind: tuple(np.fmin(once[kind], again[kind]).tolist()) for kind in once}


def _seconds_a_unit(
    dtype: str, size: int, features: int, tile: int, threads: int
) -> dict[str, float]:
    measure = _core.measure_tasks_float32 if dtype == "float32" else _core.measure_tasks_float64
    by_kind = defaultdict(list)
    for kind, work, seconds in measure(
        size, features, _TEST_POINTS, _RIGHT_HAND_SIDES, tile, threads
    ):
        if work > 0.0:
            by_kind[kind].append((work, seconds))
    return {kind: _weighted_median(np.array(times)) for kind, times in by_kind.items()}


def _weighted_median(times: npt.NDArray[np.float64]) -> float:
    """Return the median of the seconds a unit of work, large tasks counting by their work.

    A few tasks are always interrupted: their times would spoil a mean.
    """
    work, seconds = times.T
    rates = seconds / work
    order = np.argsort(rates)
    until = np.cumsum(work[order])
    return float(rates[order][np.searchsorted(until, 0.5 * until[-1])])
