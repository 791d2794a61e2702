"""GPyTorch, with exact Cholesky forced, and as it is by default."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import gpytorch
import linear_operator
import numpy as np
import torch
from gpytorch.settings import (
    cholesky_jitter,
    fast_computations,
    fast_pred_var,
    max_cholesky_size,
    max_preconditioner_size,
    skip_posterior_variances,
)

from benchmarks.peers.protocol import Adapter, Task

__all__ = ["Defaults", "Exact"]

# Above any problem of the suite.
_ALWAYS = 10**9
# Adam as GPyTorch's tutorials have it, until the loss stands still.
_LEARNING_RATE, _MOST_STEPS, _WINDOW, _STANDSTILL = 0.1, 500, 20, 1e-4


class Model(gpytorch.models.ExactGP):  # type: ignore[misc]
    """A zero mean and a constant times an RBF kernel."""

    def __init__(self, X: torch.Tensor, y: torch.Tensor, task: Task) -> None:
        likelihood = gpytorch.likelihoods.GaussianLikelihood(
            noise_constraint=gpytorch.constraints.Positive()
        )
        super().__init__(X, y, likelihood)
        features = X.shape[1] if task.is_ard else None
        self.mean_module = gpytorch.means.ZeroMean()
        self.covar_module = gpytorch.kernels.ScaleKernel(
            gpytorch.kernels.RBFKernel(ard_num_dims=features)
        )
        self.double()
        # As tensors: of a number, GPyTorch would make one in single precision.
        likelihood.noise = torch.tensor([task.noise_variance], dtype=torch.float64)
        self.covar_module.outputscale = torch.tensor(task.variance, dtype=torch.float64)
        self.covar_module.base_kernel.lengthscale = torch.from_numpy(task.length_scales)

    def forward(self, X: torch.Tensor) -> gpytorch.distributions.MultivariateNormal:
        """Return the prior at X."""
        return gpytorch.distributions.MultivariateNormal(self.mean_module(X), self.covar_module(X))

    def constrained(self) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Return parameters as they are stored, and their values: in the order of the suite."""
        kernel = self.covar_module
        return [
            (kernel.raw_outputscale, kernel.outputscale),
            (kernel.base_kernel.raw_lengthscale, kernel.base_kernel.lengthscale),
            (self.likelihood.raw_noise, self.likelihood.noise),
        ]


class Exact(Adapter):
    """GPyTorch with every solve and determinant by Cholesky."""

    name = "GPyTorch (exact)"
    caches = (
        "A model in evaluation mode keeps solves with the training covariance for further "
        "predictions; every call here makes a new model. Its settings force Cholesky at every size."
    )

    def versions(self) -> dict[str, str]:
        """Return the versions of GPyTorch and of what it computes with."""
        return {
            "gpytorch": gpytorch.__version__,
            "linear_operator": linear_operator.__version__,
            "torch": torch.__version__,
        }

    def prepare(self, task: Task) -> None:
        """Make tensors, which share the arrays' memory."""
        torch.set_num_threads(task.threads)
        self._task = task
        self._X, self._y, self._X_test = (
            torch.from_numpy(values) for values in (task.X, task.y, task.X_test)
        )

    def settings(self) -> ExitStack:
        """Return a context in which all is exact."""
        stack = ExitStack()
        stack.enter_context(max_cholesky_size(_ALWAYS))
        stack.enter_context(max_preconditioner_size(0))
        stack.enter_context(cholesky_jitter(float_value=0.0, double_value=0.0))
        stack.enter_context(
            fast_computations(covar_root_decomposition=False, log_prob=False, solves=False)
        )
        stack.enter_context(fast_pred_var(False))
        return stack

    def likelihood_gradient(self) -> Any:
        """Evaluate, and differentiate by the logarithms of the constrained parameters."""
        model = Model(self._X, self._y, self._task)
        with self.settings():
            loss = self._loss(model)
            loss.backward()
        gradient = [
            (-raw.grad * value.detach() / torch.sigmoid(raw.detach())).ravel()
            for raw, value in model.constrained()
        ]
        return -loss.detach().numpy(), torch.cat(gradient).numpy()

    def mean(self) -> Any:
        """Predict the mean."""
        with torch.no_grad(), self.settings(), skip_posterior_variances():
            return self._predicted().mean.numpy()

    def mean_variance(self) -> Any:
        """Predict mean and variance."""
        with torch.no_grad(), self.settings():
            prediction = self._predicted()
            return prediction.mean.numpy(), prediction.variance.numpy()

    def covariance(self) -> Any:
        """Predict mean and joint covariance."""
        with torch.no_grad(), self.settings():
            prediction = self._predicted()
            return prediction.mean.numpy(), prediction.covariance_matrix.numpy()

    def optimise(self, seed: int) -> dict[str, Any]:
        """Train with Adam, then predict."""
        torch.manual_seed(seed)
        model = Model(self._X, self._y, self._task)
        optimizer = torch.optim.Adam(model.parameters(), lr=_LEARNING_RATE)
        losses: list[float] = []
        with self.settings():
            while len(losses) < _MOST_STEPS and not self._stands_still(losses):
                optimizer.zero_grad()
                loss = self._loss(model)
                loss.backward()
                optimizer.step()
                losses.append(float(loss))
        model.eval()
        with torch.no_grad(), self.settings():
            prediction = model(self._X_test)
            mean, variance = prediction.mean.numpy(), prediction.variance.numpy()
        scale, length_scales, noise = (value.detach().numpy() for _, value in model.constrained())
        return {
            "variance": scale,
            "length_scales": np.ravel(length_scales),
            "noise_variance": np.ravel(noise)[0],
            "mean": mean,
            "variance_test": variance,
            "iterations": len(losses),
        }

    def _stands_still(self, losses: list[float]) -> bool:
        if len(losses) <= _WINDOW:
            return False
        return min(losses[:-_WINDOW]) - min(losses[-_WINDOW:]) < _STANDSTILL * len(self._y)

    def _loss(self, model: Model) -> torch.Tensor:
        model.train()
        likelihood = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        # Its value is that of one row.
        return -likelihood(model(self._X), self._y) * len(self._y)

    def _predicted(self) -> gpytorch.distributions.MultivariateNormal:
        return Model(self._X, self._y, self._task).eval()(self._X_test)


class Defaults(Exact):
    """GPyTorch as it is: conjugate gradients and Lanczos above 800 rows."""

    name = "GPyTorch (defaults)"
    approximate = True
    caches = (
        "As GPyTorch (exact). With its defaults it solves by conjugate gradients and estimates "
        "determinants above 800 rows: results are approximate."
    )

    def settings(self) -> ExitStack:
        """Return a context that changes nothing."""
        return ExitStack()
