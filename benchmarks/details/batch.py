"""``python -m benchmarks.details.batch``: many small models at once, beside other libraries.

All members are fitted from the same start, within the same bounds: a constant times an RBF kernel,
one noise each. Fitted means: at least 95 % of the members have a loss that is no more than 0.05
nats above the lowest that anybody found for them, far less than data can tell apart. A library
whose method goes on longer is timed up to there; one that never gets there, to its end. GPyTorch
trains all members in one batch, by Adam as in its tutorials and by L-BFGS, which sees one loss, the
sum; the faster counts. scikit-learn goes through some of the members in a loop, which is the time
of all, scaled by their number.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from sklearn.gaussian_process import GaussianProcessRegressor as Peer

from benchmarks.details.calls import time_call
from benchmarks.peers.registry import ENVIRONMENTS, ROOT
from gprat import GPBatch, runtime
from gprat.kernels import RBF, ConstantKernel, WhiteKernel

NEAR, SHARE = 0.05, 0.95
# Times faster than GPyTorch's batch mode and than the loop, at least.
GOALS = {"GPyTorch": 5.0, "scikit-learn": 10.0}


def make_members(b: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw functions of one to eight turns, smooth or rough, under noise of one to thirty per cent.

    Of shapes (b, n, 1) and (b, n).
    """
    rng = np.random.default_rng(0)
    X = np.sort(rng.uniform(0.0, 10.0, (b, n, 1)), axis=1)
    y = np.empty((b, n))
    for i in range(b):
        K = RBF(np.exp(rng.uniform(-0.7, 1.5)))(X[i])
        K[np.diag_indices(n)] += 10.0 ** rng.uniform(-4.0, -1.0)
        y[i] = np.linalg.cholesky(K) @ rng.standard_normal(n)
    return X, y


def fit_gprat(X: np.ndarray, y: np.ndarray) -> list[dict[str, Any]]:
    """Fit all, and note losses and seconds after each round."""
    start, steps = time.perf_counter(), []

    def watch(iteration: Any) -> None:
        seconds = time.perf_counter() - start
        steps.append({"seconds": seconds, "losses": iteration.loss})

    GPBatch(X, y, noise=0.1).optimize(callback=watch, progress=False)
    steps.append({"seconds": time.perf_counter() - start, "losses": steps[-1]["losses"]})
    return steps


def fit_scikit_learn(X: np.ndarray, y: np.ndarray) -> list[dict[str, Any]]:
    """Fit one after the other."""
    losses, start = [], time.perf_counter()
    for inputs, targets in zip(X, y, strict=True):
        kernel = ConstantKernel(1.0) * RBF(1.0) + WhiteKernel(0.1, (1e-10, 1e5))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of hyperparameters at bounds
            model = Peer(kernel, alpha=0.0).fit(inputs, targets)
        losses.append(-model.log_marginal_likelihood_value_)
    return [{"seconds": time.perf_counter() - start, "losses": losses}]


def fit_gpytorch(X: np.ndarray, y: np.ndarray, threads: int) -> dict[str, Any]:
    """Fit all in the peer's environment, by each of its methods."""
    python = ENVIRONMENTS / "gpytorch/bin/python"
    if not python.exists():
        raise SystemExit(
            "GPyTorch is not installed. Run: python -m benchmarks peers install gpytorch"
        )
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "data.npz", Path(folder) / "runs.json"
        np.savez(source, X=X, y=y, threads=threads)
        script = ROOT / "benchmarks/details/batch_gpytorch.py"
        subprocess.run([python, script, source, target], check=True)
        result: dict[str, Any] = json.loads(target.read_text())
    return result


def seconds_to(goal: np.ndarray, steps: list[dict[str, Any]]) -> float:
    """Return when enough members were fitted; or the end, where that never came."""
    for step in steps:
        if (np.asarray(step["losses"]) <= goal).mean() >= SHARE:
            return float(step["seconds"])
    return float(steps[-1]["seconds"])


def share_at_end(goal: np.ndarray, steps: list[dict[str, Any]]) -> float:
    """Return which part of the members was fitted in the end."""
    return float((np.asarray(steps[-1]["losses"]) <= goal).mean())


def measure_fits(b: int, n: int, looped: int, repeats: int) -> dict[str, Any]:
    """Fit in all ways, interleaved."""
    X, y = make_members(b, n)
    GPBatch(X[:10], y[:10]).optimize(progress=False)
    runs: dict[str, list[Any]] = {"gprat": [], "GPyTorch, Adam": [], "GPyTorch, L-BFGS": []}
    loops = []
    versions: dict[str, str] = {}
    for _ in range(repeats):
        runs["gprat"].append(fit_gprat(X, y))
        peers = fit_gpytorch(X, y, runtime.threads())
        versions |= peers["versions"]
        for method, steps in peers["runs"].items():
            runs[f"GPyTorch, {method}"].append(steps)
        loops.append(fit_scikit_learn(X[:looped], y[:looped]))
    ends = [np.asarray(steps[-1]["losses"]) for many in runs.values() for steps in many]
    best = np.min(ends, axis=0)
    best[:looped] = np.minimum(best[:looped], np.min([loop[-1]["losses"] for loop in loops], 0))
    goal = best + NEAR
    lines: dict[str, Any] = {}
    for name, many in runs.items():
        lines[name] = {
            "seconds": [seconds_to(goal, steps) for steps in many],
            "seconds_to_the_end": [steps[-1]["seconds"] for steps in many],
            "fitted": [share_at_end(goal, steps) for steps in many],
        }
    scaled = [loop[-1]["seconds"] * b / looped for loop in loops]
    lines["scikit-learn, loop"] = {
        "seconds": scaled,
        "seconds_to_the_end": scaled,
        "fitted": [share_at_end(goal[:looped], loop) for loop in loops],
    }
    return {"b": b, "n": n, "looped": looped, "versions": versions, "lines": lines}


def measure_calls(b: int, n: int, repeats: int) -> dict[str, float]:
    """Microseconds a member of single calls on all of them."""
    X, y = make_members(b, n)
    batch = GPBatch(X, y, noise=0.1)
    Xs = np.linspace(0.0, 10.0, 16)[:, None]
    batch.predict(Xs)
    calls = {
        "likelihood": batch.log_marginal_likelihood,
        "likelihood and gradient": lambda: batch.log_marginal_likelihood(eval_gradient=True),
        "mean and variance at 16 points, factor kept": lambda: batch.predict_with_uncertainty(Xs),
    }
    return {
        name: 1e6 / b * statistics.median(time_call(call) for _ in range(repeats))
        for name, call in calls.items()
    }


def print_fits(console: Console, fits: dict[str, Any]) -> None:
    """Print one line for each way to fit, and whether the goals are met."""
    table = Table(title=f"{fits['b']} members of n = {fits['n']}: seconds until fitted")
    for heading in ("", "seconds", "to its end", "fitted in the end", "times gprat"):
        table.add_column(heading, justify="left" if not heading else "right")
    median = {name: statistics.median(line["seconds"]) for name, line in fits["lines"].items()}
    for name, line in fits["lines"].items():
        table.add_row(
            name,
            f"{median[name]:.2f}",
            f"{statistics.median(line['seconds_to_the_end']):.2f}",
            f"{100 * statistics.median(line['fitted']):.1f} %",
            f"{median[name] / median['gprat']:.1f}",
        )
    console.print(table)
    for peer, goal in GOALS.items():
        fastest = min(seconds for name, seconds in median.items() if name.startswith(peer))
        ratio = fastest / median["gprat"]
        verdict = "met" if ratio >= goal else "missed"
        console.print(f"{peer}: {ratio:.1f} times as long (goal: {goal:g}): {verdict}")


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.details.batch",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--members", type=int, default=1000)
    parser.add_argument("--n", type=int, default=64, help="rows of each member")
    parser.add_argument("--looped", type=int, default=100, help="members for scikit-learn's loop")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--calls-only", action="store_true", help="nothing of other libraries")
    parser.add_argument("--json", type=Path, help="also write the measurements to this file")
    arguments = parser.parse_args()
    console = Console()
    result: dict[str, Any] = {"threads": runtime.threads()}
    result["calls"] = measure_calls(arguments.members, arguments.n, 5 * arguments.repeats)
    for name, microseconds in result["calls"].items():
        console.print(f"{name}: {microseconds:.1f} µs a member")
    if not arguments.calls_only:
        looped = min(arguments.looped, arguments.members)
        result["fits"] = measure_fits(arguments.members, arguments.n, looped, arguments.repeats)
        print_fits(console, result["fits"])
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
