"""Everything that users can get wrong in a call: the error says what came and what to do."""

import numpy as np
import pytest
from scipy import sparse

from gprat import GP
from gprat.exceptions import (
    GpratError,
    InvalidInputError,
    NotPositiveDefiniteError,
    UnsupportedTypeError,
)
from gprat.kernels import RBF, DotProduct, Matern

X = np.linspace(0.0, 1.0, 12).reshape(6, 2)
Y = np.arange(6.0)


@pytest.fixture
def gp():
    return GP(X, Y)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"X": Y}, InvalidInputError, r"X must be two-dimensional.*reshape\(-1, 1\)"),
        ({"X": X[:0], "y": Y[:0]}, InvalidInputError, "X must have at least one row"),
        ({"X": X * 1j}, UnsupportedTypeError, "X must hold real numbers, got dtype complex128"),
        ({"X": sparse.csr_array(X)}, UnsupportedTypeError, r"X is a sparse.*X\.toarray\(\)"),
        ({"y": Y[:5]}, InvalidInputError, "one row for each of the 6 rows of X, got 5"),
        ({"y": 3.0}, InvalidInputError, r"y must have shape \(n,\) or \(n, k\) with n = 6"),
        ({"y": np.zeros((6, 0))}, InvalidInputError, "y must have at least one column"),
        ({"y": np.zeros((6, 1, 1))}, InvalidInputError, r"got shape \(6, 1, 1\)"),
        ({"y": ["a"] * 6}, UnsupportedTypeError, "y must hold real numbers"),
        ({"y": [0, 1, 2, 3, np.inf, 5]}, InvalidInputError, "y must be finite, got inf at row 4"),
        ({"noise": 0.0}, InvalidInputError, "noise is a variance and must be positive"),
        ({"noise": -1.0}, InvalidInputError, r"got -1\.0"),
        ({"noise": np.nan}, InvalidInputError, "got nan"),
        ({"noise": np.inf}, InvalidInputError, "got inf"),
        ({"noise": "small"}, UnsupportedTypeError, "noise must hold real numbers"),
        ({"noise": None}, UnsupportedTypeError, "noise must hold real numbers, got None"),
        ({"noise": [0.1, 0.2]}, InvalidInputError, r"one for each of 6 rows, got shape \(2,\)"),
        ({"noise": [1, 1, 1, -1, 1, 1]}, InvalidInputError, r"got -1\.0 at row 3"),
        ({"noise": np.ones((6, 1))}, InvalidInputError, r"got shape \(6, 1\)"),
        ({"noise_bounds": (1.0, 0.1)}, InvalidInputError, "0 < lower <= upper"),
        ({"noise_bounds": (0.0, 0.1)}, InvalidInputError, "0 < lower <= upper"),
        ({"noise_bounds": "free"}, InvalidInputError, 'must be "fixed" or a pair'),
        ({"noise_bounds": None}, InvalidInputError, 'must be "fixed" or a pair'),
        ({"tile_size": 0}, InvalidInputError, "tile_size must be at least 1, got 0"),
        ({"tile_size": -2}, InvalidInputError, "tile_size must be at least 1"),
        ({"tile_size": 2.5}, UnsupportedTypeError, "tile_size must be a positive whole number"),
        ({"tile_size": "large"}, UnsupportedTypeError, '"auto"'),
        ({"tile_size": True}, UnsupportedTypeError, "got True of type bool"),
        ({"threads": 0}, InvalidInputError, "threads must be at least 1"),
        ({"threads": 1.5}, UnsupportedTypeError, "threads must be a positive whole number"),
        ({"dtype": "float16"}, UnsupportedTypeError, "'float16'"),
        ({"kernel": RBF}, UnsupportedTypeError, "make an instance"),
        ({"kernel": "rbf"}, UnsupportedTypeError, "kernel must be a kernel"),
        ({"kernel": RBF([1.0, 1.0, 1.0])}, InvalidInputError, "3 values but the data has 2"),
        ({"kernel": Matern(nu=-0.7)}, InvalidInputError, "nu of Matern must be"),
    ],
)
def test_construction(arguments, error, message):
    with pytest.raises(error, match=message) as raised:
        GP(**{"X": X, "y": Y, **arguments})
    assert isinstance(raised.value, GpratError)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda gp: gp.predict(X[:, :1]), InvalidInputError, "2 features.*with 1. Pass the same"),
        (lambda gp: gp.predict(X[0]), InvalidInputError, r"X\.reshape\(1, -1\) for one point"),
        (lambda gp: gp.predict([]), InvalidInputError, "two-dimensional"),
        (lambda gp: gp.predict([[1.0, np.nan]]), InvalidInputError, "NaN at row 0 column 1"),
        (lambda gp: gp.predict_with_uncertainty("X"), UnsupportedTypeError, "real numbers"),
        (lambda gp: gp.predict_with_full_cov(None), UnsupportedTypeError, "real numbers"),
        (
            lambda gp: gp.predict_with_uncertainty(X, include_noise=0.1),
            UnsupportedTypeError,
            r"must be True, False, or an array of shape \(6,\).*numpy\.full",
        ),
        (
            lambda gp: gp.predict_with_full_cov(X, include_noise=[0.1]),
            InvalidInputError,
            r"include_noise must be.*shape \(6,\)",
        ),
        (lambda gp: gp.solve(Y[:4]), InvalidInputError, "B must have one row for each of the 6"),
        (lambda gp: gp.solve(Y * np.nan), InvalidInputError, "B must be finite"),
        (lambda gp: gp.log_marginal_likelihood([1.0]), InvalidInputError, r"\(3,\).*noise_var"),
        (lambda gp: gp.log_marginal_likelihood("x"), UnsupportedTypeError, "theta must hold"),
        (
            lambda gp: gp.log_marginal_likelihood([0.0, np.nan, 0.0]),
            InvalidInputError,
            "got nan for the logarithm of k2__length_scale",
        ),
        (
            lambda gp: gp.log_marginal_likelihood([0.0, 0.0, 800.0]),
            InvalidInputError,
            "between -700 and 700",
        ),
        (lambda gp: gp.log_marginal_likelihood([900.0, 0, 0]), InvalidInputError, "and 700"),
        (lambda gp: gp.optimize("newton"), InvalidInputError, "'l-bfgs-b' or 'adam'"),
        (lambda gp: gp.optimize(None), InvalidInputError, "unknown optimizer None"),
        (lambda gp: gp.optimize(max_iter=0), InvalidInputError, "max_iter must be at least 1"),
        (lambda gp: gp.optimize(max_iter=1.5), UnsupportedTypeError, "max_iter must be a positive"),
        (lambda gp: gp.optimize(learning_rate=0.1), InvalidInputError, "Leave out learning_rate"),
        (
            lambda gp: gp.optimize("adam", learning_rate=-1),
            InvalidInputError,
            "learning_rate must be positive",
        ),
        (lambda gp: gp.optimize(callback=3), UnsupportedTypeError, "callback must be callable"),
        (lambda gp: gp.optimize_step(0), InvalidInputError, "learning_rate must be positive"),
        (lambda gp: gp.optimize_step("fast"), UnsupportedTypeError, "learning_rate must be a"),
        (lambda gp: setattr(gp, "theta", [0.0]), InvalidInputError, "theta must have shape"),
        (lambda gp: setattr(gp, "noise_variance", 0), InvalidInputError, "noise_variance is a"),
    ],
)
def test_calls(gp, call, error, message):
    before = gp.predict(X)
    with pytest.raises(error, match=message) as raised:
        call(gp)
    assert isinstance(raised.value, GpratError)
    assert np.array_equal(gp.predict(X), before), "a refused call changes nothing"


def test_noise_of_observations_needs_one_variance_for_all_points():
    gp = GP(X, Y, noise=np.full(6, 0.1))
    with pytest.raises(InvalidInputError, match=r"differs between training rows.*shape \(2,\)"):
        gp.predict_with_uncertainty(X[:2], include_noise=True)


def test_near_duplicates_are_named():
    X = np.array([[0.0], [5.0], [1.0], [0.0], [9.0]])
    gp = GP(X, np.zeros(5), RBF(), noise=1e-20)
    with pytest.raises(NotPositiveDefiniteError) as raised:
        gp.loss()
    error = raised.value
    assert isinstance(error, np.linalg.LinAlgError)
    assert (error.row, error.near_duplicates) == (3, (0,))
    for part in ("row 3", "from row 0", "noise variance 1e-20", "larger noise", "jitter"):
        assert part in str(error)


def test_many_duplicates_are_counted():
    gp = GP(np.ones((100, 1)), np.zeros(100), RBF(), noise=1e-20)
    with pytest.raises(NotPositiveDefiniteError, match="row 1 from row 0") as raised:
        gp.cholesky()
    assert raised.value.near_duplicates == (0,)


def test_duplicates_of_other_scale_are_found():
    X = np.array([[1e6, 0.0], [0.0, 1e3], [1e6, 0.0]])
    with pytest.raises(NotPositiveDefiniteError) as raised:
        GP(X, np.zeros(3), DotProduct(1e-200), noise=1e-20).loss()
    assert raised.value.near_duplicates == (0,)


def test_distinct_but_dependent_rows_are_not_called_duplicates():
    # Three points and a kernel of rank two.
    X = [[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]
    gp = GP(X, np.zeros(3), DotProduct(1e-200), noise=1e-20)
    with pytest.raises(NotPositiveDefiniteError, match="rows before it determine") as raised:
        gp.loss()
    assert (raised.value.row, raised.value.near_duplicates) == (2, ())


def test_kernel_that_overflows_is_named():
    gp = GP([[1.0], [1e200]], [0.0, 0.0], DotProduct(1.0))
    with pytest.raises(NotPositiveDefiniteError, match="row 1 of X the kernel gives NaN or inf"):
        gp.loss()


def test_failure_leaves_the_model_usable():
    gp = GP(np.zeros((2, 1)), [1.0, 2.0], RBF(), noise=1e-20)
    for _ in range(2):
        with pytest.raises(NotPositiveDefiniteError):
            gp.predict([[0.0]])
    gp.noise_variance = 0.5
    assert np.allclose(gp.predict([[0.0]]), 3.0 / 2.5)
