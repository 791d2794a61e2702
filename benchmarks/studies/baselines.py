"""What is below us: threaded LAPACK, and the processor's rate of fused multiply-adds."""

from __future__ import annotations

from statistics import median
from typing import Any

from matplotlib.figure import Figure

from benchmarks.peers.process import PeerProcess, first_calls, started
from benchmarks.problem import Problem
from benchmarks.record import Record
from benchmarks.report.style import describe_failure
from benchmarks.study import Options, Outcome
from benchmarks.timing import interleave

NAME = "baselines"
TITLE = "LAPACK and the peak"
SIZES = (256, 512, 1024, 2048, 4096, 8192, 16000, 16384)
PEERS = ("gprat", "lapack")
REPEATS = 5
SMOKE_SIZES = (64, 200)

FEATURES = 8
# What is compared: our operation, LAPACK's, and the operations that both count for, in n³.
PAIRS = {
    "cholesky": ("likelihood", "cholesky", 1.0 / 3.0),
    "inverse": ("likelihood_gradient", "inverse", 1.0),
}
LABELS = {
    ("cholesky", "gprat"): "gprat: assembly and Cholesky",
    ("cholesky", "lapack"): "LAPACK: dpotrf",
    ("inverse", "gprat"): "gprat: the same, inverse and gradient",
    ("inverse", "lapack"): "LAPACK: dpotrf and dpotri",
}


def measure(options: Options) -> Outcome:
    """Time the pairs in turn."""
    rows: list[dict[str, Any]] = []
    with started(PEERS, options.threads) as peers:
        for n in options.sizes:
            options.tell(f"n = {n}")
            problem = Problem(n=n, m=1, d=FEATURES)
            arrays = problem.arrays()
            for peer in peers.values():
                peer.load(arrays, problem.hyperparameters())
            rows += _rows(problem, peers, options)
        return Outcome(rows, {name: peer.about for name, peer in peers.items()})


def _rows(
    problem: Problem, peers: dict[str, PeerProcess], options: Options
) -> list[dict[str, Any]]:
    asked = {
        f"{name} {quantity}": (peers[name], operation)
        for quantity, (ours, theirs, _) in PAIRS.items()
        for name, operation in zip(PEERS, (ours, theirs), strict=True)
    }
    limit = options.effort.limit
    calls = {
        key: lambda count, peer=peer, operation=operation: peer.seconds(operation, count, limit)
        for key, (peer, operation) in asked.items()
    }
    first, failures = first_calls(calls)
    timings = interleave({key: calls[key] for key in first}, first, options.effort)
    rows = []
    for quantity, (_, _, flops) in PAIRS.items():
        for name in PEERS:
            key = f"{name} {quantity}"
            row = problem.describe() | {"quantity": quantity, "peer": name}
            if key in failures:
                rows.append(row | failures[key].describe())
                continue
            rate = flops * problem.n**3 / median(timings[key].samples) / 1e9
            rows.append(row | {"gflops": rate} | timings[key].summary())
    return rows


def draw(record: Record) -> Figure:
    """Draw GF/s over n, and the peak."""
    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for (quantity, peer), label in LABELS.items():
        rows = [r for r in record.select(quantity=quantity, peer=peer) if "gflops" in r]
        axes.plot(
            [row["n"] for row in rows],
            [row["gflops"] for row in rows],
            "o-" if quantity == "cholesky" else "s--",
            color="C0" if peer == "gprat" else "0.5",
            label=label,
        )
    peak = record.machine["fma_gflops"]
    if peak is not None:
        axes.axhline(peak, color="C3", label=f"FMA peak, {peak:.0f} GF/s")
    threads = record.settings["threads"]
    axes.set(
        title=f"Double precision, {threads} thread{'s' if threads > 1 else ''}",
        xlabel="n",
        ylabel="GF/s",
        xscale="log",
    )
    axes.set_ylim(bottom=0.0)
    sizes = record.settings["sizes"]
    axes.set_xticks(sizes, [str(n) for n in sizes])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    return figure


def section(record: Record) -> str:
    """Tell rates and ratios."""
    peak = record.machine["fma_gflops"]
    lines = [
        "Ours does more than what it stands beside: it also assembles the matrix, and solves for "
        "the targets, and, beside the inverse, forms the gradient; LAPACK gets the matrix ready "
        "made. Rates count n³/3 operations for the factor, and n³ with the inverse, for both.",
        "",
        "| n | dpotrf s | ours, over it | of the peak | dpotrf + dpotri s | ours, over it | of the "
        "peak |",
        "|---:" * 7 + "|",
    ]
    for n in record.settings["sizes"]:
        cells = []
        for quantity in PAIRS:
            (ours,) = record.select(n=n, quantity=quantity, peer="gprat")
            (theirs,) = record.select(n=n, quantity=quantity, peer="lapack")
            share = "" if peak is None else f"{ours['gflops'] / peak:.0%}"
            if "failure" in theirs:
                cells += [describe_failure(theirs["failure"]), "", share]
                continue
            ratio = ours["median"] / theirs["median"]
            cells += [f"{theirs['median']:.3g}", f"{ratio:.2f}", share]
        lines.append(f"| {n} | {' | '.join(cells)} |")
    return "\n".join(lines)
