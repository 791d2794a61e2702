"""Many tiles a side, as machines with many processors have them, change nothing but the tasks."""

import numpy as np
import pytest

import gprat
from gprat.kernels import RBF, ConstantKernel

N = 331
FINE, COARSE = 20, 100  # 17 tiles a side, the last of them one row high, or 4


def make_model(rng, n_outputs, **options):
    X = rng.normal(size=(N, 2))
    Y = np.sin(X[:, :1]) + rng.normal(size=(N, n_outputs))
    return gprat.GP(X, Y, ConstantKernel(1.5) * RBF([0.8, 1.3]), noise=0.3, **options)


# The solves with more than eight vectors are cut in another way.
@pytest.mark.parametrize("n_outputs", [1, 9])
def test_fine_tiles_give_what_coarse_ones_do(rng, n_outputs):
    state = rng.bit_generator.state
    fine = make_model(rng, n_outputs, tile_size=FINE)
    rng.bit_generator.state = state
    coarse = make_model(rng, n_outputs, tile_size=COARSE)
    for a, b in zip(
        fine.log_marginal_likelihood(fine.theta, eval_gradient=True),
        coarse.log_marginal_likelihood(coarse.theta, eval_gradient=True),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)
    for m in (5, 40):
        points = rng.normal(size=(m, 2))
        for a, b in zip(
            fine.predict_with_full_cov(points), coarse.predict_with_full_cov(points), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)
        for a, b in zip(
            fine.predict_with_uncertainty(points),
            coarse.predict_with_uncertainty(points),
            strict=True,
        ):
            np.testing.assert_allclose(a, b, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("n_outputs", [1, 9])
def test_results_do_not_depend_on_the_number_of_threads(rng, n_outputs):
    gprat.runtime.start(threads=4)
    model = make_model(rng, n_outputs, tile_size=FINE)
    values = []
    for threads in (1, 4):
        with gprat.runtime.limit(threads):
            values.append(model.log_marginal_likelihood(model.theta, eval_gradient=True))
    assert values[0][0] == values[1][0]
    np.testing.assert_array_equal(values[0][1], values[1][1])
