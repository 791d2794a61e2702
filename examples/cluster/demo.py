"""Learn as many points as kin40k has on a cluster of this machine, and check it without one.

Run with ``make demo-cluster``, or ``python examples/cluster/demo.py --help``. The data are made up:
a smooth function of eight variables with a little noise, 40 000 rows, of which four in nine train.
On a cluster elsewhere, give the address of its scheduler: ``--scheduler tcp://…``.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client, LocalCluster
from pictures import draw_cluster
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import gprat
from gprat.kernels import RBF, ConstantKernel

FEATURES, TRAINING_SHARE = 8, 4 / 9
# Points whose variances are asked for: each takes a solve with the factor.
VARIANCES = 1000
NORMAL_95 = 1.96
# Of few rows one might think that there is no noise at all.
NOISE_BOUNDS = (1e-4, 1.0)
# Rounding, and what the condition of K makes of it.
TOLERANCE = 1e-6

console = Console()


@dataclass(frozen=True)
class Data:
    """Points to learn from, and points to predict."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


@dataclass
class Answers:
    """What one model says, how long it took, and what ran where for likelihood and gradient."""

    likelihood: float
    gradient: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    seconds: dict[str, float]
    trace: gprat.trace


def make_data(rows: int) -> Data:
    """Draw a function of which some directions matter more than others, and noisy values of it."""
    rng = np.random.default_rng(40)
    X = rng.uniform(-1.0, 1.0, (rows, FEATURES))
    directions = rng.normal(size=(FEATURES, 6)) / np.sqrt(FEATURES)
    y = np.sin(2.0 * X @ directions).sum(axis=1) + (X[:, 0] * X[:, 1]) ** 2
    y = (y - y.mean()) / y.std() + 0.05 * rng.standard_normal(rows)
    n = round(TRAINING_SHARE * rows)
    return Data(X[:n], y[:n], X[n:], y[n:])


@contextlib.contextmanager
def connected(scheduler: str | None, workers: int) -> Iterator[Client]:
    """Connect to a cluster, or start one of processes with one thread each."""
    if scheduler is not None:
        with Client(scheduler) as client:
            yield client
        return
    with (
        LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=":0",
            silence_logs=logging.ERROR,
        ) as cluster,
        Client(cluster) as client,
    ):
        console.print(f"Dask's dashboard: {cluster.dashboard_link}")
        yield client


def timed(name: str, seconds: dict[str, float], call: Callable[[], Any]) -> Any:
    """Note how long a call takes, and return its result."""
    start = time.perf_counter()
    with console.status(name):
        result = call()
    seconds[name] = time.perf_counter() - start
    return result


def train(gp: gprat.GP, max_iter: int, subset: int) -> list[float]:
    """Train on some rows and then on all; return the likelihoods of the iterations on all rows."""
    columns = (
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("log marginal likelihood {task.fields[likelihood]:.1f}"),
    )
    few = gprat.GP(
        gp.X[:subset], gp.y[:subset], gp.kernel, gp.noise_variance, noise_bounds=NOISE_BOUNDS
    )
    few.optimize()
    gp.theta = few.theta
    likelihoods = [gp.log_marginal_likelihood()]
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("training", total=max_iter, likelihood=likelihoods[0])

        def show(state: Any) -> None:
            likelihoods.append(state.log_marginal_likelihood)
            progress.update(task, completed=state.iteration, likelihood=likelihoods[-1])

        result = gp.optimize("l-bfgs-b", max_iter=max_iter, callback=show, progress=False)
        progress.update(task, total=result.nit, completed=result.nit)
    return likelihoods


def untouched(gp: gprat.GP, **engine: Any) -> gprat.GP:
    """Return a model with the same hyperparameters that has computed nothing yet."""
    model = gprat.GP(gp.X, gp.y, gp.kernel, gp.noise_variance, **engine)
    model.theta = gp.theta
    return model


def ask(gp: gprat.GP, data: Data) -> Answers:
    """Ask for all that a model of these data knows."""
    seconds: dict[str, float] = {}
    with gprat.trace() as trace:
        likelihood, gradient = timed(
            "likelihood and gradient",
            seconds,
            lambda: gp.log_marginal_likelihood(gp.theta, eval_gradient=True),
        )
    mean = timed("means, with the factor", seconds, lambda: gp.predict(data.X_test))
    _, variance = timed(
        "variances",
        seconds,
        lambda: gp.predict_with_uncertainty(data.X_test[:VARIANCES], include_noise=True),
    )
    return Answers(likelihood, gradient, mean, variance, seconds, trace)


def deviations(ours: Answers, theirs: Answers) -> dict[str, float]:
    """Return the largest differences, relative to the largest number of each kind."""
    names = ("likelihood", "gradient", "mean", "variance")
    pairs = {name: (getattr(ours, name), getattr(theirs, name)) for name in names}
    return {name: float(np.abs(a - b).max() / np.abs(b).max()) for name, (a, b) in pairs.items()}


def print_tables(data: Data, ours: Answers, theirs: Answers, workers: int) -> None:
    """Print how long it took on the cluster and on processors, and how good predictions are."""
    table = Table(title=f"n = {len(data.X):,} training points, {len(data.X_test):,} to predict")
    for heading in ("", f"{workers} workers", "processors"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, seconds in ours.seconds.items():
        table.add_row(name, f"{seconds:.1f} s", f"{theirs.seconds[name]:.1f} s")
    console.print(table)
    error, std = data.y_test - ours.mean, np.sqrt(ours.variance)
    inside = np.abs(error[: std.size]) <= NORMAL_95 * std
    table = Table("", "")
    table.add_row("log marginal likelihood", f"{ours.likelihood:.1f}")
    table.add_row("test RMSE, of standardised targets", f"{np.sqrt(np.mean(error**2)):.4f}")
    table.add_row("coverage of the 95 % band", f"{inside.mean():.1%}")
    for name, deviation in deviations(ours, theirs).items():
        table.add_row(f"largest difference of the {name}", f"{deviation:.1e}")
    console.print(table)


def main() -> int:
    """Run it; return 1 if the cluster and the processors disagree."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, default=40_000, help="of the data; fewer are quicker")
    parser.add_argument("--workers", type=int, default=2, help="processes of the cluster")
    parser.add_argument("--scheduler", help="address of another cluster")
    parser.add_argument("--max-iter", type=int, default=1, help="iterations on all rows")
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="for the picture")
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    data = make_data(arguments.rows)
    kernel = ConstantKernel(1.0) * RBF(np.full(FEATURES, 2.0))
    with connected(arguments.scheduler, arguments.workers) as client:
        gp = gprat.GP(
            data.X, data.y, kernel, 0.01, noise_bounds=NOISE_BOUNDS, engine="cluster", client=client
        )
        train(gp, arguments.max_iter, subset=max(200, len(data.X) // 12))
        ours = ask(untouched(gp, engine="cluster", client=client), data)
        workers = len(client.nthreads())
    console.print("The same hyperparameters on the processors of this machine:")
    theirs = ask(untouched(gp), data)
    print_tables(data, ours, theirs, workers)
    path = arguments.output / "cluster.png"
    band = NORMAL_95 * np.sqrt(ours.variance)
    draw_cluster(path, ours.trace, (data.y_test, ours.mean), band)
    console.print(f"Picture: {path}")
    if max(deviations(ours, theirs).values()) > TOLERANCE:
        console.print("[red]The cluster and the processors disagree.")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
