"""The log marginal likelihood as a function of tensors."""

from __future__ import annotations

from typing import Any, Literal

import torch

from gprat.differentiation import Regression, Wanted
from gprat.kernels import Kernel
from gprat.means import MeanLike
from gprat.torch._compiling import left_uncompiled
from gprat.torch._first_order import first_order
from gprat.torch._tensors import Data, Tensor, as_array, as_tensors, wanted_of

__all__ = ["likelihood_of", "log_marginal_likelihood"]


@left_uncompiled
def log_marginal_likelihood(
    X: Tensor,
    y: Tensor,
    kernel: Kernel,
    theta: Tensor | None = None,
    noise: Tensor | float = 0.1,
    *,
    mean: MeanLike = "zero",
    mean_coefficients: Tensor | None = None,
    tile_size: int | Literal["auto"] = "auto",
    threads: int | None = None,
    memory_limit: int | None = None,
) -> Tensor:
    """Return the log marginal likelihood of targets, differentiable by all tensors (R&W 2.30).

    Where an argument requires grad, value and gradient come from one pass over the tiles, in the
    forward call: n³ operations and n²/2 numbers, which are freed at its end. What the backward call
    needs is the gradient itself, as large as the arguments that require it.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Training inputs, float64 or float32, on the CPU; all other tensors have the same dtype.
        Contiguous tensors are used without a copy.
    y : Tensor of shape (n,) or (n, k)
        Training targets; the likelihoods of several outputs are summed.
    kernel : gprat.kernels.Kernel
        The covariance function. A part whose bounds are "fixed" is no part of `theta`.
    theta : Tensor of shape (p,), default=None
        The kernel's free hyperparameters in the order and on the scale of ``kernel.theta``:
        logarithms. None for those of the kernel.
    noise : float or Tensor of shape (), (1,) or (n,), default=0.1
        Noise variance of the targets, one for all rows or one each; not a logarithm.
    mean : {"zero", "constant", "linear", "quadratic"}, callable or list, default="zero"
        The mean function, as in `gprat.GP`.
    mean_coefficients : Tensor of shape (q,) or (q, k), default=None
        Coefficients of the mean's basis functions. None to integrate them out, as `gprat.GP` does.
    tile_size, threads, memory_limit
        As in `gprat.GP`.

    Returns
    -------
    Tensor of shape ()
        In nats.

    Raises
    ------
    NotPositiveDefiniteError
        If the covariance matrix of the targets has no Cholesky factor.
    UnsupportedTypeError
        If a tensor is not on the CPU, is sparse, or has another dtype.
    UnsupportedKernelError
        If X requires grad and the kernel is evaluated in Python.
    InvalidInputError
        If a shape or a value makes no sense.
    SecondDerivativeError
        If a gradient is differentiated again.

    See Also
    --------
    gprat.torch.ExactGP : The same as a module with parameters.

    Examples
    --------
    >>> import torch
    >>> from gprat.kernels import RBF
    >>> from gprat.torch import log_marginal_likelihood
    >>> X = torch.tensor([[0.0], [1.0]], dtype=torch.float64, requires_grad=True)
    >>> y = torch.tensor([1.0, -1.0], dtype=torch.float64)
    >>> log_marginal_likelihood(X, y, RBF(1.0), noise=0.5).backward()
    >>> X.grad.numpy().round(3)  # apart, the two targets would be more probable
    array([[-0.564],
           [ 0.564]])
    """
    regression = Regression(
        kernel, mean=mean, tile_size=tile_size, threads=threads, memory_limit=memory_limit
    )
    return likelihood_of(regression, Data(X, y, theta, noise, mean_coefficients))


@left_uncompiled
def likelihood_of(regression: Regression, data: Data) -> Tensor:
    """Return the log marginal likelihood of data under a model."""
    values = data.values()
    return _LogMarginalLikelihood.apply(regression, wanted_of(values), *values)


class _LogMarginalLikelihood(torch.autograd.Function):
    """A model and the values of `Data` to a number; the gradient is known after the forward."""

    @staticmethod
    def forward(ctx: Any, regression: Regression, wanted: Wanted, *values: Any) -> Tensor:
        X, y, theta, noise, coefficients = map(as_array, values)
        value, gradients = regression.log_marginal_likelihood(
            X, y, theta, noise, coefficients, wanted
        )
        arguments = [tensor for tensor in values if isinstance(tensor, torch.Tensor)]
        ctx.n_arguments = len(arguments)
        ctx.save_for_backward(*arguments, *as_tensors(gradients)[: len(values)])
        return arguments[0].new_tensor(value)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        saved = ctx.saved_tensors
        arguments, gradients = saved[: ctx.n_arguments], saved[ctx.n_arguments :]
        scaled = [
            None if gradient is None else cotangent.detach() * gradient for gradient in gradients
        ]
        return (None, None, *first_order(scaled, (cotangent, *arguments)))
