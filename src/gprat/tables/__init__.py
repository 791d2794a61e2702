"""Tables in files: CSV and Parquet, block by block, with errors that say where."""

from __future__ import annotations

from pathlib import Path

from gprat.exceptions import InvalidInputError
from gprat.tables.kinds import PARQUET, SEPARATORS, kind_of
from gprat.tables.numbers import Gaps, Rows, collect, numeric_columns, read
from gprat.tables.output import Writer, check_output, open_output
from gprat.tables.parquet import ParquetTable
from gprat.tables.table import Table
from gprat.tables.text import TextTable

__all__ = [
    "Gaps",
    "Rows",
    "Table",
    "Writer",
    "check_output",
    "collect",
    "numeric_columns",
    "open_output",
    "open_table",
    "read",
]


def open_table(path: Path, separator: str | None = None) -> Table:
    """Open a file by what its name ends with.

    Parameters
    ----------
    path : Path
        A file that ends with .csv or .tsv, perhaps compressed, or .parquet or .pq.
    separator : str, default=None
        One character between the columns of a text file; None for that of its kind.

    Returns
    -------
    Table
        Of which the names of the columns have been read.

    Raises
    ------
    InvalidInputError
        If the file is empty, of another kind, or has no usable header.
    OSError
        If it cannot be read.
    ImportError
        If a package is missing that reads it.
    """
    kind, _ = kind_of(path)
    if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
        raise InvalidInputError(f"a separator is one character, such as ';', got {separator!r}.")
    if kind in PARQUET:
        return ParquetTable(path)
    return TextTable(path, separator or SEPARATORS[kind])
