"""What derivatives are wanted by, and the derivatives."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Flag

from gprat._validation import FloatArray

__all__ = ["Gradients", "Wanted"]


class Wanted(Flag):
    """What a caller wants derivatives by; what is not wanted costs nothing.

    Examples
    --------
    >>> wanted = Wanted.THETA | Wanted.NOISE
    >>> Wanted.X in wanted
    False
    """

    NOTHING = 0
    X = 1
    """The training inputs."""
    Y = 2
    """The targets."""
    THETA = 4
    """The kernel's free hyperparameters."""
    NOISE = 8
    """The noise variances."""
    MEAN_COEFFICIENTS = 16
    """The coefficients of the mean, where they are given."""
    XS = 32
    """The test inputs."""


@dataclass(frozen=True, slots=True, eq=False)
class Gradients:
    """Derivatives, each of the shape of what it is by and of the dtype of X; None if not wanted.

    Attributes
    ----------
    X : ndarray of shape (n, d) or None
        By the training inputs.
    y : ndarray of shape (n,) or (n, k), or None
        By the targets.
    theta : ndarray of shape (p,) or None
        By the kernel's free hyperparameters, on the scale of theta.
    noise : ndarray of shape (), (1,) or (n,), or None
        By the noise variances.
    mean_coefficients : ndarray of shape (q,) or (q, k), or None
        By the coefficients of the mean.
    Xs : ndarray of shape (m, d) or (..., q, d), or None
        By the test inputs.
    """

    X: FloatArray | None = None
    y: FloatArray | None = None
    theta: FloatArray | None = None
    noise: FloatArray | None = None
    mean_coefficients: FloatArray | None = None
    Xs: FloatArray | None = None
