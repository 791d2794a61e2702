"""Predictions as functions of tensors: condition on data once, predict often."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, Literal

import torch

from gprat.differentiation import Conditioned as Solver
from gprat.differentiation import Regression, Wanted
from gprat.exceptions import InvalidInputError
from gprat.kernels import Kernel
from gprat.means import MeanLike
from gprat.torch._compiling import left_uncompiled
from gprat.torch._first_order import first_order
from gprat.torch._tensors import (
    Data,
    Tensor,
    as_array,
    as_tensor,
    as_tensors,
    check_tensor,
    wanted_of,
)
from gprat.torch.prediction import Posterior

__all__ = ["Conditioned", "condition", "posterior", "predict"]


@left_uncompiled
def posterior(
    X: Tensor,
    y: Tensor,
    Xs: Tensor,
    kernel: Kernel,
    theta: Tensor | None = None,
    noise: Tensor | float = 0.1,
    *,
    joint: bool = False,
    mean: MeanLike = "zero",
    mean_coefficients: Tensor | None = None,
    tile_size: int | Literal["auto"] = "auto",
    threads: int | None = None,
    memory_limit: int | None = None,
) -> Posterior:
    """Predict the latent function at test points, differentiable by all tensors.

    What the backward call needs is the factor of the covariance matrix, n²/2 numbers, which lives
    as long as the graph does. To predict more than once from the same data use `condition`.

    Parameters
    ----------
    X : Tensor of shape (n, d)
        Training inputs, float64 or float32, on the CPU; all other tensors have the same dtype.
        Contiguous tensors are used without a copy.
    y : Tensor of shape (n,) or (n, k)
        Training targets; k outputs share kernel and noise.
    Xs : Tensor of shape (m, d) or (..., q, d)
        Test points, or batches of q test points that are predicted jointly.
    kernel, theta, noise
        As in `log_marginal_likelihood`.
    joint : bool, default=False
        Whether to predict the covariance between the points of each batch, and not the variances
        alone.
    mean, mean_coefficients, tile_size, threads, memory_limit
        As in `log_marginal_likelihood`.

    Returns
    -------
    Posterior
        Its mean and its variance or covariance, without the noise of observations.

    Raises
    ------
    NotPositiveDefiniteError
        If the covariance matrix of the targets has no Cholesky factor.
    UnsupportedTypeError
        If a tensor is not on the CPU, is sparse, or has another dtype.
    UnsupportedKernelError
        If X or Xs requires grad and the kernel is evaluated in Python.
    InvalidInputError
        If a shape or a value makes no sense.
    SecondDerivativeError
        If a gradient is differentiated again.

    Examples
    --------
    >>> import torch
    >>> from gprat.kernels import RBF
    >>> from gprat.torch import posterior
    >>> X = torch.linspace(0, 6, 40, dtype=torch.float64).reshape(-1, 1)
    >>> Xs = torch.tensor([[0.0], [torch.pi]], dtype=torch.float64, requires_grad=True)
    >>> prediction = posterior(X, X[:, 0].sin(), Xs, RBF(1.0), noise=1e-6)
    >>> prediction.mean.sum().backward()
    >>> Xs.grad.numpy().round(2)
    array([[ 1.],
           [-1.]])
    """
    conditioned = condition(
        X,
        y,
        kernel,
        theta,
        noise,
        mean=mean,
        mean_coefficients=mean_coefficients,
        tile_size=tile_size,
        threads=threads,
        memory_limit=memory_limit,
    )
    return conditioned.posterior(Xs, joint=joint)


@left_uncompiled
def condition(
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
) -> Conditioned:
    """Condition a Gaussian process on data, to predict from it many times.

    The covariance matrix is factorised once, by the first prediction. Under ``torch.no_grad()`` the
    data count as constants: later gradients are those by the test points alone, which saves the
    work of all others.

    Parameters
    ----------
    X, y, kernel, theta, noise, mean, mean_coefficients, tile_size, threads, memory_limit
        As in `posterior`. The tensors must not change in place as long as the result is in use.

    Returns
    -------
    Conditioned
        Ready to predict.

    Raises
    ------
    UnsupportedTypeError
        If a tensor is not on the CPU, is sparse, or has another dtype.
    InvalidInputError
        If a shape or a value makes no sense.

    Examples
    --------
    >>> import torch
    >>> from gprat.kernels import RBF
    >>> from gprat.torch import condition
    >>> X = torch.linspace(0, 6, 40, dtype=torch.float64).reshape(-1, 1)
    >>> model = condition(X, X[:, 0].sin(), RBF(1.0), noise=1e-4)
    >>> top = torch.tensor([[1.0]], dtype=torch.float64, requires_grad=True)
    >>> search = torch.optim.LBFGS([top])
    >>> def loss():
    ...     search.zero_grad()
    ...     value = -model.posterior(top).mean.sum()
    ...     value.backward()
    ...     return value
    >>> for _ in range(3):
    ...     _ = search.step(loss)
    >>> round(top.item(), 2)  # π/2, where the sine is largest
    1.57
    """
    regression = Regression(
        kernel, mean=mean, tile_size=tile_size, threads=threads, memory_limit=memory_limit
    )
    return Conditioned(regression, Data(X, y, theta, noise, mean_coefficients))


class Conditioned:
    """A Gaussian process given its data; `condition` and `ExactGP.condition` make one.

    Holds the factor of the covariance matrix, n²/2 numbers. Several threads may predict from it at
    a time.
    """

    def __init__(
        self,
        regression: Regression,
        data: Data,
        features: torch.nn.Module | None = None,
    ) -> None:
        self._is_constant = not torch.is_grad_enabled()
        self._data = data.detached() if self._is_constant else data
        self._solver = regression.condition(*self._data.arrays())
        self._features = features
        self._versions = self._current_versions()

    @left_uncompiled
    def posterior(self, Xs: Tensor, *, joint: bool = False) -> Posterior:
        """Predict the latent function at test points, differentiable by them and by the data.

        Parameters
        ----------
        Xs : Tensor of shape (m, d) or (..., q, d)
            Test points, or batches of q test points.
        joint : bool, default=False
            Whether to predict the covariance between the points of each batch.

        Returns
        -------
        Posterior
            See `gprat.torch.posterior`.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix of the targets has no Cholesky factor.
        UnsupportedTypeError
            If Xs is not on the CPU, is sparse, or is not of the dtype of X.
        UnsupportedKernelError
            If X or Xs requires grad and the kernel is evaluated in Python.
        InvalidInputError
            If a shape makes no sense, or the data have been changed in place.
        """
        self._check_unchanged()
        points = Xs if self._features is None else self._features_of(Xs)
        check_tensor(points, "Xs", self._data.X)
        mean, spread = predict(self._solver, points, self._data.values(), joint=joint)
        variance = spread.diagonal(dim1=-2, dim2=-1) if joint else spread

        def prior_scale() -> float:
            return float(self._solver.prior_variance(as_array(points)).max())

        return Posterior(mean, variance, spread if joint else None, prior_scale)

    def _features_of(self, Xs: Tensor) -> Tensor:
        """Return what the network makes of test inputs; its weights may count as constants."""
        assert self._features is not None
        if not self._is_constant:
            return self._features(Xs)
        weights = {name: weight.detach() for name, weight in self._features.named_parameters()}
        return torch.func.functional_call(self._features, weights, (Xs,))

    def _current_versions(self) -> dict[str, int]:
        weights = {} if self._features is None else dict(self._features.named_parameters())
        return self._data.versions() | {
            f"features.{name}": weight._version for name, weight in weights.items()
        }

    def _check_unchanged(self) -> None:
        now = self._current_versions()
        for name, version in self._versions.items():
            if now.get(name) != version:
                raise InvalidInputError(
                    f"{name} has been changed in place since the model was conditioned on the "
                    "data. Condition anew, or on copies by clone()."
                )


def predict(
    solver: Solver, points: Tensor, data: tuple[Any, ...] | None = None, *, joint: bool
) -> tuple[Tensor, Tensor]:
    """Return mean and spread, differentiable by the points and the values of `Data`, if given."""
    values = (*((None,) * len(fields(Data)) if data is None else data), points)
    wanted = wanted_of(values)
    solver.check_wanted(wanted)
    mean, spread = _Prediction.apply(solver, joint, wanted, *values)
    return mean, spread


class _Prediction(torch.autograd.Function):
    """A model, two choices, the values of `Data`, and test points to a mean and a spread."""

    @staticmethod
    def forward(
        ctx: Any, solver: Solver, joint: bool, wanted: Wanted, *values: Any
    ) -> tuple[Tensor, Tensor]:
        mean, spread = solver.predict(as_array(values[-1]), joint=joint)
        ctx.solver, ctx.joint, ctx.wanted = solver, joint, wanted
        # A cotangent that is None costs nothing.
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*(v if isinstance(v, torch.Tensor) else None for v in values))
        return as_tensor(mean), as_tensor(spread)

    @staticmethod
    def backward(
        ctx: Any, by_mean: Tensor | None, by_spread: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        values = ctx.saved_tensors
        cotangents = as_array(by_mean), as_array(by_spread)
        gradients = ctx.solver.pull_back(
            as_array(values[-1]), *cotangents, ctx.wanted, joint=ctx.joint
        )
        results = first_order(as_tensors(gradients), (by_mean, by_spread, *values))
        return (None, None, None, *results)
