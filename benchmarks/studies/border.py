"""What a call from Python costs beyond the same call from C++."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import gprat
from benchmarks.agreement import AgreementError
from benchmarks.models import mean_seconds, time_once
from benchmarks.record import Record
from benchmarks.study import Options, Outcome
from benchmarks.timing import interleave
from gprat import _core
from gprat.kernels import RBF, ConstantKernel, compile

NAME = "border"
TITLE = "The border between Python and C++"
SIZES = (1, 4, 16, 64, 256)
PEERS = ("gprat",)
REPEATS = 15
SMOKE_SIZES = (1, 16)

PROGRAM = Path(__file__).parents[2] / "build/native/benchmarks/native/border"
FEATURES = 8
NOISE = 0.1
OPERATIONS = {
    "predict": "mean at one point, factor known",
    "likelihood": "new model and its log marginal likelihood",
}
SIDES = {
    "cpp": "C++ program",
    "binding": "Python, the bare extension",
    "python": "Python, gprat.GP",
}
COLOURS = {"cpp": "#7f7f7f", "binding": "#1f77b4", "python": "#d62728"}

Calls = dict[str, Callable[[], float]]


def measure(options: Options) -> Outcome:
    """Time both operations on all three sides, in turn."""
    if not PROGRAM.exists():
        raise SystemExit(f"{PROGRAM} is missing: make native-test builds it")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for n in options.sizes:
            options.tell(f"n = {n}")
            rng = np.random.default_rng(n)
            X, y, x = (rng.standard_normal(s) for s in ((n, FEATURES), n, (1, FEATURES)))
            file = Path(folder) / f"{n}.bin"
            np.concatenate([X.ravel(), y, x.ravel()]).tofile(file)
            for operation in OPERATIONS:
                native = [PROGRAM, operation, file, str(n), str(FEATURES)]
                calls = {
                    "binding": _bare(X, y, x, options.threads)[operation],
                    "python": _public(X, y, x, options.threads)[operation],
                }
                rows += _rows(n, operation, native, calls, options)
    return Outcome(rows)


def _rows(
    n: int, operation: str, native: list[Any], calls: Calls, options: Options
) -> list[dict[str, Any]]:
    """Compare the results of the sides, then time them in turn."""

    def run_native(count: int) -> dict[str, float]:
        command = [*native, str(count), str(options.threads)]
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        answer: dict[str, float] = json.loads(output)
        return answer

    answer = run_native(1)
    first, values = {"cpp": answer["seconds"]}, {"cpp": answer["value"]}
    for side, call in calls.items():
        first[side], values[side] = time_once(call)
    # The same code on the same numbers: only compilers may round differently.
    if not np.allclose([*values.values()], answer["value"], rtol=1e-12, atol=1e-12):
        raise AgreementError(f"{operation} at n = {n} differs between the sides: {values}.")
    timed = {side: mean_seconds(call) for side, call in calls.items()}
    timings = interleave(
        {"cpp": lambda count: run_native(count)["seconds"], **timed}, first, options.effort
    )
    return [
        {"n": n, "d": FEATURES, "operation": operation, "side": side, **timings[side].summary()}
        for side in SIDES
    ]


def _bare(X: np.ndarray, y: np.ndarray, x: np.ndarray, threads: int) -> Calls:
    """Return the calls of the extension, which checks types and hands arrays over."""
    program = compile(_kernel(), FEATURES)
    assert not hasattr(program, "reason"), "the kernel is compiled"
    structure = _core.Program(
        [
            (int(i.opcode), list(i.parameters), list(i.features), i.constant, i.reciprocal)
            for i in program.instructions  # type: ignore[union-attr]
        ],
        program.n_parameters,
        FEATURES,
    )
    free = program.is_free.view(np.uint8)
    tile_size = gprat.planning.auto_tile_size(len(X), gprat.runtime.processors())
    none, none_there = np.empty((len(X), 0)), np.empty((1, 0))
    targets, noise = y[:, None].copy(), np.array([NOISE])

    def posterior() -> _core.PosteriorFloat64:
        covariance = _core.CompiledCovarianceFloat64(structure, program.parameters, free)
        return _core.PosteriorFloat64(
            _core.ProblemFloat64(covariance, X, targets, none, noise, tile_size)
        )

    known = posterior()
    return {
        "predict": lambda: known.predict_mean(x, none_there, threads=threads)[0, 0],
        "likelihood": lambda: posterior().log_marginal_likelihood(threads=threads),
    }


def _public(X: np.ndarray, y: np.ndarray, x: np.ndarray, threads: int) -> Calls:
    """Return the calls of the public interface, which checks values too."""

    def model() -> gprat.GP:
        return gprat.GP(X, y, _kernel(), noise=NOISE, threads=threads)

    known = model()
    return {
        "predict": lambda: known.predict(x)[0],
        "likelihood": lambda: model().log_marginal_likelihood(),
    }


def _kernel() -> Any:
    return ConstantKernel(1.0) * RBF(np.ones(FEATURES))


def draw(record: Record) -> Figure:
    """Draw microseconds a call over n, one panel an operation."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots(1, len(OPERATIONS), sharey=True)
    for axis, (operation, title) in zip(axes, OPERATIONS.items(), strict=True):
        for side, label in SIDES.items():
            rows = record.select(operation=operation, side=side)
            axis.plot(
                [row["n"] for row in rows],
                [1e6 * row["median"] for row in rows],
                "o-",
                color=COLOURS[side],
                label=label,
            )
        axis.set(title=title, xlabel="training points n", xscale="log", yscale="log")
        sizes = sorted({row["n"] for row in record.rows})
        axis.set_xticks(sizes, [str(n) for n in sizes], minor=False)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("microseconds a call")
    axes[0].legend(frameon=False)
    return figure


def section(record: Record) -> str:
    """Tell the microseconds, and what the border adds."""
    lines = [
        "The same calls from a C++ program, from Python through the bare extension, and through "
        "`gprat.GP`, which also checks its arguments. Results are the same. Medians in µs:",
        "",
        "| operation | n | C++ | extension | `gprat.GP` | border |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for operation, title in OPERATIONS.items():
        for n in sorted({row["n"] for row in record.rows}):
            sides = {
                row["side"]: 1e6 * row["median"] for row in record.select(operation=operation, n=n)
            }
            lines.append(
                f"| {title} | {n} | {sides['cpp']:.1f} | {sides['binding']:.1f} | "
                f"{sides['python']:.1f} | {sides['python'] - sides['cpp']:.1f} |"
            )
    lines += ["", "The border is what Python adds: `gprat.GP` less C++."]
    return "\n".join(lines)
