"""Bayesian optimisation's inner loop: `optimize_acqf` with gprat's model and with BoTorch's.

Both models have the same data and hyperparameters, both searches the same starts. Acquisition
values and gradients are compared before anything is timed. Each figure is a median of interleaved
repetitions; the ratio is that of the same run.

Run with ``python -m benchmarks.details.optimize_acqf``, where the group ``torch`` is installed.
"""

from __future__ import annotations

import argparse
import statistics
import warnings
from collections.abc import Callable
from typing import Any

import torch
from botorch.acquisition import qLogExpectedImprovement
from botorch.models import SingleTaskGP
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler
from botorch.test_functions import Hartmann
from gpytorch.kernels import RBFKernel
from gpytorch.means import ConstantMean

from benchmarks.details.calls import time_call
from gprat.botorch import GPratModel
from gprat.kernels import RBF
from gprat.means import FixedLinear

DIMENSION = 6
LENGTH_SCALE, NOISE = 0.5, 1e-3


def make_models(n: int) -> tuple[Any, Any, torch.Tensor]:
    """Return gprat's model and BoTorch's of n values of Hartmann6, and the largest value."""
    torch.manual_seed(0)
    X = torch.rand(n, DIMENSION, dtype=torch.float64)
    Y = Hartmann(dim=DIMENSION, negate=True, dtype=torch.float64)(X).unsqueeze(-1)
    kernel = RBF([LENGTH_SCALE] * DIMENSION)
    ours = GPratModel(X, Y, kernel=kernel, noise=NOISE, mean=FixedLinear(0.0))
    theirs = SingleTaskGP(
        X, Y, covar_module=RBFKernel(ard_num_dims=DIMENSION), mean_module=ConstantMean()
    )
    theirs.covar_module.lengthscale = LENGTH_SCALE
    theirs.likelihood.noise = NOISE
    return ours, theirs.eval(), Y.max()


def improvement(model: Any, best: torch.Tensor) -> qLogExpectedImprovement:
    """Return the acquisition function, with the same base samples for every model."""
    sampler = SobolQMCNormalSampler(torch.Size([128]), seed=0)
    return qLogExpectedImprovement(model, best, sampler)


def evaluate(acquisition: Any, points: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return values and gradients, as a step of the search asks for them."""
    points = points.clone().requires_grad_()
    values = acquisition(points)
    return values.detach(), torch.autograd.grad(values.sum(), points)[0]


def search(acquisition: Any, q: int, restarts: int) -> float:
    """Return the acquisition value of the best of q candidates."""
    torch.manual_seed(0)
    bounds = torch.stack([torch.zeros(DIMENSION), torch.ones(DIMENSION)]).double()
    _, value = optimize_acqf(
        acquisition,
        bounds,
        q=q,
        num_restarts=restarts,
        raw_samples=128,
        options={"maxiter": 50, "batch_limit": restarts},
    )
    return float(value)


def compare(name: str, calls: dict[str, Callable[[], Any]], repetitions: int) -> None:
    """Time calls in turn, and print their medians and the ratio."""
    for call in calls.values():
        call()
    seconds: dict[str, list[float]] = {model: [] for model in calls}
    for _ in range(repetitions):
        for model, call in calls.items():
            seconds[model].append(time_call(call))
    ours, theirs = (1e3 * statistics.median(times) for times in seconds.values())
    print(f"{name:36} {ours:10.1f} {theirs:14.1f} {theirs / ours:8.2f}")


def main() -> None:
    """Check that the models agree, then time them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=500, help="training points")
    parser.add_argument("--q", type=int, default=4, help="candidates, sought jointly")
    parser.add_argument("--restarts", type=int, default=8)
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    ours, theirs, best = make_models(options.n)
    points = torch.rand(options.restarts, options.q, DIMENSION, dtype=torch.float64)
    found = [evaluate(improvement(model, best), points) for model in (ours, theirs)]
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-7, atol=1e-7)

    models = {"gprat": improvement(ours, best), "BoTorch": improvement(theirs, best)}
    print(f"n = {options.n}, q = {options.q}, {options.restarts} starts; milliseconds")
    print(f"{'':36} {'gprat':>10} {'SingleTaskGP':>14} {'ratio':>8}")
    compare(
        "value and gradient at all starts",
        {name: lambda a=a: evaluate(a, points) for name, a in models.items()},
        5 * options.repetitions,
    )
    compare(
        "optimize_acqf",
        {name: lambda a=a: search(a, options.q, options.restarts) for name, a in models.items()},
        options.repetitions,
    )


if __name__ == "__main__":
    main()
