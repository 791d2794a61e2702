"""What a simulation has to know of a cluster besides the machine of its workers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from gprat.exceptions import InvalidInputError, UnsupportedTypeError

__all__ = ["Network"]

_MAY_BE_ZERO = ("latency", "submission", "scheduling", "overhead")


@dataclass(frozen=True, slots=True)
class Network:
    """How workers are joined, by a handful of figures.

    Rates are in bytes a second: a link of 10 Gbit/s carries 1.25e9. The other defaults are round
    figures of the size that was measured with Dask 2026 on a busy machine; a cluster's own are
    better.

    Parameters
    ----------
    bandwidth : float, default=1.25e9
        Bytes a second that the link of a worker carries, each way at the same time. That which
        Dask reaches, where it has been measured.
    latency : float, default=1e-3
        Seconds that a message takes besides its bytes; also one to the scheduler and back.
    submission : float, default=1e-4
        Seconds that the client takes to add a task.
    scheduling : float, default=1e-3
        Seconds that the scheduler, which is one thread, spends on a task in all.
    overhead : float, default=2e-3
        Seconds that a worker spends on a task besides running it.
    memory : float or None, default=None
        Bytes that a worker may hold before it writes some to its disk; None: no limit.
    disk_bandwidth : float, default=1e9
        Bytes a second that the disk of a worker reads and writes.

    Raises
    ------
    InvalidInputError
        If a figure is not finite, or not greater than 0; the times may be 0.
    UnsupportedTypeError
        If a figure is not a number.

    Examples
    --------
    >>> slow = Network(bandwidth=125e6)  # 1 Gbit/s
    >>> slow.seconds(125_000_000)
    1.001
    """

    bandwidth: float = 1.25e9
    latency: float = 1e-3
    submission: float = 1e-4
    scheduling: float = 1e-3
    overhead: float = 2e-3
    memory: float | None = None
    disk_bandwidth: float = 1e9

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if name == "memory" and value is None:
                continue
            object.__setattr__(self, name, _check(name, value))

    def seconds(self, size: float) -> float:
        """Return how long a block of so many bytes is on its way over a link that is free."""
        return self.latency + size / self.bandwidth


def _check(name: str, value: Any) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    except (TypeError, ValueError):
        raise UnsupportedTypeError(
            f"{name} must be a number, got {value!r}. Leave it out for the default."
        ) from None
    may_be_zero = name in _MAY_BE_ZERO
    if not (math.isfinite(number) and (number > 0.0 or (may_be_zero and number == 0.0))):
        least = "at least 0" if may_be_zero else "greater than 0"
        unit = "seconds" if may_be_zero else "bytes" if name == "memory" else "bytes a second"
        raise InvalidInputError(
            f"{name} must be a finite number of {unit}, {least}, got {value!r}. Leave it out for "
            "the default."
        )
    return number
