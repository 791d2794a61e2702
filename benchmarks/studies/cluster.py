"""On a cluster of this machine: beside the engine on its processors, and beside dask.array."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from distributed import Client
from matplotlib.figure import Figure

import gprat
from benchmarks.agreement import AgreementError
from benchmarks.dask_cholesky import log_determinant
from benchmarks.dask_cluster import peak_of_workers, started_cluster
from benchmarks.models import make_model, mean_seconds, time_once
from benchmarks.problem import Arrays, Problem
from benchmarks.record import Record
from benchmarks.report.style import seconds, sizes_axis
from benchmarks.report.tables import find_row, markdown
from benchmarks.study import Options, Outcome
from benchmarks.timing import interleave

NAME = "cluster"
TITLE = "On a cluster"
SIZES = (4096, 8192, 16384)
PEERS = ("gprat",)
REPEATS = 3
SMOKE_SIZES = (320,)

OPERATIONS = {"likelihood": "likelihood", "likelihood_gradient": "likelihood and gradient"}
# Flops of an operation, by n³.
_FLOPS = {"likelihood": 1.0 / 3.0, "likelihood_gradient": 1.0}
WHO = {
    "cluster": "gprat on the cluster",
    "local": "gprat on the processors",
    "dask.array": "dask.array.linalg.cholesky",
}
_COLOURS = {"cluster": "#d62728", "local": "#7f7f7f", "dask.array": "#1f77b4"}
# dask.array's blocks a side, which must be alike; the fastest number counts.
_BLOCKS_A_SIDE = (4, 8, 16)
# What is promised: a share of the rate on processors, and times dask.array.
SHARE_OF_LOCAL, TIMES_DASK = 0.70, 2.0
_TOLERANCE = 1e-8


def measure(options: Options) -> Outcome:
    """Time all, in turn, and then measure the peak memory of the workers."""
    rows = []
    with started_cluster(options.threads) as client:
        gprat.runtime.start(options.threads)
        for n in options.sizes:
            rows += _rows(client, n, options)
    return Outcome(rows)


def _rows(client: Client, n: int, options: Options) -> list[dict[str, Any]]:
    problem = Problem(n=n, m=1)
    arrays = problem.arrays()
    chunk = _best_chunk(client, problem, arrays, options)
    calls = _calls(client, problem, arrays, chunk)
    options.tell(f"n = {n}: first calls")
    firsts = {key: time_once(call) for key, call in calls.items()}
    _check({key: result for key, (_, result) in firsts.items()}, problem, arrays)
    options.tell(f"n = {n}: in turn")
    timings = interleave(
        {" ".join(key): mean_seconds(call) for key, call in calls.items()},
        {" ".join(key): elapsed for key, (elapsed, _) in firsts.items()},
        options.effort,
    )
    rows = []
    for key, call in calls.items():
        who, operation = key
        row = problem.describe() | {"peer": who, "operation": operation}
        row |= timings[" ".join(key)].summary()
        row["gflops"] = 1e-9 * _FLOPS[operation] * n**3 / row["median"]
        if who == "dask.array":
            row["chunk"] = chunk
        if who != "local":
            options.tell(f"n = {n}: memory of {who}, {operation}")
            row["bytes"] = peak_of_workers(client, call)
        rows.append(row)
    return rows


def _calls(
    client: Client, problem: Problem, arrays: Arrays, chunk: int
) -> dict[tuple[str, str], Callable[[], Any]]:
    """Return a call for each way and operation, which begins with data alone."""

    def likelihood(**engine: Any) -> np.ndarray:
        return np.array([make_model(problem, arrays, **engine).log_marginal_likelihood()])

    def gradient(**engine: Any) -> np.ndarray:
        model = make_model(problem, arrays, **engine)
        value, by_parameters = model.log_marginal_likelihood(eval_gradient=True)
        return np.array([value, *by_parameters])

    cluster = {"engine": "cluster", "client": client}
    return {
        ("local", "likelihood"): likelihood,
        ("cluster", "likelihood"): lambda: likelihood(**cluster),
        ("dask.array", "likelihood"): lambda: log_determinant(client, problem, arrays, chunk),
        ("local", "likelihood_gradient"): gradient,
        ("cluster", "likelihood_gradient"): lambda: gradient(**cluster),
    }


def _best_chunk(client: Client, problem: Problem, arrays: Arrays, options: Options) -> int:
    """Return the rows of dask.array's blocks with which it is fastest."""
    found = {}
    chunks = [problem.n // count for count in _BLOCKS_A_SIDE if problem.n % count == 0]
    if not chunks:
        raise SystemExit(
            f"dask.array needs blocks of one size: n = {problem.n} is no multiple of 4."
        )
    for chunk in chunks:
        options.tell(f"n = {problem.n}: dask.array in blocks of {chunk}")
        found[chunk] = time_once(
            lambda chunk=chunk: log_determinant(client, problem, arrays, chunk)
        )[0]
    return min(found, key=found.__getitem__)


def _check(results: dict[tuple[str, str], Any], problem: Problem, arrays: Arrays) -> None:
    """Raise `AgreementError` if results differ."""
    for operation in OPERATIONS:
        ours, theirs = results["cluster", operation], results["local", operation]
        if not np.allclose(ours, theirs, rtol=_TOLERANCE, atol=_TOLERANCE * problem.n):
            raise AgreementError(f"the {operation} on the cluster differs at n = {problem.n}.")
    # Without targets a likelihood is the log determinant, and a constant.
    nothing = Arrays(arrays.X, np.zeros_like(arrays.y), arrays.X_test)
    value = make_model(problem, nothing).log_marginal_likelihood()
    expected = -2.0 * value - problem.n * np.log(2.0 * np.pi)
    if not np.isclose(results["dask.array", "likelihood"], expected, rtol=_TOLERANCE):
        raise AgreementError(f"dask.array's log determinant differs at n = {problem.n}.")


def draw(record: Record) -> Figure:
    """Draw the rate over n, a panel an operation."""
    figure = Figure(figsize=(10, 4.4), layout="constrained")
    panels = figure.subplots(1, len(OPERATIONS), sharey=True)
    for axes, (operation, title) in zip(panels, OPERATIONS.items(), strict=True):
        for who, label in WHO.items():
            rows = record.select(operation=operation, peer=who)
            if rows:
                axes.plot(
                    [row["n"] for row in rows],
                    [row["gflops"] for row in rows],
                    "o-",
                    color=_COLOURS[who],
                    linewidth=2.5 if who == "cluster" else 1.2,
                    label=label,
                )
        axes.set(title=title)
        sizes_axis(axes, record.settings["sizes"], "n")
    panels[0].set(ylabel="GF/s", ylim=(0.0, None))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def section(record: Record) -> str:
    """Tell times, rates, memory, and whether what is promised is kept."""
    workers = record.settings["threads"]
    parts = [
        f"{workers} workers with one thread each, on this machine, beside the engine on "
        f"{workers} threads, in turn. The likelihood is the Cholesky factor of K with its assembly "
        "and a solve; `dask.array` assembles and factorises the same matrix on the same workers, "
        f"in the best of {len(_BLOCKS_A_SIDE)} sizes of blocks, and solves nothing. Memory is what "
        "all workers take at their peaks, less what fresh ones hold, by the system's account.",
    ]
    for operation, title in OPERATIONS.items():
        parts += [f"**{title.capitalize()}**", _table(record, operation)]
    return "\n\n".join(parts)


def _table(record: Record, operation: str) -> str:
    rows = []
    for n in record.settings["sizes"]:
        ours, local, dask = (
            find_row(record, n=n, operation=operation, peer=who)
            for who in ("cluster", "local", "dask.array")
        )
        assert ours is not None
        assert local is not None
        cells = [
            f"{n:,}",
            f"{seconds(ours['median'])}, {ours['gflops']:.1f} GF/s",
            f"{seconds(local['median'])}, {local['gflops']:.1f} GF/s",
            f"{local['median'] / ours['median']:.0%}",
            f"{ours['bytes'] / 2**30:.2f}",
        ]
        if dask is not None:
            cells += [
                f"{seconds(dask['median'])}, {dask['gflops']:.1f} GF/s",
                f"{dask['median'] / ours['median']:.2f}×",
                f"{dask['bytes'] / 2**30:.2f}",
            ]
        rows.append(cells)
    header = ["n", "cluster", "processors", f"share (≥ {SHARE_OF_LOCAL:.0%})", "GiB"]
    if len(rows[0]) > len(header):
        header += ["dask.array", f"its time (≥ {TIMES_DASK:g}×)", "its GiB"]
    return markdown(header, rows, left=0)
