"""Numbers and names that users pass in."""

from __future__ import annotations

import math
import operator
from numbers import Number
from typing import Any

import numpy as np

from gprat.exceptions import InvalidInputError, UnsupportedTypeError

__all__ = [
    "as_choice",
    "as_float",
    "check_count",
    "check_learning_rate",
    "check_positive_integer",
    "check_positive_number",
    "check_random_state",
    "check_training_options",
    "is_zero",
]


def check_positive_integer(value: Any, name: str, remedy: str) -> int:
    """Return `value` as an int of at least 1; booleans and floats are refused."""
    try:
        number = None if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = None
    if number is None:
        raise UnsupportedTypeError(
            f"{name} must be a positive whole number, got {value!r} of type "
            f"{type(value).__name__}. {remedy}"
        )
    if number < 1:
        raise InvalidInputError(f"{name} must be at least 1, got {number}. {remedy}")
    return number


def check_positive_number(value: Any, name: str, remedy: str) -> float:
    """Return `value` as a positive finite float."""
    try:
        number = None if isinstance(value, str | bytes | bool) else as_float(value)
    except (TypeError, ValueError):
        number = None
    if number is None:
        raise UnsupportedTypeError(f"{name} must be a positive number, got {value!r}. {remedy}")
    if not 0.0 < number < math.inf:
        raise InvalidInputError(f"{name} must be positive and finite, got {number}. {remedy}")
    return number


def as_float(value: Any) -> float:
    """Return a number as a float: infinity where it is too large, NaN where it is masked."""
    if np.ma.is_masked(value):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf


def check_learning_rate(value: Any) -> float:
    """Return the length of a step of gradient descent."""
    remedy = "Pass a step in log hyperparameters, such as 0.1."
    return check_positive_number(value, "learning_rate", remedy)


def check_training_options(max_iter: Any, learning_rate: Any) -> dict[str, int | float]:
    """Return the options that are given, that is, not None."""
    options: dict[str, int | float] = {}
    if max_iter is not None:
        remedy = "Pass the most iterations, such as 100, or None."
        options["max_iter"] = check_positive_integer(max_iter, "max_iter", remedy)
    if learning_rate is not None:
        options["learning_rate"] = check_learning_rate(learning_rate)
    return options


def check_count(value: Any, name: str, remedy: str) -> int:
    """Return `value` as an int of at least 0."""
    return 0 if is_zero(value) else check_positive_integer(value, name, remedy)


def is_zero(value: Any) -> bool:
    """Whether `value` is a number, and that number is 0."""
    return isinstance(value, Number) and not value


def check_random_state(random_state: Any) -> np.random.Generator:
    """Return a generator from None, a seed, a Generator or a RandomState, which moves on."""
    if isinstance(random_state, np.random.Generator):
        return random_state
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**32, size=4, dtype=np.uint32))
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError):
        raise UnsupportedTypeError(
            "random_state must be None, a whole number that is not negative, a "
            f"numpy.random.Generator or a RandomState, got {random_state!r}."
        ) from None


def as_choice(value: Any) -> str:
    """Return `value` if it is text, as it is in a choice by name; else text that names nothing."""
    return value if isinstance(value, str) else ""
