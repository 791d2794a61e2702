"""The demo's pictures: measurements, predictions, and the bands that should hold 95 % of them."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np

Forecast: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]

SAMPLING_STEP = 0.35  # seconds between the carts' samples

INK, BLUE, ORANGE = "#222222", "#1f6fb4", "#d1603d"

STYLE = {
    "figure.dpi": 150,
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.titlelocation": "left",
    "legend.frameon": False,
}


def draw_co2(
    path: Path, readings: tuple[np.ndarray, np.ndarray], forecast: Forecast, held_out_from: float
) -> None:
    """Draw the whole record, and the years held out at a larger scale."""
    with plt.rc_context(STYLE):
        figure, (whole, zoom) = plt.subplots(
            1, 2, figsize=(11, 4.2), layout="constrained", width_ratios=[1, 1.2]
        )
        for axes in (whole, zoom):
            _draw_readings(axes, readings, held_out_from)
            _draw_band(axes, *forecast)
            axes.set(xlabel="year", ylabel="CO$_2$ in dry air (ppm)")
        year, co2 = readings
        whole.set(title="Weekly readings at Mauna Loa", xlim=(year.min(), forecast[0].max()))
        whole.axvspan(held_out_from, forecast[0].max(), color="#000000", alpha=0.05, lw=0)
        start = held_out_from - 2
        top_of_band = forecast[1] + forecast[2]
        zoom.set(
            title=f"Forecast from {held_out_from:.0f} on",
            xlim=(start, forecast[0].max()),
            ylim=(co2[year > start].min() - 2, top_of_band[forecast[0] > start].max() + 2),
        )
        zoom.axvline(held_out_from, color="#888888", lw=0.8, ls=":")
        zoom.legend(loc="lower right", ncols=2)
        figure.savefig(path)
        plt.close(figure)


def _draw_readings(
    axes: plt.Axes, readings: tuple[np.ndarray, np.ndarray], held_out_from: float
) -> None:
    year, co2 = readings
    is_known = year < held_out_from
    axes.plot(year[is_known], co2[is_known], ".", ms=2.5, color=INK, label="learned from")
    axes.plot(year[~is_known], co2[~is_known], ".", ms=3, color=ORANGE, label="held out")


def _draw_band(axes: plt.Axes, x: np.ndarray, mean: np.ndarray, half_width: np.ndarray) -> None:
    axes.plot(x, mean, color=BLUE, lw=1.0, label="mean", zorder=1.5)
    axes.fill_between(
        x, mean - half_width, mean + half_width, color=BLUE, alpha=0.22, lw=0, label="95 % band"
    )


def draw_identification(path: Path, test: Forecast, shown: int = 120) -> None:
    """Draw some seconds of the test stretch, and all predictions against what was measured."""
    measured, mean, half_width = test
    with plt.rc_context(STYLE):
        figure, (course, scatter) = plt.subplots(
            1, 2, figsize=(11, 4.2), layout="constrained", width_ratios=[2.2, 1]
        )
        time = SAMPLING_STEP * np.arange(shown)
        _draw_band(course, time, mean[:shown], half_width[:shown])
        course.plot(time, measured[:shown], ".", ms=4, color=ORANGE, label="measured")
        course.set(
            title="Position of the last of four carts, from the force on the first",
            xlabel="time (s)",
            ylabel="position (mm)",
            xlim=(0, time[-1]),
            ylim=(None, 1.35 * measured[:shown].max()),
        )
        course.legend(loc="upper right", ncols=3)
        limits = 1.05 * np.array([measured.min(), measured.max()])
        scatter.plot(limits, limits, color="#888888", lw=0.8)
        scatter.plot(measured, mean, ".", ms=2.5, color=BLUE, alpha=0.6)
        scatter.set(
            title=f"All {measured.size} test samples",
            xlabel="measured (mm)",
            ylabel="predicted (mm)",
            xlim=limits,
            ylim=limits,
            aspect="equal",
        )
        figure.savefig(path)
        plt.close(figure)
