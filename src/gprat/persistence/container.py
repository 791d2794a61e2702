"""Arrays and one JSON document in one file, in the safetensors format.

The file is the length of the header (8 bytes, little-endian), the header (JSON: name, dtype, shape
and place of each tensor, and metadata), and the bytes of the tensors, one after the other.
gprat's metadata are one entry, the JSON document. Each array begins at a multiple of 64 bytes,
behind a tensor of zeros that fills the gap, so that it can be used where it is mapped.

The document holds the SHA-256 digest of the whole file, written with zeros in the digest's place.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from gprat._files import NotRegularError, open_regular, write_atomically
from gprat._json import parse_json
from gprat.exceptions import InvalidInputError, ModelFileError

__all__ = ["Arrays", "read_container", "write_container"]

Arrays = Mapping[str, npt.NDArray[Any]]

_FORMAT, _VERSION = "gprat model", 1
_ENTRY = "gprat"
# Looked up once: reading a model opens no other file.
_GPRAT = version("gprat")
_PREFIX = b'{"__metadata__": {"gprat": "'
_NO_DIGEST = "0" * 64
_PADDING = "padding/"
_ALIGNMENT = 64
_BLOCK_BYTES = 1 << 22
# The limit of the format itself.
_LARGEST_HEADER = 100_000_000
_ANOTHER = "Load another copy, or save the model again."
_SHORTER = f"became shorter while it was read. {_ANOTHER}"
_DTYPES = {"F64": "float64", "F32": "float32", "I64": "int64", "U8": "uint8"}
_CODES = {name: code for code, name in _DTYPES.items()}


def write_container(path: Path, arrays: Arrays, document: Mapping[str, Any]) -> None:
    """Write a file, or leave what is there.

    Parameters
    ----------
    path : Path
        The file.
    arrays : mapping from str to ndarray
        Of float64, float32, int64 or uint8. Written without a copy where they are C-contiguous and
        little-endian.
    document : mapping
        What JSON can hold, without NaN and infinity.

    Raises
    ------
    InvalidInputError
        If the document is too large.
    OSError
        If the file cannot be written.
    """
    frame = {
        "sha256": _NO_DIGEST,
        "format": _FORMAT,
        "version": _VERSION,
        "gprat": _GPRAT,
    }
    text = json.dumps(frame | dict(document), allow_nan=False)
    table: dict[str, Any] = {"__metadata__": {_ENTRY: text}}
    contents: list[npt.NDArray[np.uint8]] = []
    end = 0
    for name, array in arrays.items():
        gap = np.zeros(-end % _ALIGNMENT, dtype=np.uint8)
        if gap.size:
            end = _add(table, contents, f"{_PADDING}{len(contents)}", gap, end)
        end = _add(table, contents, name, array, end)
    header = json.dumps(table).encode()
    header += b" " * (-(8 + len(header)) % _ALIGNMENT)
    if len(header) > _LARGEST_HEADER:
        raise InvalidInputError(
            f"the description of the model takes {len(header)} bytes, more than the "
            f"{_LARGEST_HEADER} that a file may have. Use a simpler kernel or fewer noise groups."
        )
    write_atomically(path, lambda file: _write(file, header, contents))


def read_container(path: Path) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
    """Check a file in full, map it, and return its document and its arrays.

    Returns
    -------
    document : dict
        As it was written, and the entry "gprat": the version of gprat that wrote it.
    arrays : dict from str to ndarray
        Read-only, in the mapped file, where they lie at multiples of 64 bytes. The file may be
        replaced or removed meanwhile, but not be changed in place.

    Raises
    ------
    ModelFileError
        If this is none of gprat's files, or one of a newer format, or it is cut short or altered.
    OSError
        If it cannot be opened or read.
    """
    try:
        file = open_regular(path)
    except NotRegularError as error:
        raise ModelFileError(f"{error}. Pass the path of a saved model.") from None
    with file:
        size = os.fstat(file.fileno()).st_size
        try:
            header = _read_header(file, size)
            table = _parse(header, "its header")
            document = _document(table)
            _check_version(document)
            tensors = _check_table(table, size - 8 - len(header))
            _check_digest(file, header, document)
            mapped = _map(file, size)
        except ModelFileError as error:
            raise ModelFileError(f"{path} {error}") from None
    begin = 8 + len(header)
    for entry in ("sha256", "format", "version"):
        document.pop(entry)
    return document, {tensor.name: tensor.array(mapped, begin) for tensor in tensors}


def _add(
    table: dict[str, Any],
    contents: list[npt.NDArray[np.uint8]],
    name: str,
    array: npt.NDArray[Any],
    begin: int,
) -> int:
    """Add an array to the header and to what is to be written; return where it ends."""
    little = np.require(array, array.dtype.newbyteorder("<"), "C")
    end = begin + little.nbytes
    table[name] = {
        "dtype": _CODES[little.dtype.name],
        "shape": list(little.shape),
        "data_offsets": [begin, end],
    }
    contents.append(little.reshape(-1).view(np.uint8))
    return end


def _write(file: BinaryIO, header: bytes, contents: list[npt.NDArray[np.uint8]]) -> None:
    digest = hashlib.sha256()
    for piece in _pieces(header, contents):
        file.write(piece)
        digest.update(piece)
    file.seek(8 + header.index(_NO_DIGEST.encode()))
    file.write(digest.hexdigest().encode())


def _pieces(header: bytes, contents: list[npt.NDArray[np.uint8]]) -> Iterator[Any]:
    yield len(header).to_bytes(8, "little") + header
    for content in contents:
        for start in range(0, content.size, _BLOCK_BYTES):
            yield content[start : start + _BLOCK_BYTES]


def _read_header(file: BinaryIO, size: int) -> bytes:
    """Return the header; what comes first must be there before it is allocated."""
    start = file.read(8 + len(_PREFIX))
    length = int.from_bytes(start[:8], "little")
    if len(start) < 8 + len(_PREFIX) or not start.endswith(_PREFIX):
        raise ModelFileError("is no file of gprat, or one that is cut short or altered.")
    if length > min(size - 8, _LARGEST_HEADER):
        raise ModelFileError(
            f"is cut short or altered: its header has {length} bytes, the file {size}. {_ANOTHER}"
        )
    file.seek(8)
    header = file.read(length)
    if len(header) != length:
        raise ModelFileError(_SHORTER)
    return header


def _map(file: BinaryIO, size: int) -> mmap.mmap:
    if os.fstat(file.fileno()).st_size < size:
        raise ModelFileError(_SHORTER)
    return mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ)


def _parse(text: str | bytes, what: str) -> dict[str, Any]:
    """Read JSON strictly, with an object at the top."""
    try:
        value = parse_json(text)
    # Also numbers with thousands of digits, and text that is not UTF-8.
    except ValueError as error:
        raise ModelFileError(
            f"is damaged: {what} is no JSON ({error!s:.100}). {_ANOTHER}"
        ) from None
    if not isinstance(value, dict):
        raise ModelFileError(f"is damaged: {what} is no JSON object. {_ANOTHER}")
    return value


def _document(table: dict[str, Any]) -> dict[str, Any]:
    metadata = table.pop("__metadata__")
    if not isinstance(metadata, dict) or set(metadata) != {_ENTRY}:
        raise ModelFileError(f"is damaged: its metadata are not gprat's. {_ANOTHER}")
    document = _parse(str(metadata[_ENTRY]), "its description")
    if document.get("format") != _FORMAT:
        raise ModelFileError("is no model of gprat.")
    return document


def _check_version(document: dict[str, Any]) -> None:
    format_version = document.get("version")
    if type(format_version) is not int or format_version < 1:
        raise ModelFileError(
            f"is damaged: its format version is {format_version!r:.40}. {_ANOTHER}"
        )
    if format_version > _VERSION:
        raise ModelFileError(
            f"has format version {format_version}, written by gprat {document.get('gprat')!s:.40}; "
            f"this is gprat {_GPRAT}, which reads up to version {_VERSION}. Install a "
            "newer gprat."
        )


@dataclass(frozen=True)
class _Tensor:
    """A line of the header, checked."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    begin: int
    end: int

    def array(self, mapped: mmap.mmap, offset: int) -> npt.NDArray[Any]:
        """Return the tensor in the mapped file; a copy where numbers have other byte orders."""
        stored = self.dtype.newbyteorder("<")
        flat = np.frombuffer(mapped, stored, math.prod(self.shape), offset + self.begin)
        if sys.byteorder == "big":
            flat = flat.astype(self.dtype)
            flat.flags.writeable = False
        return flat.reshape(self.shape)


def _check_table(table: dict[str, Any], n_bytes: int) -> list[_Tensor]:
    """Return the tensors but for those that fill gaps; they must cover the data exactly."""
    tensors = [_check_tensor(name, entry) for name, entry in table.items()]
    end = 0
    for tensor in sorted(tensors, key=lambda tensor: (tensor.begin, tensor.end)):
        if tensor.begin != end:
            raise ModelFileError(
                f"is damaged: the array {tensor.name!r:.80} overlaps another one, or there is a "
                f"gap before it. {_ANOTHER}"
            )
        end = tensor.end
    if end != n_bytes:
        what = "is cut short" if end > n_bytes else "is damaged"
        raise ModelFileError(
            f"{what}: its arrays take {end} bytes, but {n_bytes} are there. {_ANOTHER}"
        )
    return [tensor for tensor in tensors if not tensor.name.startswith(_PADDING)]


def _check_tensor(name: str, entry: Any) -> _Tensor:
    match entry:
        case {"dtype": str(code), "shape": list(shape), "data_offsets": [begin, end], **others} if (
            not others and code in _DTYPES
        ):
            dtype = np.dtype(_DTYPES[code])
            numbers = [*shape, begin, end]
            are_whole = all(type(number) is int and 0 <= number < 1 << 62 for number in numbers)
            if len(shape) <= 8 and are_whole and end - begin == math.prod(shape) * dtype.itemsize:
                return _Tensor(name, dtype, tuple(shape), begin, end)
    raise ModelFileError(
        f"is damaged: the array {name!r:.80} is described by {entry!s:.120}. {_ANOTHER}"
    )


def _check_digest(file: BinaryIO, header: bytes, document: dict[str, Any]) -> None:
    """Compare with the digest of the whole file; one sequential read, in blocks."""
    expected = document.get("sha256")
    is_digest = isinstance(expected, str) and len(expected) == 64 and expected.isascii()
    if is_digest and header.count(str(expected).encode()) == 1:
        digest = hashlib.sha256(len(header).to_bytes(8, "little"))
        digest.update(header.replace(str(expected).encode(), _NO_DIGEST.encode()))
        file.seek(8 + len(header))
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
        if digest.hexdigest() == expected:
            return
    raise ModelFileError(f"was altered or is damaged: its digest differs. {_ANOTHER}")
