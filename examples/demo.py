"""Learn two systems from measurements, forecast them with uncertainty, and draw what came out.

Run with ``make demo``, or ``python examples/demo.py --help``.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pictures import draw_co2, draw_identification
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import gprat
from gprat.datasets import load_co2, mass_spring_damper, nfir
from gprat.kernels import (
    RBF,
    ConstantKernel,
    DotProduct,
    ExpSineSquared,
    Kernel,
    RationalQuadratic,
)
from gprat.optimize.base import Iteration

FIRST_YEAR_HELD_OUT = 1995.0
TEST_SAMPLES = 1024
REGRESSORS = 8
NORMAL_95 = 1.96

console = Console()


@dataclass
class Result:
    """What a problem's column of the table and its picture need."""

    name: str
    gp: gprat.GP
    seconds: float
    log_likelihood: float
    test_target: np.ndarray
    test_mean: np.ndarray
    test_std: np.ndarray
    peak_memory: float

    @property
    def rmse(self) -> float:
        """Root mean squared error of the predictive mean."""
        return float(np.sqrt(np.mean((self.test_target - self.test_mean) ** 2)))

    @property
    def negative_log_density(self) -> float:
        """Mean negative log density of the test targets under the predictions."""
        standardised = (self.test_target - self.test_mean) / self.test_std
        return float(np.mean(0.5 * standardised**2 + np.log(self.test_std * np.sqrt(2 * np.pi))))

    @property
    def coverage(self) -> float:
        """Share of the test targets inside the 95 % band."""
        inside = np.abs(self.test_target - self.test_mean) <= NORMAL_95 * self.test_std
        return float(np.mean(inside))


@dataclass(frozen=True)
class Effort:
    """How long to learn, and from how many samples of the carts."""

    max_iter: int
    training_samples: int


FULL = Effort(max_iter=100, training_samples=4096)
QUICK = Effort(max_iter=10, training_samples=512)


def peak_memory() -> float:
    """Return the most memory that this process has held so far, libraries and all, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def train(name: str, gp: gprat.GP, max_iter: int) -> float:
    """Train under a progress bar that shows the likelihood; return the seconds it took."""
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("log marginal likelihood {task.fields[likelihood]:.1f}"),
    )
    start = time.perf_counter()
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(name, total=max_iter, likelihood=gp.log_marginal_likelihood())

        def show(state: Iteration) -> None:
            likelihood = state.log_marginal_likelihood
            progress.update(task, completed=state.iteration, likelihood=likelihood)

        result = gp.optimize("l-bfgs-b", max_iter=max_iter, callback=show)
        progress.update(task, total=result.nit, completed=result.nit)
    return time.perf_counter() - start


def co2_kernel() -> Kernel:
    """Trend, season, irregularities and weather, for years that are centred.

    After R&W 2006, section 5.4.3, but for the trend: a parabola with unknown coefficients, which
    may go on growing where a stationary kernel would fall back to the mean.
    """
    trend = ConstantKernel(1e-2, (1e-6, 1e2)) * DotProduct(10.0, (1e-1, 1e3)) ** 2
    season = (
        ConstantKernel(2.0**2)
        * RBF(100.0, (10.0, 1e3))
        * ExpSineSquared(1.0, 1.0, periodicity_bounds="fixed")
    )
    irregularities = ConstantKernel(1.0) * RationalQuadratic(2.0, 1.0, alpha_bounds=(1e-2, 1e3))
    weather = ConstantKernel(0.2**2) * RBF(0.1, (0.02, 1.0))
    return trend + season + irregularities + weather


def learn_co2(effort: Effort, output: Path) -> Result:
    """Train on the readings before 1995 and forecast those from 1995 on."""
    year, co2 = load_co2()
    is_known = year < FIRST_YEAR_HELD_OUT
    origin, mean_level = year[is_known].mean(), co2[is_known].mean()
    gp = gprat.GP(
        year[is_known, None] - origin, co2[is_known] - mean_level, co2_kernel(), noise=0.1
    )
    seconds = train("Mauna Loa CO2", gp, effort.max_iter)
    mean, variance = gp.predict_with_uncertainty(year[~is_known, None] - origin, include_noise=True)
    result = Result(
        "Mauna Loa CO2",
        gp,
        seconds,
        gp.log_marginal_likelihood(),
        co2[~is_known],
        mean + mean_level,
        np.sqrt(variance),
        peak_memory(),
    )
    grid = np.linspace(year.min(), year.max() + 3.0, 1500)
    grid_mean, grid_variance = gp.predict_with_uncertainty(
        grid[:, None] - origin, include_noise=True
    )
    draw_co2(
        output / "co2.png",
        (year, co2),
        (grid, grid_mean + mean_level, NORMAL_95 * np.sqrt(grid_variance)),
        FIRST_YEAR_HELD_OUT,
    )
    return result


def learn_identification(effort: Effort, output: Path) -> Result:
    """Learn a chain of carts from one record of force and position, and predict another stretch."""
    samples = effort.training_samples + TEST_SAMPLES + 2 * (REGRESSORS - 1)
    force, position = mass_spring_damper(samples, random_state=0)
    millimetres = 1e3 * position
    cut = effort.training_samples + REGRESSORS - 1
    X, y = nfir(force[:cut], millimetres[:cut], REGRESSORS)
    X_test, y_test = nfir(force[cut:], millimetres[cut:], REGRESSORS)
    scale, level, spread = force[:cut].std(), y.mean(), y.std()
    kernel = ConstantKernel(10.0) * RBF(np.full(REGRESSORS, 5.0), (0.1, 1e3))
    gp = gprat.GP(X / scale, (y - level) / spread, kernel, noise=0.01)
    seconds = train("Mass-spring-damper", gp, effort.max_iter)
    mean, variance = gp.predict_with_uncertainty(X_test / scale, include_noise=True)
    result = Result(
        "Mass-spring-damper",
        gp,
        seconds,
        gp.log_marginal_likelihood(),
        y_test,
        level + spread * mean,
        spread * np.sqrt(variance),
        peak_memory(),
    )
    draw_identification(
        output / "mass_spring_damper.png",
        (y_test, result.test_mean, NORMAL_95 * result.test_std),
    )
    return result


def print_table(results: list[Result], units: list[str]) -> None:
    """Print a column for each problem."""
    table = Table(title="Exact Gaussian processes")
    table.add_column("")
    for result in results:
        table.add_column(result.name, justify="right")
    rows: dict[str, Callable[[Result, str], str]] = {
        "training points n": lambda r, _: f"{r.gp.X.shape[0]}",
        "test points": lambda r, _: f"{r.test_target.size}",
        "hyperparameters learned": lambda r, _: f"{r.gp.theta.size}",
        "time to fit": lambda r, _: f"{r.seconds:.1f} s",
        "log marginal likelihood": lambda r, _: f"{r.log_likelihood:.1f}",
        "test RMSE": lambda r, unit: f"{r.rmse:.3g} {unit}",
        "mean negative log predictive density": lambda r, _: f"{r.negative_log_density:.3f}",
        "coverage of the 95 % band": lambda r, _: f"{r.coverage:.1%}",
        "peak memory so far, libraries and all": lambda r, _: f"{r.peak_memory:.0f} MiB",
    }
    for heading, cell in rows.items():
        table.add_row(heading, *(cell(r, u) for r, u in zip(results, units, strict=True)))
    console.print(table)


def main() -> None:
    """Parse the command line and run both problems."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="for pictures")
    parser.add_argument(
        "--quick", action="store_true", help="train briefly, from fewer samples: to see it run"
    )
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    effort = QUICK if arguments.quick else FULL
    console.print(f"gprat {gprat.__version__} on {gprat.runtime.threads()} threads")
    results = [
        learn_co2(effort, arguments.output),
        learn_identification(effort, arguments.output),
    ]
    print_table(results, ["ppm", "mm"])
    for name in ("co2.png", "mass_spring_damper.png"):
        console.print(f"Picture: {arguments.output / name}")


if __name__ == "__main__":
    main()
