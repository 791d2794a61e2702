"""Tables that are written block by block, and appear as a whole."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias

from gprat._files import temporary_beside
from gprat.exceptions import InvalidInputError
from gprat.tables.kinds import OPENERS, PARQUET, SEPARATORS, import_parquet, kind_of

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["Writer", "check_output", "open_output"]

Writer: TypeAlias = "Callable[[DataFrame], None]"


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
    kind, compression = kind_of(path)
    with temporary_beside(path) as temporary:
        if kind in PARQUET:
            with _parquet_writer(temporary) as write:
                yield write
        else:
            with OPENERS[compression](temporary, "wt", encoding="utf-8", newline="") as file:
                yield _text_writer(file, SEPARATORS[kind])
        temporary.replace(path)


def _text_writer(file: IO[str], separator: str) -> Writer:
    has_header = False

    def write(block: DataFrame) -> None:
        nonlocal has_header
        block.to_csv(file, sep=separator, index=False, header=not has_header, lineterminator="\n")
        has_header = True

    return write


@contextlib.contextmanager
def _parquet_writer(path: Path) -> Iterator[Writer]:
    parquet = import_parquet()
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
