"""Tables in files: CSV and Parquet, block by block, with errors that say where."""

from __future__ import annotations

import bz2
import contextlib
import csv
import difflib
import gzip
import lzma
import os
import sys
import warnings
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, cast

import numpy as np

from gprat._files import temporary_beside
from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError

if TYPE_CHECKING:
    from pandas import DataFrame, Series

__all__ = [
    "Gaps",
    "Rows",
    "Table",
    "check_output",
    "collect",
    "numeric_columns",
    "open_output",
    "open_table",
    "read",
]

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_PARQUET = (".parquet", ".pq")
_OPENERS: dict[str, Callable[..., Any]] = {
    "": open,
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
_KNOWN = ".csv, .tsv (each also with .gz, .bz2 or .xz behind it), .parquet or .pq"

_MOST_COLUMNS = 20_000
# Characters of a header, and of a block of rows when its columns are short.
_LONGEST_HEADER = 1 << 24
_CELLS_PER_BLOCK = 1 << 18
_MOST_NAMED = 20

Writer: TypeAlias = "Callable[[DataFrame], None]"


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
    kind, _ = _kind(path)
    if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
        raise InvalidInputError(f"a separator is one character, such as ';', got {separator!r}.")
    if kind in _PARQUET:
        return _ParquetTable(path)
    return _TextTable(path, separator or _SEPARATORS[kind])


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


def check_output(path: Path) -> None:
    """Check that a file could be put there, before hours of work.

    Raises
    ------
    InvalidInputError
        If there is no such folder, or something else than a file has that name.
    """
    if not path.parent.is_dir():
        raise InvalidInputError(
            f"{path} cannot be written: there is no folder {path.parent}. Make it first."
        )
    if path.exists() and not path.is_file():
        raise InvalidInputError(f"{path} is no file that could be replaced. Choose another name.")
    if not os.access(path.parent, os.W_OK):
        raise InvalidInputError(
            f"{path} cannot be written: the folder {path.parent} is read-only for you."
        )


@contextlib.contextmanager
def open_output(path: Path | None) -> Iterator[Writer]:
    """Give a function that writes one block of rows after another.

    Parameters
    ----------
    path : Path or None
        A file of a kind that `open_table` reads: it appears, or is replaced, when all has been
        written. None for CSV on the standard output.
    """
    if path is None:
        yield _text_writer(sys.stdout, ",")
        return
    kind, compression = _kind(path)
    with temporary_beside(path) as temporary:
        if kind in _PARQUET:
            with _parquet_writer(temporary) as write:
                yield write
        else:
            with _OPENERS[compression](temporary, "wt", encoding="utf-8", newline="") as file:
                yield _text_writer(file, _SEPARATORS[kind])
        temporary.replace(path)


class _TextTable(Table):
    """Text with a separator between the columns, names in the first line."""

    def __init__(self, path: Path, separator: str) -> None:
        self._separator = separator
        self.path = path
        super().__init__(path, self._header())

    def blocks(self) -> Iterator[DataFrame]:
        """Yield blocks whose cells are text as it stands in the file, or missing."""
        pandas = _import_pandas()
        with self._explained(), self._open() as file:
            reader = pandas.read_csv(
                file,
                sep=self._separator,
                header=0,
                names=list(self.columns),
                index_col=False,
                dtype=str,
                skipinitialspace=True,
                iterator=True,
            )
            while True:
                with warnings.catch_warnings():
                    # A row that is too long would lose its end.
                    warnings.simplefilter("error", pandas.errors.ParserWarning)
                    try:
                        block = reader.get_chunk(self.rows_per_block)
                    except StopIteration:
                        return
                if len(block) == 0:
                    return
                yield block

    def place(self, row: int) -> str:
        """Return the line, counted from 1: rows may span several, and blank ones count for none."""
        with self._explained(), self._open() as file:
            lines = self._records(file)
            next(lines)
            for number, _ in enumerate(lines):
                if number == row:
                    return f"line {self._line}"
        return f"row {row + 1}"

    def _header(self) -> list[str]:
        with self._explained(), self._open() as file:
            for record in self._records(file):
                return [name.strip() for name in record]
        raise InvalidInputError(f"{self.path} is empty: its first line must name the columns.")

    def _records(self, file: IO[str]) -> Iterator[list[str]]:
        """Yield the cells of each line that is not blank; `_line` is where it ends."""

        def lines() -> Iterator[str]:
            while line := file.readline(_LONGEST_HEADER):
                if len(line) == _LONGEST_HEADER:
                    raise InvalidInputError(
                        f"{self.path} has a line of more than {_LONGEST_HEADER:,} characters: it "
                        "is no table of rows and columns."
                    )
                yield line

        reader = csv.reader(lines(), delimiter=self._separator, skipinitialspace=True)
        for record in reader:
            self._line = reader.line_num
            if len(record) > 1 or (record and record[0].strip()):
                yield record

    def _open(self) -> IO[str]:
        opener = _OPENERS[_kind(self.path)[1]]
        return cast("IO[str]", opener(self.path, "rt", encoding="utf-8-sig", newline=""))

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:
            raise InvalidInputError(
                f"{self.path} is no text in UTF-8: byte 0x{error.object[error.start]:02x} has no "
                f"meaning there. {_encoding_hint(self.path)}"
            ) from None
        except (csv.Error, EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
            raise InvalidInputError(f"{self.path} cannot be read: {error}.") from None
        except (ValueError, Warning) as error:
            # Those of pandas, whose classes need it to be imported.
            if not type(error).__module__.startswith("pandas"):
                raise
            reason = _tidy(error)
            if isinstance(error, Warning):
                reason = "the first rows have more cells than there are columns"
            raise InvalidInputError(f"{self.path} cannot be read: {reason}.") from None


class _ParquetTable(Table):
    """A Parquet file, by PyArrow."""

    def __init__(self, path: Path) -> None:
        self._parquet = _import_parquet()
        with path.open("rb"):  # in the words of the system, if it cannot be read
            pass
        self.path = path
        with self._explained(), self._parquet.ParquetFile(path) as file:
            super().__init__(path, file.schema_arrow.names)

    def blocks(self) -> Iterator[DataFrame]:
        """Yield blocks with the types of the file."""
        pandas = _import_pandas()
        with self._explained(), self._parquet.ParquetFile(self.path) as file:
            for batch in file.iter_batches(batch_size=self.rows_per_block):
                yield batch.to_pandas(types_mapper=pandas.ArrowDtype)

    def place(self, row: int) -> str:
        """Return the row, counted from 1."""
        return f"row {row + 1}"

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        import pyarrow

        try:
            yield
        except (pyarrow.ArrowException, OSError) as error:
            raise InvalidInputError(f"{self.path} cannot be read: {_tidy(error)}.") from None


def _kind(path: Path) -> tuple[str, str]:
    """Return what the name of a file ends with, and the compression behind it."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    compression = suffixes.pop() if suffixes and suffixes[-1] in _OPENERS else ""
    kind = suffixes[-1] if suffixes else ""
    is_text = kind in _SEPARATORS
    if not (is_text or (kind in _PARQUET and not compression)):
        raise InvalidInputError(
            f"{path} is of a kind that gprat does not know: its name must end with {_KNOWN}."
        )
    return kind, compression


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


def _parse(column: Series[Any]) -> tuple[Float64Array, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Return a column as numbers, NaN where there is none, and where there is text instead."""
    pandas = _import_pandas()
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
    numbers = parsed.to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers, np.isnan(numbers) & ~is_missing


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


def _text_writer(file: IO[str], separator: str) -> Writer:
    has_header = False

    def write(block: DataFrame) -> None:
        nonlocal has_header
        block.to_csv(file, sep=separator, index=False, header=not has_header, lineterminator="\n")
        has_header = True

    return write


@contextlib.contextmanager
def _parquet_writer(path: Path) -> Iterator[Writer]:
    parquet = _import_parquet()
    import pyarrow

    with contextlib.ExitStack() as stack:
        writer = None

        def write(block: DataFrame) -> None:
            nonlocal writer
            schema = None if writer is None else writer.schema
            rows = pyarrow.Table.from_pandas(block, schema=schema, preserve_index=False)
            # Columns only: how pandas held them is nobody else's business.
            rows = rows.replace_schema_metadata(None)
            if writer is None:
                writer = stack.enter_context(parquet.ParquetWriter(path, rows.schema))
            writer.write_table(rows)

        yield write


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


def _encoding_hint(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    if start == b"PAR1":
        return "It is a Parquet file: let its name end with .parquet."
    is_wide = start[:2] in (b"\xff\xfe", b"\xfe\xff")
    return (
        "Save it as UTF-8, or convert it: "
        f"iconv -f {'UTF-16' if is_wide else 'LATIN1'} -t UTF-8 old.csv > new.csv"
    )


def _show(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 50 else f"{text[:47]}..."


def _tidy(error: Exception | Warning) -> str:
    """Return a message of another package on one line."""
    text = " ".join(str(error).replace("Error tokenizing data. C error:", "").split())
    return text.rstrip(".") or type(error).__name__


def _import_pandas() -> Any:
    try:
        import pandas
    except ImportError:
        raise ImportError(
            "reading tables needs pandas. Install it with: pip install 'gprat[cli]'"
        ) from None
    return pandas


def _import_parquet() -> Any:
    try:
        from pyarrow import parquet
    except ImportError:
        raise ImportError(
            "Parquet files need PyArrow. Install it with: pip install 'gprat[parquet]'"
        ) from None
    return parquet
