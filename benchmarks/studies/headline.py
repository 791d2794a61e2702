"""Every operation beside every peer, by the number of points."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import Any

from matplotlib.figure import Figure

from benchmarks.competition import Competition
from benchmarks.peers.process import PeerError, PeerProcess, first_calls, started
from benchmarks.problem import Problem
from benchmarks.record import Record
from benchmarks.report.style import COLOURS, LABELS, sizes_axis
from benchmarks.report.tables import beside_peers, find_row, markdown
from benchmarks.study import Options, Outcome
from benchmarks.timing import interleave

NAME = "headline"
TITLE = "Every operation, beside every peer"
SIZES = (128, 256, 512, 1024, 2048, 4096, 8192, 16384)
PEERS = (
    "gprat",
    "gprat-float32",
    "lapack",
    "scikit-learn",
    "gpytorch",
    "gpytorch-defaults",
    "gpflow",
    "tinygp",
    "gpy",
    "gprat-original",
)
REPEATS = 5
SMOKE_SIZES = (64, 150)

OPERATIONS = {
    "likelihood_gradient": "likelihood and gradient",
    "mean": "mean",
    "mean_variance": "mean and variance",
    "covariance": "mean and covariance",
}
# Above this size only ours runs, and nothing of size m × m.
LARGEST_OF_PEERS = 8192
ALONE = ("gprat", "gprat-float32")

# At n = m = 8192 on two processors with AVX-512: times in dpotrf of the same n, at most.
TARGET_SIZE = 8192
TARGETS = {
    "likelihood": 0.80,
    "likelihood_gradient": 2.45,
    "mean": 0.85,
    "mean_variance": 3.2,
    "covariance": 5.8,
}
# The time of a peer over ours, at least.
PEER_TARGETS = {
    ("likelihood_gradient", "scikit-learn"): 6.0,
    ("likelihood_gradient", "gpytorch"): 6.5,
    ("likelihood_gradient", "gpflow"): 10.0,
    ("mean_variance", "gpytorch"): 3.5,
}


def measure(options: Options) -> Outcome:
    """Time operation by operation, all peers in turn."""
    rows: list[dict[str, Any]] = []
    extra = {}
    with started(options.peers, options.threads) as peers:
        try:
            for n in options.sizes:
                _measure_size(n, peers, options, rows)
        except PeerError as failure:
            # What was measured in half an hour isn't thrown away.
            options.tell(f"ended early: {failure}")
            extra["ended early"] = str(failure)
        return Outcome(rows, {name: peer.about for name, peer in peers.items()}, extra)


def _measure_size(
    n: int, peers: dict[str, PeerProcess], options: Options, rows: list[dict[str, Any]]
) -> None:
    """Add the rows of one size as they come."""
    problem = Problem(n=n, m=n)
    alone = n > LARGEST_OF_PEERS
    names = ALONE if alone else tuple(name for name in peers if name != "lapack")
    earlier = [row for row in rows if row["peer"] in names]
    competition = Competition({name: peers[name] for name in names}, options.effort, earlier)
    options.tell(f"n = {n}: loading")
    competition.load(problem)
    rows += _factorisation(problem, peers, options)
    for operation, title in OPERATIONS.items():
        if alone and operation == "covariance":
            continue
        options.tell(f"n = {n}: {title}")
        rows += competition.rows(problem, operation)


def _factorisation(
    problem: Problem, peers: dict[str, PeerProcess], options: Options
) -> list[dict[str, Any]]:
    """Time our factorisation, with assembly, in turn with LAPACK's of the ready-made matrix."""
    if "lapack" not in peers:
        return []
    peers["lapack"].load(problem.arrays(), problem.hyperparameters())
    asked = {"gprat": "likelihood", "lapack": "cholesky"}
    calls = {
        name: lambda count, name=name, operation=operation: peers[name].seconds(operation, count)
        for name, operation in asked.items()
    }
    first, failures = first_calls(calls)
    outcome: dict[str, dict[str, Any]] = {name: why.describe() for name, why in failures.items()}
    effort = replace(options.effort, fewest=max(options.effort.fewest, 3))
    timings = interleave({name: calls[name] for name in first}, first, effort)
    outcome |= {name: timing.summary() for name, timing in timings.items()}
    for peer in peers.values():
        peer.release()
    return [
        problem.describe() | {"operation": operation, "peer": name} | outcome[name]
        for name, operation in asked.items()
    ]


def draw(record: Record) -> Figure:
    """Draw seconds over n, a panel an operation."""
    figure = Figure(figsize=(10, 8.4), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True, sharey=True)
    for axes, (operation, title) in zip(panels.flat, OPERATIONS.items(), strict=True):
        for name in record.settings["peers"]:
            rows = [row for row in record.select(operation=operation, peer=name) if "median" in row]
            if rows:
                axes.plot(
                    [row["n"] for row in rows],
                    [row["median"] for row in rows],
                    marker="o",
                    color=COLOURS[name],
                    linestyle="--" if name == "gpytorch-defaults" else "-",
                    linewidth=2.5 if name == "gprat" else 1.2,
                    markersize=4,
                    label=LABELS[name],
                )
        axes.set(title=title, yscale="log")
        sizes_axis(axes, record.settings["sizes"], "n = m")
    for axes in panels[:, 0]:
        axes.set_ylabel("seconds")
    figure.legend(*panels.flat[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def section(record: Record) -> str:
    """Tell times by operation, and how they stand to what was aimed at."""
    parts = [
        "Times of one call that begins with data and hyperparameters and has nothing computed. In "
        "brackets, the peer's time over ours: above 1, ours is faster. 8 features, one length "
        "scale each; as many test points as training points.",
    ]
    for operation, title in OPERATIONS.items():
        parts += [f"**{title.capitalize()}**", beside_peers(record, "n", operation=operation)]
    parts += _aims(record)
    return "\n\n".join(parts)


def _aims(record: Record) -> list[str]:
    """Tell what was aimed at on two processors, met or not."""
    n = max(record.settings["sizes"])
    n = TARGET_SIZE if TARGET_SIZE in record.settings["sizes"] else n
    lapack = find_row(record, n=n, peer="lapack", operation="cholesky")
    if lapack is None or "median" not in lapack:
        return []
    rows = []
    for operation, target in TARGETS.items():
        ours = find_row(record, n=n, peer="gprat", operation=operation)
        if ours is None:
            continue
        ratio = ours["median"] / lapack["median"]
        title = OPERATIONS.get(operation, "assembly and Cholesky")
        rows.append([f"{title}, over dpotrf", f"{ratio:.2f}", f"≤ {target:.2f}"])
    for (operation, name), target in PEER_TARGETS.items():
        ours = find_row(record, n=n, peer="gprat", operation=operation)
        theirs = find_row(record, n=n, peer=name, operation=operation)
        if ours is None or theirs is None or "median" not in theirs:
            continue
        ratio = theirs["median"] / ours["median"]
        rows.append(
            [f"{OPERATIONS[operation]}, {LABELS[name]} over ours", f"{ratio:.1f}", f"≥ {target:g}"]
        )
    rows += _rates(record, n)
    spread = _spread(record, n)
    return [
        f"**At n = m = {n:,}**, beside threaded LAPACK on the ready-made matrix (`dpotrf`: "
        f"{lapack['median']:.3f} s), and what was aimed at on two processors with AVX-512 at 8192:",
        markdown(["", "measured", "aim"], rows),
        f"Slowest over fastest repetition of ours there: {spread:.2f} at most.",
    ]


def _rates(record: Record, n: int) -> list[list[str]]:
    rows = []
    factor = find_row(record, n=n, peer="gprat", operation="likelihood")
    peak = record.machine["fma_gflops"]
    if factor is not None and peak is not None:
        rate = n**3 / 3 / factor["median"] / 1e9
        rows.append(["assembly and Cholesky, of the FMA peak", f"{rate / peak:.0%}", "≥ 80%"])
    double = find_row(record, n=n, peer="gprat", operation="likelihood_gradient")
    single = find_row(record, n=n, peer="gprat-float32", operation="likelihood_gradient")
    if double is not None and single is not None:
        ratio = double["median"] / single["median"]
        rows.append(
            ["likelihood and gradient, rate of float32 over float64", f"{ratio:.2f}", "≥ 1.8"]
        )
    return rows


def _spread(record: Record, n: int) -> float:
    ours = [row for row in record.select(n=n, peer="gprat") if len(row.get("seconds", ())) > 1]
    return max((row["slowest"] / row["fastest"] for row in ours), default=1.0)


def medians(record: Record, operation: str) -> dict[str, float]:
    """Return our seconds at the largest size that peers took part in, and theirs, by name."""
    n = max((row["n"] for row in record.rows if row["n"] <= LARGEST_OF_PEERS), default=0)
    rows = record.select(n=n, operation=operation)
    return {row["peer"]: median(row["seconds"]) for row in rows if "seconds" in row}
