"""Many features, with one length scale and with one each."""

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

NAME = "features"
TITLE = "Many features"
SIZES = (2048,)
PEERS = ("gprat", "scikit-learn", "gpytorch", "gpflow", "tinygp", "gpy")
REPEATS = 5
SMOKE_SIZES = (60,)

FEATURES = (8, 16, 32, 64, 128)
OPERATION = "likelihood_gradient"
KINDS = {False: "one length scale for all", True: "one length scale a feature"}


def measure(options: Options) -> Outcome:
    """Time likelihood and gradient, by features and kind of kernel."""
    rows: list[dict[str, Any]] = []
    for n in options.sizes:
        for ard in KINDS:
            # Anew for each kind: what peers took at one says nothing about the other.
            with started(options.peers, options.threads) as peers:
                competition = Competition(peers, options.effort)
                for d in FEATURES:
                    options.tell(f"n = {n}, d = {d}, {KINDS[ard]}")
                    problem = Problem(n=n, m=1, d=d, ard=ard)
                    competition.load(problem)
                    rows += competition.rows(problem, OPERATION)
                about = {name: peer.about for name, peer in peers.items()}
    return Outcome(rows, about)


def draw(record: Record) -> Figure:
    """Draw seconds over features at the largest n, a panel a kind."""
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    n = max(record.settings["sizes"])
    for axes, (ard, title) in zip(panels, KINDS.items(), strict=True):
        for name in record.settings["peers"]:
            rows = [r for r in record.select(n=n, ard=ard, peer=name) if "median" in r]
            axes.plot(
                [row["d"] for row in rows],
                [row["median"] for row in rows],
                "o-",
                color=COLOURS[name],
                linewidth=2.5 if name == "gprat" else 1.2,
                markersize=4,
                label=LABELS[name],
            )
        axes.set(title=title, yscale="log")
        sizes_axis(axes, FEATURES, "features")
    panels[0].set_ylabel(f"seconds, likelihood and gradient, n = {n:,}")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


def section(record: Record) -> str:
    """Tell times by kind, and what features cost us."""
    parts = ["One evaluation of likelihood and gradient."]
    for n in record.settings["sizes"]:
        for ard, title in KINDS.items():
            few, many = (
                record.select(n=n, ard=ard, d=d, peer="gprat")[0]["median"]
                for d in (FEATURES[0], FEATURES[-1])
            )
            parts += [
                f"**n = {n:,}, {title}** (ours with {FEATURES[-1]} features takes "
                f"{many / few:.2f} times that with {FEATURES[0]})",
                beside_peers(record, "d", n=n, ard=ard, operation=OPERATION),
            ]
    return "\n\n".join(parts)
