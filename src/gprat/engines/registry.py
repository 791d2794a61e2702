"""Engines by name. Each is imported when first asked for: it may need an optional library."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from gprat.engines.base import Engine
from gprat.exceptions import InvalidInputError

__all__ = ["get_engine"]

_FACTORIES = {"cpu": ("gprat.engines.cpu", "CpuEngine")}


@cache
def get_engine(name: str) -> Engine:
    """Return the engine called `name`.

    Parameters
    ----------
    name : {"cpu"}
        "cpu": tiled linear algebra on the processors of this machine.

    Returns
    -------
    Engine
        The same object each time.

    Raises
    ------
    InvalidInputError
        If there is no engine of that name.

    Examples
    --------
    >>> get_engine("cpu") is get_engine("cpu")
    True
    """
    if name not in _FACTORIES:
        names = ", ".join(repr(known) for known in sorted(_FACTORIES))
        raise InvalidInputError(f"unknown engine {name!r}; the engines are {names}.")
    module, factory = _FACTORIES[name]
    engine: Engine = getattr(import_module(module), factory)()
    return engine
