"""Arrays in every disguise: what numbers they stand for, and whether a call has changed them."""

from __future__ import annotations

import tempfile
import warnings
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

FLOATS = ("<f8", ">f8", "<f4", ">f4", "<f2", ">f2", "g")
INTEGERS = ("i1", "<i2", ">i4", "<i8", ">i8", "u1", ">u2", "<u8", "?")


@dataclass
class Disguised:
    """An argument of a call, and the numbers it stands for as a C-contiguous float64 array."""

    argument: Any
    numbers: np.ndarray
    buffer: np.ndarray | None = None  # what a view looks at, gaps included

    def fingerprint(self) -> Any:
        """All that a call could change."""
        whole = () if self.buffer is None else (self.buffer.tobytes(),)
        return fingerprint(self.argument), *whole


def fingerprint(argument: Any) -> Any:
    """Bytes, shape, strides and flags of an array; the same of all arrays inside of others."""
    if isinstance(argument, np.ma.MaskedArray):
        return "masked", argument.data.tobytes(), np.ma.getmaskarray(argument).tobytes()
    if isinstance(argument, np.ndarray):
        flags = argument.flags.writeable, argument.flags.c_contiguous
        return argument.dtype.str, argument.shape, argument.strides, flags, argument.tobytes()
    if isinstance(argument, pd.DataFrame):
        return tuple(argument.columns), *(fingerprint(argument[name]) for name in argument)
    if isinstance(argument, pd.Series):
        return str(argument.dtype), argument.index.to_numpy().tobytes(), repr(argument.tolist())
    return repr(argument)


class Holder:
    """An object of some other library that can be turned into an array."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._array, dtype=dtype)

    def __repr__(self) -> str:
        return f"Holder({self._array!r})"


class Named(np.ndarray):
    """A subclass of arrays, as units and labels come in."""


def _plain(array: np.ndarray) -> Disguised:
    return Disguised(np.ascontiguousarray(array), _numbers(array))


def _numbers(array: np.ndarray) -> np.ndarray:
    return np.array(array, dtype=np.float64, order="C")


def _strided(array: np.ndarray) -> Disguised:
    """Every second row and column of a larger array, which holds NaN elsewhere if it can."""
    filler = np.nan if array.dtype.kind == "f" else 1
    buffer = np.full([2 * size + 1 for size in array.shape], filler, dtype=array.dtype)
    view = buffer[tuple(slice(1, None, 2) for _ in array.shape)]
    view[...] = array
    return Disguised(view, _numbers(array), buffer)


def _backwards(array: np.ndarray) -> Disguised:
    reverse = (slice(None, None, -1),) * array.ndim
    buffer = array[reverse].copy()
    return Disguised(buffer[reverse], _numbers(array), buffer)


def _read_only(array: np.ndarray) -> Disguised:
    copy = np.array(array, order="C")
    copy.flags.writeable = False
    return Disguised(copy, _numbers(array))


def _unaligned(array: np.ndarray) -> Disguised:
    buffer = np.zeros(array.nbytes + 1, dtype=np.uint8)
    view = buffer[1:].view(array.dtype).reshape(array.shape)
    view[...] = array
    return Disguised(view, _numbers(array), buffer)


def _repeated(array: np.ndarray) -> Disguised:
    """All rows are one row in memory."""
    if array.shape[0] == 0:
        return _plain(array)
    view = np.broadcast_to(array[:1].copy(), array.shape)
    return Disguised(view, _numbers(view))


def _overlapping(array: np.ndarray) -> Disguised:
    """Rows that share entries with the next, as windows over a series do."""
    width = array.shape[1] if array.ndim == 2 else 1
    if array.shape[0] == 0 or width == 0:
        return _plain(array)
    series = np.resize(array.ravel(), array.shape[0] + width - 1)
    windows = np.lib.stride_tricks.sliding_window_view(series, width)
    view = windows if array.ndim == 2 else windows[:, 0]
    return Disguised(view, _numbers(view), series)


def _mapped(array: np.ndarray) -> Disguised:
    if array.size == 0:
        return _plain(array)
    with tempfile.NamedTemporaryFile() as file:
        mapped = np.memmap(file.name, dtype=array.dtype, shape=array.shape, mode="w+")
    mapped[...] = array
    return Disguised(mapped, _numbers(array))


def _matrix(array: np.ndarray) -> Disguised:
    if array.ndim != 2:
        return _plain(array)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        return Disguised(np.matrix(array), _numbers(array))


def _data_frame(array: np.ndarray) -> Disguised:
    native = array.astype(array.dtype.newbyteorder("="))
    if native.dtype.kind == "f" and native.dtype.itemsize not in (4, 8):
        native = native.astype(np.float64)
    if array.ndim == 1:
        return Disguised(pd.Series(native, index=np.arange(len(native))[::-1]), _numbers(array))
    columns = {f"c{j}": column for j, column in enumerate(native.T)}
    frame = pd.DataFrame(columns, index=np.arange(len(native)) + 7)
    return Disguised(frame, _numbers(array))


def _mixed_frame(array: np.ndarray) -> Disguised:
    """Columns of several types, one of them pandas' own with room for missing values."""
    if array.ndim == 1:
        return Disguised(pd.Series(_numbers(array), dtype="Float64"), _numbers(array))
    frame = pd.DataFrame({f"c{j}": column for j, column in enumerate(_numbers(array).T)})
    for j, name in enumerate(frame):
        frame[name] = frame[name].astype(("float64", "Float64", "object")[j % 3])
    return Disguised(frame, _numbers(array))


def _objects(array: np.ndarray) -> Disguised:
    makers = (float, Fraction, Decimal, np.float64)
    copy = np.empty(array.shape, dtype=object)
    for i, index in enumerate(np.ndindex(array.shape)):
        copy[index] = makers[i % len(makers)](float(array[index]))
    return Disguised(copy, _numbers(array))


LAYOUTS = {
    "plain": _plain,
    "Fortran": lambda a: Disguised(np.asfortranarray(a), _numbers(a)),
    "strided": _strided,
    "backwards": _backwards,
    "read-only": _read_only,
    "unaligned": _unaligned,
    "repeated": _repeated,
    "overlapping": _overlapping,
    "memory-mapped": _mapped,
    "matrix": _matrix,
    "subclass": lambda a: Disguised(a.copy().view(Named), _numbers(a)),
    "unmasked": lambda a: Disguised(np.ma.array(a), _numbers(a)),
    "list": lambda a: Disguised(_numbers(a).tolist(), _numbers(a)),
    "tuple of rows": lambda a: Disguised(tuple(_numbers(a)), _numbers(a)),
    "holder": lambda a: Disguised(Holder(a), _numbers(a)),
    "data frame": _data_frame,
    "mixed frame": _mixed_frame,
    "objects": _objects,
}
# Without a shape of their own where there are no rows.
SHAPELESS = ("list", "tuple of rows", "matrix")

tame = st.one_of(
    st.integers(-6, 6).map(float), st.floats(-4.0, 4.0, width=16), st.floats(-4.0, 4.0, width=32)
)


@st.composite
def tables(draw: Any, rows: int, columns: int | None = None, elements: Any = tame) -> np.ndarray:
    """Tame numbers, of shape (rows,) or (rows, columns), with repetitions now and then."""
    shape = (rows,) if columns is None else (rows, columns)
    table = draw(hnp.arrays(np.float64, shape, elements=elements))
    if rows > 1 and draw(st.integers(0, 4)) == 0:
        table[draw(st.integers(1, rows - 1))] = table[0]
    return table


@st.composite
def disguised(draw: Any, table: np.ndarray, dtypes: Any = FLOATS + INTEGERS) -> Disguised:
    """The table, rounded to some dtype, in some layout or container."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    layout = draw(st.sampled_from(sorted(LAYOUTS)))
    if layout in SHAPELESS and table.size == 0:
        layout = "plain"
    array = np.abs(table) if dtype.kind in "ub" else table
    return LAYOUTS[layout](array.astype(dtype))


class _Stubborn:
    """Has a length, and refuses everything else."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, item: Any) -> Any:
        raise TypeError(item)

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise RuntimeError("no array for you")

    def __float__(self) -> float:
        raise OverflowError("no number for you")

    def __repr__(self) -> str:
        return "_Stubborn()"


def _recursive_list() -> list[Any]:
    items: list[Any] = [1.0]
    items.append(items)
    return items


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**31, 2**63, -(2**63) - 1, 2**64, 10**400, -(10**400)]),
    st.floats(),
    st.sampled_from([5e-324, 2.2e-308, 1e-300, 1e300, 1.7e308, -0.0]),
    st.complex_numbers(max_magnitude=10),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.sampled_from([Decimal("NaN"), Decimal("1e5000"), Fraction(1, 3), pd.NA, pd.NaT]),
    st.sampled_from([np.float16(1), np.longdouble(1) * 2, np.int8(-1), np.bool_(True)]),
    st.just(date(2020, 1, 1)),
    st.builds(_Stubborn),
)

_nasty_shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
_nasty_dtypes = st.sampled_from(
    ["f8", "f4", "f2", "g", "i4", "u8", "?", "c16", "M8[s]", "m8[h]", "U2", "S2", "O", "V3"]
)


@st.composite
def _nasty_arrays(draw: Any) -> np.ndarray:
    dtype, shape = np.dtype(draw(_nasty_dtypes)), draw(_nasty_shapes)
    if dtype.kind == "O":
        array = np.empty(shape, dtype=object)
        for index in np.ndindex(*shape):
            array[index] = draw(scalars)
        return array
    array = np.zeros(shape, dtype=dtype)
    if dtype.kind in "fc" and array.size:
        array.flat[draw(st.integers(0, array.size - 1))] = draw(
            st.sampled_from([np.nan, np.inf, -np.inf, 6e4, 1.0])
        )
    return array


nasty = st.one_of(
    scalars,
    st.lists(scalars, max_size=4),
    st.lists(st.lists(scalars, max_size=3), max_size=4),
    _nasty_arrays(),
    _nasty_arrays().map(lambda a: np.ma.masked_array(a, mask=True) if a.dtype.kind == "f" else a),
    st.dictionaries(st.text(max_size=2), scalars, max_size=2),
    st.sampled_from([int, float, np.ndarray, len, lambda X: X, range(4), slice(None), ...]),
    st.builds(_recursive_list),
    st.builds(set),
    st.builds(lambda: (value for value in (1.0, 2.0))),
    st.just(sparse.csr_array(np.eye(3))),
    st.just(pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})),
    st.just(pd.DataFrame({"a": pd.Series([1, None], dtype="Int64")})),
    st.just(pd.Series(["a", "b"], dtype="category")),
    st.just(pd.Series(pd.date_range("2020-01-01", periods=3, tz="UTC"))),
)
"""What no call can make sense of, mostly."""
