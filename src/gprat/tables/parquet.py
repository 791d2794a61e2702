"""Tables in Parquet files, by PyArrow."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from gprat.exceptions import InvalidInputError
from gprat.tables.kinds import import_pandas, import_parquet
from gprat.tables.table import Table, check_regular, tidy

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["ParquetTable"]


class ParquetTable(Table):
    """A Parquet file, by PyArrow."""

    def __init__(self, path: Path) -> None:
        self._parquet = import_parquet()
        check_regular(path)
        self.path = path
        with self._explained(), self._parquet.ParquetFile(path) as file:
            super().__init__(path, file.schema_arrow.names)

    def blocks(self) -> Iterator[DataFrame]:
        """Yield blocks with the types of the file."""
        pandas = import_pandas()
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
            raise InvalidInputError(f"{self.path} cannot be read: {tidy(error)}.") from None
