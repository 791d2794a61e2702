"""What every engine refuses."""

from __future__ import annotations

from typing import Any

import numpy as np

from gprat.engines.base import Problem
from gprat.exceptions import InvalidInputError, UnsupportedKernelError, UnsupportedTypeError
from gprat.kernels import PythonProgram

__all__ = ["check_factor", "check_input_derivatives", "damaged_factor"]


def check_factor(factor: Any, problem: Problem, size: int) -> None:
    """Refuse an array that cannot hold the tiles of the factor of a problem."""
    dtype, n = problem.X.dtype, problem.X.shape[0]
    if not isinstance(factor, np.ndarray):
        raise UnsupportedTypeError(
            f"the factor must be a NumPy array of dtype {dtype}, got {type(factor).__name__}."
        )
    if factor.dtype != dtype or factor.shape != (size,):
        raise InvalidInputError(
            f"the factor of {n} rows in tiles of {problem.tile_size} has shape ({size},) and dtype "
            f"{dtype}, got shape {factor.shape} and dtype {factor.dtype}. Use the data, the tile "
            "size and the dtype with which it was computed."
        )
    if not (factor.flags.c_contiguous and factor.flags.aligned):
        raise InvalidInputError(
            "the factor must be contiguous and aligned to its dtype. Pass "
            "numpy.require(factor, requirements=['C', 'A'])."
        )


def damaged_factor(row: int) -> InvalidInputError:
    """Return the error for a factor whose diagonal has something else than positive numbers."""
    return InvalidInputError(
        f"the factor is damaged: the entry of its diagonal at row {row} is not a positive "
        "number. Compute the factor anew."
    )


def check_input_derivatives(problem: Problem) -> None:
    """Refuse derivatives by points of a kernel that has none."""
    if isinstance(problem.program, PythonProgram):
        raise UnsupportedKernelError(
            "derivatives by the inputs need a compiled kernel; this one is evaluated in Python, "
            f"because {problem.program.reason}."
        )
