"""Optimisers by name, and what may stand in place of a name."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any

from gprat.exceptions import InvalidInputError
from gprat.optimize.adam import Adam
from gprat.optimize.base import Optimizer
from gprat.optimize.external import External
from gprat.optimize.lbfgs import LBFGSB

__all__ = ["describe", "get_optimizer"]

_CLASSES: dict[str, type[LBFGSB] | type[Adam]] = {"l-bfgs-b": LBFGSB, "adam": Adam}


def get_optimizer(optimizer: str | Callable[..., Any] | Optimizer, **options: Any) -> Optimizer:
    """Return an optimiser.

    Parameters
    ----------
    optimizer : {"l-bfgs-b", "adam"}, callable or Optimizer
        "l-bfgs-b": quasi-Newton, for most models the fastest. "adam": gradient descent that also
        copes with a rough loss. A callable: as scikit-learn's `GaussianProcessRegressor` takes it,
        see `gprat.optimize.external.External`. An object with the method `run` is returned as it
        is.
    **options
        Options of the optimiser of that name: `max_iter`; `tolerance` and `scale` for "l-bfgs-b";
        `learning_rate` and `schedule` for "adam".

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
    Adam(max_iter=50, learning_rate=0.1, schedule='constant')
    """
    if isinstance(optimizer, str) and optimizer in _CLASSES:
        return _with_options(optimizer, options)
    is_class = isinstance(optimizer, type)
    if not is_class and callable(getattr(optimizer, "run", None)):
        _refuse_options(optimizer, options)
        return optimizer  # type: ignore[return-value]
    if not is_class and callable(optimizer):
        _refuse_options(optimizer, options)
        return External(optimizer)
    names = " or ".join(repr(known) for known in _CLASSES)
    raise InvalidInputError(
        f"unknown optimizer {optimizer!r}: expected {names}, a function with the signature of "
        "scikit-learn's optimizers, or an object with the method run."
    )


def describe(optimizer: Optimizer) -> str:
    """Return the settings of an optimiser, the same in every process.

    Examples
    --------
    >>> describe(get_optimizer(lambda obj_func, initial_theta, bounds: (initial_theta, 0.0)))
    'External(optimizer=<function <lambda>>)'
    """
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(optimizer))


def _with_options(name: str, options: dict[str, Any]) -> Optimizer:
    known = [field.name for field in fields(_CLASSES[name])]
    unknown = [option for option in options if option not in known]
    if unknown:
        raise InvalidInputError(
            f"the optimizer {name!r} has no option {unknown[0]}; it has {', '.join(known)}. "
            f"Leave out {unknown[0]}, or choose the optimizer that has it."
        )
    return _CLASSES[name](**options)


def _refuse_options(optimizer: object, options: dict[str, Any]) -> None:
    if options:
        raise InvalidInputError(
            f"the options {', '.join(options)} belong to the optimizers that have a name, got "
            f"them with {optimizer!r}. Set them where that optimizer is made."
        )
