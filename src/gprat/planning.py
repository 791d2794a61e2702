"""Sizes that are chosen, and costs that are known, before the work starts."""

from __future__ import annotations

import dataclasses
import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from rich.console import Group
from rich.table import Table
from rich.text import Text

from gprat import _core, runtime
from gprat import _validation as validation
from gprat._costs import PLANNED, Operation, Work
from gprat._machine import available_memory
from gprat._text import as_bytes, as_plain_text, make_table
from gprat.exceptions import InvalidInputError

if TYPE_CHECKING:
    from gprat.calibration.cache import Entry
    from gprat.calibration.table import Calibration

__all__ = ["Plan", "auto_tile_size", "choose_tile_size", "plan"]

# From so many points on, another tile size can save more than looking for it costs.
_SMALLEST_SIMULATED = 1000

# Squared, and times eight bytes, it still is a number of 63 bits.
_LARGEST_SIZE = 10**9
_SIZE_REMEDY = "Pass a count, such as 10_000."
_TITLES = {
    "fit": "Fit: likelihood and gradient",
    "predict": "Predict means",
    "variance": "Predict means and variances",
    "covariance": "Predict means and their covariance",
}


def auto_tile_size(n: int, processors: int) -> int:
    """Choose the side of the tiles that the covariance matrix is cut into.

    Small tiles feed many processors and keep the last, ragged phase of the factorisation short;
    large tiles let matrix products run near the processor's peak.

    Parameters
    ----------
    n : int
        Number of training points, at least 1.
    processors : int
        Number of processors of the machine that this process may use, at least 1. Not the number
        of threads of a model: results are bitwise equal between thread counts only at one tile
        size.

    Returns
    -------
    int
        Tile size in [1, 1008]; `n` where one tile will do.

    Examples
    --------
    >>> auto_tile_size(100, processors=2)
    100
    >>> auto_tile_size(8192, processors=2)
    744
    >>> auto_tile_size(8192, processors=64)
    240
    """
    return _core.tiles.automatic(n, processors)


def choose_tile_size(n: int, dtype: npt.DTypeLike, *, may_calibrate: bool = False) -> int:
    """Return the tile size for n training points on this machine: what ``"auto"`` means.

    Where the machine is calibrated (`gprat.tune`), that of the simulated computation that takes
    the least time; for models of some hundred points, which any size suits, and elsewhere
    `auto_tile_size`.

    Parameters
    ----------
    n : int
        Number of training points, at least 1.
    dtype : {"float64", "float32"}
        Precision.
    may_calibrate : bool, default=False
        Whether to calibrate the machine, if it isn't yet and fitting takes much longer than that.

    Returns
    -------
    int
        Tile size in [1, n].

    Examples
    --------
    >>> choose_tile_size(500, "float64") == auto_tile_size(500, runtime.processors())
    True
    """
    processors = runtime.processors()
    usual = auto_tile_size(n, processors)
    if n < _SMALLEST_SIMULATED:
        return usual
    # Small models never wait for this import.
    from gprat.calibration import choice

    return choice.choose_tile_size(
        n, processors, str(np.dtype(dtype)), usual, may_calibrate=may_calibrate
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """What an operation costs, known before it starts. Prints as a table.

    Parameters
    ----------
    what : str
        The operation: "fit", "predict", "variance" or "covariance".
    n, d, m : int
        Training points, features, test points.
    n_outputs : int
        Columns of y.
    n_hyperparameters : int
        What the gradient has entries for.
    threads : int
        Threads that compute.
    dtype : str
        Precision, "float64" or "float32".
    tile_size : int
        Side of the tiles.
    n_tiles : int
        Tiles of the lower triangle, those on the diagonal included.
    n_tasks : int
        Tasks of the graph.
    seconds : float or None
        Predicted time; None where this machine is not calibrated (see `gprat.tune`), or features,
        outputs, hyperparameters or threads are more than `gprat.simulate` takes.
    critical_path_seconds : float or None
        What the longest chain of tasks takes that wait for each other: no number of threads makes
        it quicker. None likewise.
    efficiency : float or None
        The time that one thread takes, over that of all threads together, in (0, 1]. None likewise.
    flops : float
        Additions and multiplications.
    data_bytes : int
        Size of X, y and the test points.
    peak_bytes : int
        The most memory that is taken at a time beyond the data, results included.
    memory : int
        Bytes that may be taken.
    largest_n : int
        The most training points, all else being equal, for which data and peak fit into `memory`;
        0 if not even one does.

    Examples
    --------
    >>> plan(1000, m=50, what="variance", tile_size=100, memory=2**30).n_tiles
    55
    """

    what: str
    n: int
    d: int
    m: int
    n_outputs: int
    n_hyperparameters: int
    threads: int
    dtype: str
    tile_size: int
    n_tiles: int
    n_tasks: int
    seconds: float | None
    critical_path_seconds: float | None
    efficiency: float | None
    flops: float
    data_bytes: int
    peak_bytes: int
    memory: int
    largest_n: int

    @property
    def fits(self) -> bool:
        """Whether the data and the operation fit into the memory."""
        return self.data_bytes + self.peak_bytes <= self.memory

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, and `fits`, as numbers and text that JSON knows.

        Returns
        -------
        dict
            By the names of the fields.

        Examples
        --------
        >>> plan(1000, memory=2**30).as_dict()["fits"]
        True
        """
        return {**dataclasses.asdict(self), "fits": self.fits}

    def __str__(self) -> str:
        return as_plain_text(Group(Text(self._headline()), Text(""), self._table()))

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"

    def _headline(self) -> str:
        verdict = "fits into" if self.fits else "does not fit into"
        return (
            f"{_TITLES[self.what]}, {_count(self.n, 'training point')}: "
            f"{verdict} {as_bytes(self.memory)} of memory"
        )

    def _table(self) -> Table:
        table = make_table("", "")
        table.columns[-1].justify = "left"
        points = f", {_count(self.m, 'test point')}" if self.m else ""
        rows = {
            "size": f"{_count(self.d, 'feature')}, {_count(self.n_outputs, 'output')}, "
            f"{_count(self.n_hyperparameters, 'hyperparameter')}{points}",
            "data": as_bytes(self.data_bytes),
            "peak beyond the data": as_bytes(self.peak_bytes),
            "largest n that fits": f"{self.largest_n:,}",
            "operations": f"{self.flops:.3g} flop",
            "tiles": f"{self.n_tiles:,} of side {self.tile_size}, in {self.dtype}",
            "tasks": f"{self.n_tasks:,} on {_count(self.threads, 'thread')}",
            "time": self._time(),
        }
        for name, value in rows.items():
            table.add_row(name, Text(value))
        return table

    def _time(self) -> str:
        if self.seconds is None or self.critical_path_seconds is None or self.efficiency is None:
            return "unknown (see gprat.tune)"
        return (
            f"{_duration(self.seconds)}, at least {_duration(self.critical_path_seconds)} with any "
            f"number of threads; efficiency {self.efficiency:.0%}"
        )


def plan(
    n: int,
    d: int = 1,
    m: int = 0,
    *,
    what: Literal["fit", "predict", "variance", "covariance"] = "fit",
    n_outputs: int = 1,
    n_hyperparameters: int | None = None,
    threads: int | None = None,
    dtype: npt.DTypeLike = "float64",
    tile_size: int | Literal["auto"] = "auto",
    memory: int | None = None,
    calibrate: bool | None = None,
) -> Plan:
    """Say what an operation costs, without data and without doing it.

    Bytes, operations and tasks are counted from the loops of the core; the memory that is kept by
    each thread is an estimate of a few MiB. Time is that of a simulation of the very tasks that
    would run, at the rates at which tasks of an RBF kernel were measured on this machine. Training
    takes as many evaluations as it needs, each of which costs this much; restarts that run at the
    same time take that many times the memory.

    Parameters
    ----------
    n : int
        Number of training points, from 1 to 10⁹.
    d : int, default=1
        Number of features.
    m : int, default=0
        Number of test points; at least 1 unless `what` is "fit".
    what : {"fit", "predict", "variance", "covariance"}, default="fit"
        "fit": one evaluation of the log marginal likelihood and its gradient. The others: the
        factor, and predicted means; with variances; or with the joint covariance of all test
        points.
    n_outputs : int, default=1
        Number of columns of y.
    n_hyperparameters : int, default=None
        Number of entries of theta; None for d + 2: a variance, a length scale for each feature, and
        the noise.
    threads : int, default=None
        Threads that compute; None for all that a computation would use here and now.
    dtype : {"float64", "float32"}, default="float64"
        Precision.
    tile_size : int or "auto", default="auto"
        Side of the tiles; "auto" for what a model would choose on this machine.
    memory : int, default=None
        Bytes that may be taken; None for what is available to this process now, by the kernel's
        estimate and the limits of its cgroups.
    calibrate : bool, default=None
        Whether to measure how fast this machine is, which takes a second or two, where that isn't
        known yet; without it there is no prediction of times. None to do so where the operation
        takes much longer; see `gprat.tune`.

    Returns
    -------
    Plan
        Costs, and the largest n that fits. Prints as a table.

    Raises
    ------
    InvalidInputError
        If a number is out of its range, `what` is unknown, or test points are missing.
    UnsupportedTypeError
        If a number is not a whole number, or the dtype is none of the two.

    Examples
    --------
    >>> from gprat.planning import plan
    >>> costs = plan(20_000, d=8, threads=2, memory=8 * 2**30)
    >>> print(costs)
    Fit: likelihood and gradient, 20,000 training points: fits into 8 GiB of memory
    <BLANKLINE>
    size                  8 features, 1 output, 10 hyperparameters
    ...
    >>> costs.fits, costs.largest_n > 40_000
    (True, True)
    """
    operation = _check_operation(what)
    size, features = _check_size(n, "n"), _check_size(d, "d")
    outputs, points = _check_size(n_outputs, "n_outputs"), _check_points(m, operation)
    parameters = features + 2
    if n_hyperparameters is not None:
        parameters = _check_size(n_hyperparameters, "n_hyperparameters")
    precision = validation.check_dtype(dtype, None)
    entry = _calibration(str(precision), size, calibrate)
    work = Work(
        operation,
        features,
        points,
        outputs,
        parameters,
        runtime.threads() if threads is None else _check_size(threads, "threads"),
        runtime.processors(),
        precision.itemsize,
        _TileSize(tile_size, size, precision),
    )
    budget = available_memory() if memory is None else _check_memory(memory)
    tile = work.tile_size_for(size)
    tiles_a_side = -(-size // tile)
    forecast = _NO_FORECAST if entry is None else _forecast(work, size, entry.calibration)
    return Plan(
        what=operation.value,
        n=size,
        d=features,
        m=points,
        n_outputs=outputs,
        n_hyperparameters=parameters,
        threads=work.threads,
        dtype=str(precision),
        tile_size=tile,
        n_tiles=tiles_a_side * (tiles_a_side + 1) // 2,
        n_tasks=work.tasks(size),
        seconds=forecast[0],
        critical_path_seconds=forecast[1],
        efficiency=forecast[2],
        flops=work.flops(size),
        data_bytes=work.data_bytes(size),
        peak_bytes=work.peak_bytes(size),
        memory=budget,
        largest_n=_largest_n(work, budget),
    )


_NO_FORECAST = (None, None, None)


def _calibration(dtype: str, n: int, calibrate: bool | None) -> Entry | None:
    """Return the calibration of this machine, if there is one or one is wanted."""
    if calibrate is False:
        return None
    # Imported here: small models, which import this module, never wait for it.
    from gprat.calibration import choice

    if calibrate:
        return choice.obtain(dtype, measure=True, asked=True)
    return choice.obtain(dtype, measure=choice.is_worthwhile(n, runtime.processors()))


def _forecast(
    work: Work, n: int, calibration: Calibration
) -> tuple[float, float, float] | tuple[None, None, None]:
    """Return seconds, seconds of the critical path, and efficiency, if they can be simulated."""
    from gprat.calibration.forecast import forecast, is_simulated

    return forecast(work, n, calibration) if is_simulated(work) else _NO_FORECAST


class _TileSize:
    """The side of the tiles as a function of n.

    What a model of `chosen_for` points would take is looked up. For all other sizes, of which
    there may be many, it is the rule of `auto_tile_size`.
    """

    def __init__(
        self, tile_size: int | Literal["auto"], chosen_for: int, dtype: np.dtype[Any]
    ) -> None:
        remedy = 'Pass the side of a tile, such as 256, or "auto".'
        self._fixed: int | None = None
        if not (isinstance(tile_size, str) and tile_size == "auto"):
            self._fixed = validation.check_positive_integer(tile_size, "tile_size", remedy)
        self._processors = runtime.processors()
        self._chosen_for = chosen_for
        self._chosen = chosen_for
        if self._fixed is None:
            self._chosen = choose_tile_size(chosen_for, dtype)

    def __call__(self, n: int) -> int:
        if self._fixed is not None:
            return min(n, self._fixed)
        if n == self._chosen_for:
            return self._chosen
        return auto_tile_size(n, self._processors)


def _largest_n(work: Work, memory: int) -> int:
    """Return the largest n that fits, by bisection: what is taken grows with n."""

    def fits(n: int) -> bool:
        return work.data_bytes(n) + work.peak_bytes(n) <= memory

    low, high = 0, _LARGEST_SIZE + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def _check_operation(what: Any) -> Operation:
    try:
        return next(
            operation for operation in PLANNED if operation.value == validation.as_choice(what)
        )
    except StopIteration:
        names = ", ".join(repr(operation.value) for operation in PLANNED)
        raise InvalidInputError(f"unknown operation {what!r}: expected one of {names}.") from None


def _check_size(value: Any, name: str) -> int:
    number = validation.check_positive_integer(value, name, _SIZE_REMEDY)
    if number > _LARGEST_SIZE:
        raise InvalidInputError(
            f"{name} must be at most {_LARGEST_SIZE:,}, got {number:,}: no matrix of that size can "
            "be addressed. Check the number."
        )
    return number


def _check_points(m: Any, operation: Operation) -> int:
    if operation is Operation.FIT and validation.is_zero(m):
        return 0
    if operation is not Operation.FIT and m is not False and validation.is_zero(m):
        raise InvalidInputError(
            f"m is 0, and {operation.value!r} needs test points. Pass how many there will be, "
            "such as m=1000."
        )
    return _check_size(m, "m")


def _check_memory(memory: Any) -> int:
    return validation.check_positive_integer(
        memory, "memory", "Pass bytes, such as 16 * 2**30 for 16 GiB, or None for what there is."
    )


def _duration(seconds: float) -> str:
    units = {"µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "days": 86400.0}
    fitting = [name for name, unit in units.items() if seconds >= 1.5 * unit] or ["µs"]
    return f"{seconds / units[fitting[-1]]:.3g} {fitting[-1]}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
