"""A file with named columns that is read block by block."""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gprat._files import NotRegularError, open_regular
from gprat.exceptions import InvalidInputError

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Table", "check_regular", "tidy"]

_MOST_COLUMNS = 20_000
# Of a block of rows when its columns are short.
_CELLS_PER_BLOCK = 1 << 18
_MOST_NAMED = 20


class Table(ABC):
    """A file with named columns that is read in blocks of rows.

    Parameters
    ----------
    path : Path
        The file.
    columns : sequence of str
        Names of its columns.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = tuple(columns)
        _check_columns(path, self.columns)

    @property
    def rows_per_block(self) -> int:
        """How many rows are read at a time."""
        return max(1, _CELLS_PER_BLOCK // len(self.columns))

    @abstractmethod
    def blocks(self) -> Iterator[DataFrame]:
        """Yield the rows, all columns, in blocks of `rows_per_block`; their index is of no use."""

    @abstractmethod
    def place(self, row: int) -> str:
        """Say where row number `row` is, counted from 0."""

    def require(self, names: Sequence[str], role: str) -> None:
        """Check that there are such columns.

        Raises
        ------
        InvalidInputError
            If one is missing. The error lists columns, and names that are similar.
        """
        for name in names:
            if name in self.columns:
                continue
            near = _similar(name, self.columns)
            hint = f" Did you mean {' or '.join(map(repr, near))}?" if near else ""
            raise InvalidInputError(
                f"{self.path} has no column {name!r}, which is to be {role}. It has "
                f"{_list(self.columns)}.{_separator_hint(self.columns) or hint}"
            )


def check_regular(path: Path) -> None:
    """Refuse pipes, which cannot be read twice, and devices, which may have no end.

    Raises
    ------
    InvalidInputError
        If something else than a file has the name.
    OSError
        If it cannot be read, in the words of the system.
    """
    try:
        open_regular(path).close()
    except NotRegularError as error:
        raise InvalidInputError(f"{error}. Pass a table that is stored in a file.") from None


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    if len(columns) > _MOST_COLUMNS:
        raise InvalidInputError(
            f"{path} has {len(columns):,} columns, more than {_MOST_COLUMNS:,}. Is it transposed? "
            "It must have one row a point and one column a feature."
        )
    seen: set[str] = set()
    for number, name in enumerate(columns, start=1):
        if not name:
            raise InvalidInputError(
                f"column {number} of {path} has no name. Name every column in the first line."
            )
        if name in seen:
            raise InvalidInputError(
                f"{path} has more than one column {name!r}. Give every column its own name."
            )
        seen.add(name)


def _similar(name: str, columns: Sequence[str]) -> list[str]:
    """Return up to three columns with similar names; capitals and small letters are the same."""
    by_key = {column.casefold(): column for column in columns[:1000]}
    keys = difflib.get_close_matches(name.casefold(), by_key, n=3, cutoff=0.5)
    return [by_key[key] for key in keys]


def _list(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    columns = f"the columns {shown}" if len(names) > 1 else f"the column {shown}"
    return columns if more <= 0 else f"{columns} and {more:,} more"


def _separator_hint(columns: Sequence[str]) -> str:
    if len(columns) == 1 and any(mark in columns[0] for mark in ";\t|"):
        return " Is another separator used? Pass it, as in --separator ';'."
    return ""


def tidy(error: Exception | Warning) -> str:
    """Return a message of another package on one line."""
    text = " ".join(str(error).replace("Error tokenizing data. C error:", "").split())
    return text.rstrip(".") or type(error).__name__
