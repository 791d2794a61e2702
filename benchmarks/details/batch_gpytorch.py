"""GPyTorch's batch mode for ``benchmarks.details.batch``: run in its own environment.

Reads X, y and the threads from a file of NumPy; writes what each way to train reached, and when.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import gpytorch
import numpy as np
import torch
from gpytorch.settings import cholesky_jitter, fast_computations, max_cholesky_size

# Steps of each method, at most: far more than they need.
MOST_STEPS = {"Adam": 300, "L-BFGS": 60}
# Adam's steps in a row that bring each member less than this, on average, end it.
STANDSTILL, WINDOW = 1e-3, 10


class Models(gpytorch.models.ExactGP):  # type: ignore[misc]
    """As many models as y has rows: zero mean, constant times RBF, one noise each."""

    def __init__(self, X: torch.Tensor, y: torch.Tensor) -> None:
        shape = y.shape[:1]
        likelihood = gpytorch.likelihoods.GaussianLikelihood(
            batch_shape=shape, noise_constraint=gpytorch.constraints.GreaterThan(1e-10)
        )
        super().__init__(X, y, likelihood)
        self.mean_module = gpytorch.means.ZeroMean(batch_shape=shape)
        rbf = gpytorch.kernels.RBFKernel(batch_shape=shape)
        self.covar_module = gpytorch.kernels.ScaleKernel(rbf, batch_shape=shape)
        self.double()
        likelihood.noise = torch.full((len(y), 1), 0.1, dtype=torch.float64)
        self.covar_module.outputscale = torch.ones(len(y), dtype=torch.float64)
        rbf.lengthscale = torch.ones((len(y), 1, 1), dtype=torch.float64)

    def forward(self, X: torch.Tensor) -> gpytorch.distributions.MultivariateNormal:
        """Return the priors at X."""
        return gpytorch.distributions.MultivariateNormal(self.mean_module(X), self.covar_module(X))


def exact() -> ExitStack:
    """Return a context with Cholesky factors only, and no jitter."""
    stack = ExitStack()
    stack.enter_context(max_cholesky_size(10**9))
    stack.enter_context(cholesky_jitter(float_value=0.0, double_value=0.0))
    stack.enter_context(
        fast_computations(covar_root_decomposition=False, log_prob=False, solves=False)
    )
    return stack


def losses_of(model: Models) -> Callable[[], torch.Tensor]:
    """Return the function that computes all losses, shape (b,)."""
    marginal = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
    X, y = model.train_inputs[0], model.train_targets
    return lambda: -marginal(model(X), y) * y.shape[1]


def train(method: str, X: torch.Tensor, y: torch.Tensor) -> list[dict[str, Any]]:
    """Train all, and note the losses after each step and the seconds since the start."""
    start = time.perf_counter()
    model = Models(X, y).train()
    losses = losses_of(model)
    if method == "Adam":
        optimizer: Any = torch.optim.Adam(model.parameters(), lr=0.1)
    else:
        optimizer = torch.optim.LBFGS(
            model.parameters(), max_iter=20, history_size=10, line_search_fn="strong_wolfe"
        )
    best = torch.full(y.shape[:1], np.inf, dtype=torch.float64)
    steps: list[dict[str, Any]] = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        values = losses()
        total = values.sum()
        total.backward()
        torch.minimum(best, values.detach(), out=best)
        return total

    while len(steps) < MOST_STEPS[method] and not stands_still(steps):
        optimizer.step(closure)
        steps.append({"seconds": time.perf_counter() - start, "losses": best.tolist()})
    return steps


def stands_still(steps: list[dict[str, Any]]) -> bool:
    """Tell whether the last steps brought next to nothing."""
    if len(steps) <= WINDOW:
        return False
    then, now = (np.mean(steps[i]["losses"]) for i in (-1 - WINDOW, -1))
    return bool(then - now < STANDSTILL)


def main() -> None:
    """Train by each method."""
    source, target = sys.argv[1:]
    with np.load(source) as data:
        X, y = torch.from_numpy(data["X"]), torch.from_numpy(data["y"])
        torch.set_num_threads(int(data["threads"]))
    with exact():
        train("L-BFGS", X[:4], y[:4])
        results = {method: train(method, X, y) for method in MOST_STEPS}
    versions = {"gpytorch": gpytorch.__version__, "torch": torch.__version__}
    with open(target, "w", encoding="utf-8") as file:
        json.dump({"versions": versions, "runs": results}, file)


if __name__ == "__main__":
    main()
