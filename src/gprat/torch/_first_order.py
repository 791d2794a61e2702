"""First derivatives only: second ones are refused with the reason, wherever they are asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch

from gprat.exceptions import SecondDerivativeError
from gprat.torch._tensors import Tensor

__all__ = ["first_order"]


def first_order(
    gradients: Sequence[Tensor | None], arguments: Iterable[Tensor | None]
) -> tuple[Tensor | None, ...]:
    """Return gradients as they are, and let their own derivatives raise.

    Parameters
    ----------
    gradients : sequence of Tensor or None
        What a backward pass returns.
    arguments : iterable of Tensor or None
        What they depend on: cotangents, and the arguments of the function.
    """
    # Gradients are differentiated in their turn only where `create_graph` has turned this on.
    if not torch.is_grad_enabled():
        return tuple(gradients)
    depends_on = [tensor for tensor in arguments if tensor is not None and tensor.requires_grad]
    given = [gradient for gradient in gradients if gradient is not None]
    if not depends_on or not given:
        return tuple(gradients)
    marked = iter(_FirstOrder.apply(len(given), *given, *depends_on))
    return tuple(None if gradient is None else next(marked) for gradient in gradients)


class _FirstOrder(torch.autograd.Function):
    """Gradients, followed by what they depend on, to gradients whose derivative is refused."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(gradient.view_as(gradient) for gradient in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> None:
        raise SecondDerivativeError(
            "second derivatives through gprat are not available: its gradients come from a "
            "reverse pass over tiles in the compiled core, which records nothing that could be "
            "differentiated again. Leave out create_graph=True, use an optimiser of first order, "
            "or take finite differences of gradients for a Hessian."
        )
