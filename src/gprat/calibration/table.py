"""What was measured: seconds of each kind of task by tile size."""

from __future__ import annotations

import dataclasses
import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text

from gprat._text import as_plain_text, make_table

__all__ = ["PAIRS", "Calibration", "DamagedError", "Identity", "Rates"]

PAIRS = ("assemble", "contract", "cross_covariance", "mean")
"""Kinds of tasks whose work is pairs of points, and depends on the number of features."""


class DamagedError(ValueError):
    """A file does not hold a calibration. Never seen by users: it is measured anew."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a calibration is valid for.

    Parameters
    ----------
    processor : str
        Model of the processor.
    processors : int
        How many of them the process may use.
    blas : str
        Library for dense operations, its version, and the instruction set that it uses.
    dtype : str
        Precision, "float64" or "float32".
    """

    processor: str
    processors: int
    blas: str
    dtype: str


@dataclass(frozen=True, slots=True)
class Rates:
    """Seconds that a unit of work takes, by tile size; NaN where there was no such task.

    Work is floating-point operations, or pairs of points.

    Parameters
    ----------
    alone : tuple of float
        When one thread is busy.
    together : tuple of float
        When all processors are busy: they share caches, memory and clock.
    """

    alone: tuple[float, ...]
    together: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Calibration:
    """How fast the tasks of a computation run on this machine. Prints as a table.

    Parameters
    ----------
    identity : Identity
        What it is valid for.
    tile_sizes : tuple of int
        The tile sizes that were measured, ascending.
    rates : mapping of str to Rates
        By kind of task.
    features : tuple of int
        The numbers of features that covariances were measured with, ascending.
    pairs : mapping of str to tuple of float
        Of each kind that evaluates or differentiates covariances, the seconds of a pair of points
        by number of features, one thread being busy.
    submission : float
        Seconds that the thread that adds tasks takes for one.
    overhead : float
        Seconds that a worker spends on a task besides running it.
    inline_overhead : float
        The same where one thread runs each task as it comes.
    bandwidth : float
        Bytes a second that all processors together read from memory.
    first_touch : float
        Bytes a second of fresh memory, which the system has to clear.
    seconds : float
        How long measuring took.

    Examples
    --------
    >>> from gprat.calibration import calibrate
    >>> calibration = calibrate("float32", tile_sizes=(32, 64))
    >>> calibration.rates["gemm"].alone[-1] > 0.0
    True
    >>> print(calibration)
    Calibration for float32, ...
    """

    identity: Identity
    tile_sizes: tuple[int, ...]
    rates: Mapping[str, Rates]
    features: tuple[int, ...]
    pairs: Mapping[str, tuple[float, ...]]
    submission: float
    overhead: float
    inline_overhead: float
    bandwidth: float
    first_touch: float
    seconds: float

    def to_plain(self) -> dict[str, Any]:
        """Return all fields as JSON knows them."""
        return {
            "identity": dataclasses.asdict(self.identity),
            "tile_sizes": list(self.tile_sizes),
            "rates": {
                kind: {"alone": _to_plain(r.alone), "together": _to_plain(r.together)}
                for kind, r in self.rates.items()
            },
            "features": list(self.features),
            "pairs": {kind: list(seconds) for kind, seconds in self.pairs.items()},
            **{name: getattr(self, name) for name in _NUMBERS},
        }

    @classmethod
    def from_plain(cls, plain: Any) -> Calibration:
        """Return what `to_plain` wrote.

        Raises
        ------
        DamagedError
            If it is anything else.
        """
        try:
            tile_sizes = _sizes(plain["tile_sizes"])
            features = _sizes(plain["features"])
            rates = {
                str(kind): Rates(
                    _seconds(by_use["alone"], len(tile_sizes)),
                    _seconds(by_use["together"], len(tile_sizes)),
                )
                for kind, by_use in plain["rates"].items()
            }
            pairs = {kind: _seconds(plain["pairs"][kind], len(features)) for kind in PAIRS}
            numbers = {name: _number(plain[name]) for name in _NUMBERS}
            identity = Identity(**plain["identity"])
        except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as error:
            raise DamagedError(str(error)) from None
        # Written so that NaN fails the comparison.
        are_pairs_known = all(value > 0.0 for seconds in pairs.values() for value in seconds)
        is_memory_known = min(numbers["bandwidth"], numbers["first_touch"]) >= 1.0
        if "gemm" not in rates or not are_pairs_known or not is_memory_known:
            raise DamagedError("figures are missing")
        return cls(
            identity, tile_sizes, rates, features, pairs,
            **numbers,
        )  # fmt: skip

    def __str__(self) -> str:
        identity = self.identity
        headline = (
            f"Calibration for {identity.dtype}, measured in {self.seconds:.2g} s on "
            f"{identity.processors} × {identity.processor}"
        )
        return as_plain_text(
            Group(Text(headline), Text(identity.blas), Text(""), self._rates(), Text(""),
                  self._costs())
        )  # fmt: skip

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def _rates(self) -> Table:
        """One thread alone / one of all at once, in Gflop/s, or million pairs a second."""
        table = make_table("", "", *(f"tile {size}" for size in self.tile_sizes))
        for kind, rates in self.rates.items():
            seconds = np.array([rates.alone, rates.together])
            scale, unit = (1e6, "Mpairs/s") if kind in PAIRS else (1e9, "Gflop/s")
            with np.errstate(divide="ignore"):
                alone, together = 1.0 / (scale * seconds)
            cells = [_pair(a, b) for a, b in zip(alone.tolist(), together.tolist(), strict=True)]
            table.add_row(kind, unit, *cells)
        return table

    def _costs(self) -> Table:
        table = make_table("", "")
        table.columns[-1].justify = "left"
        rows = {
            "each rate": "one thread alone/one of all at once",
            "a task": f"{1e6 * self.submission:.2f} µs to add, {1e6 * self.overhead:.2f} µs to "
            f"schedule; {1e6 * self.inline_overhead:.2f} µs with one thread",
            "memory": f"{self.bandwidth / 1e9:.1f} GB/s read, {self.first_touch / 1e9:.1f} GB/s "
            "first touched",
        }
        for name, value in rows.items():
            table.add_row(name, Text(value))
        return table


# No machine is slower or faster; and what is computed from such numbers is finite.
_LARGEST = 1e18
_NUMBERS = ("submission", "overhead", "inline_overhead", "bandwidth", "first_touch", "seconds")


def _pair(alone: float, together: float) -> str:
    return "-" if math.isnan(alone) else f"{alone:.3g}/{together:.3g}"


def _to_plain(seconds: tuple[float, ...]) -> list[float | None]:
    return [None if math.isnan(value) else value for value in seconds]


def _sizes(values: Any) -> tuple[int, ...]:
    sizes = tuple(int(value) for value in values)
    if not sizes or sorted(set(sizes)) != list(sizes) or sizes[0] < 1 or sizes[-1] >= 1 << 31:
        raise DamagedError("no ascending sizes")
    return sizes


def _seconds(values: Any, count: int) -> tuple[float, ...]:
    seconds = tuple(math.nan if value is None else _number(value) for value in values)
    if len(seconds) != count or all(map(math.isnan, seconds)):
        raise DamagedError(f"expected {count} times, got {len(seconds)}")
    return seconds


def _number(value: Any) -> float:
    number = float(value)
    if not 0.0 <= number <= _LARGEST:
        raise DamagedError(f"not a time: {number}")
    return number
