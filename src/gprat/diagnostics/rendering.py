"""Diagnostics as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Group
from rich.table import Table
from rich.text import Text
from scipy.stats import chi2, norm

from gprat._text import as_plain_text, make_table
from gprat._validation import Float64Array
from gprat.noise import IntArray

if TYPE_CHECKING:
    from gprat.diagnostics.report import Diagnostics

__all__ = ["as_text"]

_OUTPUTS_A_TABLE = 4
# Levels that are shown, or those nearest to them.
_SHOWN = (0.5, 0.8, 0.95)


def as_text(diagnostics: Diagnostics) -> str:
    """Return tables of plain text, 100 characters wide at most."""
    n = np.atleast_1d(diagnostics.n)
    counted = f"{n[0]}" if (n == n[0]).all() else f"{n.min()} to {n.max()}"
    targets = "target" if n.max() == 1 else "targets"
    head = f"Diagnostics by {diagnostics.source}: {counted} {targets}"
    rows = [*_errors(diagnostics), *_residuals(diagnostics, n), *_coverage(diagnostics)]
    tables = [
        _table(rows, slice(start, start + _OUTPUTS_A_TABLE), n.size, np.ndim(diagnostics.n) == 0)
        for start in range(0, n.size, _OUTPUTS_A_TABLE)
    ]
    remark = "! more than chance explains in 19 of 20 cases"
    is_odd = any(row.is_odd(output) for row in rows for output in range(n.size))
    parts: list[Text | Table] = [Text(head), *tables, *([Text(remark)] if is_odd else [])]
    return as_plain_text(Group(*(part for section in parts for part in (section, Text("")))))


@dataclass(frozen=True, slots=True, eq=False)
class _Row:
    """A measure of each output, and between what values it lies by chance, if that is known."""

    name: str
    values: Float64Array | IntArray
    low: Float64Array | None = None
    high: Float64Array | None = None
    texts: tuple[str, ...] = ()

    def is_odd(self, output: int) -> bool:
        """Return whether the value lies outside what chance explains."""
        if self.low is None or self.high is None:
            return False
        return bool(not self.low[output] <= self.values[output] <= self.high[output])

    def cell(self, output: int) -> str:
        """Return the value as text."""
        value = self.values[output]
        text = self.texts[output] if self.texts else "-" if np.isnan(value) else f"{value:.3g}"
        return text + (" !" if self.is_odd(output) else "  ")

    def chance(self) -> str:
        """Return the range as text if it is the same for all outputs."""
        if self.low is None or self.high is None or np.ptp(self.low) + np.ptp(self.high) > 0.0:
            return ""
        return f"{self.low[0]:.3g} to {self.high[0]:.3g}"


def _table(rows: list[_Row], outputs: slice, n_outputs: int, is_vector: bool) -> Table:
    shown = range(n_outputs)[outputs]
    table = make_table("", *("" if is_vector else f"output {o}  " for o in shown), "by chance")
    table.columns[0].no_wrap = True
    for row in rows:
        table.add_row(row.name, *(row.cell(output) for output in shown), row.chance())
    return table


def _errors(diagnostics: Diagnostics) -> list[_Row]:
    names = {
        "rmse": "root mean squared error",
        "mae": "mean absolute error",
        "smse": "standardised mean squared error",
        "nlpd": "negative log predictive density",
        "msll": "mean standardised log loss",
    }
    return [_Row(name, np.atleast_1d(getattr(diagnostics, field))) for field, name in names.items()]


def _residuals(diagnostics: Diagnostics, n: IntArray) -> list[_Row]:
    """Return rows about the standardised residuals, with 95 % ranges of n normal numbers."""
    error = norm.ppf(0.975) / np.sqrt(n)
    freedom = np.maximum(n - 1, 1)
    low, high = np.sqrt(chi2.interval(0.95, freedom) / freedom)
    largest = np.atleast_1d(diagnostics.largest_residual)
    # The largest of n lies below a bound if all do.
    most = norm.isf(-0.5 * np.expm1(np.log(0.95) / n))
    at = np.atleast_1d(diagnostics.largest_row)
    std = np.atleast_1d(diagnostics.residual_std)
    return [
        _Row("residuals / std: mean", np.atleast_1d(diagnostics.residual_mean), -error, error),
        _Row("residuals / std: deviation", std, *((low, high) if (n > 1).all() else ())),
        _Row("residuals / std: largest", largest, -most, most),
        _Row("    at row", at, texts=tuple(str(row) for row in at)),
    ]


def _coverage(diagnostics: Diagnostics) -> list[_Row]:
    levels = diagnostics.levels
    q = levels.size
    tables = (diagnostics.coverage, diagnostics.coverage_low, diagnostics.coverage_high)
    coverage, low, high = (table.reshape(q, -1) for table in tables)
    nearest = sorted({int(np.abs(levels - level).argmin()) for level in _SHOWN})
    return [
        _Row(f"inside the {100.0 * levels[i]:g} % interval", coverage[i], low[i], high[i])
        for i in nearest
    ]
