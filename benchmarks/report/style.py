"""One look for all figures."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

__all__ = ["COLOURS", "LABELS", "describe_failure", "save_figure", "seconds", "sizes_axis"]

# By the names of `registry.PEERS`; ours stands out.
COLOURS = {
    "gprat": "#d62728",
    "gprat-float32": "#ff9896",
    "lapack": "#7f7f7f",
    "scikit-learn": "#1f77b4",
    "gpytorch": "#ff7f0e",
    "gpytorch-defaults": "#ffbb78",
    "gpflow": "#2ca02c",
    "tinygp": "#9467bd",
    "gpy": "#8c564b",
    "gprat-original": "#17becf",
}
LABELS = {
    "gprat": "gprat",
    "gprat-float32": "gprat, float32",
    "lapack": "LAPACK",
    "scikit-learn": "scikit-learn",
    "gpytorch": "GPyTorch (exact)",
    "gpytorch-defaults": "GPyTorch (defaults, approximate)",
    "gpflow": "GPflow",
    "tinygp": "tinygp (jitted)",
    "gpy": "GPy",
    "gprat-original": "GPRat (original)",
}
_DPI = 130


def save_figure(figure: Figure, path: Path) -> None:
    """Write a PNG without a date in it, so that the same figure is the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=_DPI, metadata={"Software": None})


def sizes_axis(axes: Axes, sizes: Iterable[int], label: str) -> None:
    """Make a logarithmic axis of these sizes, and a grid."""
    sizes = sorted(sizes)
    axes.set(xlabel=label, xscale="log")
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes], rotation=40, ha="right")
    axes.minorticks_off()
    axes.grid(alpha=0.3)


def seconds(value: float) -> str:
    """Write a time with the unit that suits it."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value / 1e-6:.3g} µs"


def describe_failure(kind: str) -> str:
    """Say in two words why there is no time."""
    return {"time": "too long", "memory": "no memory"}.get(kind, "failed")
