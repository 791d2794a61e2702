"""What an operation costs, as a table."""

from __future__ import annotations

import dataclasses
import html
from dataclasses import dataclass
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from gprat._text import as_bytes, as_plain_text, make_table
from gprat.planning.words import TITLES, count, duration

__all__ = ["Plan"]


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
    >>> from gprat.planning import plan
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
        >>> from gprat.planning import plan
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
            f"{TITLES[self.what]}, {count(self.n, 'training point')}: "
            f"{verdict} {as_bytes(self.memory)} of memory"
        )

    def _table(self) -> Table:
        table = make_table("", "")
        table.columns[-1].justify = "left"
        points = f", {count(self.m, 'test point')}" if self.m else ""
        rows = {
            "size": f"{count(self.d, 'feature')}, {count(self.n_outputs, 'output')}, "
            f"{count(self.n_hyperparameters, 'hyperparameter')}{points}",
            "data": as_bytes(self.data_bytes),
            "peak beyond the data": as_bytes(self.peak_bytes),
            "largest n that fits": f"{self.largest_n:,}",
            "operations": f"{self.flops:.3g} flop",
            "tiles": f"{self.n_tiles:,} of side {self.tile_size}, in {self.dtype}",
            "tasks": f"{self.n_tasks:,} on {count(self.threads, 'thread')}",
            "time": self._time(),
        }
        for name, value in rows.items():
            table.add_row(name, Text(value))
        return table

    def _time(self) -> str:
        if self.seconds is None or self.critical_path_seconds is None or self.efficiency is None:
            return "unknown (see gprat.tune)"
        return (
            f"{duration(self.seconds)}, at least {duration(self.critical_path_seconds)} with any "
            f"number of threads; efficiency {self.efficiency:.0%}"
        )
