"""Sizes that are chosen before the work starts."""

from __future__ import annotations

from typing import Any

import numpy as np

_ONE_TILE_UP_TO = 192
_TILES_A_SIDE = 16
_SMALLEST, _LARGEST, _MULTIPLE = 128, 1024, 24


def auto_tile_size(n: int, threads: int, dtype: np.dtype[Any]) -> int:
    """Choose the side of the tiles that the covariance matrix is cut into.

    Small tiles feed many threads and keep the last, ragged phase of the factorisation short;
    large tiles let matrix products run near the processor's peak.

    Parameters
    ----------
    n : int
        Number of training points, at least 1.
    threads : int
        Number of threads that the model may use. The size is the same for any number, since
        results are bitwise equal between thread counts only at one tile size.
    dtype : numpy.dtype
        float64 or float32.

    Returns
    -------
    int
        Tile size in [1, 1024]; `n` where one tile will do.

    Examples
    --------
    >>> import numpy as np
    >>> auto_tile_size(100, 2, np.dtype(np.float64))
    100
    >>> auto_tile_size(8192, 2, np.dtype(np.float64))
    504
    """
    if n <= _ONE_TILE_UP_TO:
        return n
    size = min(max(round(n / _TILES_A_SIDE), _SMALLEST), _LARGEST)
    return min(_LARGEST, max(_SMALLEST, _MULTIPLE * round(size / _MULTIPLE)))
