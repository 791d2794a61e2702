"""Bad input of the planner."""

from __future__ import annotations

from typing import Any

from gprat import _validation as validation
from gprat._costs import Operation
from gprat.exceptions import InvalidInputError

__all__ = [
    "LARGEST_SIZE",
    "check_memory",
    "check_points",
    "check_size",
]

# Squared, and times eight bytes, it still is a number of 63 bits.
LARGEST_SIZE = 10**9
_SIZE_REMEDY = "Pass a count, such as 10_000."


def check_size(value: Any, name: str) -> int:
    """Return a count from 1 to 10⁹."""
    number = validation.check_positive_integer(value, name, _SIZE_REMEDY)
    if number > LARGEST_SIZE:
        raise InvalidInputError(
            f"{name} must be at most {LARGEST_SIZE:,}, got {number:,}: no matrix of that size can "
            "be addressed. Check the number."
        )
    return number


def check_points(m: Any, operation: Operation) -> int:
    """Return how many test points there are: none for an evaluation of the likelihood."""
    if operation is Operation.FIT and validation.is_zero(m):
        return 0
    if operation is not Operation.FIT and m is not False and validation.is_zero(m):
        raise InvalidInputError(
            f"m is 0, and {operation.value!r} needs test points. Pass how many there will be, "
            "such as m=1000."
        )
    return check_size(m, "m")


def check_memory(memory: Any) -> int:
    """Return a number of bytes."""
    return validation.check_positive_integer(
        memory, "memory", "Pass bytes, such as 16 * 2**30 for 16 GiB, or None for what there is."
    )
