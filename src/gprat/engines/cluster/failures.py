"""Failures as values: what comes after a block that has none is skipped, and nothing is logged.

A task that raised would be reported by its worker and end what depends on it; but a covariance
matrix without a factor is nothing unusual in training.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["BlockFailedError", "Indefinite", "RankDeficient", "failure_among"]


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


class BlockFailedError(Exception):
    """A computation found that it has no result; the engine says why.

    Parameters
    ----------
    failure : Indefinite or RankDeficient
        What was found.
    """

    def __init__(self, failure: Indefinite | RankDeficient) -> None:
        super().__init__(failure)
        self.failure = failure


def failure_among(results: Iterable[Any]) -> Indefinite | RankDeficient | None:
    """Return the first failure among results of tasks."""
    for result in results:
        if isinstance(result, Indefinite | RankDeficient):
            return result
    return None
