"""``python -m benchmarks.details.estimator``: the estimator beside scikit-learn's, in one run."""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.gaussian_process import GaussianProcessRegressor as Peer

from benchmarks.details.calls import Dpotrf, make_data, peak_resident_gib, time_call
from benchmarks.yardsticks import native_yardsticks
from gprat import GaussianProcessRegressor, runtime
from gprat.kernels import RBF, ConstantKernel

# scikit-learn's time over ours, at least, by the number of training and test points.
LIMITS = {
    "fit without optimiser": {100: 3.0, 500: 5.0, 2000: 6.0, 8192: 7.0},
    "likelihood and gradient": {100: 3.0, 500: 5.0, 2000: 6.0, 8192: 5.5},
    "predict(return_std=True)": {100: 2.0, 500: 2.5, 2000: 1.6, 8192: 1.3},
}
# Microseconds of a call at n = 10, at most, and GiB above the data of a million predictions.
OVERHEAD_LIMIT, MEMORY_LIMIT = 60.0, 1.0
N_TRAINING, N_TEST = 2000, 1_000_000
# What one sample of a small call takes together, in seconds.
_SAMPLE = 0.1
_PAUSE = 0.1
# scikit-learn's gradient holds this many n × n matrices at n = 8192; above that it is left out.
_PEER_GRADIENT_BYTES = 16e9


def make_kernel(d: int) -> Any:
    """One RBF kernel with a length scale a feature."""
    return ConstantKernel(1.0) * RBF(np.full(d, np.sqrt(d)))


def calls(model: Any, X: np.ndarray, y: np.ndarray, Xs: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Every line of the table, for either class."""
    theta = make_kernel(X.shape[1]).theta
    return {
        "fit without optimiser": lambda: model.fit(X, y),
        "likelihood and gradient": lambda: model.log_marginal_likelihood(theta, eval_gradient=True),
        "predict(return_std=True)": lambda: model.predict(Xs, return_std=True),
    }


def seconds_of(call: Callable[[], Any], count: int) -> float:
    """Seconds of one call, the mean of some in a row.

    After a pause: threads of a BLAS go on spinning for a while, and would disturb the other's turn.
    """
    time.sleep(_PAUSE)
    return time_call(lambda: [call() for _ in range(count)]) / count


def measure(n: int, repeats: int) -> dict[str, Any]:
    """Measure both classes, interleaved; in the peer's favour, all memory is warm."""
    X, y, Xs = make_data(n, 8)
    options = {"alpha": 0.1, "optimizer": None, "copy_X_train": False}
    models = {
        "gprat": GaussianProcessRegressor(make_kernel(8), **options),
        "scikit-learn": Peer(make_kernel(8), **options),
    }
    peer_gradient = 8.0 * n * n * (make_kernel(8).n_dims + 4)
    result: dict[str, Any] = {}
    dpotrf = Dpotrf(n, np.random.default_rng(1))
    result["dpotrf"] = statistics.median(dpotrf.seconds() for _ in range(repeats))
    for line in LIMITS:
        works = {name: calls(model, X, y, Xs)[line] for name, model in models.items()}
        if line == "likelihood and gradient" and peer_gradient > _PEER_GRADIENT_BYTES:
            del works["scikit-learn"]
        counts = {
            name: max(1, math.ceil(_SAMPLE / max(time_call(work), 1e-6)))
            for name, work in works.items()
        }
        times: dict[str, list[float]] = {name: [] for name in works}
        for _ in range(repeats):
            for name, work in works.items():
                times[name].append(seconds_of(work, counts[name]))
        result[line] = {name: statistics.median(values) for name, values in times.items()}
    return result


def overhead(repeats: int) -> dict[str, float]:
    """Microseconds of small calls, at n = 10."""
    X, y, _ = make_data(10, 8)
    model = GaussianProcessRegressor(make_kernel(8), alpha=0.1, optimizer=None).fit(X, y)
    works = calls(model, X, y, X) | {"predict": lambda: model.predict(X)}
    del works["fit without optimiser"]
    return {
        name: 1e6 * statistics.median(seconds_of(work, 1000) for _ in range(repeats))
        for name, work in works.items()
    }


def memory_of_predictions() -> float:
    """GiB that a million predictions with deviations add to data and results."""
    rng = np.random.default_rng(0)
    X, y, _ = make_data(N_TRAINING, 8)
    model = GaussianProcessRegressor(make_kernel(8), alpha=0.1, optimizer=None).fit(X, y)
    model.predict(X, return_std=True)
    Xs = rng.standard_normal((N_TEST, 8))
    before = peak_resident_gib()
    model.predict(Xs, return_std=True)
    return peak_resident_gib() - before


def in_a_process_of_its_own(function: str) -> float:
    """Call a function of this module in a fresh process."""
    code = f"from benchmarks.details.estimator import {function}; print({function}())"
    completed = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    return float(completed.stdout)


def print_table(console: Console, results: dict[int, dict[str, Any]]) -> None:
    """Print how many times faster each line is, beside its goal."""
    table = Table(title="scikit-learn's time over gprat's, d = 8, n = m")
    table.add_column("")
    for n in results:
        table.add_column(f"n = {n}", justify="right")
    for line, limits in LIMITS.items():
        cells = []
        for n, result in results.items():
            ours, theirs = result[line]["gprat"], result[line].get("scikit-learn")
            ratio = "out of memory" if theirs is None else f"{theirs / ours:.1f}"
            goal = f", goal {limits[n]:g}" if n in limits else ""
            cells.append(f"{ratio} ({_duration(ours)}{goal})")
        table.add_row(line, *cells)
    table.add_row("dpotrf", *(_duration(result["dpotrf"]) for result in results.values()))
    console.print(table)


def _duration(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs" if seconds < 1e-2 else f"{seconds:.3f} s"


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.details.estimator", description=__doc__
    )
    parser.add_argument("--n", type=int, nargs="+", default=[100, 500, 2000, 8192])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    console = Console()
    results = {n: measure(n, arguments.repeats if n < 8192 else 3) for n in arguments.n}
    print_table(console, results)
    small = overhead(arguments.repeats)
    console.print(
        "at n = 10: "
        + ", ".join(f"{name} {value:.0f} µs" for name, value in small.items())
        + f" (goal: at most {OVERHEAD_LIMIT:g} µs)"
    )
    memory = in_a_process_of_its_own("memory_of_predictions")
    console.print(
        f"{N_TEST} predictions with deviations from n = {N_TRAINING}: {memory:.2f} GiB above the "
        f"data (goal: under {MEMORY_LIMIT:g})"
    )
    yardsticks = native_yardsticks(runtime.threads())
    console.print(f"FMA peak {yardsticks['fma_gflops']:.0f} GF/s")
    if arguments.json:
        record = {"studies": results, "overhead": small, "memory_gib": memory, **yardsticks}
        arguments.json.write_text(json.dumps(record, indent=2))


if __name__ == "__main__":
    main()
