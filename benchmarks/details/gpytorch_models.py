"""What the closer looks at PyTorch share: GPyTorch's model, threads, and taking turns.

They run in the environment of ``make test-torch``, which has GPyTorch: both libraries take turns in
one process, with the same tensors and threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gpytorch
import torch

from benchmarks.details.calls import time_call
from benchmarks.peers.gpytorch_adapter import Exact
from benchmarks.timing import Effort, interleave
from gprat import runtime
from gprat.kernels import RBF, ConstantKernel, Kernel

__all__ = [
    "NOISE",
    "PeerRegression",
    "check_agreement",
    "exact",
    "kernel",
    "medians",
    "use_threads",
]

VARIANCE, LENGTH_SCALE, NOISE = 1.0, 1.0, 0.1
# Both compute the same formulas in float64: what differs by more is wrong somewhere.
TOLERANCE = 1e-8

# GPyTorch's settings that force Cholesky at every size, as the suite has them.
exact = Exact().settings


class PeerRegression(gpytorch.models.ExactGP):  # type: ignore[misc]
    """A zero mean, and a constant times an RBF kernel of features."""

    def __init__(self, X: torch.Tensor, y: torch.Tensor, features: torch.nn.Module) -> None:
        likelihood = gpytorch.likelihoods.GaussianLikelihood(
            noise_constraint=gpytorch.constraints.Positive()
        )
        super().__init__(X, y, likelihood)
        self.features = features
        self.mean_module = gpytorch.means.ZeroMean()
        self.covar_module = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())
        self.double()
        # As tensors: of a number, GPyTorch would make one in single precision.
        likelihood.noise = torch.tensor([NOISE], dtype=torch.float64)
        self.covar_module.outputscale = torch.tensor(VARIANCE, dtype=torch.float64)
        length_scale = torch.tensor([[LENGTH_SCALE]], dtype=torch.float64)
        self.covar_module.base_kernel.lengthscale = length_scale

    def forward(self, X: torch.Tensor) -> gpytorch.distributions.MultivariateNormal:
        """Return the prior at X."""
        features = self.features(X)
        return gpytorch.distributions.MultivariateNormal(
            self.mean_module(features), self.covar_module(features)
        )


def kernel() -> Kernel:
    """Return ours, with the same hyperparameters."""
    return ConstantKernel(VARIANCE) * RBF(LENGTH_SCALE)


def use_threads() -> int:
    """Give PyTorch as many threads as gprat has; return how many."""
    torch.set_num_threads(runtime.threads())
    return runtime.threads()


def check_agreement(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> float:
    """Return the largest difference of any two, relative to the largest entry of all.

    Raises
    ------
    RuntimeError
        If it is more than rounding.
    """
    scale = max(tensor.abs().max().item() for tensor in theirs)
    pairs = zip(ours, theirs, strict=True)
    worst = max((one - other).abs().max().item() for one, other in pairs) / scale
    if not worst <= TOLERANCE:
        raise RuntimeError(f"gprat and GPyTorch differ by {worst:.1e}: there is nothing to time")
    return worst


def medians(calls: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, dict[str, Any]]:
    """Time calls in turn, after a first one each; return the summary of each."""

    def several(call: Callable[[], Any]) -> Callable[[int], float]:
        return lambda count: time_call(lambda: [call() for _ in range(count)]) / count

    first = {name: time_call(call) for name, call in calls.items()}
    effort = Effort(repeats=repeats, fewest=repeats, sample=0.2, long=float("inf"))
    timings = interleave({name: several(call) for name, call in calls.items()}, first, effort)
    return {name: timing.summary() for name, timing in timings.items()}
