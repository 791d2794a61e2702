"""What a conditioned process tells before anything is computed."""

import numpy as np
import pytest
from sklearn.gaussian_process import kernels

from gprat.differentiation import Regression, Wanted
from gprat.exceptions import InvalidInputError, UnsupportedKernelError
from gprat.kernels import RBF, ConstantKernel, DotProduct, WhiteKernel
from gprat.means import FixedMean
from oracles import random_problem


class PythonRBF(kernels.RBF):
    """A kernel that gprat doesn't know, and calls."""


@pytest.fixture
def data(rng):
    X, Y, Xs = random_problem(rng, 12, 6, 2, 2)
    return X, Y, Xs


@pytest.mark.parametrize("wanted", [Wanted.X, Wanted.XS, Wanted.X | Wanted.THETA])
def test_what_has_no_derivatives_is_refused_early(wanted, data):
    X, Y, _ = data
    in_python = Regression(PythonRBF(0.9)).condition(X, Y)
    with pytest.raises(UnsupportedKernelError, match="evaluated in Python"):
        in_python.check_wanted(wanted)
    in_python.check_wanted(Wanted.THETA | Wanted.NOISE | Wanted.Y)
    mean = FixedMean(lambda X: X[:, 0])
    with pytest.raises(InvalidInputError, match="derivative of the mean"):
        Regression(RBF(), mean=mean).condition(X, Y).check_wanted(wanted)
    with pytest.raises(InvalidInputError, match="mean_coefficients"):
        Regression(RBF(), mean="linear").condition(X, Y).check_wanted(Wanted.MEAN_COEFFICIENTS)


@pytest.mark.parametrize("mean", ["zero", "linear", "quadratic"])
def test_what_has_derivatives_passes(mean, data):
    X, Y, _ = data
    regression = Regression(RBF(), mean=mean)
    everything = ~Wanted.MEAN_COEFFICIENTS
    regression.condition(X, Y).check_wanted(everything)
    if mean != "zero":
        coefficients = np.ones((len(regression.coefficient_names(2)), 2))
        regression.condition(X, Y, mean_coefficients=coefficients).check_wanted(~Wanted.NOTHING)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_prior_variances_are_the_kernel_s(dtype, rng, data):
    X, Y, Xs = (values.astype(dtype) for values in data)
    kernel = ConstantKernel(1.3) * RBF(0.8) + DotProduct(0.4) + WhiteKernel(0.1)
    regression = Regression(kernel)
    theta = kernel.theta + 0.3 * rng.standard_normal(len(kernel.theta))
    conditioned = regression.condition(X, Y, theta.astype(dtype))
    variance = conditioned.prior_variance(Xs.reshape(3, 2, 2))
    assert variance.shape == (3, 2)
    assert variance.dtype == dtype
    expected = kernel.clone_with_theta(theta).diag(Xs.astype(np.float64))
    assert np.allclose(variance.ravel(), expected, rtol=10 * np.finfo(dtype).eps)
    assert np.array_equal(regression.kernel_at(theta).theta, kernel.clone_with_theta(theta).theta)
