"""Strong scaling: measured on the processors that are there, simulated beyond."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from matplotlib.figure import Figure

import gprat
from benchmarks.agreement import AgreementError
from benchmarks.models import make_model, mean_seconds, time_once
from benchmarks.problem import Problem
from benchmarks.record import Record
from benchmarks.study import Options, Outcome
from benchmarks.timing import interleave
from gprat.calibration import CalibratedMachine, Calibration, calibrate, find
from gprat.calibration.choice import best_tile_size
from gprat.planning import auto_tile_size

NAME = "scaling"
TITLE = "Strong scaling"
SIZES = (2048, 4096, 8192, 16384)
PEERS = ("gprat",)
REPEATS = 5
SMOKE_SIZES = (200,)

FEATURES = 8
SIMULATED = (1, 2, 4, 8, 16, 32, 64, 128)


def measure(options: Options) -> Outcome:
    """Time likelihood and gradient by each number of threads, and simulate more."""
    calibration = find("float64") or calibrate("float64")
    rows = []
    for n in options.sizes:
        options.tell(f"n = {n}")
        rows += _measured(n, options)
        rows += [_simulated(n, threads, calibration) for threads in SIMULATED]
    return Outcome(rows)


def _measured(n: int, options: Options) -> list[dict[str, Any]]:
    """Time one tile size with all numbers of threads, which must give the same bits."""
    problem = Problem(n=n, m=1, d=FEATURES)
    arrays = problem.arrays()
    tile_size = make_model(problem, arrays).tile_size

    def call(threads: int) -> Any:
        model = make_model(problem, arrays, threads=threads, tile_size=tile_size)
        return model.log_marginal_likelihood(eval_gradient=True)

    first, results = {}, {}
    counts = range(1, options.threads + 1)
    for threads in counts:
        first[str(threads)], results[threads] = time_once(lambda threads=threads: call(threads))
    for value, gradient in results.values():
        if value != results[1][0] or not np.array_equal(gradient, results[1][1]):
            raise AgreementError(f"likelihood or gradient depend on the threads at n = {n}.")
    calls = {str(t): mean_seconds(lambda t=t: call(t)) for t in counts}
    timings = interleave(calls, first, options.effort)
    return [
        problem.describe()
        | {"kind": "measured", "threads": t, "tile_size": tile_size}
        | timings[str(t)].summary()
        for t in counts
    ]


def _simulated(n: int, threads: int, calibration: Calibration) -> dict[str, Any]:
    """Simulate a machine with so many processors like ours, in tiles that suit it."""
    larger = scaled(calibration, threads)
    simulation = gprat.simulate(
        n,
        FEATURES,
        threads=threads,
        tile_size=best_tile_size(n, larger, auto_tile_size(n, threads)),
        machine=CalibratedMachine(larger, FEATURES, inline=threads == 1),
    )
    return {
        "n": n,
        "d": FEATURES,
        "kind": "simulated",
        "threads": threads,
        "tile_size": simulation.tasks.tile_size,
        "median": simulation.makespan,
        "critical_path": simulation.critical_path_seconds,
    }


def scaled(calibration: Calibration, threads: int) -> Calibration:
    """Return the figures of a machine whose processors are as many as threads, if ours are fewer.

    Its memory keeps up: it has as many channels for each processor.
    """
    here = calibration.identity
    if threads <= here.processors:
        return calibration
    return replace(
        calibration,
        identity=replace(here, processors=threads),
        bandwidth=calibration.bandwidth * threads / here.processors,
    )


def speedups(record: Record, n: int, kind: str) -> tuple[list[int], list[float]]:
    """Return numbers of threads, and how many times faster than one they are."""
    rows = sorted(record.select(n=n, kind=kind), key=lambda row: row["threads"])
    return [row["threads"] for row in rows], [rows[0]["median"] / row["median"] for row in rows]


def draw(record: Record) -> Figure:
    """Draw speed-up over threads: points measured, lines simulated."""
    figure = Figure(figsize=(6.5, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(SIMULATED, SIMULATED, color="0.6", linestyle=":", label="ideal")
    for i, n in enumerate(record.settings["sizes"]):
        axes.plot(*speedups(record, n, "simulated"), color=f"C{i}", label=f"n = {n:,}, simulated")
        axes.plot(
            *speedups(record, n, "measured"),
            color=f"C{i}",
            linestyle="none",
            marker="o",
            label=f"n = {n:,}, measured",
        )
    axes.set(
        title="Likelihood and gradient, d = 8",
        xlabel="threads",
        ylabel="times faster than one thread",
        xscale="log",
        yscale="log",
    )
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(SIMULATED, [str(count) for count in SIMULATED])
        axis.set_ticks([], minor=True)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    return figure


def section(record: Record) -> str:
    """Tell times and efficiencies, and what the simulation is."""
    measured = sorted({row["threads"] for row in record.rows if row["kind"] == "measured"})
    far = [count for count in SIMULATED if count >= 64]
    header = [f"{t} threads, measured (simulated) s" for t in measured]
    header += [f"efficiency on {t}, simulated" for t in far]
    lines = [
        "One evaluation of likelihood and gradient. Points are measured; every number of threads "
        "gives the same bits. Lines are a simulation of the very tasks that would run, at the "
        "rates that tasks have on this machine's processors, with as many of them as threads, "
        "memory that keeps up with them, and the tiles that suit it best: a bound for a real "
        "machine of that size, not a promise.",
        "",
        f"| n | {' | '.join(header)} |",
        "|---:" * (1 + len(header)) + "|",
    ]
    for n in record.settings["sizes"]:
        cells = []
        for threads in measured:
            (here,) = record.select(n=n, kind="measured", threads=threads)
            there = record.select(n=n, kind="simulated", threads=threads)
            simulated = f" ({there[0]['median']:.3g})" if there else ""
            cells.append(f"{here['median']:.3g}{simulated}")
        speedup = dict(zip(*speedups(record, n, "simulated"), strict=True))
        cells += [f"{speedup[threads] / threads:.0%}" for threads in far]
        lines.append(f"| {n} | {' | '.join(cells)} |")
    return "\n".join(lines)
