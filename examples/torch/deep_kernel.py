"""Learn waves with a steep step: an RBF kernel, and one of features that a network learns.

Run with ``python examples/torch/deep_kernel.py``; ``--help`` for options. Needs the extras
``torch`` and ``plot``.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import torch

import gprat
from gprat.kernels import RBF, ConstantKernel
from gprat.torch import ExactGP

NOISE, STEP_WIDTH = 0.05, 0.03
INK, BLUE, ORANGE = "#222222", "#1f6fb4", "#d1603d"


@dataclass
class Prediction:
    """Means and standard deviations, noise included, on the grid and at the test points."""

    name: str
    mean: np.ndarray
    deviation: np.ndarray
    test_mean: np.ndarray
    test_deviation: np.ndarray

    def describe(self, y: np.ndarray) -> str:
        """Say how good it is at the test points."""
        residual = (y - self.test_mean) / self.test_deviation
        density = -0.5 * np.mean(residual**2 + np.log(2 * np.pi * self.test_deviation**2))
        rmse = np.sqrt(np.mean((y - self.test_mean) ** 2))
        coverage = np.mean(np.abs(residual) < 1.96)
        return f"RMSE {rmse:.3f}, log density {density:.2f}, in the 95 % band {coverage:.0%}"


def truth(x: np.ndarray) -> np.ndarray:
    """Return waves, and a step up that is a hundred times as steep."""
    return 0.3 * np.sin(3 * x) + 0.5 * (1 + np.tanh(x / STEP_WIDTH))


def measure(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return random points, shape (n, 1), and noisy values there."""
    x = rng.uniform(-2, 2, size=n)
    return x[:, None], truth(x) + NOISE * rng.standard_normal(n)


def learn_stationary(
    data: tuple[np.ndarray, np.ndarray], grid: np.ndarray, test: np.ndarray
) -> Prediction:
    """Train an RBF kernel: one length scale for the waves and for the step."""
    gp = gprat.GP(*data, ConstantKernel() * RBF(0.5), noise=0.01)
    gp.optimize(n_restarts=4, random_state=0, progress=False)
    (mean, variance), (test_mean, test_variance) = (
        gp.predict_with_uncertainty(points, include_noise=True) for points in (grid, test)
    )
    return Prediction("RBF", mean, np.sqrt(variance), test_mean, np.sqrt(test_variance))


def learn_deep(
    data: tuple[np.ndarray, np.ndarray], grid: np.ndarray, test: np.ndarray, steps: int
) -> tuple[Prediction, np.ndarray]:
    """Train an RBF kernel of two features and the network behind them; return these too."""
    torch.manual_seed(0)
    torch.set_num_threads(1)  # of tensors this small, threads have nothing to share
    network = torch.nn.Sequential(
        torch.nn.Linear(1, 32),
        torch.nn.Tanh(),
        torch.nn.Linear(32, 16),
        torch.nn.Tanh(),
        torch.nn.Linear(16, 2),
    )
    model = ExactGP(ConstantKernel() * RBF(1.0), noise=0.01, features=network).double()
    X, y = map(torch.from_numpy, data)
    optimiser = torch.optim.Adam(
        [
            {"params": model.features.parameters(), "lr": 0.01, "weight_decay": 1e-3},
            {"params": [model.theta, model.log_noise], "lr": 0.02},
        ]
    )
    for step in range(steps):
        optimiser.zero_grad()
        loss = -model(X, y)
        loss.backward()
        optimiser.step()
        if step % 100 == 0 or step == steps - 1:
            print(f"step {step:4d}: log marginal likelihood {-loss.item():8.2f}")

    with torch.no_grad():
        conditioned = model.condition(X, y)
        predictions = [
            conditioned.posterior(torch.from_numpy(points)).with_noise(model.noise)
            for points in (grid, test)
        ]
        features = model.features(torch.from_numpy(grid)).numpy()
    arrays = [array.numpy() for p in predictions for array in (p.mean, p.variance.sqrt())]
    return Prediction("RBF of learned features", *arrays), features


def draw(
    path: Path,
    data: tuple[np.ndarray, np.ndarray],
    grid: np.ndarray,
    predictions: list[Prediction],
    features: np.ndarray,
) -> None:
    """Draw both predictions, and the features."""
    style = {"axes.spines.top": False, "axes.spines.right": False, "axes.titlelocation": "left"}
    with plt.rc_context(style):
        figure, panels = plt.subplots(1, 3, figsize=(12, 3.8), layout="constrained", dpi=130)
        x = grid[:, 0]
        for axes, p in zip(panels, predictions, strict=False):
            half = 1.96 * p.deviation
            axes.fill_between(x, p.mean - half, p.mean + half, color=BLUE, alpha=0.22, lw=0)
            axes.plot(x, p.mean, color=BLUE, lw=1.2, label="mean and 95 % band")
            axes.plot(x, truth(x), ":", color=ORANGE, lw=1.2, label="truth")
            axes.plot(*data, ".", color=INK, ms=3, label="measured")
            axes.set(title=p.name, xlabel="x", ylim=(-0.75, 1.75))
        panels[0].legend(frameon=False, loc="upper left")
        for j, colour in enumerate((BLUE, ORANGE)):
            panels[2].plot(x, features[:, j], color=colour, label=f"feature {j + 1}")
        panels[2].set(title="what the network has learned", xlabel="x")
        panels[2].legend(frameon=False)
        figure.savefig(path)
        plt.close(figure)


def main() -> None:
    """Parse the command line, learn twice, and compare."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("deep_kernel.png"), help="the picture")
    parser.add_argument("--quick", action="store_true", help="train briefly: to see it run")
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    data, (X_test, y_test) = measure(150, rng), measure(1000, rng)
    grid = np.linspace(-2.2, 2.2, 441)[:, None]
    stationary = learn_stationary(data, grid, X_test)
    deep, features = learn_deep(data, grid, X_test, steps=50 if arguments.quick else 600)
    for prediction in (stationary, deep):
        print(f"{prediction.name}: {prediction.describe(y_test)}")
    draw(arguments.output, data, grid, [stationary, deep], features)
    print(f"Picture: {arguments.output}")


if __name__ == "__main__":
    main()
