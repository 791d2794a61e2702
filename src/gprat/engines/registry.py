"""Engines by name. Each is imported when first asked for: it may need an optional library."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

from gprat.engines.base import Engine
from gprat.exceptions import InvalidInputError, UnsupportedTypeError

__all__ = ["get_engine"]

_ENGINES = ("cluster", "cpu")


def get_engine(name: str | Engine, client: Any = None) -> Engine:
    """Return the engine called `name`.

    Parameters
    ----------
    name : {"cpu", "cluster"} or Engine
        "cpu": tiled linear algebra on the processors of this machine. "cluster": blocks on the
        workers of a Dask cluster. An engine stands for itself.
    client : distributed.Client, default=None
        The connection to the cluster; for "cluster" alone.

    Returns
    -------
    Engine
        For "cpu" the same object each time.

    Raises
    ------
    InvalidInputError
        If there is no engine of that name, or it takes no client.
    UnsupportedTypeError
        If it is neither a name nor an engine.
    ImportError
        If a library is missing that the engine needs.

    Examples
    --------
    >>> get_engine("cpu") is get_engine("cpu")
    True
    """
    if not isinstance(name, str):
        return _check_engine(name, client)
    if name not in _ENGINES:
        names = ", ".join(map(repr, _ENGINES))
        raise InvalidInputError(f"unknown engine {name!r}; the engines are {names}.")
    if name == "cluster":
        engine: Engine = import_module("gprat.engines.cluster").ClusterEngine(client)
        return engine
    if client is not None:
        raise InvalidInputError('client is for engine="cluster" alone.')
    return _cpu_engine()


def _check_engine(engine: Any, client: Any) -> Engine:
    if not hasattr(engine, "factorise"):
        raise UnsupportedTypeError(
            f"engine must be a name or an engine, got {type(engine).__name__}."
        )
    if client is not None:
        raise InvalidInputError("an engine that is made already takes no client.")
    checked: Engine = engine
    return checked


@cache
def _cpu_engine() -> Engine:
    engine: Engine = import_module("gprat.engines.cpu").CpuEngine()
    return engine
