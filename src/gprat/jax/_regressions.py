"""Equal descriptions of a model give the same object: JAX compiles once for it, not each time."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jax
import numpy as np

from gprat.differentiation import Regression
from gprat.exceptions import UnsupportedTypeError
from gprat.kernels import Kernel

__all__ = ["regression_for"]

_MOST_MODELS = 256


@dataclass(frozen=True)
class _Description:
    """What makes a model; `key` says what of it counts, as kernels and lists have no hash."""

    key: Hashable
    kernel: Kernel = field(compare=False)
    options: dict[str, Any] = field(compare=False)


def regression_for(kernel: Kernel, **options: Any) -> Regression:
    """Return the model with a kernel and options; the same object for equal ones.

    Raises
    ------
    UnsupportedTypeError
        If an option has the wrong type, or a hyperparameter is a traced value.
    InvalidInputError
        If an option makes no sense.
    """
    key = (_key_of(kernel), _key_of(options))
    return _make(_Description(key, kernel, options))


@lru_cache(maxsize=_MOST_MODELS)
def _make(description: _Description) -> Regression:
    return Regression(description.kernel, **description.options)


def _key_of(value: Any) -> Hashable:
    """Return what is equal for equal values, and never for others.

    scikit-learn's comparison of kernels won't do: k1 + k2 and k2 + k1 are equal to it, and the
    order of their hyperparameters differs.
    """
    if isinstance(value, Kernel):
        return type(value), _key_of(value.get_params(deep=False))
    if isinstance(value, dict):
        return tuple((name, _key_of(part)) for name, part in sorted(value.items()))
    if isinstance(value, list | tuple):
        return type(value), tuple(map(_key_of, value))
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, jax.core.Tracer):
        raise UnsupportedTypeError(
            "a hyperparameter of the kernel is a traced value, and kernels hold numbers. Build the "
            "kernel from plain numbers, and pass the traced ones as theta, the logarithms."
        )
    try:
        hash(value)
    except TypeError:
        # The description keeps the object alive, and with it its number.
        return "object", id(value)
    return type(value), value
