"""The side of the tiles that the covariance matrix is cut into."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from gprat import _core, runtime
from gprat import _validation as validation

__all__ = ["TileSize", "auto_tile_size", "choose_tile_size"]

# From so many points on, another tile size can save more than looking for it costs.
_SMALLEST_SIMULATED = 1000


def auto_tile_size(n: int, processors: int) -> int:
    """Choose the side of the tiles that the covariance matrix is cut into.

    Small tiles feed many processors and keep the last, ragged phase of the factorisation short;
    large tiles let matrix products run near the processor's peak.

    Parameters
    ----------
    n : int
        Number of training points, at least 1.
    processors : int
        Number of processors of the machine that this process may use, at least 1. Not the number
        of threads of a model: results are bitwise equal between thread counts only at one tile
        size.

    Returns
    -------
    int
        Tile size in [1, 1008]; `n` where one tile will do.

    Examples
    --------
    >>> auto_tile_size(100, processors=2)
    100
    >>> auto_tile_size(8192, processors=2)
    744
    >>> auto_tile_size(8192, processors=64)
    240
    """
    return _core.tiles.automatic(n, processors)


def choose_tile_size(n: int, dtype: npt.DTypeLike, *, may_calibrate: bool = False) -> int:
    """Return the tile size for n training points on this machine: what ``"auto"`` means.

    Where the machine is calibrated (`gprat.tune`), that of the simulated computation that takes
    the least time; for models of some hundred points, which any size suits, and elsewhere
    `auto_tile_size`.

    Parameters
    ----------
    n : int
        Number of training points, at least 1.
    dtype : {"float64", "float32"}
        Precision.
    may_calibrate : bool, default=False
        Whether to calibrate the machine, if it isn't yet and fitting takes much longer than that.

    Returns
    -------
    int
        Tile size in [1, n].

    Examples
    --------
    >>> choose_tile_size(500, "float64") == auto_tile_size(500, runtime.processors())
    True
    """
    processors = runtime.processors()
    usual = auto_tile_size(n, processors)
    if n < _SMALLEST_SIMULATED:
        return usual
    # Small models never wait for this import.
    from gprat.calibration import choice

    return choice.choose_tile_size(
        n, processors, str(np.dtype(dtype)), usual, may_calibrate=may_calibrate
    )


class TileSize:
    """The side of the tiles as a function of n.

    What a model of `chosen_for` points would take is looked up. For all other sizes, of which
    there may be many, it is the rule of `auto_tile_size`.
    """

    def __init__(
        self, tile_size: int | Literal["auto"], chosen_for: int, dtype: np.dtype[Any]
    ) -> None:
        remedy = 'Pass the side of a tile, such as 256, or "auto".'
        self._fixed: int | None = None
        if not (isinstance(tile_size, str) and tile_size == "auto"):
            self._fixed = validation.check_positive_integer(tile_size, "tile_size", remedy)
        self._processors = runtime.processors()
        self._chosen_for = chosen_for
        self._chosen = chosen_for
        if self._fixed is None:
            self._chosen = choose_tile_size(chosen_for, dtype)

    def __call__(self, n: int) -> int:
        """Return the side of the tiles for n training points."""
        if self._fixed is not None:
            return min(n, self._fixed)
        if n == self._chosen_for:
            return self._chosen
        return auto_tile_size(n, self._processors)
