"""The demo's picture: what each worker did when, and predictions beside what was held out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.collections import PatchCollection
from matplotlib.patches import Patch, Rectangle

BLUE, ORANGE, GREY = "#1f6fb4", "#d1603d", "#888888"
# What tasks of each name serve; where blocks travel, workers wait.
PHASES = {
    "factor": (BLUE, ("cholesky", "panel", "update_cholesky", "update_panel")),
    "inverse": ("#55a868", ("identity", "invert", "update_invert")),
    "gradient": (ORANGE, ("gradient", "update_gradient")),
    "predictions": ("#8172b3", ("whiten", "update_whiten", "explain", "mean")),
}
OTHERS, TRAVEL = "#bbbbbb", "#222222"

STYLE = {
    "figure.dpi": 150,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.titlelocation": "left",
    "legend.frameon": False,
}


def draw_cluster(
    path: Path,
    tasks: list[dict[str, Any]],
    test: tuple[np.ndarray, np.ndarray],
    half_width: np.ndarray,
) -> None:
    """Draw the tasks of each worker over time, and predictions against what was held out."""
    with plt.rc_context(STYLE):
        figure, (timeline, scatter) = plt.subplots(
            1, 2, figsize=(11, 4.4), layout="constrained", width_ratios=[2.2, 1]
        )
        _draw_tasks(timeline, tasks)
        _draw_predictions(scatter, *test, half_width)
        figure.savefig(path)
        plt.close(figure)


def _draw_tasks(axes: plt.Axes, tasks: list[dict[str, Any]]) -> None:
    workers = sorted({task["worker"] for task in tasks})
    spans = [
        (workers.index(task["worker"]), _colour(task, part["action"]), part["start"], part["stop"])
        for task in tasks
        for part in task["startstops"]
        if part["action"] in ("compute", "transfer")
    ]
    origin = min(start for _, _, start, _ in spans)
    boxes = [
        Rectangle((start - origin, row - 0.35), stop - start, 0.7) for row, _, start, stop in spans
    ]
    colours = [colour for _, colour, _, _ in spans]
    axes.add_collection(PatchCollection(boxes, facecolors=colours, linewidths=0))
    busy = sum(stop - start for _, colour, start, stop in spans if colour != TRAVEL)
    end = max(stop for *_, stop in spans) - origin
    axes.set(
        title=f"{len(tasks):,} blocks on {len(workers)} workers, which compute "
        f"{busy / (end * len(workers)):.0%} of the time",
        xlabel="seconds",
        xlim=(0.0, end),
        ylim=(-0.6, len(workers) - 0.4),
    )
    axes.set_yticks(range(len(workers)), [f"worker {i + 1}" for i in range(len(workers))])
    legend = {name: colour for name, (colour, _) in PHASES.items()}
    legend |= {"the rest": OTHERS, "a block travels": TRAVEL}
    patches = [Patch(color=colour, label=name) for name, colour in legend.items()]
    axes.legend(handles=patches, loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=6)


def _colour(task: dict[str, Any], action: str) -> str:
    if action == "transfer":
        return TRAVEL
    name = task["name"]
    for colour, names in PHASES.values():
        if name in names:
            return colour
    return OTHERS


def _draw_predictions(
    axes: plt.Axes, measured: np.ndarray, mean: np.ndarray, half_width: np.ndarray
) -> None:
    limits = 1.05 * np.array([measured.min(), measured.max()])
    axes.plot(limits, limits, color=GREY, lw=0.8)
    axes.plot(measured, mean, ".", ms=1.5, color=BLUE, alpha=0.4, rasterized=True)
    few = slice(0, half_width.size, max(1, half_width.size // 60))
    axes.errorbar(
        measured[: half_width.size][few],
        mean[: half_width.size][few],
        half_width[few],
        fmt="none",
        ecolor=ORANGE,
        lw=0.8,
        label="95 % band of some",
    )
    axes.legend(loc="upper left")
    axes.set(
        title=f"{measured.size:,} points held out",
        xlabel="measured",
        ylabel="predicted",
        xlim=limits,
        ylim=limits,
        aspect="equal",
    )
