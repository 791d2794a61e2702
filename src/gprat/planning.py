"""Sizes that are chosen before the work starts."""

from __future__ import annotations

import math

_ONE_TILE_UP_TO = 192
_SMALLEST, _LARGEST = 120, 1008

# The packed matrix product works on 24 rows at a time.
_MULTIPLE = 24

# Where the time of factorisation, gradient and variance has its flat minimum on two processors
# (measured for n from 256 to 8192).
_TILE_PER_ROOT = 8.5

# Tiles a side, per root of the number of processors, that keep all of them busy.
_TILES_PER_ROOT = 4


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
    768
    >>> auto_tile_size(8192, processors=64)
    240
    """
    if n <= _ONE_TILE_UP_TO:
        return n
    size = min(_TILE_PER_ROOT * math.sqrt(n), n / (_TILES_PER_ROOT * math.sqrt(processors)))
    return min(max(int(size) // _MULTIPLE * _MULTIPLE, _SMALLEST), _LARGEST)
