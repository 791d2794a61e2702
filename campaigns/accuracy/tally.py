"""The worst ratio of each quantity to its bound, by kind, and how to see it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from rich.table import Table

__all__ = ["Setting", "Tally", "settings"]


@dataclass(frozen=True)
class Setting:
    """One case: what has to be known to repeat it."""

    kind: str
    seed: int
    dtype: str
    n: int
    tile_size: int
    threads: int

    def __str__(self) -> str:
        return (
            f"{self.kind}: --seed {self.seed} --count 1 (n = {self.n}, {self.dtype}, tiles of "
            f"{self.tile_size}, {self.threads} threads)"
        )


def settings(seed: int, kinds: Iterable[str], most: int) -> Iterator[Setting]:
    """Yield a case of each kind and precision, of a size up to `most`."""
    rng = np.random.default_rng([seed, 0])
    for kind in kinds:
        for dtype in ("float64", "float32"):
            n = int(rng.integers(1, most + 1))
            tile_size = int(rng.choice([1, 3, 16, max(1, n // 2), n, n + 5]))
            yield Setting(kind, seed, dtype, n, tile_size, int(rng.choice([1, 2, 4])))


@dataclass
class Tally:
    """Ratios of errors to n·ε times what rounding theory says; above `limit` is a failure."""

    title: str
    limit: float
    worst: dict[tuple[str, str], tuple[float, Setting]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    all_ratios: dict[str, list[float]] = field(default_factory=dict)

    def begin(self, setting: Setting) -> None:
        """Count a case."""
        self.counts[setting.kind] = self.counts.get(setting.kind, 0) + 1

    def add(self, setting: Setting, quantity: str, error: Any, unit: Any) -> None:
        """Keep the ratio of an error to a unit. NaN fails."""
        error, unit = float(error), float(unit)
        ratio = 0.0 if error == 0.0 else error / unit if unit > 0.0 else float("inf")
        self.all_ratios.setdefault(quantity, []).append(ratio)
        if not ratio <= self.limit:
            bound = self.limit * unit
            self.fail(setting, f"{quantity}: error {error:.3g}, at most {bound:.3g} expected")
        key = (setting.kind, quantity)
        if key not in self.worst or not ratio <= self.worst[key][0]:
            self.worst[key] = (ratio, setting)

    def fail(self, setting: Setting, what: str) -> None:
        """Keep a failure that is no ratio."""
        self.failures.append(f"{what}. {setting}")

    def refuse(self, setting: Setting, *, is_allowed: bool) -> None:
        """Count a matrix that has no factor; a failure where it must have one."""
        self.refused[setting.kind] = self.refused.get(setting.kind, 0) + 1
        if not is_allowed:
            self.fail(setting, "no Cholesky factor of a matrix that must have one")

    @property
    def kinds(self) -> list[str]:
        """Kinds in the order in which they came."""
        return list(self.counts)

    @property
    def quantities(self) -> list[str]:
        """Quantities in the order in which they came."""
        return list(self.all_ratios)

    def table(self) -> Table:
        """Return the worst ratios, a row a kind."""
        table = Table(title=self.title)
        for heading in ("kind", "cases", "no factor", *self.quantities):
            table.add_column(heading, justify="left" if heading == "kind" else "right")
        for kind in self.kinds:
            ratios = (self.worst.get((kind, quantity)) for quantity in self.quantities)
            cells = ("" if entry is None else f"{entry[0]:.2g}" for entry in ratios)
            table.add_row(kind, str(self.counts[kind]), str(self.refused.get(kind, 0)), *cells)
        return table

    def figures(self) -> dict[str, Any]:
        """Return everything as JSON takes it."""
        return {
            "cases": sum(self.counts.values()),
            "limit": self.limit,
            "checks": sum(len(ratios) for ratios in self.all_ratios.values()),
            "no_factor": self.refused,
            "failures": self.failures,
            "worst": {
                quantity: _worst_by_kind(self, quantity, self.kinds) for quantity in self.quantities
            },
        }


def _worst_by_kind(tally: Tally, quantity: str, kinds: Iterable[str]) -> dict[str, float]:
    found = {kind: tally.worst.get((kind, quantity)) for kind in kinds}
    return {kind: float(f"{entry[0]:.3g}") for kind, entry in found.items() if entry is not None}
