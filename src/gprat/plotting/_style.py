"""What all pictures share: matplotlib, where to draw, and the palette."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from gprat.exceptions import InvalidInputError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

__all__ = [
    "COLOURS",
    "FAINT",
    "INK",
    "MUTED",
    "deviation_map",
    "given_axes",
    "mean_map",
    "new_axes",
    "point_style",
    "require_matplotlib",
    "tidy",
    "tint",
]

INK, MUTED, FAINT = "#1f3a5f", "#808b96", "#e3e6ea"
# Distinct, also for the colour-blind, and readable as text on white. The first is for what calls
# for attention, the second for what the model says.
COLOURS = ("#b3401e", "#1f6f8b", "#7a4fa3", "#2f7d32", "#a1660b", "#a02a5c")


def require_matplotlib(caller: str) -> None:
    """Raise an error that tells the remedy if there is no matplotlib."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib. Install it with: pip install 'gprat[plot]'"
        ) from error


def new_axes(caller: str, shape: tuple[int, int], **options: Any) -> tuple[Axes, ...]:
    """Return the axes of a new figure, row by row; `options` are those of `pyplot.subplots`."""
    require_matplotlib(caller)
    from matplotlib import pyplot as plt

    _, axes = plt.subplots(*shape, layout="constrained", squeeze=False, **options)
    return tuple(axes.ravel())


def given_axes(
    axes: Axes | Sequence[Axes], count: int, purpose: str, shape: tuple[int, int]
) -> tuple[Axes, ...]:
    """Return the axes that a user passed; `purpose` and `shape` say what they are to be."""
    array = np.asarray(axes, dtype=object).ravel()
    if array.size != count or not all(hasattr(axis, "transAxes") for axis in array):
        number = {1: "one", 2: "two", 3: "three"}[count]
        raise InvalidInputError(
            f"axes must be {number}, {purpose}, got {axes!r}. Make them with "
            f"matplotlib.pyplot.subplots({shape[0]}, {shape[1]})."
        )
    return tuple(array)


def tidy(axis: Axes, grid: Literal["both", "x", "y"] | None = None) -> None:
    """Draw a faint grid behind the data, and no frame."""
    if grid is not None:
        axis.grid(axis=grid, color=FAINT, linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def point_style(n: int) -> tuple[float, float]:
    """Return the diameter, in points, and the opacity with which n data points stay readable."""
    return float(np.clip(30.0 / n**0.35, 2.0, 5.0)), float(np.clip(22.0 / n**0.5, 0.3, 0.85))


def mean_map() -> Colormap:
    """Return the colours of values: they grow lighter, and differ for the colour-blind too."""
    from matplotlib import colormaps

    return colormaps["cividis"]


def deviation_map() -> Colormap:
    """Return the colours of standard deviations: the paler, the surer."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("gprat_deviation", ["#fbfaf7", "#e3b9a4", COLOURS[0]])


def tint(colour: str, strength: float) -> tuple[float, float, float]:
    """Return a colour on white: what is drawn beneath it does not show."""
    from matplotlib.colors import to_rgb

    red, green, blue = (1.0 - strength * (1.0 - part) for part in to_rgb(colour))
    return red, green, blue
