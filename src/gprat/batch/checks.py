"""What a batch is made with, besides data: checks."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np

from gprat import _validation as validation
from gprat.exceptions import InvalidInputError, UnsupportedKernelError
from gprat.kernels import Kernel, Program, compile

__all__ = ["OnFailure", "check_dtype", "check_on_failure", "compile_for"]

OnFailure: TypeAlias = Literal["raise", "nan"]


def check_on_failure(on_failure: Any) -> OnFailure:
    """Return what becomes of members that have no result."""
    choice = validation.as_choice(on_failure)
    if choice not in ("raise", "nan"):
        raise InvalidInputError(f'unknown on_failure {on_failure!r}: expected "raise" or "nan".')
    return "raise" if choice == "raise" else "nan"


def check_dtype(dtype: Any, X: Any) -> np.dtype[Any]:
    """Return the precision of a batch: unless it is given, float32 where all points have that."""
    parts = X if isinstance(X, list | tuple) and X else [X]
    dtypes = {validation.check_dtype(dtype, part) for part in parts}
    return dtypes.pop() if len(dtypes) == 1 else np.dtype(np.float64)


def compile_for(kernel: Kernel, n_features: int) -> Program:
    """Compile a kernel; refuse one that is evaluated in Python."""
    program = compile(kernel, n_features)
    if not isinstance(program, Program):
        raise UnsupportedKernelError(
            "a batch needs a compiled kernel; this one is evaluated in Python, because "
            f"{program.reason}. Use gprat.GP for each member."
        )
    return program
