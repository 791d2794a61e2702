"""Few points, where a call's fixed cost and asynchronous tasks could hurt."""

from __future__ import annotations

from typing import Any

from matplotlib.figure import Figure

from benchmarks.competition import Competition
from benchmarks.peers.process import started
from benchmarks.problem import Problem
from benchmarks.record import Record
from benchmarks.report.style import COLOURS, LABELS, sizes_axis
from benchmarks.report.tables import beside_peers
from benchmarks.study import Options, Outcome

NAME = "small"
TITLE = "Few points"
SIZES = (16, 32, 64, 128, 256, 512, 1024)
PEERS = ("gprat", "scikit-learn", "gpytorch", "gpflow", "tinygp", "gpy")
REPEATS = 11
SMOKE_SIZES = (16, 40)

OPERATIONS = {
    "likelihood_gradient": "likelihood and gradient",
    "mean_variance": "mean and variance at n points",
}


def measure(options: Options) -> Outcome:
    """Time both operations, all peers in turn; a sample is the mean of many calls."""
    rows: list[dict[str, Any]] = []
    with started(options.peers, options.threads) as peers:
        competition = Competition(peers, options.effort)
        for n in options.sizes:
            options.tell(f"n = {n}")
            problem = Problem(n=n, m=n)
            competition.load(problem)
            for operation in OPERATIONS:
                rows += competition.rows(problem, operation)
        return Outcome(rows, {name: peer.about for name, peer in peers.items()})


def draw(record: Record) -> Figure:
    """Draw microseconds over n, a panel an operation."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    panels = figure.subplots(1, len(OPERATIONS), sharey=True)
    for axes, (operation, title) in zip(panels, OPERATIONS.items(), strict=True):
        for name in record.settings["peers"]:
            rows = [row for row in record.select(operation=operation, peer=name) if "median" in row]
            axes.plot(
                [row["n"] for row in rows],
                [1e6 * row["median"] for row in rows],
                "o-",
                color=COLOURS[name],
                linewidth=2.5 if name == "gprat" else 1.2,
                markersize=4,
                label=LABELS[name],
            )
        axes.set(title=title, yscale="log")
        sizes_axis(axes, record.settings["sizes"], "n")
    panels[0].set_ylabel("microseconds a call")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


def section(record: Record) -> str:
    """Tell times by operation."""
    parts = [
        "Times of one call, each of which makes a model anew. tinygp's functions are compiled "
        "beforehand, for each shape; the time that this takes is not counted."
    ]
    for operation, title in OPERATIONS.items():
        parts += [f"**{title.capitalize()}**", beside_peers(record, "n", operation=operation)]
    return "\n\n".join(parts)
