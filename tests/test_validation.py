"""Checks of arguments: what passes is neither copied nor changed, what fails is explained."""

import numpy as np
import pytest
from scipy import sparse

from gprat import _validation as validation
from gprat.exceptions import InvalidInputError, UnsupportedTypeError

FLOAT64, FLOAT32 = np.dtype(np.float64), np.dtype(np.float32)


def matrix(values, dtype=FLOAT64):
    return validation.check_training_inputs(values, dtype)


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32], ids=str)
@pytest.mark.parametrize("order", ["C-contiguous", "read-only", "one column", "subclass"])
def test_usable_arrays_are_not_copied(rng, dtype, order):
    X = rng.normal(size=(6, 1 if order == "one column" else 3)).astype(dtype)
    X.flags.writeable = order != "read-only"
    given = X.view(np.memmap) if order == "subclass" else X
    assert np.shares_memory(matrix(given, dtype), X)


def test_vectors_become_columns_without_a_copy(rng):
    y = rng.normal(size=5)
    column = validation.check_rows(y, "y", 5, FLOAT64)
    assert column.shape == (5, 1)
    assert np.shares_memory(column, y)


def unaligned(X):
    buffer = np.empty(X.nbytes + 1, dtype=np.uint8)
    array = buffer[1:].view(X.dtype).reshape(X.shape)
    array[...] = X
    return array


@pytest.mark.parametrize(
    "variant",
    [
        np.asfortranarray,
        lambda X: np.repeat(X, 2, axis=0)[::2],
        lambda X: X[::-1].copy()[::-1],
        unaligned,
        lambda X: X.astype(X.dtype.newbyteorder()),
        lambda X: X.astype(np.float32),
        lambda X: X.astype(np.int64),
        lambda X: X.astype(np.uint8),
        lambda X: X.astype(np.longdouble),
        lambda X: X.astype(object),
        lambda X: X.tolist(),
        lambda X: np.ma.masked_array(X),
    ],
    ids=[
        "Fortran order",
        "strided",
        "negative stride",
        "unaligned",
        "byte order",
        "float32",
        "int64",
        "uint8",
        "long double",
        "objects",
        "lists",
        "masked array without masked entries",
    ],
)
def test_other_arrays_are_converted(rng, variant):
    expected = rng.integers(0, 200, size=(4, 3)).astype(float)
    given = variant(expected)
    converted = matrix(given)
    assert converted.dtype == FLOAT64
    assert converted.dtype.isnative
    assert type(converted) is np.ndarray
    assert converted.flags.c_contiguous
    assert converted.flags.aligned
    assert np.array_equal(converted, expected)


def test_booleans_become_numbers():
    assert matrix([[True], [False]]).tolist() == [[1.0], [0.0]]


def test_data_frames_are_accepted(rng):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": [True, False]})
    assert matrix(frame).tolist() == [[1.0, 0.5, 1.0], [2.0, 1.5, 0.0]]
    with pytest.raises(UnsupportedTypeError, match="'x' of type str at row 1 column 3"):
        matrix(frame.assign(d=pandas.Series([3, "x"], dtype=object)))


@pytest.mark.parametrize(
    ("dtype", "X", "expected"),
    [
        (None, np.zeros((1, 1), np.float32), FLOAT32),
        (None, np.zeros((1, 1), ">f4"), FLOAT32),
        (None, np.zeros((1, 1), np.float16), FLOAT64),
        (None, np.zeros((1, 1), int), FLOAT64),
        (None, [[1.0]], FLOAT64),
        ("float32", [[1.0]], FLOAT32),
        (float, np.zeros((1, 1), np.float32), FLOAT64),
    ],
)
def test_dtype_follows_the_data_unless_given(dtype, X, expected):
    assert validation.check_dtype(dtype, X) == expected


@pytest.mark.parametrize("dtype", [int, "float16", complex, "nonsense", 3.5])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(UnsupportedTypeError, match=r"numpy\.float64 or numpy\.float32"):
        validation.check_dtype(dtype, [[1.0]])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("position", [(0, 0), (3, 1), (9, 2)])
def test_first_value_that_is_not_finite_is_named(rng, value, position):
    X = rng.normal(size=(10, 3))
    X[position] = value
    X[9, 2] = value
    row, column = position
    with pytest.raises(InvalidInputError, match=rf"(?i){value} at row {row} column {column}"):
        matrix(X)


def test_search_for_nonfinite_values_goes_through_all_blocks(monkeypatch, rng):
    monkeypatch.setattr("gprat._validation.arrays._BLOCK_ENTRIES", 6)
    X = rng.normal(size=(11, 3))
    X[10, 1] = np.nan
    with pytest.raises(InvalidInputError, match="NaN at row 10 column 1"):
        matrix(X)


def test_huge_finite_values_pass_though_their_sum_overflows():
    X = np.full((4, 1), np.finfo(float).max)
    assert matrix(X) is X


def test_values_too_large_for_float32_are_named():
    with pytest.raises(InvalidInputError, match=r"1e\+60 at row 1 column 0, too large for dtype"):
        matrix([[1.0], [1e60]], FLOAT32)


def test_not_a_number_in_a_vector_names_the_row():
    with pytest.raises(InvalidInputError, match=r"y must be finite, got NaN at row 2\. "):
        validation.check_rows([0.0, 1.0, np.nan], "y", 3, FLOAT64)


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (np.ones((2, 2), complex), UnsupportedTypeError, "complex128.*separate columns"),
        ([["a"], ["b"]], UnsupportedTypeError, "real numbers, got dtype <U1"),
        (np.array([[1], ["2.5"]], object), UnsupportedTypeError, "'2.5' of type str at row 1"),
        (np.array([[1], [None]], object), UnsupportedTypeError, "None of type NoneType at row 1"),
        (np.array([["2020-01-01"]], "M8[D]"), UnsupportedTypeError, "Convert times to numbers"),
        (np.zeros((2, 2), "f8,f8"), UnsupportedTypeError, "real numbers, got dtype"),
        (sparse.csr_array(np.eye(3)), UnsupportedTypeError, r"sparse csr_array.*X\.toarray\(\)"),
        ([[1.0, 2.0], [3.0]], InvalidInputError, "same number of values"),
        (np.ma.masked_equal([[1.0], [2.0]], 2.0), InvalidInputError, "masked entries"),
        (np.zeros((2, 2, 2)), InvalidInputError, r"two-dimensional.*\(2, 2, 2\)"),
        ([1.0, 2.0], InvalidInputError, r"reshape\(-1, 1\)"),
        (5.0, InvalidInputError, r"two-dimensional.*shape \(\)"),
        (np.zeros((0, 3)), InvalidInputError, r"at least one row.*\(0, 3\)"),
        (np.zeros((3, 0)), InvalidInputError, r"at least one row and one column.*\(3, 0\)"),
    ],
)
def test_unusable_inputs_are_refused(values, error, message):
    with pytest.raises(error, match=message):
        matrix(values)


@pytest.mark.parametrize(
    "call",
    [
        lambda value: validation.check_positive_integer(value, "it", "Do so."),
        lambda value: validation.check_positive_number(value, "it", "Do so."),
    ],
)
@pytest.mark.parametrize(
    ("value", "error"),
    [(0, InvalidInputError), (-3, InvalidInputError), ("2", UnsupportedTypeError),
     (None, UnsupportedTypeError), (True, UnsupportedTypeError)],
)  # fmt: skip
def test_numbers_that_are_not_positive_are_refused(call, value, error):
    with pytest.raises(error, match=r"it must be .*Do so\."):
        call(value)


def test_fractions_are_not_whole_numbers():
    with pytest.raises(UnsupportedTypeError, match=r"1\.5 of type float"):
        validation.check_positive_integer(1.5, "it", "")
    assert validation.check_positive_integer(np.int32(3), "it", "") == 3


def test_noise_is_copied(rng):
    noise = np.array([0.1, 0.2])
    checked, is_one_for_all = validation.check_noise(noise, 2)
    assert not is_one_for_all
    assert not np.shares_memory(checked, noise)
