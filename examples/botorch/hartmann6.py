"""Bayesian optimisation of a function of six variables, with gprat's model and with BoTorch's.

Both start from the same points of a Sobol sequence. Then each step trains the model on all that has
been evaluated, and evaluates the function where the logarithm of the expected improvement is
largest. The picture shows the regret: how far the best value so far is from the optimum.

Run with ``python examples/botorch/hartmann6.py --output hartmann6.png``; ``--help`` tells the
options. It needs the extras ``botorch`` and ``plot``.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from botorch.acquisition import LogExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.model import Model
from botorch.optim import optimize_acqf
from botorch.test_functions import Hartmann
from gpytorch.mlls import ExactMarginalLogLikelihood
from torch.quasirandom import SobolEngine

from gprat.botorch import GPratModel

FUNCTION = Hartmann(dim=6, negate=True, dtype=torch.float64)
DIMENSION = FUNCTION.dim
BOUNDS = FUNCTION.bounds


def fit_gprat(X: torch.Tensor, Y: torch.Tensor) -> Model:
    """Train gprat's model."""
    return GPratModel(X, Y).fit(progress=False)


def fit_botorch(X: torch.Tensor, Y: torch.Tensor) -> Model:
    """Train BoTorch's model."""
    model = SingleTaskGP(X, Y)
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    return model


METHODS = {"gprat.botorch.GPratModel": fit_gprat, "botorch.models.SingleTaskGP": fit_botorch}


def optimise(
    fit: Callable[[torch.Tensor, torch.Tensor], Model], seed: int, starts: int, evaluations: int
) -> np.ndarray:
    """Return the regret after each evaluation."""
    X = SobolEngine(DIMENSION, scramble=True, seed=seed).draw(starts, dtype=torch.float64)
    Y = FUNCTION(X).unsqueeze(-1)
    torch.manual_seed(seed)
    for _ in range(evaluations - starts):
        improvement = LogExpectedImprovement(fit(X, Y), best_f=Y.max())
        candidate, _ = optimize_acqf(
            improvement, BOUNDS, q=1, num_restarts=4, raw_samples=128, options={"maxiter": 100}
        )
        X = torch.cat([X, candidate])
        Y = torch.cat([Y, FUNCTION(candidate).unsqueeze(-1)])
    return FUNCTION.optimal_value - Y.squeeze(-1).cummax(dim=0).values.numpy()


def draw(regrets: dict[str, np.ndarray], starts: int, path: Path) -> None:
    """Draw medians over the seeds, and the middle half of them as a band."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(7.5, 4.2), layout="constrained")
    for (name, values), colour in zip(regrets.items(), ("#1f6f8b", "#b3401e"), strict=True):
        lower, median, upper = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
        count = np.arange(1, len(median) + 1)
        axes.plot(count, median, color=colour, label=name)
        axes.fill_between(count, lower, upper, color=colour, alpha=0.15, linewidth=0)
    axes.axvline(starts + 0.5, color="#808b96", linewidth=0.8, linestyle=":")
    axes.set(yscale="log", xlabel="evaluations of Hartmann6", ylabel="regret of the best so far")
    axes.set_title(f"Median and quartiles of {len(values)} seeds", loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main() -> None:
    """Optimise with both models for several seeds, and draw the regrets."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("hartmann6.png"), help="the picture")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--starts", type=int, default=12, help="points before the first model")
    parser.add_argument("--evaluations", type=int, default=50, help="of each run, starts included")
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # of optimisers that stop early, which is no harm here
    regrets = {}
    for name, fit in METHODS.items():
        begin = time.perf_counter()
        runs = [
            optimise(fit, seed, options.starts, options.evaluations)
            for seed in range(options.seeds)
        ]
        regrets[name] = np.stack(runs)
        seconds = time.perf_counter() - begin
        print(f"{name}: median regret {np.median(regrets[name][:, -1]):.2g}, {seconds:.0f} s")
    draw(regrets, options.starts, options.output)
    print(options.output)


if __name__ == "__main__":
    main()
