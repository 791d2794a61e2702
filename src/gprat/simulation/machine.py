"""How long tasks take: what a simulation has to know of a machine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from gprat.exceptions import InvalidInputError
from gprat.simulation.tasks import TaskList

__all__ = ["Machine", "ModelMachine"]

_PAIRS = frozenset({"assemble", "cross_covariance", "contract", "mean"})
_TRIANGLES = frozenset(
    {"trsm", "syrk", "inverse_trsm", "inverse_trmm", "gram_trmm", "gram_syrk", "solve"}
)
_IN_PLACE = frozenset({"potrf", "trtri", "lauum"})
_SMALLEST_TASK = 2e-7  # seconds


class Machine(Protocol):
    """What a simulation has to know of a machine.

    Attributes
    ----------
    threads : int
        Processors of the machine that the figures were taken from.
    submission : float
        Seconds that the thread that adds tasks takes for one.
    overhead : float
        Seconds that a worker spends on a task besides running it.
    bandwidth : float or None
        Bytes a second that the memory gives to all processors together; None: no limit.
    """

    @property
    def threads(self) -> int:
        """Processors of the machine that the figures were taken from."""

    @property
    def submission(self) -> float:
        """Seconds that the thread that adds tasks takes for one."""

    @property
    def overhead(self) -> float:
        """Seconds that a worker spends on a task besides running it."""

    @property
    def bandwidth(self) -> float | None:
        """Bytes a second for all processors together; None: no limit."""

    def seconds(self, tasks: TaskList, threads: int) -> npt.NDArray[np.float64]:
        """Return how long each task takes, shape (n_tasks,), when so many threads are busy."""


@dataclass(frozen=True, slots=True)
class ModelMachine:
    """A machine of equal processors, by a handful of figures.

    A task of w operations on tiles of side b takes w / peak · (1 + h / b) seconds, where h is the
    side at which its kind reaches half of the peak, and no less than its bytes take at the
    bandwidth of one processor. The defaults are round figures for one core of a server with
    AVX-512, near those measured with this library's own tile operations.

    Parameters
    ----------
    threads : int, default=128
        Processors.
    peak : float, default=100e9
        Floating-point operations a second of one processor in float64; float32 has twice as many.
    half_product, half_triangle, half_in_place : float, default=24, 60, 250
        Sides of tiles at which matrix products; operations with a triangle; and factors, inverses
        and Gram matrices of one tile run at half of the peak.
    pair_seconds : float, default=2e-9
        Seconds for the covariance of a pair of points, or its derivatives.
    core_bandwidth : float, default=12e9
        Bytes a second that one processor can read and write.
    submission : float, default=1e-6
        Seconds that the thread that adds tasks takes for one.
    overhead : float, default=1e-6
        Seconds that a worker spends on a task besides running it.
    bandwidth : float or None, default=None
        Bytes a second that the memory gives to all processors together; None: no limit.

    Raises
    ------
    InvalidInputError
        If a figure is not a positive number; `submission`, `overhead` and the halves may be 0.

    Examples
    --------
    >>> from gprat.simulation import ModelMachine, record_tasks
    >>> tasks = record_tasks("fit", 1000, tile_size=200)
    >>> fast, slow = ModelMachine(peak=100e9), ModelMachine(peak=10e9)
    >>> bool(fast.seconds(tasks, 1).sum() < slow.seconds(tasks, 1).sum())
    True
    """

    threads: int = 128
    peak: float = 100e9
    half_product: float = 24.0
    half_triangle: float = 60.0
    half_in_place: float = 250.0
    pair_seconds: float = 2e-9
    core_bandwidth: float = 12e9
    submission: float = 1e-6
    overhead: float = 1e-6
    bandwidth: float | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if name == "bandwidth" and value is None:
                continue
            may_be_zero = name.startswith("half_") or name in ("submission", "overhead")
            if not (math.isfinite(value) and (value > 0 or (may_be_zero and value == 0))):
                least = "at least 0" if may_be_zero else "greater than 0"
                raise InvalidInputError(
                    f"{name} must be a finite number {least}, got {value!r}. Leave it out for the "
                    "default."
                )

    def seconds(self, tasks: TaskList, threads: int) -> npt.NDArray[np.float64]:
        """Return how long each task takes.

        Parameters
        ----------
        tasks : TaskList
            The tasks.
        threads : int
            Threads that are busy. Of no influence: processors of this machine are alike, and what
            they share is `bandwidth`.

        Returns
        -------
        ndarray of float64, shape (n_tasks,)
            Seconds.
        """
        peak = self.peak * (8 // tasks.itemsize)
        rates = np.array(
            [self._seconds_a_unit(name, tasks.tile_size, peak) for name in tasks.names]
        )
        computing = tasks.work * rates[tasks.kind]
        moving = tasks.bytes / self.core_bandwidth
        longest: npt.NDArray[np.float64] = np.maximum(np.maximum(computing, moving), _SMALLEST_TASK)
        return longest

    def _seconds_a_unit(self, name: str, tile_size: int, peak: float) -> float:
        if name in _PAIRS:
            return self.pair_seconds
        half = self.half_product
        if name in _TRIANGLES:
            half = self.half_triangle
        elif name in _IN_PLACE:
            half = self.half_in_place
        return (1.0 + half / tile_size) / peak
