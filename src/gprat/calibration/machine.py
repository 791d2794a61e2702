"""How long tasks take on this machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from gprat.calibration.table import PAIRS, Calibration
from gprat.simulation.tasks import TaskList

__all__ = ["CalibratedMachine"]

# What tasks of a kind that was not measured are like.
_OTHERWISE = "gemm"
# Those that read each number of the factor for two operations; measured on a factor that a cache
# holds.
_ONE_PASS = frozenset({"solve_vector", "solve_vector_transposed", "solve_vector_update"})
_CACHE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class CalibratedMachine:
    """The machine that we run on, by measured rates, as `gprat.simulation` wants it.

    A task of w units of work takes w times the seconds a unit of its kind, between the tile sizes
    that were measured on a line of their logarithms. With some processors busy, that is between
    one busy and all; with more threads than processors, they take turns.

    Parameters
    ----------
    calibration : Calibration
        What was measured.
    d : int, default=8
        Number of features: what a pair of points costs depends on it.
    inline : bool, default=False
        Whether one thread runs each task as it is added: scheduling then costs next to nothing.
    processors : int, default=None
        To ask how a larger machine with the same processors would do; None for those that there
        are.

    Examples
    --------
    >>> from gprat.calibration import CalibratedMachine, calibrate
    >>> from gprat.simulation import record_tasks, run
    >>> machine = CalibratedMachine(calibrate("float32", tile_sizes=(32, 64)))
    >>> tasks = record_tasks("fit", 300, tile_size=50, dtype="float32")
    >>> 0.0 < run(tasks, machine, threads=1).makespan < 60.0
    True
    """

    calibration: Calibration
    d: int = 8
    inline: bool = False
    processors: int | None = None

    @property
    def threads(self) -> int:
        """Processors of the machine."""
        return self.processors or self.calibration.identity.processors

    @property
    def submission(self) -> float:
        """Seconds that the thread that adds tasks takes for one."""
        return 0.0 if self.inline else self.calibration.submission

    @property
    def overhead(self) -> float:
        """Seconds that a worker spends on a task besides running it."""
        calibration = self.calibration
        return calibration.inline_overhead if self.inline else calibration.overhead

    @property
    def bandwidth(self) -> float | None:
        """None: the measured rates are those of tasks that read from memory."""
        return None

    def seconds(self, tasks: TaskList, threads: int) -> npt.NDArray[np.float64]:
        """Return how long each task takes.

        Parameters
        ----------
        tasks : TaskList
            The tasks.
        threads : int
            Threads that are busy.

        Returns
        -------
        ndarray of float64, shape (n_tasks,)
            Seconds.
        """
        a_unit = np.array(
            [self.seconds_a_unit(name, tasks.tile_size, threads) for name in tasks.names]
        )
        if tasks.itemsize * tasks.n**2 / 2.0 > _CACHE_BYTES:
            a_unit = np.where(
                [name in _ONE_PASS for name in tasks.names],
                np.maximum(a_unit, self._seconds_to_read(0.5 * tasks.itemsize, threads)),
                a_unit,
            )
        result: npt.NDArray[np.float64] = tasks.work * a_unit[tasks.kind]
        return result

    def _seconds_to_read(self, bytes_: float, threads: int) -> float:
        return bytes_ * max(1, min(threads, self.threads)) / self.calibration.bandwidth

    def seconds_a_unit(self, kind: str, tile_size: int, threads: int) -> float:
        """Return the seconds of a floating-point operation or a pair of points.

        Parameters
        ----------
        kind : str
            Name of the task. One that was not measured counts as a matrix product.
        tile_size : int
            Side of the tiles.
        threads : int
            Threads that are busy.

        Returns
        -------
        float
            Seconds.
        """
        calibration = self.calibration
        rates = calibration.rates.get(kind, calibration.rates[_OTHERWISE])
        alone = _between(calibration.tile_sizes, rates.alone, tile_size)
        together = _between(calibration.tile_sizes, rates.together, tile_size)
        busy = min(1.0, (threads - 1) / max(1, self.threads - 1))
        seconds = alone + busy * (together - alone)
        return seconds * max(1.0, threads / self.threads) * self._share_of_features(kind)

    def _share_of_features(self, kind: str) -> float:
        """Return what a pair costs with d features, as a multiple of what was measured."""
        if kind not in PAIRS:
            return 1.0
        features, seconds = self.calibration.features, self.calibration.pairs[kind]
        usual = seconds[len(seconds) // 2]
        if self.d <= features[-1] or len(features) < 2:
            return float(np.interp(self.d, features, seconds)) / usual
        slope = max(0.0, (seconds[-1] - seconds[-2]) / (features[-1] - features[-2]))
        return (seconds[-1] + slope * (self.d - features[-1])) / usual


def _between(sizes: Sequence[int], seconds: Sequence[float], size: int) -> float:
    known = [(math.log(s), math.log(max(t, 1e-15))) for s, t in zip(sizes, seconds, strict=True)
             if not math.isnan(t)]  # fmt: skip
    at, values = zip(*known, strict=True)
    return math.exp(float(np.interp(math.log(size), at, values)))
