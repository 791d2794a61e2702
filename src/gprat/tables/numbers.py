"""Columns of a table as numbers, with errors that say where something else stands."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError
from gprat.tables.kinds import import_pandas
from gprat.tables.table import Table

if TYPE_CHECKING:
    from pandas import DataFrame, Series

__all__ = ["Gaps", "Rows", "collect", "numeric_columns", "read"]


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Rows of a table as numbers.

    Parameters
    ----------
    block : DataFrame
        The rows as they were read, all columns.
    numbers : ndarray of shape (rows, columns)
        The columns that were asked for, NaN where a value is missing.
    first : int
        Number of the first row in the table, counted from 0.
    """

    block: DataFrame
    numbers: Float64Array
    first: int


def read(table: Table, names: Sequence[str]) -> Iterator[Rows]:
    """Yield all rows, block by block, with some columns as numbers.

    Parameters
    ----------
    table : Table
        What is read.
    names : sequence of str
        The columns, at least one.

    Raises
    ------
    InvalidInputError
        If there is a cell with text, or an infinite number; the error says where.
    """
    first = 0
    for block in table.blocks():
        columns = [_as_numbers(table, block[name], first) for name in names]
        yield Rows(block, np.column_stack(columns), first)
        first += len(block)


class Gaps:
    """Counts missing values.

    Parameters
    ----------
    table : Table
        Where the rows come from.
    names : sequence of str
        The columns of their numbers.

    Attributes
    ----------
    n_values, n_rows : int
        How many values are missing, and how many rows miss one, so far.
    """

    def __init__(self, table: Table, names: Sequence[str]) -> None:
        self._table, self._names = table, tuple(names)
        self._first: tuple[int, str] | None = None
        self.n_values = self.n_rows = 0

    def count(self, rows: Rows) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Take a block of rows into account; return which of them miss nothing, shape (rows,)."""
        is_missing = np.isnan(rows.numbers)
        has_gap = np.asarray(is_missing.any(axis=1))
        if self._first is None and has_gap.any():
            row = int(has_gap.argmax())
            self._first = rows.first + row, self._names[int(is_missing[row].argmax())]
        self.n_values += int(is_missing.sum())
        self.n_rows += int(has_gap.sum())
        return np.asarray(~has_gap)

    def refuse(self) -> None:
        """Raise if anything was missing.

        Raises
        ------
        InvalidInputError
            With how much it is, and where the first is.
        """
        if self._first is not None:
            row, name = self._first
            many = "value is" if self.n_values == 1 else "values are"
            raise InvalidInputError(
                f"{self.n_values:,} {many} missing in {self._table.path}, the first in column "
                f"{name!r}, {self._table.place(row)}. Fill them in, or use --drop-missing to leave "
                "out the rows that have any."
            )


def numeric_columns(
    table: Table, leave_out: Iterable[str] = ()
) -> tuple[list[str], dict[str, str]]:
    """Find the columns that hold numbers, by the first block of rows.

    Parameters
    ----------
    table : Table
        What is looked at.
    leave_out : iterable of str
        Columns that are not wanted.

    Returns
    -------
    names : list of str
        Columns of numbers.
    others : dict of str to str
        Other columns, with the reason in a few words.

    Raises
    ------
    InvalidInputError
        If a column has mostly numbers and some text: it may be a feature with a mistake in it.
    """
    block = next(table.blocks(), None)
    names, others = [], {}
    for name in table.columns:
        if name in set(leave_out) or block is None:
            continue
        numbers, is_text = _parse(block[name])
        n_text, n_numbers = int(is_text.sum()), int((~np.isnan(numbers)).sum())
        if n_text == n_numbers == 0:
            others[name] = "empty"
        elif n_text == 0:
            names.append(name)
        elif n_text < n_numbers:
            _refuse_text(table, block[name], is_text, 0)
        else:
            others[name] = f"text, such as {_show(block[name][is_text].iloc[0])}"
    return names, others


def collect(
    blocks: Iterable[Float64Array], most: int | None, rng: np.random.Generator
) -> Float64Array:
    """Put blocks of rows together, or a random sample of their rows.

    Parameters
    ----------
    blocks : iterable of ndarray of shape (rows, columns)
        All rows; at least one block.
    most : int or None
        How many rows to keep at most, each as likely as any other; None for all. No more than that
        and a block are in memory at a time.
    rng : numpy.random.Generator
        Decides which.

    Returns
    -------
    ndarray of shape (kept, columns)
        In the order in which they came.

    Examples
    --------
    >>> blocks = [np.zeros((5, 2)), np.ones((5, 2))]
    >>> collect(blocks, most=4, rng=np.random.default_rng(0)).shape
    (4, 2)
    """
    parts: list[Float64Array] = []
    keys: list[Float64Array] = []
    for block in blocks:
        parts.append(block)
        if most is not None:
            # The rows with the smallest of independent random numbers are a fair sample.
            keys.append(rng.random(len(block)))
            parts, keys = _smallest(parts, keys, most)
    return np.concatenate(parts)


def _parse(column: Series[Any]) -> tuple[Float64Array, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Return a column as numbers, NaN where there is none, and where there is text instead."""
    pandas = import_pandas()
    kind = column.dtype.kind
    if kind in "iufb":
        numbers = column.to_numpy(dtype=np.float64, na_value=np.nan)
        return numbers, np.zeros(len(column), dtype=bool)
    is_missing = column.isna().to_numpy(dtype=bool)
    if kind in "mM":
        return np.full(len(column), np.nan), ~is_missing
    if not isinstance(column.dtype, pandas.StringDtype):
        column = column.astype(object)
    parsed = pandas.to_numeric(column, errors="coerce")
    numbers = np.array(parsed.to_numpy(dtype=np.float64, na_value=np.nan))
    # pandas says what is a number; before its version 3 it rounds the last digit carelessly.
    is_number = ~np.isnan(numbers)
    with contextlib.suppress(TypeError, ValueError):
        numbers[is_number] = column[is_number].to_numpy(dtype=object).astype(np.float64)
    return numbers, ~is_number & ~is_missing


def _as_numbers(table: Table, column: Series[Any], first: int) -> Float64Array:
    numbers, is_text = _parse(column)
    if is_text.any():
        _refuse_text(table, column, is_text, first)
    infinite = np.isinf(numbers)
    if infinite.any():
        row = int(infinite.argmax())
        raise InvalidInputError(
            f"column {column.name!r} of {table.path} has {_show(column.iloc[row])} in "
            f"{table.place(first + row)}, which is no finite number. Correct it, or leave it empty."
        )
    return numbers


def _refuse_text(table: Table, column: Series[Any], is_text: Any, first: int) -> None:
    row = int(is_text.argmax())
    raise InvalidInputError(
        f"column {column.name!r} of {table.path} has {_show(column.iloc[row])} in "
        f"{table.place(first + row)}, where a number is expected. Correct it, leave it empty if "
        "the value is missing, or leave the column out."
    )


def _smallest(
    parts: list[Float64Array], keys: list[Float64Array], most: int
) -> tuple[list[Float64Array], list[Float64Array]]:
    """Keep the rows with the smallest keys, in their order."""
    rows, key = np.concatenate(parts), np.concatenate(keys)
    if len(key) > most:
        kept = np.sort(np.argpartition(key, most - 1)[:most])
        rows, key = rows[kept], key[kept]
    return [rows], [key]


def _show(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 50 else f"{text[:47]}..."
