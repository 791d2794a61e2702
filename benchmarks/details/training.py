"""``python -m benchmarks.details.training DATA``: training beside scikit-learn's; kernels' costs.

DATA is a compressed table of comma-separated numbers, the target in the last column.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.gaussian_process import GaussianProcessRegressor

from benchmarks.details.calls import Dpotrf, make_data, peak_resident_gib, time_call
from benchmarks.yardsticks import native_yardsticks
from gprat import GP, runtime
from gprat.kernels import (
    RBF,
    ConstantKernel,
    DotProduct,
    Kernel,
    Matern,
    Periodic,
    RationalQuadratic,
    WhiteKernel,
)

# Nats below scikit-learn's likelihood that count as reaching it: far less than data could tell
# apart, yet more than either optimiser aims to leave where it ends.
TOLERANCE = 1e-5
# Warm start, and scikit-learn's time over ours, from the start to its likelihood: at least.
OURS: dict[str, tuple[Any, float]] = {"gprat, cold": (None, 10.0), "gprat, warm": ("auto", 25.0)}
# Likelihood and gradient of a rich kernel over that of one RBF kernel: at most.
KERNEL_LIMIT = 1.25


def simple_kernel(d: int) -> Kernel:
    """One RBF kernel with a length scale a feature."""
    return ConstantKernel(1.0) * RBF(np.ones(d))


def rich_kernel(d: int) -> Kernel:
    """Three products; with the noise, 20 hyperparameters for 8 features."""
    smooth = ConstantKernel(1.0) * RBF(np.full(d, np.sqrt(d)))
    rough = ConstantKernel(0.5) * Matern(2.0, nu=2.5) * RationalQuadratic(3.0, 1.0)
    wave = ConstantKernel(0.3) * Matern(4.0, nu=1.5) * Periodic(2.0, 5.0) * RBF(5.0) * DotProduct()
    return smooth + rough + wave


def read_data(path: Path, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return n random rows with standardised columns."""
    table = np.loadtxt(path, delimiter=",")
    table = table[np.random.default_rng(0).permutation(len(table))[:n]]
    table = (table - table.mean(axis=0)) / table.std(axis=0)
    return np.ascontiguousarray(table[:, :-1]), table[:, -1].copy()


def fit_scikit_learn(X: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Fit the peer from the same start, within the same bounds."""
    kernel = simple_kernel(X.shape[1]) + WhiteKernel(0.1, (1e-10, 1e5))
    model = GaussianProcessRegressor(kernel, alpha=0.0)
    seconds = time_call(lambda: model.fit(X, y))
    return {"seconds": seconds, "reached": float(model.log_marginal_likelihood_value_)}


def fit_gprat(X: np.ndarray, y: np.ndarray, warm_start: Any) -> dict[str, Any]:
    """Train, and note when the likelihood of all rows first reached which height."""
    model = GP(X, y, simple_kernel(X.shape[1]), noise=0.1)
    trajectory: list[tuple[float, float]] = []
    start = time.perf_counter()

    def watch(iteration: Any) -> None:
        if iteration.stage == len(y):
            trajectory.append((time.perf_counter() - start, iteration.log_marginal_likelihood))

    result = model.optimize(warm_start=warm_start, random_state=0, callback=watch, progress=False)
    assert model.training_ is not None
    return {
        "seconds": time.perf_counter() - start,
        "reached": -float(result.fun),
        "evaluations": [stage.n_evaluations for stage in model.training_.stages],
        "trajectory": trajectory,
    }


def seconds_to(goal: float, run: dict[str, Any]) -> float | None:
    """Return when a run reached a likelihood, or None where it never did."""
    return next((seconds for seconds, height in run["trajectory"] if height >= goal), None)


def measure_fits(path: Path, n: int, repeats: int) -> dict[str, Any]:
    """Fit in all three ways, interleaved."""
    X, y = read_data(path, n)
    GP(X[:300], y[:300]).optimize(max_iter=2)
    runs: dict[str, list[dict[str, Any]]] = {"scikit-learn": [], **{name: [] for name in OURS}}
    for _ in range(repeats):
        runs["scikit-learn"].append(fit_scikit_learn(X, y))
        for name, (warm_start, _limit) in OURS.items():
            runs[name].append(fit_gprat(X, y, warm_start))
    goal = max(run["reached"] for run in runs["scikit-learn"]) - TOLERANCE
    for name in OURS:
        for run in runs[name]:
            run["seconds_to_goal"] = seconds_to(goal, run)
    return {"n": n, "goal": goal, **runs}


def measure_kernels(n: int, repeats: int) -> dict[str, Any]:
    """Likelihood and gradient of the simple and the rich kernel, interleaved with dpotrf."""
    X, y, _ = make_data(n, 8)
    models = {"simple": simple_kernel(8), "rich": rich_kernel(8)}
    dpotrf = Dpotrf(n, np.random.default_rng(1))
    times: dict[str, list[float]] = {name: [] for name in ("dpotrf", *models)}
    peaks = {}
    for kernel in models.values():
        GP(X[:300], y[:300], kernel).loss(eval_gradient=True)
    for repeat in range(repeats):
        for name, kernel in models.items():
            model = GP(X, y, kernel, noise=0.1)
            times[name].append(time_call(lambda model=model: model.loss(eval_gradient=True)))
            if repeat == 0:
                peaks[name] = peak_resident_gib()
        times["dpotrf"].append(dpotrf.seconds())
    median = {name: statistics.median(values) for name, values in times.items()}
    return {
        "n": n,
        "seconds": times,
        "median": median,
        "hyperparameters": len(GP(X, y, rich_kernel(8)).theta),
        "peak_gib": peaks,
    }


def print_fits(console: Console, fits: dict[str, Any]) -> None:
    """Print one line for each way to fit."""
    peer = statistics.median(run["seconds"] for run in fits["scikit-learn"])
    table = Table(
        title=f"from the start to scikit-learn's log likelihood less {TOLERANCE:g}, n = {fits['n']}"
    )
    for heading in ("", "seconds", "times faster", "goal", "log likelihood", "evaluations"):
        table.add_column(heading, justify="left" if not heading else "right")
    reached = f"{fits['scikit-learn'][0]['reached']:.7f}"
    table.add_row("scikit-learn", f"{peer:.1f}", "", "", reached, "")
    for name, (_warm_start, limit) in OURS.items():
        runs = fits[name]
        times = [run["seconds_to_goal"] for run in runs]
        reached = f"{runs[0]['reached']:.7f}"
        evaluations = " + ".join(map(str, runs[0]["evaluations"]))
        if None in times:
            table.add_row(name, "not reached", "", f"{limit:g}", reached, evaluations)
            continue
        seconds = statistics.median(times)
        faster = f"{peer / seconds:.1f}"
        table.add_row(name, f"{seconds:.2f}", faster, f"{limit:g}", reached, evaluations)
    console.print(table)


def print_kernels(console: Console, kernels: dict[str, Any]) -> None:
    """Print what the rich kernel costs."""
    median, peak = kernels["median"], kernels["peak_gib"]
    ratio = median["rich"] / median["simple"]
    console.print(
        f"likelihood and gradient, n = {kernels['n']}: one RBF kernel {median['simple']:.2f} s, "
        f"three products with {kernels['hyperparameters']} hyperparameters {median['rich']:.2f} s: "
        f"ratio {ratio:.2f} (goal: at most {KERNEL_LIMIT}); dpotrf {median['dpotrf']:.2f} s; "
        f"peak of the process {peak['simple']:.2f} and {peak['rich']:.2f} GiB"
    )


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.details.training", description=__doc__
    )
    parser.add_argument("data", type=Path, help="compressed CSV file, the target last")
    parser.add_argument("--n", type=int, default=4000, help="rows to fit")
    parser.add_argument("--n-kernels", type=int, default=8192, help="rows for the rich kernel")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    arguments = parser.parse_args()
    console = Console()
    result: dict[str, Any] = {"kernels": measure_kernels(arguments.n_kernels, arguments.repeats)}
    print_kernels(console, result["kernels"])
    result["fits"] = measure_fits(arguments.data, arguments.n, arguments.repeats)
    print_fits(console, result["fits"])
    result.update(native_yardsticks(runtime.threads()))
    console.print(f"FMA peak {result['fma_gflops']:.0f} GF/s")
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
