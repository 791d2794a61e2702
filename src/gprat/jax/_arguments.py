"""Arguments as users pass them, as JAX arrays of one dtype whose shapes fit together."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, TypeAlias, get_args

import jax
import jax.numpy as jnp
import numpy as np

from gprat.differentiation import Regression
from gprat.exceptions import InvalidInputError, UnsupportedTypeError

__all__ = ["Arguments", "OnFailure", "check_on_failure", "check_shapes", "read_arguments"]

Arguments: TypeAlias = dict[str, jax.Array]
"""By the names that `gprat.differentiation` gives them; without those that are None."""

OnFailure: TypeAlias = Literal["raise", "nan"]

_OPTIONAL = ("theta", "mean_coefficients")


def read_arguments(**given: Any) -> Arguments:
    """Return arguments as arrays of the dtype that JAX promotes them to.

    Raises
    ------
    UnsupportedTypeError
        If one is no array of real numbers, or the dtype is neither float32 nor float64.
    """
    arrays = {
        name: _as_array(value, name)
        for name, value in given.items()
        if value is not None or name not in _OPTIONAL
    }
    dtype = jnp.result_type(float, *arrays.values())
    if dtype not in (jnp.float32, jnp.float64):
        raise UnsupportedTypeError(
            f"gprat computes in float32 or float64, and the arguments promote to {dtype}. Convert "
            "them, as by X.astype(jax.numpy.float32)."
        )
    return {name: array.astype(dtype) for name, array in arrays.items()}


def _as_array(value: Any, name: str) -> jax.Array:
    try:
        array = jnp.asarray(value)
        jnp.result_type(float, array)
    except (TypeError, ValueError) as error:
        raise UnsupportedTypeError(
            f"{name} must be an array of real numbers, got {type(value).__name__}: {error}"
        ) from error
    return array


def check_shapes(regression: Regression, arguments: Arguments) -> None:
    """Refuse what compiled code would refuse for its shape: now, and not when it is called.

    Raises
    ------
    InvalidInputError
        If shapes don't fit together, or the kernel doesn't fit the features.
    """
    shapes = tuple((name, array.shape) for name, array in arguments.items())
    _check_shapes(regression, shapes, np.dtype(arguments["X"].dtype))


@lru_cache(maxsize=1024)
def _check_shapes(
    regression: Regression, shapes: tuple[tuple[str, tuple[int, ...]], ...], dtype: np.dtype[Any]
) -> None:
    """Check arrays that stand for those of which only the shape is known.

    What was found to be right is known from then on, so that calls without `jit` don't pay twice.
    """
    # Ones are valid for all: a variance must be positive.
    regression.check(**{name: np.ones(shape, dtype) for name, shape in shapes})


def check_on_failure(on_failure: Any) -> OnFailure:
    """Return what to do where there is no result.

    Raises
    ------
    InvalidInputError
        If it is none of the choices.
    """
    choices: tuple[OnFailure, ...] = get_args(OnFailure)
    for choice in choices:
        if isinstance(on_failure, str) and on_failure == choice:
            return choice
    raise InvalidInputError(
        f"unknown on_failure {on_failure!r}: expected {' or '.join(map(repr, choices))}."
    )
