"""Tables as text with separators."""

from __future__ import annotations

import contextlib
import csv
import gzip
import lzma
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from gprat.exceptions import InvalidInputError
from gprat.tables.kinds import OPENERS, import_pandas, kind_of
from gprat.tables.table import Table, check_regular, tidy

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["TextTable"]

# Characters of a line, and of the rows that are read at a time: a small compressed file may hold
# cells without end.
_LONGEST_LINE = 1 << 24
_LARGEST_BLOCK = 1 << 28


class TextTable(Table):
    """Text with a separator between the columns, names in the first line."""

    def __init__(self, path: Path, separator: str) -> None:
        self._separator = separator
        self.path = path
        super().__init__(path, self._header())

    def blocks(self) -> Iterator[DataFrame]:
        """Yield blocks whose cells are text as it stands in the file, or missing."""
        pandas = import_pandas()
        with self._explained(), self._open() as file:
            bounded = _Bounded(file, self.path)
            reader = pandas.read_csv(
                bounded,
                sep=self._separator,
                header=0,
                names=list(self.columns),
                index_col=False,
                dtype=str,
                skipinitialspace=True,
                iterator=True,
            )
            while True:
                bounded.room = _LARGEST_BLOCK
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
            while line := file.readline(_LONGEST_LINE):
                if len(line) == _LONGEST_LINE:
                    raise InvalidInputError(
                        f"{self.path} has a line of more than {_LONGEST_LINE:,} characters: it "
                        "is no table of rows and columns."
                    )
                yield line

        reader = csv.reader(lines(), delimiter=self._separator, skipinitialspace=True)
        for record in reader:
            self._line = reader.line_num
            if len(record) > 1 or (record and record[0].strip()):
                yield record

    def _open(self) -> IO[str]:
        check_regular(self.path)
        opener = OPENERS[kind_of(self.path)[1]]
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
            reason = tidy(error)
            if isinstance(error, Warning):
                reason = "the first rows have more cells than there are columns"
            raise InvalidInputError(f"{self.path} cannot be read: {reason}.") from None


class _Bounded:
    """Text of which no more is read than there is room for."""

    def __init__(self, file: IO[str], path: Path) -> None:
        self._file, self._path = file, path
        self.room = _LARGEST_BLOCK

    def read(self, size: int = -1, /) -> str:
        """Return the next characters."""
        text = self._file.read(min(_LONGEST_LINE, size if size > 0 else _LONGEST_LINE))
        self.room -= len(text)
        if self.room < 0:
            raise InvalidInputError(
                f"{self._path} has cells that are too long: the rows that are read at a time have "
                f"more than {_LARGEST_BLOCK:,} characters. Is a quotation mark not closed?"
            )
        return text

    def __iter__(self) -> Iterator[str]:
        """Return the lines, which pandas expects of a file, but reads by `read`."""
        return iter(self._file)


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
