"""The core's table: time as ratios to dpotrf of the same n in the same run, and peak memory."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import gprat
from benchmarks.yardsticks import Dpotrf, native_yardsticks
from gprat.kernels import RBF, ConstantKernel

NOISE = 0.1

# The most that each line may cost: times in dpotrf of the same n, memory in GiB at n = 8192.
LIMITS = {
    "assemble + Cholesky": 0.90,
    "likelihood and gradient": 2.8,
    "mean (with factorisation)": 1.0,
    "mean and variance (with factorisation)": 3.5,
}
MEMORY_LIMIT = 0.32
FEATURES_LIMIT = 1.3


def make_data(n: int, d: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make training inputs, targets and test inputs of a smooth function."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    y = np.sin(X[:, 0]) + 0.1 * rng.standard_normal(n)
    return X, y, rng.standard_normal((n, d))


def make_model(X: np.ndarray, y: np.ndarray, **options: Any) -> gprat.GP:
    """Make a model with one length scale a feature, near the data's own scale."""
    d = X.shape[1]
    kernel = ConstantKernel(1.0) * RBF(np.full(d, np.sqrt(d)))
    return gprat.GP(X, y, kernel, noise=NOISE, **options)


def operations(
    X: np.ndarray, y: np.ndarray, Xs: np.ndarray, **options: Any
) -> dict[str, Callable[[], Any]]:
    """Every line of the table, each on a fresh model so that nothing is cached."""
    return {
        "assemble + Cholesky": lambda: make_model(X, y, **options).log_marginal_likelihood(),
        "likelihood and gradient": lambda: make_model(X, y, **options).log_marginal_likelihood(
            eval_gradient=True
        ),
        "mean (with factorisation)": lambda: make_model(X, y, **options).predict(Xs),
        "mean and variance (with factorisation)": lambda: make_model(
            X, y, **options
        ).predict_with_uncertainty(Xs),
    }


def time_call(call: Callable[[], Any]) -> float:
    """Seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak_gib_of_gradient(n: int, d: int, **options: Any) -> float:
    """Peak memory that one likelihood and gradient adds to the data, in a process of its own."""
    code = (
        "import json, sys; from benchmarks.core import gradient_memory; "
        "n, d, options = json.loads(sys.argv[1]); print(gradient_memory(n, d, **options))"
    )
    output = subprocess.run(
        [sys.executable, "-c", code, json.dumps([n, d, options])],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return float(output)


def gradient_memory(n: int, d: int, **options: Any) -> float:
    """Peak memory in GiB above what the process had with its data and a warm runtime."""
    X, y, _ = make_data(n, d)
    make_model(X[:300], y[:300], **options).log_marginal_likelihood(eval_gradient=True)
    before = peak_resident_gib()
    make_model(X, y, **options).log_marginal_likelihood(eval_gradient=True)
    return peak_resident_gib() - before


def peak_resident_gib() -> float:
    """Peak of this program's resident memory; ru_maxrss would begin with that of its parent."""
    status = Path("/proc/self/status").read_text()
    (kibibytes,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kibibytes) / 2**20


def measure(n: int, repeats: int, threads: int, **options: Any) -> dict[str, Any]:
    """Measure every line, the repeats interleaved with those of dpotrf."""
    X, y, Xs = make_data(n, 8)
    X128, y128, _ = make_data(n, 128)
    options = {"threads": threads, **options}
    calls = operations(X, y, Xs, **options)
    calls["likelihood and gradient, d = 128"] = lambda: make_model(
        X128, y128, **options
    ).log_marginal_likelihood(eval_gradient=True)
    dpotrf = Dpotrf(n, np.random.default_rng(1))
    times: dict[str, list[float]] = {name: [] for name in ["dpotrf", *calls]}
    dpotrf.seconds()
    for _ in range(repeats):
        times["dpotrf"].append(dpotrf.seconds())
        for name, call in calls.items():
            times[name].append(time_call(call))
    return {
        "n": n,
        "threads": threads,
        "tile_size": make_model(X, y, **options).tile_size,
        "seconds": times,
        "median": {name: statistics.median(values) for name, values in times.items()},
        "peak_gib": peak_gib_of_gradient(n, 8, **options),
        **native_yardsticks(threads),
    }
