"""Tensors and the arrays that share their memory: checked on the way in, wrapped on the way out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import reduce
from operator import or_
from typing import Any, TypeAlias

import numpy as np
import torch

from gprat._validation import FloatArray
from gprat.differentiation import Gradients, Wanted
from gprat.exceptions import UnsupportedTypeError

__all__ = [
    "DTYPES",
    "Data",
    "Tensor",
    "as_array",
    "as_tensor",
    "as_tensors",
    "check_tensor",
    "wanted_of",
]

# PyTorch is no requirement of the type checks, which therefore take its tensors as they come.
Tensor: TypeAlias = Any

DTYPES = (torch.float64, torch.float32)
_WANTED = (Wanted.X, Wanted.Y, Wanted.THETA, Wanted.NOISE, Wanted.MEAN_COEFFICIENTS, Wanted.XS)


@dataclass(frozen=True, eq=False)
class Data:
    """What a posterior is conditioned on: tensors, numbers where those are allowed, or None.

    The order of the fields is that of `wanted_of` and `as_tensors`.
    """

    X: Tensor
    y: Tensor
    theta: Tensor | None
    noise: Tensor | float
    mean_coefficients: Tensor | None

    def __post_init__(self) -> None:
        """Refuse what gprat cannot compute with, before anything is computed."""
        check_tensor(self.X, "X")
        check_tensor(self.y, "y", self.X)
        for name in ("theta", "mean_coefficients"):
            if getattr(self, name) is not None:
                check_tensor(getattr(self, name), name, self.X)
        if not isinstance(self.noise, float | int) or isinstance(self.noise, bool):
            check_tensor(self.noise, "noise", self.X)

    def values(self) -> tuple[Any, ...]:
        """Return all in the order of the fields."""
        return tuple(getattr(self, field.name) for field in fields(self))

    def arrays(self) -> tuple[Any, ...]:
        """Return the same as arrays, without copies."""
        return tuple(as_array(value) for value in self.values())

    def versions(self) -> dict[str, int]:
        """Return how often each tensor has been changed in place, as far as PyTorch counts."""
        return {
            field.name: value._version
            for field, value in zip(fields(self), self.values(), strict=True)
            if isinstance(value, torch.Tensor) and not value.is_inference()
        }

    def detached(self) -> Data:
        """Return the same, of which nothing requires grad."""
        tensors = {
            field.name: value.detach()
            for field, value in zip(fields(self), self.values(), strict=True)
            if isinstance(value, torch.Tensor)
        }
        return replace(self, **tensors)


def check_tensor(value: Any, name: str, like: Tensor | None = None) -> None:
    """Refuse what isn't a dense tensor of float64 or float32 in the CPU's memory.

    With `like`, whose name is X, the two must have the same dtype.
    """
    if not isinstance(value, torch.Tensor):
        raise UnsupportedTypeError(
            f"{name} must be a torch.Tensor, got {type(value).__name__}. Convert it by "
            "torch.as_tensor, which shares the memory of an array."
        )
    if value.device.type != "cpu":
        raise UnsupportedTypeError(
            f"{name} is on the device {value.device}, and gprat computes on the CPU. Pass "
            f"{name}.cpu(): gradients flow back through it."
        )
    if value.layout is not torch.strided:
        raise UnsupportedTypeError(
            f"{name} is sparse (layout {value.layout}), and gprat computes with dense tensors. "
            f"Pass {name}.to_dense()."
        )
    if value.dtype not in DTYPES:
        raise UnsupportedTypeError(
            f"{name} must be of dtype torch.float64 or torch.float32, got {value.dtype}. Convert "
            f"it, as by {name}.to(torch.float64)."
        )
    _check_memory(value, name)
    if like is not None and value.dtype is not like.dtype:
        raise UnsupportedTypeError(
            f"{name} is of dtype {value.dtype} and X of {like.dtype}: all tensors of a call must "
            f"have one dtype. Pass {name}.to({like.dtype})."
        )


def _check_memory(value: Tensor, name: str) -> None:
    """Refuse a tensor that stands for others, as they do within transformations of functions."""
    try:
        as_array(value)
    except RuntimeError as error:
        raise UnsupportedTypeError(
            f"{name} has no memory that could be read ({error}), as is so inside torch.func's "
            "transformations and torch.compile. Differentiate by torch.autograd.grad or backward, "
            "and call gprat in a function under torch.compiler.disable."
        ) from error


def as_array(value: Any) -> Any:
    """Return an array that shares a tensor's memory; anything else as it is."""
    return value.detach().resolve_neg().numpy() if isinstance(value, torch.Tensor) else value


def as_tensor(array: FloatArray) -> Tensor:
    """Return a tensor that shares an array's memory."""
    return torch.from_numpy(np.asarray(array))


def as_tensors(gradients: Gradients) -> tuple[Tensor | None, ...]:
    """Return gradients by X, y, theta, noise, mean coefficients and Xs; None where not wanted."""
    arrays = (
        gradients.X,
        gradients.y,
        gradients.theta,
        gradients.noise,
        gradients.mean_coefficients,
        gradients.Xs,
    )
    return tuple(None if array is None else as_tensor(array) for array in arrays)


def wanted_of(values: Sequence[Any]) -> Wanted:
    """Return what of X, y, theta, noise, mean coefficients and Xs, if that is there, requires grad.

    Under ``torch.no_grad()`` nothing does.
    """
    if not torch.is_grad_enabled():
        return Wanted.NOTHING
    chosen = (
        part
        for part, value in zip(_WANTED, values, strict=False)
        if isinstance(value, torch.Tensor) and value.requires_grad
    )
    return reduce(or_, chosen, Wanted.NOTHING)
