"""A Gaussian process as the last layer of a network."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy.typing as npt
import torch

from gprat import _validation as validation
from gprat.differentiation import Regression
from gprat.exceptions import InvalidInputError, UnsupportedTypeError
from gprat.kernels import Kernel
from gprat.means import MeanLike
from gprat.torch._compiling import left_uncompiled
from gprat.torch._tensors import DTYPES, Data, Tensor, check_tensor
from gprat.torch.likelihood import likelihood_of
from gprat.torch.posterior import Conditioned
from gprat.torch.prediction import Posterior

__all__ = ["ExactGP"]

_NOISE_REMEDY = "Pass a variance, such as 0.01 times that of the targets."
_FLOOR_REMEDY = "Pass a small variance, such as 1e-6 times that of the targets."


class ExactGP(torch.nn.Module):
    """An exact Gaussian process as a module: the last layer of a deep kernel, or a model alone.

    The covariance of two inputs is the kernel at their features (Wilson et al. 2016, *Deep Kernel
    Learning*). Hyperparameters of the kernel, the noise and the weights of the features are learned
    together by any optimiser of PyTorch, from the gradient of the log marginal likelihood. All data
    count in every step: there are no minibatches.

    Parameters
    ----------
    kernel : gprat.kernels.Kernel
        The covariance of features. Its hyperparameters are where training starts; those whose
        bounds are "fixed" are left alone, other bounds are not heeded.
    noise : float, default=0.1
        Noise variance where training starts, above `noise_floor`.
    features : torch.nn.Module, default=None
        What turns inputs, shape (n, d), into features, shape (n, d'). None for the inputs
        themselves.
    mean : {"zero", "constant", "linear", "quadratic"}, callable or list, default="zero"
        The mean as a function of the features, as in `gprat.GP`.
    mean_coefficients : array-like of shape (q,) or (q, k), default=None
        Coefficients of the mean's basis functions, where training starts. None to integrate them
        out, as `gprat.GP` does, so that there is nothing to learn.
    noise_floor : float, default=1e-6
        What the noise variance never falls below, positive: without one, training may drive it to
        where the covariance matrix has no Cholesky factor.
    dtype : torch.dtype, default=None
        Precision of the parameters, torch.float64 or torch.float32; None for PyTorch's default.
        That of features and targets must be the same.
    tile_size, threads, memory_limit
        As in `gprat.GP`.

    Attributes
    ----------
    theta : torch.nn.Parameter of shape (p,)
        The kernel's free hyperparameters: logarithms, in the order of ``kernel.theta``.
    log_noise : torch.nn.Parameter of shape ()
        Logarithm of what the noise variance is above its floor.
    mean_coefficients : torch.nn.Parameter or None
        See Parameters.
    features : torch.nn.Module
        See Parameters; ``torch.nn.Identity()`` for none.

    Raises
    ------
    InvalidInputError
        If a number or a shape makes no sense.
    UnsupportedTypeError
        If `features` is no module, or an argument has a type that cannot be used.
    UnsupportedKernelError
        If the kernel cannot be used.

    See Also
    --------
    gprat.torch.log_marginal_likelihood, gprat.torch.posterior : The same as functions.

    Examples
    --------
    >>> import torch
    >>> from gprat.kernels import RBF, ConstantKernel
    >>> from gprat.torch import ExactGP
    >>> _ = torch.manual_seed(0)
    >>> net = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2))
    >>> model = ExactGP(ConstantKernel() * RBF(1.0), noise=0.1, features=net).double()
    >>> X = torch.linspace(-1, 1, 60, dtype=torch.float64).reshape(-1, 1)
    >>> y = (X[:, 0] > 0).double() + 0.05 * torch.randn(60, dtype=torch.float64)
    >>> optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    >>> losses = []
    >>> for _ in range(100):
    ...     optimiser.zero_grad()
    ...     loss = -model(X, y)
    ...     loss.backward()
    ...     optimiser.step()
    ...     losses.append(loss.item())
    >>> losses[-1] < losses[0] - 10
    True
    >>> prediction = model.predict(X, y, X)
    >>> bool((prediction.mean - (X[:, 0] > 0).double()).abs().mean() < 0.1)
    True
    """

    def __init__(
        self,
        kernel: Kernel,
        noise: float = 0.1,
        *,
        features: torch.nn.Module | None = None,
        mean: MeanLike = "zero",
        mean_coefficients: npt.ArrayLike | None = None,
        noise_floor: float = 1e-6,
        dtype: Any = None,
        tile_size: int | Literal["auto"] = "auto",
        threads: int | None = None,
        memory_limit: int | None = None,
    ) -> None:
        super().__init__()
        self._regression = Regression(
            kernel, mean=mean, tile_size=tile_size, threads=threads, memory_limit=memory_limit
        )
        self.noise_floor = validation.check_positive_number(
            noise_floor, "noise_floor", _FLOOR_REMEDY
        )
        above = validation.check_positive_number(noise, "noise", _NOISE_REMEDY) - self.noise_floor
        if above <= 0.0:
            raise InvalidInputError(
                f"noise must be above noise_floor, got {noise} and {self.noise_floor}. "
                f"{_FLOOR_REMEDY}"
            )
        if features is not None and not isinstance(features, torch.nn.Module):
            raise UnsupportedTypeError(
                f"features must be a torch.nn.Module, got {type(features).__name__}. Give the "
                "layer the network itself, and call the layer with the network's inputs."
            )
        dtype = _check_dtype(dtype)
        self.features = torch.nn.Identity() if features is None else features
        self.theta = _parameter(self._regression.theta, dtype)
        self.log_noise = _parameter(math.log(above), dtype)
        coefficients = None if mean_coefficients is None else _parameter(mean_coefficients, dtype)
        self.register_parameter("mean_coefficients", coefficients)

    @property
    def noise(self) -> Tensor:
        """The noise variance, shape (), differentiable."""
        return self.noise_floor + self.log_noise.exp()

    @property
    def kernel(self) -> Kernel:
        """The kernel with the hyperparameters as they are now: a new object, for `gprat.GP`."""
        return self._regression.kernel_at(self.theta.detach().to("cpu", torch.float64).numpy())

    def forward(self, X: Tensor, y: Tensor) -> Tensor:
        """Return the log marginal likelihood of targets: what training maximises.

        Parameters
        ----------
        X : Tensor of shape (n, d)
            Training inputs, which go through `features`.
        y : Tensor of shape (n,) or (n, k)
            Training targets.

        Returns
        -------
        Tensor of shape ()
            In nats, summed over the outputs.

        Raises
        ------
        NotPositiveDefiniteError
            If the covariance matrix has no Cholesky factor.
        UnsupportedTypeError
            If features or targets are not of the dtype of the parameters, or not on the CPU.
        """
        return likelihood_of(self._regression, self._data(X, y))

    @left_uncompiled
    def condition(self, X: Tensor, y: Tensor) -> Conditioned:
        """Condition on data, to predict many times; test inputs go through `features` too.

        Gradients of predictions flow back to everything that requires grad; under
        ``torch.no_grad()`` to the test inputs alone, at much less work.

        Parameters
        ----------
        X : Tensor of shape (n, d)
            Training inputs.
        y : Tensor of shape (n,) or (n, k)
            Training targets.

        Returns
        -------
        Conditioned
            Its method ``posterior(Xs, joint=False)`` predicts.

        Examples
        --------
        >>> import torch
        >>> from gprat.kernels import RBF
        >>> from gprat.torch import ExactGP
        >>> X = torch.linspace(0, 6, 40).reshape(-1, 1)
        >>> with torch.no_grad():
        ...     conditioned = ExactGP(RBF(1.0), noise=0.01).condition(X, X[:, 0].sin())
        >>> conditioned.posterior(X[:2]).variance.requires_grad
        False
        """
        return Conditioned(self._regression, self._data(X, y), self.features)

    def predict(
        self,
        X: Tensor,
        y: Tensor,
        Xs: Tensor,
        *,
        joint: bool = False,
        include_noise: bool = False,
    ) -> Posterior:
        """Predict at test inputs from training data.

        Parameters
        ----------
        X : Tensor of shape (n, d)
            Training inputs.
        y : Tensor of shape (n,) or (n, k)
            Training targets.
        Xs : Tensor of shape (m, d) or (..., q, d)
            Test inputs, or batches of q test inputs, as far as `features` takes batches.
        joint : bool, default=False
            Whether to predict the covariance between the points of each batch.
        include_noise : bool, default=False
            Whether variances are those of observations, with their noise.

        Returns
        -------
        Posterior
            Mean, variance or covariance, and samples.
        """
        latent = self.condition(X, y).posterior(Xs, joint=joint)
        return latent.with_noise(self.noise) if include_noise else latent

    def extra_repr(self) -> str:
        """Return kernel and noise, for `print`."""
        if self.theta.is_meta:
            return "parameters without values, on the device meta"
        return f"kernel={self.kernel}, noise={self.noise.item():.3g}"

    def _data(self, X: Tensor, y: Tensor) -> Data:
        features = self.features(X)
        check_tensor(features, "features" if features is not X else "X")
        if features.dtype is not self.theta.dtype:
            raise UnsupportedTypeError(
                f"features are of dtype {features.dtype} and the layer's parameters of "
                f"{self.theta.dtype}. Convert the layer by layer.to({features.dtype})."
            )
        return Data(features, y, self.theta, self.noise, self.mean_coefficients)


def _check_dtype(dtype: Any) -> Any:
    dtype = torch.get_default_dtype() if dtype is None else dtype
    if dtype not in DTYPES:
        raise UnsupportedTypeError(
            f"dtype must be torch.float64 or torch.float32, got {dtype!r}. Use float64 unless "
            "memory is short."
        )
    return dtype


def _parameter(values: Any, dtype: Any) -> torch.nn.Parameter:
    return torch.nn.Parameter(torch.as_tensor(values, dtype=dtype).clone())
