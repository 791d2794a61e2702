"""What ``torch.compile`` leaves as it is: it compiles around calls of the core, not into them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

import torch

__all__ = ["left_uncompiled"]

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def left_uncompiled(function: Callable[_Arguments, _Result]) -> Callable[_Arguments, _Result]:
    """Return a function that runs as it stands within programs that are compiled.

    ``torch.compiler.disable`` alone would load the compiler, which takes seconds, for everybody.
    """

    @wraps(function)
    def left(*arguments: Any, **options: Any) -> _Result:
        if torch.compiler.is_compiling():
            return cast("_Result", torch.compiler.disable(function)(*arguments, **options))
        return function(*arguments, **options)

    return cast("Callable[_Arguments, _Result]", left)
