"""What a table is by the name of its file, and the packages that read it."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gprat.exceptions import InvalidInputError

__all__ = ["OPENERS", "PARQUET", "SEPARATORS", "import_pandas", "import_parquet", "kind_of"]

SEPARATORS = {".csv": ",", ".tsv": "\t"}
PARQUET = (".parquet", ".pq")
OPENERS: dict[str, Callable[..., Any]] = {
    "": open,
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
_KNOWN = ".csv, .tsv (each also with .gz, .bz2 or .xz behind it), .parquet or .pq"


def kind_of(path: Path) -> tuple[str, str]:
    """Return what the name of a file ends with, and the compression behind it."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    compression = suffixes.pop() if suffixes and suffixes[-1] in OPENERS else ""
    kind = suffixes[-1] if suffixes else ""
    is_text = kind in SEPARATORS
    if not (is_text or (kind in PARQUET and not compression)):
        raise InvalidInputError(
            f"{path} is of a kind that gprat does not know: its name must end with {_KNOWN}."
        )
    return kind, compression


def import_pandas() -> Any:
    """Import pandas, or say how to install it."""
    try:
        import pandas
    except ImportError:
        raise ImportError(
            "reading tables needs pandas. Install it with: pip install 'gprat[cli]'"
        ) from None
    return pandas


def import_parquet() -> Any:
    """Import PyArrow's module for Parquet, or say how to install it."""
    try:
        from pyarrow import parquet
    except ImportError:
        raise ImportError(
            "Parquet files need PyArrow. Install it with: pip install 'gprat[parquet]'"
        ) from None
    return parquet
