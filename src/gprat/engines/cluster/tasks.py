"""What travels to a worker: a function, its arguments, and where results of others belong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from gprat.engines.cluster.failures import failure_among
from gprat.engines.cluster.futures import Future

__all__ = ["Arguments", "call", "open_arguments"]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the result of another task belongs.

    Parameters
    ----------
    number : int
        Which of the results that a task is given.
    """

    number: int


@dataclass(frozen=True, slots=True, eq=False)
class Arguments:
    """Arguments with places that are open until the results of other tasks are there.

    Parameters
    ----------
    values : tuple
        The arguments.
    """

    values: tuple[Any, ...]

    def filled(self, results: Sequence[Any]) -> tuple[Any, ...]:
        """Return the arguments with results in their places."""
        arguments: tuple[Any, ...] = _fill(self.values, results)
        return arguments


def open_arguments(values: tuple[Any, ...]) -> tuple[Arguments, list[Future]]:
    """Leave places where futures are, also within lists and tuples; return these in order."""
    needed: dict[Future, _Place] = {}
    return Arguments(_open(values, needed)), list(needed)


def call(function: Callable[..., Any], arguments: Arguments, *results: Any) -> Any:
    """Call a function, unless there is a failure among the results: then return that."""
    failure = failure_among(results)
    return function(*arguments.filled(results)) if failure is None else failure


def _open(value: Any, needed: dict[Future, _Place]) -> Any:
    if isinstance(value, Future):
        return needed.setdefault(value, _Place(len(needed)))
    if isinstance(value, tuple | list):
        return type(value)(_open(part, needed) for part in value)
    return value


def _fill(value: Any, results: Sequence[Any]) -> Any:
    if isinstance(value, _Place):
        return results[value.number]
    if isinstance(value, tuple | list):
        return type(value)(_fill(part, results) for part in value)
    return value
