"""What fits: peak memory by the number of points, and the largest n for a given memory."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure

from benchmarks.memory import peak_bytes
from benchmarks.peers.process import PeerError
from benchmarks.problem import Problem
from benchmarks.record import Record
from benchmarks.report.style import COLOURS, LABELS, sizes_axis
from benchmarks.report.tables import markdown
from benchmarks.study import Options, Outcome

NAME = "memory"
TITLE = "What fits in memory"
SIZES = (1024, 2048, 4096, 8192, 16384)
PEERS = ("gprat", "gprat-float32", "scikit-learn", "gpytorch", "gpflow", "tinygp", "gpy")
REPEATS = 1
SMOKE_SIZES = (300, 500, 700)

OPERATIONS = {
    "likelihood_gradient": "likelihood and gradient",
    "mean_variance": "mean and variance",
}
# Peers are measured as far as a call takes seconds, not minutes; beyond, by the fitted model.
LARGEST_OF_PEERS = 4096
OURS = ("gprat", "gprat-float32")
MEMORY_GIB = (4, 8, 16, 64)
TEST_POINTS = 1024


def measure(options: Options) -> Outcome:
    """Measure each peer and size in a fresh process, and fit how peaks grow."""
    rows: list[dict[str, Any]] = []
    fits: dict[str, list[float]] = {}
    for operation in OPERATIONS:
        for name in options.peers:
            largest = max(options.sizes) if name in OURS else LARGEST_OF_PEERS
            sizes = [n for n in options.sizes if n <= largest]
            for n in sizes:
                options.tell(f"{name}, n = {n}: {OPERATIONS[operation]}")
                rows.append(_row(name, operation, n, options))
            known = [(r["n"], r["bytes"]) for r in rows[-len(sizes) :] if r.get("bytes", 0) > 0]
            if len(known) >= 2:
                fits[f"{operation} {name}"] = fit_growth(*zip(*known, strict=True))
    return Outcome(rows, extra={"fits": fits})


def _row(name: str, operation: str, n: int, options: Options) -> dict[str, Any]:
    problem = Problem(n=n, m=min(n, TEST_POINTS))
    row = problem.describe() | {"operation": operation, "peer": name}
    try:
        return row | {
            "bytes": peak_bytes(name, operation, problem, options.threads, options.effort.limit)
        }
    except PeerError as failure:
        return row | failure.describe()


def fit_growth(sizes: Any, peaks: Any) -> list[float]:
    """Return c₂, c₁ ≥ 0 of bytes = c₂n² + c₁n, by least squares of relative errors."""
    from scipy.optimize import nnls

    n, peak = np.asarray(sizes, dtype=float), np.asarray(peaks, dtype=float)
    coefficients, _ = nnls(np.column_stack([n**2, n]) / peak[:, None], np.ones(len(n)))
    return [float(value) for value in coefficients]


def largest_size(growth: list[float], available: float) -> int:
    """Return the largest n whose peak the growth puts at no more than so many bytes."""
    c2, c1 = growth
    if c2 == 0.0:
        return int(available / c1)
    return int((-c1 + np.sqrt(c1**2 + 4.0 * c2 * available)) / (2.0 * c2))


def measured(record: Record, operation: str, peer: str) -> list[dict[str, Any]]:
    """Return the rows with a peak; very small ones drown in what the process had anyway."""
    return [r for r in record.select(operation=operation, peer=peer) if r.get("bytes", 0) > 0]


def draw(record: Record) -> Figure:
    """Draw GiB over n, a panel an operation: points measured, lines fitted."""
    figure = Figure(figsize=(10, 4.8), layout="constrained")
    panels = figure.subplots(1, len(OPERATIONS), sharey=True)
    sizes = np.geomspace(min(record.settings["sizes"]), 1e5, 60)
    for axes, (operation, title) in zip(panels, OPERATIONS.items(), strict=True):
        for name in record.settings["peers"]:
            growth = record.extra["fits"].get(f"{operation} {name}")
            rows = measured(record, operation, name)
            if growth is None:
                continue
            c2, c1 = growth
            axes.plot(sizes, (c2 * sizes**2 + c1 * sizes) / 2**30, color=COLOURS[name])
            axes.plot(
                [row["n"] for row in rows],
                [row["bytes"] / 2**30 for row in rows],
                "o",
                color=COLOURS[name],
                label=LABELS[name],
            )
        for gib in MEMORY_GIB:
            axes.axhline(gib, color="0.8", linewidth=0.8, zorder=0)
        axes.set(title=title, yscale="log")
        sizes_axis(axes, (1000, 3000, 10_000, 30_000, 100_000), "n")
    panels[0].set_ylabel("peak memory beside the data, GiB")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def section(record: Record) -> str:
    """Tell measured peaks and the largest n."""
    parts = [
        "The peak of resident memory of a fresh process during one call, less what it held with "
        "its data and a library that is loaded and warm. Points are measured; lines, and the "
        "largest n, are c₂n² + c₁n fitted to them. Nothing is said of the time that such an n "
        "would take. "
        f"Predictions are of {TEST_POINTS:,} points.",
    ]
    for operation, title in OPERATIONS.items():
        table = []
        for name in record.settings["peers"]:
            growth = record.extra["fits"].get(f"{operation} {name}")
            rows = measured(record, operation, name)
            if growth is None:
                continue
            last = rows[-1]
            table.append(
                [
                    LABELS[name],
                    f"{last['bytes'] / 2**30:.2f} GiB at n = {last['n']:,}",
                    f"{growth[0] / 8:.2f}",
                    *(f"{largest_size(growth, gib * 2**30):,}" for gib in MEMORY_GIB),
                ]
            )
        header = ["", "largest measured", "n² doubles", *(f"n in {g} GiB" for g in MEMORY_GIB)]
        parts += [f"**{title.capitalize()}**", markdown(header, table)]
    return "\n\n".join(parts)
