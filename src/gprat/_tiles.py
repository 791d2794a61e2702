"""Sides of tiles that the matrix products like."""

from __future__ import annotations

__all__ = ["LARGEST", "SMALLEST", "side_at_least"]

SMALLEST, LARGEST = 120, 1008

# Products work on 24 rows at a time, and read a tile where it lies unless its columns all fall
# into the same few places of a cache, as they do where they are a multiple of 1 KiB apart.
_MULTIPLE, _CROWDED = 24, 128


def side_at_least(size: float) -> int:
    """Return the smallest side that is at least `size`.

    Examples
    --------
    >>> side_at_least(380), side_at_least(230)
    (408, 240)
    """
    side = -int(-size // _MULTIPLE) * _MULTIPLE
    return side + _MULTIPLE if side % _CROWDED == 0 else side
