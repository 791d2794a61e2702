"""Several models that learn the same hyperparameters."""

import pickle

import numpy as np
import pytest

import oracles
from gprat import GP
from gprat.exceptions import InvalidInputError, UnsupportedTypeError
from gprat.kernels import RBF, ConstantKernel


@pytest.fixture
def models(rng):
    X, Y, _ = oracles.random_problem(rng, 70, 5, 2, 1)
    kernel = ConstantKernel(1.0) * RBF([1.0, 1.0])
    return [GP(X[rows], Y[rows, 0], kernel) for rows in (slice(40), slice(30, 70))]


def test_the_sum_of_the_losses_is_minimised(models):
    first, second = models
    result = first.optimize(partners=[second])
    assert np.array_equal(first.theta, second.theta)
    losses, gradients = zip(*(model.loss(eval_gradient=True) for model in models), strict=True)
    assert np.isclose(result.fun, sum(losses))
    inside = ~np.isin(first.theta, first.bounds)
    assert np.abs(np.sum(gradients, axis=0)[inside]).max() < 0.05
    assert first.training_ is not None
    assert second.training_ is None


def test_partners_start_where_the_first_model_is(models):
    first, second = models
    second.theta = second.theta + 1.0
    result = first.optimize(partners=[second], max_iter=1)
    assert np.isclose(result.loss_history[-1], first.loss() + second.loss())


def test_restarts_with_partners_do_not_depend_on_threads(models):
    results = []
    for threads in (1, 2):
        first, second = (GP(m.X, m.y, m.kernel, threads=threads, tile_size=16) for m in models)
        first.optimize(partners=[second], n_restarts=2, random_state=1)
        results.append(second.theta)
    assert np.array_equal(*results)


def test_partners_that_do_not_fit_are_refused(models):
    first, second = models
    with pytest.raises(UnsupportedTypeError, match=r"partners\[0\] must be a gprat.GP"):
        first.optimize(partners=[3])
    other = GP(second.X, second.y, RBF(1.0))
    with pytest.raises(InvalidInputError, match="length_scale, noise_variance, not those"):
        first.optimize(partners=[other])
    with pytest.raises(InvalidInputError, match="cannot be combined with partners"):
        first.optimize(partners=[second], warm_start=(10,))


def test_models_are_pickled_without_their_factor(models):
    gp = models[0]
    mean = gp.predict(gp.X)
    copy = pickle.loads(pickle.dumps(gp))
    assert len(pickle.dumps(gp)) < 20_000
    assert np.array_equal(copy.predict(gp.X), mean)
    assert np.array_equal(copy.theta, gp.theta)
    assert repr(copy) == repr(gp)


def test_weights_of_the_training_points(models):
    gp = models[0]
    assert np.allclose(gp.alpha, gp.solve(gp.y))
    assert gp.alpha.shape == gp.y.shape
