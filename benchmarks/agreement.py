"""Results are compared before times are: whoever disagrees gets an error instead of a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

__all__ = ["TOLERANCES", "AgreementError", "check", "deviation"]

# Largest difference relative to the largest value, by the type of numbers computed with. Noise
# keeps the condition number of these problems below 10⁶.
TOLERANCES = {"float64": 1e-7, "float32": 2e-2}
# Rows of a matrix compared at a time.
_BLOCK = 1024


class AgreementError(RuntimeError):
    """A library's result differs from ours by more than rounding explains."""


def check(
    peer: str,
    ours: Mapping[str, np.ndarray],
    theirs: Mapping[str, np.ndarray],
    dtype: str,
    approximate: bool = False,
) -> dict[str, float]:
    """Return how far each quantity is from ours, relative to the largest value.

    Raises
    ------
    AgreementError
        If shapes differ, a value is not finite, or a difference is above the tolerance; the last
        not for approximations.
    """
    deviations = {}
    for quantity, expected in ours.items():
        difference = deviation(peer, quantity, expected, theirs[quantity])
        deviations[quantity] = difference
        tolerance = TOLERANCES[dtype]
        if difference > tolerance and not approximate:
            raise AgreementError(
                f"{peer} disagrees with gprat about the {quantity.replace('_', ' ')}: they differ "
                f"by {difference:.2g} of its largest value, and {dtype} explains {tolerance:.0e}. "
                "No time is reported: the two solve different problems, or one is wrong."
            )
    return deviations


def deviation(peer: str, quantity: str, expected: np.ndarray, found: np.ndarray) -> float:
    """Return the largest difference relative to the largest expected value."""
    expected, found = np.atleast_1d(expected), np.atleast_1d(found)
    if expected.shape != found.shape:
        raise AgreementError(
            f"{peer} returned the {quantity.replace('_', ' ')} with shape {found.shape}, and gprat "
            f"with {expected.shape}."
        )
    largest = scale = 0.0
    for start in range(0, len(expected), _BLOCK):
        ours = np.asarray(expected[start : start + _BLOCK], dtype=np.float64)
        theirs = np.asarray(found[start : start + _BLOCK], dtype=np.float64)
        largest = max(largest, float(np.max(np.abs(theirs - ours), initial=0.0)))
        scale = max(scale, float(np.max(np.abs(ours), initial=0.0)))
        if not (np.isfinite(theirs).all() and np.isfinite(ours).all()):
            raise AgreementError(
                f"the {quantity.replace('_', ' ')} of {peer} or gprat is not finite everywhere."
            )
    return largest / scale if scale else largest
