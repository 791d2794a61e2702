"""What a model may take of the machine: tiles, threads, memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gprat import _validation as validation
from gprat.planning import choose_tile_size

__all__ = ["Resources", "check_memory_limit", "check_resources", "check_threads", "tile_size_for"]

_THREADS_REMEDY = "Pass how many processors to use, or None for all."
_MEMORY_REMEDY = "Pass bytes, such as 8 * 2**30 for 8 GiB, or None for what there is."
_TILE_REMEDY = 'Pass the side of a tile, such as 256, or "auto".'


@dataclass(frozen=True, slots=True)
class Resources:
    """What a model of any size may take.

    Parameters
    ----------
    tile_size : int or "auto"
        Side of the tiles.
    threads : int or None
        The most threads for a call; None for all.
    memory_limit : int or None
        The most bytes for a call; None for what there is.
    """

    tile_size: int | Literal["auto"]
    threads: int | None
    memory_limit: int | None

    def tile_size_for(self, n: int, dtype: np.dtype[Any]) -> int:
        """Return the side of the tiles of n training points, in [1, n]."""
        return min(tile_size_for(self.tile_size, n, dtype), n)


def check_resources(tile_size: Any, threads: Any, memory_limit: Any) -> Resources:
    """Check what users pass.

    Raises
    ------
    InvalidInputError
        If a number is not positive.
    UnsupportedTypeError
        If something is no whole number.
    """
    if not is_automatic(tile_size):
        tile_size = validation.check_positive_integer(tile_size, "tile_size", _TILE_REMEDY)
    return Resources(tile_size, check_threads(threads), check_memory_limit(memory_limit))


def check_threads(threads: Any) -> int | None:
    """Return the most threads for a call, or None for all."""
    if threads is None:
        return None
    return validation.check_positive_integer(threads, "threads", _THREADS_REMEDY)


def check_memory_limit(memory_limit: Any) -> int | None:
    """Return the most bytes for a call, or None for what there is."""
    if memory_limit is None:
        return None
    return validation.check_positive_integer(memory_limit, "memory_limit", _MEMORY_REMEDY)


def is_automatic(tile_size: Any) -> bool:
    """Whether tiles are to be as the machine likes them."""
    return isinstance(tile_size, str) and tile_size == "auto"


def tile_size_for(tile_size: Any, n: int, dtype: np.dtype[Any]) -> int:
    """Return the side of the tiles that is asked for, or that the machine likes for n points."""
    if is_automatic(tile_size):
        return choose_tile_size(n, dtype, may_calibrate=True)
    return validation.check_positive_integer(tile_size, "tile_size", _TILE_REMEDY)
