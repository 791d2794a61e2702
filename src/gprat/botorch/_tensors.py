"""What tensors a model of BoTorch takes, and what is said of others."""

from __future__ import annotations

from typing import Any

import torch

from gprat.exceptions import InvalidInputError, UnsupportedTypeError
from gprat.torch._tensors import Tensor
from gprat.torch._tensors import check_tensor as check_kind

__all__ = ["Tensor", "check_points", "check_tensor", "check_training_data"]


def check_tensor(value: Any, name: str, dtype: Any = None) -> Tensor:
    """Return a dense, finite tensor in the CPU's memory; of the model's dtype, if that is given.

    Raises
    ------
    UnsupportedTypeError
        If it is no such tensor.
    InvalidInputError
        If it has NaN or infinity in it.
    """
    check_kind(value, name)
    if dtype is not None and value.dtype is not dtype:
        raise UnsupportedTypeError(
            f"{name} is of dtype {value.dtype}, and the model's training inputs of {dtype}. Pass "
            f"{name}.to({dtype})."
        )
    finite = torch.isfinite(value)
    if not finite.all():
        position = tuple((~finite).nonzero()[0].tolist())
        raise InvalidInputError(
            f"{name} must be finite, got {value[position].item()} at {position}. Leave out what "
            "was not measured."
        )
    return value


def check_points(X: Any, name: str, dtype: Any, d: int) -> Tensor:
    """Return groups of points, shape (..., q, d)."""
    points = check_tensor(X, name, dtype)
    if points.ndim < 2 or points.shape[-1] != d:
        remedy = f" Pass {name}.unsqueeze(0) for one point." if points.ndim == 1 else ""
        raise InvalidInputError(
            f"{name} must have shape (..., q, {d}), groups of q points with {d} features, got "
            f"{tuple(points.shape)}.{remedy}"
        )
    return points


def check_training_data(X: Any, Y: Any, Yvar: Any) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return training data of one model: shapes (n, d), (n, k), and (n, k) or None."""
    inputs = _check_constant(X, "train_X")
    if inputs.ndim != 2:
        raise InvalidInputError(
            f"train_X must have shape (n, d), got {tuple(inputs.shape)}. A model has one data set: "
            "make one for each, and a botorch.models.ModelList of them if they belong together."
        )
    targets = _check_constant(Y, "train_Y", inputs.dtype)
    _check_outputs(targets, len(inputs))
    if Yvar is None:
        return inputs, targets, None
    variances = _check_constant(Yvar, "train_Yvar", inputs.dtype)
    if variances.shape != targets.shape:
        raise InvalidInputError(
            f"train_Yvar must have the shape of train_Y, {tuple(targets.shape)}, got "
            f"{tuple(variances.shape)}. Pass one variance a target."
        )
    return inputs, targets, variances


def _check_constant(value: Any, name: str, dtype: Any = None) -> Tensor:
    tensor = check_tensor(value, name, dtype)
    if tensor.requires_grad:
        raise InvalidInputError(
            f"{name} requires grad, but training data are constants to this model. Pass "
            f"{name}.detach(); gprat.torch has gradients by training data."
        )
    return tensor


def _check_outputs(targets: Tensor, n: int) -> None:
    if targets.ndim == 1:
        raise InvalidInputError(
            f"train_Y must have shape (n, k), one column an output, got {tuple(targets.shape)}. "
            "Pass train_Y.unsqueeze(-1) for one output."
        )
    if targets.ndim != 2 or targets.shape[0] != n or targets.shape[1] == 0:
        raise InvalidInputError(
            f"train_Y must have shape ({n}, k), one row for each of train_X's and one column an "
            f"output, got {tuple(targets.shape)}."
        )
