"""Real data: a folder of tables, or what ships inside packages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.problem import Arrays

__all__ = ["Table", "read_tables"]


@dataclass(frozen=True)
class Table:
    """Observations in rows, the target in the last column."""

    name: str
    values: np.ndarray

    def split(self, seed: int, most: int | None = None) -> tuple[Arrays, np.ndarray]:
        """Return 4/9 of the rows to train (at most so many), 3/9 to test, and the test's targets.

        All columns are standardised by the training rows.
        """
        rows = np.random.default_rng(seed).permutation(len(self.values))
        n, m = 4 * len(rows) // 9, 3 * len(rows) // 9
        train = self.values[rows[: n if most is None else min(n, most)]]
        test = self.values[rows[-m:]]
        mean, deviation = train.mean(axis=0), train.std(axis=0)
        deviation[deviation == 0.0] = 1.0
        train, test = (train - mean) / deviation, (test - mean) / deviation
        X, y, X_test = (
            np.ascontiguousarray(part) for part in (train[:, :-1], train[:, -1], test[:, :-1])
        )
        return Arrays(X, y, X_test), test[:, -1]


def read_tables(folder: Path | None) -> list[Table]:
    """Return the tables NAME/data.csv.gz of a folder; without one, those inside packages."""
    if folder is None:
        return [_diabetes(), _fair()]
    paths = sorted(folder.glob("*/data.csv.gz"))
    if not paths:
        raise SystemExit(f"{folder} has no NAME/data.csv.gz: pass the folder that holds data sets.")
    return [Table(path.parent.name, np.loadtxt(path, delimiter=",")) for path in paths]


def _diabetes() -> Table:
    from sklearn.datasets import load_diabetes

    X, y = load_diabetes(return_X_y=True)
    return Table("diabetes", np.column_stack([X, y]))


def _fair() -> Table:
    """Return the survey of 6366 women that statsmodels has."""
    from statsmodels.datasets import fair

    data = fair.load_pandas()
    return Table("fair", np.column_stack([data.exog, data.endog]).astype(np.float64))
