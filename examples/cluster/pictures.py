"""The demo's picture: what each worker did when, and predictions beside what was held out."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

import gprat

BLUE, ORANGE, GREY = "#1f6fb4", "#d1603d", "#888888"

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
    trace: gprat.trace,
    test: tuple[np.ndarray, np.ndarray],
    half_width: np.ndarray,
) -> None:
    """Draw the blocks of each worker over time, and predictions against what was held out."""
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(13, 4.6), layout="constrained")
        left, right = figure.subfigures(1, 2, width_ratios=[2.4, 1])
        upper, lower = left.subplots(2, 1, sharex=True, height_ratios=[0.5, 1])
        trace.plot((upper, lower))
        upper.set_title("Likelihood and gradient, block by block")
        _draw_predictions(right.subplots(), *test, half_width)
        figure.savefig(path)
        plt.close(figure)


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
