"""How plans are worded."""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["TITLES", "OperationName", "count", "duration"]

OperationName: TypeAlias = Literal["fit", "predict", "variance", "covariance"]

TITLES = {
    "fit": "Fit: likelihood and gradient",
    "predict": "Predict means",
    "variance": "Predict means and variances",
    "covariance": "Predict means and their covariance",
}


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it.

    Examples
    --------
    >>> duration(0.25), duration(7200.0)
    ('250 ms', '2 h')
    """
    units = {"µs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0, "days": 86400.0}
    fitting = [name for name, unit in units.items() if seconds >= 1.5 * unit] or ["µs"]
    return f"{seconds / units[fitting[-1]]:.3g} {fitting[-1]}"


def count(number: int, noun: str) -> str:
    """Return a number of things.

    Examples
    --------
    >>> count(1, "worker"), count(2000, "task")
    ('1 worker', '2,000 tasks')
    """
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
