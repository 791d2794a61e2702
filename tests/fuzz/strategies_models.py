"""Whole models: data, kernel, noise, mean and resources that fit each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from scipy.stats import halfnorm, lognorm, norm

from fuzz.strategies_arrays import tables, tame
from fuzz.strategies_kernels import kernels, tame_values
from gprat import GP
from gprat.means import FixedLinear, as_mean

NOISES = ("scalar", "by row", "known", "known by row", "groups")
MEANS = ("zero", "constant", "linear", FixedLinear(0.5))


@dataclass
class Recipe:
    """Arguments of a model, and test points."""

    X: np.ndarray
    y: np.ndarray
    points: np.ndarray
    arguments: dict[str, Any]

    def model(self, **changes: Any) -> GP:
        """Make the model."""
        return GP(self.X, self.y, **{**self.arguments, **changes})

    @property
    def noise(self) -> np.ndarray:
        """The noise variance of each row."""
        n, arguments = len(self.X), self.arguments
        noise = np.asarray(arguments["noise"], dtype=np.float64)
        if "noise_groups" in arguments:
            _, index = np.unique(arguments["noise_groups"], return_inverse=True)
            noise = np.broadcast_to(noise, index.max() + 1)[index]
        return np.broadcast_to(noise, n) + arguments.get("known_noise", 0.0)

    def basis(self, points: np.ndarray) -> np.ndarray:
        """The trend's basis functions."""
        return as_mean(self.arguments["mean"]).basis(points)

    def offset(self, points: np.ndarray) -> Any:
        """The fixed part of the mean, shape (m, 1) or a number."""
        offset = as_mean(self.arguments["mean"]).offset(points, 1)
        return 0.0 if offset is None else offset


@st.composite
def noises(draw: Any, n: int, kinds: tuple[str, ...]) -> dict[str, Any]:
    """Noise of one of the kinds."""
    kind = draw(st.sampled_from(kinds))
    noise = draw(st.floats(0.0078125, 1.0, width=32))
    by_row = np.array(draw(st.lists(st.floats(0.0, 1.0, width=32), min_size=n, max_size=n)))
    if kind == "scalar":
        return {"noise": noise, "noise_bounds": draw(st.sampled_from(["fixed", (1e-6, 1e3)]))}
    if kind == "by row":
        return {"noise": by_row + 0.01}
    if kind == "known":
        return {"noise": noise, "known_noise": 0.25}
    if kind == "known by row":
        return {"noise": noise, "known_noise": by_row}
    labels = draw(st.lists(st.sampled_from("abc"), min_size=n, max_size=n))
    many = len(set(labels))
    each = np.linspace(0.1, 0.4, many) if draw(st.booleans()) else noise
    return {"noise": each, "noise_groups": labels}


@st.composite
def recipes(
    draw: Any,
    values: Any = tame_values,
    elements: Any = tame,
    python: bool = True,
    means: Any = MEANS,
    most: int = 9,
    kinds: tuple[str, ...] = NOISES,
) -> Recipe:
    """A model of few rows that makes sense."""
    n, m, d = draw(st.integers(1, most)), draw(st.integers(0, 4)), draw(st.integers(1, 3))
    mean = draw(st.sampled_from([mean for mean in means if _coefficients(mean, d) <= n]))
    k = draw(st.sampled_from([None, 1, 2]))
    arguments = {
        "kernel": draw(kernels(d, 2, values, python)),
        "mean": mean,
        "tile_size": draw(st.sampled_from([1, 2, 3, 8, "auto"])),
        "threads": draw(st.sampled_from([None, 1, 2])),
        "dtype": draw(st.sampled_from(["float64", "float64", "float32"])),
        **draw(noises(n, kinds)),
    }
    dtype = np.dtype(arguments["dtype"])
    X, points = (_rounded(draw(tables(rows, d, elements)), dtype) for rows in (n, m))
    if m and draw(st.booleans()):
        points[0] = X[0]
    return Recipe(X, _rounded(draw(tables(n, k, elements)), dtype), points, arguments)


priors_by_kind = st.sampled_from([lognorm(1.0), halfnorm(scale=3.0), norm(1.0, 2.0)])
"""Distributions with support among positive numbers."""


def _rounded(table: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """What a model of this dtype can represent, as far as it is in its range."""
    with np.errstate(over="ignore"):
        rounded = table.astype(dtype).astype(np.float64)
    return np.where(np.isfinite(rounded), rounded, table)


def _coefficients(mean: Any, d: int) -> int:
    return len(as_mean(mean).names(d))
