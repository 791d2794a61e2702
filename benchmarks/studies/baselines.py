"""What is below us: threaded LAPACK, and the processor's rate of fused multiply-adds."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from benchmarks.peers.process import PeerProcess, first_calls, started
from benchmarks.problem import Problem
from benchmarks.record import Record
from benchmarks.report.style import describe_failure
from benchmarks.report.tables import find_row, markdown
from benchmarks.study import Options, Outcome
from benchmarks.timing import interleave

NAME = "baselines"
TITLE = "LAPACK and the peak"
SIZES = (256, 512, 1024, 2048, 4096, 8192, 16000, 16384)
PEERS = ("gprat", "gprat-float32", "lapack")
REPEATS = 5
SMOKE_SIZES = (64, 200)

FEATURES = 8
# Who does what in one round, and the operations that are counted for it, in n³.
ASKED = {
    ("lapack", "cholesky"): 1.0 / 3.0,
    ("gprat", "likelihood"): 1.0 / 3.0,
    ("gprat", "mean"): 1.0 / 3.0,
    ("lapack", "inverse"): 1.0,
    ("gprat", "likelihood_gradient"): 1.0,
    ("gprat-float32", "likelihood_gradient"): 1.0,
    ("gprat", "mean_variance"): 4.0 / 3.0,
    ("gprat", "covariance"): 7.0 / 3.0,
}
# Above this size only what does not predict.
LARGEST_OF_PREDICTIONS = 8192
PREDICTIONS = ("mean", "mean_variance", "covariance")
TITLES = {
    "likelihood": "assembly and Cholesky",
    "likelihood_gradient": "likelihood and gradient",
    "mean": "mean",
    "mean_variance": "mean and variance",
    "covariance": "mean and covariance",
}
# At n = m = 8192 on two processors with AVX-512: times in dpotrf of the same n, at most.
TARGET_SIZE = 8192
TARGETS = {
    "likelihood": 0.80,
    "likelihood_gradient": 2.45,
    "mean": 0.85,
    "mean_variance": 3.2,
    "covariance": 5.8,
}
# What is drawn: label, and style of its line.
LINES = {
    ("gprat", "likelihood"): ("gprat: assembly and Cholesky", "o-C0"),
    ("gprat", "likelihood_gradient"): ("gprat: likelihood and gradient", "s--C0"),
    ("gprat", "mean_variance"): ("gprat: mean and variance", "^:C0"),
    ("lapack", "cholesky"): ("LAPACK: dpotrf", "o-C7"),
    ("lapack", "inverse"): ("LAPACK: dpotrf and dpotri", "s--C7"),
}


def measure(options: Options) -> Outcome:
    """Time all in turn, size by size."""
    rows: list[dict[str, Any]] = []
    with started(PEERS, options.threads) as peers:
        for n in options.sizes:
            options.tell(f"n = {n}")
            problem = Problem(n=n, m=n, d=FEATURES)
            arrays = problem.arrays()
            for peer in peers.values():
                peer.load(arrays, problem.hyperparameters())
            rows += _rows(problem, peers, options)
        return Outcome(rows, {name: peer.about for name, peer in peers.items()})


def _rows(
    problem: Problem, peers: dict[str, PeerProcess], options: Options
) -> list[dict[str, Any]]:
    limit = options.effort.limit
    asked = {
        f"{name} {operation}": (name, operation)
        for name, operation in ASKED
        if problem.n <= LARGEST_OF_PREDICTIONS or operation not in PREDICTIONS
    }
    calls = {
        key: lambda count, peer=peers[name], operation=operation: peer.seconds(
            operation, count, limit
        )
        for key, (name, operation) in asked.items()
    }
    first, failures = first_calls(calls)
    timings = interleave({key: calls[key] for key in first}, first, options.effort)
    rows = []
    for key, (name, operation) in asked.items():
        row = problem.describe() | {"operation": operation, "peer": name}
        if key in failures:
            rows.append(row | failures[key].describe())
            continue
        summary = timings[key].summary()
        rate = ASKED[name, operation] * problem.n**3 / summary["median"] / 1e9
        rows.append(row | {"gflops": rate} | summary)
    return rows


def draw(record: Record) -> Figure:
    """Draw GF/s over n, and the peak."""
    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for (peer, operation), (label, style) in LINES.items():
        rows = [r for r in record.select(operation=operation, peer=peer) if "gflops" in r]
        axes.plot([row["n"] for row in rows], [row["gflops"] for row in rows], style, label=label)
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
    # Sizes that lie close together have no room for a label each.
    sizes = [n for n in record.settings["sizes"] if n & (n - 1) == 0]
    axes.set_xticks(sizes, [str(n) for n in sizes])
    axes.minorticks_off()
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    return figure


def section(record: Record) -> str:
    """Tell ratios, rates, and how they stand to what was aimed at."""
    parts = [
        "Every operation in turn with threaded LAPACK on the ready-made matrix, m = n, in "
        "multiples of `dpotrf`. Ours does more than what it stands beside: it also assembles the "
        "matrix, solves for the targets, and, beside the inverse, forms the gradient. Rates count "
        "n³/3 operations for the factor and n³ with the inverse.",
        _ratios(record),
        *_aims(record),
    ]
    return "\n\n".join(parts)


def _ratios(record: Record) -> str:
    peak = record.machine["fma_gflops"]
    lines = []
    for n in record.settings["sizes"]:
        theirs = find_row(record, n=n, peer="lapack", operation="cholesky")
        inverse = find_row(record, n=n, peer="lapack", operation="inverse")
        ours = find_row(record, n=n, peer="gprat", operation="likelihood")
        assert theirs is not None
        assert inverse is not None
        assert ours is not None
        known = "median" in theirs
        line = [f"{n:,}", f"{theirs['median']:.3g}" if known else describe_failure("error")]
        for operation in TARGETS:
            row = find_row(record, n=n, peer="gprat", operation=operation)
            shown = known and row is not None and "median" in row
            line.append(f"{row['median'] / theirs['median']:.2f}" if row and shown else "")
        line.append(
            f"{inverse['median'] / theirs['median']:.2f}" if known and "median" in inverse else ""
        )
        line.append("" if peak is None else f"{ours['gflops'] / peak:.0%}")
        lines.append(line)
    header = ["n", "dpotrf, s", *(TITLES[operation] for operation in TARGETS)]
    return markdown([*header, "dpotrf + dpotri", "first, of the peak"], lines, left=0)


def _aims(record: Record) -> list[str]:
    """Tell what was aimed at on two processors, met or not."""
    sizes = record.settings["sizes"]
    n = TARGET_SIZE if TARGET_SIZE in sizes else max(sizes)
    rows_of = {
        (row["peer"], row["operation"]): row for row in record.select(n=n) if "median" in row
    }
    lapack = rows_of.get(("lapack", "cholesky"))
    if lapack is None:
        return []
    rows = []
    for operation, target in TARGETS.items():
        ours = rows_of.get(("gprat", operation))
        if ours is not None:
            ratio = ours["median"] / lapack["median"]
            rows.append([f"{TITLES[operation]}, over dpotrf", f"{ratio:.2f}", f"≤ {target:.2f}"])
    peak = record.machine["fma_gflops"]
    factor = rows_of.get(("gprat", "likelihood"))
    if factor is not None and peak is not None:
        share = f"{factor['gflops'] / peak:.0%}"
        rows.append(["assembly and Cholesky, of the FMA peak", share, "≥ 80%"])
    double = rows_of.get(("gprat", "likelihood_gradient"))
    single = rows_of.get(("gprat-float32", "likelihood_gradient"))
    if double is not None and single is not None:
        ratio = double["median"] / single["median"]
        rows.append(
            ["likelihood and gradient, rate of float32 over float64", f"{ratio:.2f}", "≥ 1.8"]
        )
    spread = max(
        (row["slowest"] / row["fastest"] for (peer, _), row in rows_of.items() if peer == "gprat"),
        default=1.0,
    )
    return [
        f"**At n = m = {n:,}**, and what was aimed at on two processors with AVX-512 at 8192:",
        markdown(["", "measured", "aim"], rows),
        f"Slowest over fastest repetition of ours there: {spread:.2f} at most.",
    ]
