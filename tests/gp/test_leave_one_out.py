"""Leave-one-out against n refits, as a result and as what training maximises."""

import numpy as np
import pytest

import oracles
from gprat import GP
from gprat.exceptions import InvalidInputError
from gprat.kernels import RBF


@pytest.fixture
def data(rng):
    X, Y, _ = oracles.random_problem(rng, 31, 5, 2, 2)
    return X, Y


@pytest.mark.parametrize("noise", [0.1, np.linspace(0.05, 0.3, 31)], ids=["scalar", "per row"])
@pytest.mark.parametrize("tile_size", [7, 31])
def test_loo_is_n_refits(data, kernel, noise, tile_size):
    X, Y = data
    loo = GP(X, Y, kernel, noise, tile_size=tile_size).loo()
    for i in (0, 13, 30):
        rest = np.arange(31) != i
        rest_noise = noise if np.ndim(noise) == 0 else noise[rest]
        own_noise = noise if np.ndim(noise) == 0 else noise[i]
        refit = GP(X[rest], Y[rest], kernel, rest_noise)
        mean, variance = refit.predict_with_uncertainty(X[[i]], include_noise=[own_noise])
        assert np.allclose(loo.mean[i], mean[0], rtol=1e-7, atol=1e-8)
        assert np.allclose(loo.variance[i], variance[0], rtol=1e-7)
        residual = (Y[i] - mean[0]) / np.sqrt(variance[0])
        assert np.allclose(loo.standardized_residuals[i], residual, rtol=1e-6, atol=1e-7)
        density = -0.5 * (residual**2 + np.log(2 * np.pi * variance[0]))
        assert np.allclose(loo.log_density[i], density, rtol=1e-6, atol=1e-6)


def test_shapes_are_those_of_the_targets(data):
    X, Y = data
    for y, shape in ((Y, (31, 2)), (Y[:, 0], (31,))):
        loo = GP(X, y, dtype=np.float32).loo()
        assert loo.mean.shape == loo.log_density.shape == loo.standardized_residuals.shape == shape
        assert loo.variance.shape == (31,)
        assert loo.mean.dtype == loo.variance.dtype == np.float32


def test_training_may_maximise_it(data):
    X, Y = data
    kernel = RBF([1.0, 1.0])
    gp = GP(X, Y, kernel, objective="leave_one_out")
    other = GP(X, Y, kernel)
    assert gp.loss() == -gp.loo_log_density()
    gp.optimize()
    other.optimize()
    assert gp.training_.success
    assert gp.loo_log_density() > other.loo_log_density()
    _, gradient = gp.loo_log_density(eval_gradient=True)
    assert np.abs(gradient).max() < 0.05


def test_value_with_and_without_gradient_agree(data, kernel):
    gp = GP(*data, kernel, tile_size=9)
    value, _ = gp.loo_log_density(eval_gradient=True)
    assert np.isclose(value, gp.loo_log_density(), rtol=1e-10)


def test_unknown_objectives_are_refused(data):
    for objective in ("loo", ["leave_one_out"], None):
        with pytest.raises(InvalidInputError, match=r"unknown objective.*'leave_one_out'"):
            GP(*data, objective=objective)


def test_a_row_that_alone_determines_a_coefficient_is_predicted_by_no_other(rng):
    X = rng.uniform(-1, 1, size=(9, 1))
    y = np.sin(X[:, 0])
    mean = [lambda Z: np.ones(len(Z)), lambda Z: (Z[:, 0] == X[4, 0]) * 1.0]
    gp = GP(X, y, RBF(), noise=1e-3, mean=mean)
    loo = gp.loo()
    rest = np.arange(9) != 4
    assert (loo.variance > 0).all()
    assert loo.variance[4] == np.inf
    assert np.isnan(loo.mean[4])
    assert np.isnan(loo.standardized_residuals[4])
    assert loo.log_density[4] == gp.loo_log_density() == -np.inf
    # The coefficient takes the row out of everything else.
    others = GP(X[rest], y[rest], RBF(), noise=1e-3, mean="constant").loo()
    assert np.allclose(loo.mean[rest], others.mean)
    assert np.allclose(loo.variance[rest], others.variance)
