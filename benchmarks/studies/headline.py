"""Every operation beside every peer, by the number of points."""

from __future__ import annotations

from statistics import median
from typing import Any

from matplotlib.figure import Figure

from benchmarks.competition import Competition
from benchmarks.peers.process import PeerError, PeerProcess, started
from benchmarks.problem import Problem
from benchmarks.record import Record
from benchmarks.report.style import COLOURS, LABELS, sizes_axis
from benchmarks.report.tables import beside_peers, find_row, markdown
from benchmarks.study import Options, Outcome

NAME = "headline"
TITLE = "Every operation, beside every peer"
SIZES = (128, 256, 512, 1024, 2048, 4096, 8192, 16384)
PEERS = (
    "gprat",
    "gprat-float32",
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
    names = ALONE if alone else tuple(peers)
    earlier = [row for row in rows if row["peer"] in names]
    competition = Competition({name: peers[name] for name in names}, options.effort, earlier)
    options.tell(f"n = {n}: loading")
    competition.load(problem)
    for operation, title in OPERATIONS.items():
        if alone and operation == "covariance":
            continue
        options.tell(f"n = {n}: {title}")
        rows += competition.rows(problem, operation)


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
    n = max((n for n in record.settings["sizes"] if n <= LARGEST_OF_PEERS), default=0)
    rows = []
    for (operation, name), target in PEER_TARGETS.items():
        ours = find_row(record, n=n, peer="gprat", operation=operation)
        theirs = find_row(record, n=n, peer=name, operation=operation)
        if ours is None or theirs is None or "median" not in theirs:
            continue
        ratio = theirs["median"] / ours["median"]
        rows.append(
            [f"{OPERATIONS[operation]}, {LABELS[name]} over ours", f"{ratio:.1f}", f"≥ {target:g}"]
        )
    if not rows:
        return []
    return [
        f"**At n = m = {n:,}**, and what was aimed at on two processors with AVX-512 at 8192:",
        markdown(["", "measured", "aim"], rows),
    ]


def medians(record: Record, operation: str) -> dict[str, float]:
    """Return our seconds at the largest size that peers took part in, and theirs, by name."""
    n = max((row["n"] for row in record.rows if row["n"] <= LARGEST_OF_PEERS), default=0)
    rows = record.select(n=n, operation=operation)
    return {row["peer"]: median(row["seconds"]) for row in rows if "seconds" in row}
