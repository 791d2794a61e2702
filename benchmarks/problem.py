"""The problems that libraries are compared on, described by numbers and made from them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gprat.datasets import mass_spring_damper, nfir

__all__ = ["Arrays", "Problem"]


@dataclass(frozen=True)
class Arrays:
    """Training inputs and targets, and test inputs."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray

    def write(self, folder: Path) -> None:
        """Write one .npy file each, as workers read them."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("X", "y", "X_test"):
            np.save(folder / f"{name}.npy", getattr(self, name))


@dataclass(frozen=True)
class Problem:
    """A chain of carts: the position of the last from the last d forces on the first.

    The record's first n samples train, the m after them test; force and position are standardised,
    so that inputs remain lags of one signal. With
    `ard` there is one length scale a feature, around √d and rising with the lag; else one √d.
    """

    n: int
    m: int
    d: int = 8
    ard: bool = True
    seed: int = 0
    variance: float = 1.0
    noise_variance: float = 0.1

    @property
    def length_scales(self) -> list[float]:
        """Length scales of the RBF kernel: one, or one a feature."""
        scale = float(np.sqrt(self.d))
        if not self.ard:
            return [scale]
        return [float(value) for value in scale * np.geomspace(0.8, 1.25, self.d)]

    def hyperparameters(self) -> dict[str, Any]:
        """Return what an adapter needs beside the arrays."""
        return {
            "variance": self.variance,
            "length_scales": self.length_scales,
            "noise_variance": self.noise_variance,
        }

    def arrays(self) -> Arrays:
        """Simulate the record."""
        u, y = mass_spring_damper(self.n + self.m + self.d - 1, random_state=self.seed)
        X, target = nfir(u, y, self.d)
        X = (X - X[: self.n].mean()) / X[: self.n].std()
        target = (target - target[: self.n].mean()) / target[: self.n].std()
        train, test = slice(self.n), slice(self.n, self.n + self.m)
        return Arrays(*(np.ascontiguousarray(part) for part in (X[train], target[train], X[test])))

    def describe(self) -> dict[str, Any]:
        """Return all that identifies it, for a row of results."""
        return asdict(self)
