"""Optimisers by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gprat.exceptions import InvalidInputError
from gprat.optimize.adam import Adam
from gprat.optimize.base import Optimizer
from gprat.optimize.lbfgs import LBFGSB

__all__ = ["get_optimizer"]

_FACTORIES: dict[str, Callable[..., Optimizer]] = {"l-bfgs-b": LBFGSB, "adam": Adam}


def get_optimizer(name: str, **options: Any) -> Optimizer:
    """Return the optimiser called `name`.

    Parameters
    ----------
    name : {"l-bfgs-b", "adam"}
        "l-bfgs-b": quasi-Newton, for most models the fastest. "adam": gradient descent that also
        copes with a rough loss.
    **options
        Options of that optimiser: `max_iter` and, for "adam", `learning_rate`.

    Returns
    -------
    Optimizer
        Ready to run.

    Raises
    ------
    InvalidInputError
        If there is no optimiser of that name, or it has no such option.

    Examples
    --------
    >>> get_optimizer("adam", max_iter=50)
    Adam(max_iter=50, learning_rate=0.1)
    """
    if not isinstance(name, str) or name not in _FACTORIES:
        names = " or ".join(repr(known) for known in _FACTORIES)
        raise InvalidInputError(f"unknown optimizer {name!r}: expected {names}.")
    try:
        return _FACTORIES[name](**options)
    except TypeError as error:
        raise InvalidInputError(
            f"the optimizer {name!r} does not take all of the options {', '.join(options)}. "
            "Leave out learning_rate unless the optimizer is 'adam'."
        ) from error
