"""Errors that gprat raises: one class a cause, all under `GpratError`.

Each class also derives from the built-in or NumPy class that callers already catch today, so
that ``except ValueError`` or ``except numpy.linalg.LinAlgError`` keeps working.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from gprat.planning import Plan

__all__ = [
    "CacheWarning",
    "CheckpointError",
    "ClusterError",
    "DataWarning",
    "GpratError",
    "InsufficientMemoryError",
    "InvalidInputError",
    "JitterWarning",
    "ModelFileError",
    "NotPositiveDefiniteError",
    "RankDeficientTrendError",
    "ResultOverflowError",
    "RoundingWarning",
    "RuntimeSuspendedError",
    "SecondDerivativeError",
    "TooFewThreadsError",
    "TraceWarning",
    "UnsupportedKernelError",
    "UnsupportedTypeError",
]


class GpratError(Exception):
    """Base class of every error that gprat raises on purpose."""


class InvalidInputError(GpratError, ValueError):
    """An argument has a usable type but a value or a shape that makes no sense."""


class UnsupportedTypeError(GpratError, TypeError):
    """An argument has a type that cannot be used, such as text where numbers are expected."""


class UnsupportedKernelError(GpratError, ValueError):
    """A kernel, or a part of one, cannot be compiled into a kernel program."""


class CheckpointError(GpratError, ValueError):
    """A checkpoint of training cannot be written, or is none of this training."""


class ModelFileError(GpratError, ValueError):
    """A file holds no model that this version of gprat can load."""


class RuntimeSuspendedError(GpratError, RuntimeError):
    """A computation was asked for while the runtime is suspended."""


class ClusterError(GpratError, RuntimeError):
    """A cluster cannot compute: it is not connected, is gone, or its workers cannot help."""


class SecondDerivativeError(GpratError, NotImplementedError):
    """A derivative is to be differentiated again, and only first derivatives are available."""


class TooFewThreadsError(GpratError, RuntimeError):
    """The system gives this process fewer threads than the runtime is to have."""


class InsufficientMemoryError(GpratError, MemoryError):
    """A computation needs more memory than there is, or than it may take; it did not start.

    Parameters
    ----------
    message : str
        What needs how much, what there is, and what would fit.
    needed : int
        Bytes that the computation takes beyond the data, the factor of the model included.
    available : int
        Bytes that it may take: the least of the model's `memory_limit` and of what is free now, or
        already holds the model's factor.
    plan : gprat.planning.Plan or None, default=None
        The plan of the computation, where `gprat.plan` knows it.

    Attributes
    ----------
    needed : int
        See Parameters.
    available : int
        See Parameters.
    plan : gprat.planning.Plan or None
        See Parameters.
    """

    def __init__(self, message: str, needed: int, available: int, plan: Plan | None = None) -> None:
        super().__init__(message)
        self.needed = needed
        self.available = available
        self.plan = plan

    def __reduce__(self) -> tuple[type, tuple[str, int, int, Plan | None]]:
        """Keep the attributes when a worker process sends the error back."""
        return type(self), (str(self), self.needed, self.available, self.plan)


class NotPositiveDefiniteError(GpratError, np.linalg.LinAlgError):
    """The covariance matrix of the training data has no Cholesky factor.

    Parameters
    ----------
    message : str
        What failed, why, and the remedy.
    row : int
        Row of X at which the factorisation met a pivot that is not a positive number.
    near_duplicates : tuple of int, default=()
        Earlier rows of X that the kernel cannot tell from `row`; empty if they are not the cause.

    Attributes
    ----------
    row : int
        See Parameters.
    near_duplicates : tuple of int
        See Parameters.
    """

    def __init__(self, message: str, row: int, near_duplicates: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.row = row
        self.near_duplicates = near_duplicates

    def __reduce__(self) -> tuple[type, tuple[str, int, tuple[int, ...]]]:
        """Keep the attributes when a worker process sends the error back."""
        return type(self), (str(self), self.row, self.near_duplicates)


class RankDeficientTrendError(GpratError, np.linalg.LinAlgError):
    """The basis functions of a trend depend linearly on each other at the training points.

    Parameters
    ----------
    names : tuple of str
        Names of the basis functions.
    column : int
        Index of the first one that those before it determine.

    Attributes
    ----------
    names : tuple of str
        See Parameters.
    column : int
        See Parameters.
    """

    def __init__(self, names: tuple[str, ...], column: int) -> None:
        before = ", ".join(names[:column]) or "zero"
        super().__init__(
            f"the trend's coefficients cannot be told apart: at the training points the basis "
            f"function {names[column]} is a linear combination of {before}. Leave it out, or "
            "use a simpler mean."
        )
        self.names = names
        self.column = column

    def __reduce__(self) -> tuple[type, tuple[tuple[str, ...], int]]:
        """Rebuild from the arguments, not from the message."""
        return type(self), (self.names, self.column)


class ResultOverflowError(GpratError, OverflowError):
    """A result, or a number on the way to it, is outside the range of floating-point numbers."""


class DataWarning(UserWarning):
    """Something about the data makes a model worse than it could be."""


class JitterWarning(UserWarning):
    """Samples were drawn from a covariance matrix with a little more on its diagonal."""


class RoundingWarning(UserWarning):
    """Predicted variances are so small beside those before the data that rounding decides them."""


class CacheWarning(UserWarning):
    """A file that earlier processes left in the cache folder cannot be used."""


class TraceWarning(UserWarning):
    """A trace does not have all tasks that ran."""
