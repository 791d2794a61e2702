"""A fixed mean that is linear: against the same as a function, and what users may get wrong."""

import copy
import pickle

import numpy as np
import pytest

import oracles
from gprat import GP
from gprat.exceptions import GpratError, InvalidInputError, UnsupportedTypeError
from gprat.kernels import RBF
from gprat.means import FixedLinear, FixedMean

N, M, D = 30, 6, 2


@pytest.fixture
def data(rng):
    return oracles.random_problem(rng, N, M, D, 2)


@pytest.mark.parametrize("coefficients", [None, [0.5, -2.0]])
def test_it_is_the_mean_that_it_says(coefficients, data):
    X, Y, Xs = data
    slopes = np.zeros(D) if coefficients is None else np.array(coefficients)
    function = FixedMean(lambda X: 3.0 + X @ slopes, lambda X: np.tile(slopes, (len(X), 1)))
    gp, expected = (
        GP(X, Y, RBF(0.8), mean=mean) for mean in (FixedLinear(3.0, coefficients), function)
    )
    assert np.allclose(gp.predict(Xs), expected.predict(Xs), rtol=1e-12)
    assert np.isclose(gp.log_marginal_likelihood(), expected.log_marginal_likelihood())
    one, other = (GP(X, Y[:, 0], mean=mean) for mean in (FixedLinear(3.0, coefficients), function))
    for mine, theirs in zip(one.predict_gradient(Xs), other.predict_gradient(Xs), strict=True):
        assert np.allclose(mine, theirs)
    for mine, theirs in zip(one.input_gradient(), other.input_gradient(), strict=True):
        assert np.allclose(mine, theirs)


def test_it_is_a_value():
    numbers = np.array([0.5, -2.0])
    mean = FixedLinear(np.float32(3.0), numbers)
    numbers[:] = 0.0
    assert repr(mean) == "FixedLinear(intercept=3.0, coefficients=(0.5, -2.0))"
    assert mean == FixedLinear(3, [0.5, -2.0])
    assert mean != FixedLinear(3.0)
    assert hash(mean) == hash(copy.deepcopy(mean))
    assert pickle.loads(pickle.dumps(mean)) == mean


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((np.nan,), InvalidInputError, "intercept of FixedLinear must be one finite number"),
        (([1.0],), InvalidInputError, "intercept of FixedLinear must be one finite number"),
        ((0.0, [1.0, np.inf]), InvalidInputError, "coefficients of FixedLinear must be finite"),
        ((0.0, [[1.0, 2.0]]), InvalidInputError, "coefficients of FixedLinear must be finite"),
        (("one",), UnsupportedTypeError, "intercept of FixedLinear"),
    ],
)
def test_bad_numbers_are_refused(arguments, error, message):
    with pytest.raises(error, match=message) as failure:
        FixedLinear(*arguments)
    assert isinstance(failure.value, GpratError)


def test_coefficients_must_fit_the_features(data):
    X, Y, _ = data
    with pytest.raises(InvalidInputError, match="has 3 coefficients, but the points have 2"):
        GP(X, Y, mean=FixedLinear(0.0, [1.0, 2.0, 3.0]))
