"""``python -m benchmarks.details.acquisition``: a step of an acquisition function's optimiser.

Mean and spread at q test points from n training points, and the gradient of a function of them by
the test points, in float64. Training data are the same from call to call: gprat keeps its factor.
GPyTorch's exact path keeps solves for the mean, but factorises for every spread; with
``fast_pred_var``, as BoTorch has it, it keeps a root of the inverse too.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gpytorch.settings import fast_pred_var
from rich.console import Console
from rich.table import Table

from benchmarks.details.calls import make_data
from benchmarks.details.gpytorch_models import (
    NOISE,
    PeerRegression,
    check_agreement,
    exact,
    kernel,
    medians,
    use_threads,
)
from gprat.torch import condition

FEATURES = 6
# GPyTorch's time over ours, at least.
GOAL = 2.0

CONTESTANTS = ("gprat", "GPyTorch (exact)", "GPyTorch (exact, fast_pred_var)")

Step = Callable[[], list[torch.Tensor]]


def of_variances(mean: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """Return upper confidence bounds, summed."""
    return (mean + 2.0 * variance.sqrt()).sum()


def of_covariance(mean: torch.Tensor, covariance: torch.Tensor) -> torch.Tensor:
    """Return a function that needs the points together, as batch acquisition functions do."""
    return mean.sum() + covariance.square().sum()


def steps(n: int, q: int, joint: bool) -> dict[str, Step]:
    """Return a call for each contestant, to value and gradient; all have been conditioned."""
    X, y, _ = (torch.from_numpy(values) for values in make_data(n, FEATURES))
    points = X[:q] + 0.3
    function = of_covariance if joint else of_variances
    with torch.no_grad():
        model = condition(X, y, kernel(), noise=NOISE)
    peer = PeerRegression(X, y, torch.nn.Identity()).eval()
    # So that no gradient of hyperparameters is computed, as by us.
    peer.requires_grad_(False)

    def ours() -> list[torch.Tensor]:
        Xs = points.clone().requires_grad_()
        prediction = model.posterior(Xs, joint=joint)
        spread = prediction.covariance if joint else prediction.variance
        return differentiated(function(prediction.mean, spread), Xs)

    def theirs() -> list[torch.Tensor]:
        Xs = points.clone().requires_grad_()
        prediction = peer(Xs)
        spread = prediction.covariance_matrix if joint else prediction.variance
        return differentiated(function(prediction.mean, spread), Xs)

    def theirs_kept() -> list[torch.Tensor]:
        with fast_pred_var(True):
            return theirs()

    return dict(zip(CONTESTANTS, (ours, theirs, theirs_kept), strict=True))


def differentiated(value: torch.Tensor, Xs: torch.Tensor) -> list[torch.Tensor]:
    """Return a value and its gradient."""
    (gradient,) = torch.autograd.grad(value, Xs)
    return [value.detach(), gradient]


def measure(n: int, q: int, repeats: int, joint: bool) -> dict[str, Any]:
    """Compare, then time in turn."""
    with exact():
        calls = steps(n, q, joint)
        ours, *others = (call() for call in calls.values())
        difference = max(check_agreement(ours, theirs) for theirs in others)
        return {
            "n": n,
            "q": q,
            "joint": joint,
            "difference": difference,
            "times": medians(calls, repeats),
        }


def print_table(console: Console, results: list[dict[str, Any]]) -> None:
    """Print milliseconds, and how many times faster ours is."""
    table = Table(title=f"prediction and gradient by the test points, d = {FEATURES}, float64")
    table.add_column("")
    for name in CONTESTANTS:
        table.add_column(name, justify="right")
    for result in results:
        seconds = {name: result["times"][name]["median"] for name in CONTESTANTS}
        ours = seconds[CONTESTANTS[0]]
        cells = [
            f"{1e3 * seconds[name]:.2f} ms ({seconds[name] / ours:.1f})" for name in CONTESTANTS
        ]
        what = "covariance" if result["joint"] else "variances"
        table.add_row(f"mean and {what}, q = {result['q']}, n = {result['n']}", *cells)
    console.print(table)
    worst = max(result["difference"] for result in results)
    console.print(
        f"In brackets: time over gprat's; the goal is at least {GOAL:g} for GPyTorch. Values and "
        f"gradients agree to {worst:.0e}."
    )


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.details.acquisition", description=__doc__
    )
    parser.add_argument("--n", type=int, nargs="+", default=[1000], help="training points")
    parser.add_argument("--q", type=int, default=16, help="test points")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    arguments = parser.parse_args()
    console = Console()
    console.print(f"{use_threads()} threads")
    results = [
        measure(n, arguments.q, arguments.repeats, joint)
        for n in arguments.n
        for joint in (False, True)
    ]
    print_table(console, results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
