"""Failures as values: what comes after a block that has none is skipped, and nothing is logged.

A task that raised would be reported by its worker and end what depends on it; but a covariance
matrix without a factor is nothing unusual in training.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Indefinite", "RankDeficient", "call", "failure_among"]


@dataclass(frozen=True, slots=True)
class Indefinite:
    """K has no Cholesky factor.

    Parameters
    ----------
    row : int
        Where the pivot is not a positive number.
    is_finite : bool
        Whether it is a finite number.
    """

    row: int
    is_finite: bool


@dataclass(frozen=True, slots=True)
class RankDeficient:
    """The basis functions of the trend depend on each other.

    Parameters
    ----------
    column : int
        The first that those before it explain.
    """

    column: int


def failure_among(values: Any) -> Indefinite | RankDeficient | None:
    """Return the first failure among values, and lists and tuples of them."""
    if isinstance(values, Indefinite | RankDeficient):
        return values
    if isinstance(values, list | tuple):
        for value in values:
            if (failure := failure_among(value)) is not None:
                return failure
    return None


def call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function, unless there is a failure among its arguments: then return that."""
    failure = failure_among(arguments)
    return function(*arguments) if failure is None else failure
