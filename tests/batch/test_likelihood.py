"""Likelihoods and gradients of all members, against the dense reference and single models."""

import numpy as np
import pytest

from batch.members import FORMS, KERNEL, draw_data, draw_theta, likelihood_of
from gprat import GP, GPBatch
from gprat.kernels import RBF


@pytest.mark.parametrize("form", FORMS)
def test_likelihoods_are_those_of_the_reference(rng, form):
    X, y, pairs = draw_data(rng, form)
    batch = GPBatch(X, y, KERNEL)
    theta = draw_theta(rng, batch)
    values, gradients = batch.log_marginal_likelihood(theta, eval_gradient=True)
    for i, (Xi, yi) in enumerate(pairs):
        value, gradient = likelihood_of(KERNEL, theta[i], Xi, yi)
        assert values[i] == pytest.approx(value, rel=1e-9, abs=1e-9)
        np.testing.assert_allclose(gradients[i], gradient, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(batch.log_marginal_likelihood(theta), values, rtol=1e-12)


def test_every_kernel(rng, kernel):
    X, y, pairs = draw_data(rng, "list", b=3)
    batch = GPBatch(X, y, kernel, noise=0.2)
    values, gradients = batch.log_marginal_likelihood(eval_gradient=True)
    for i, (Xi, yi) in enumerate(pairs):
        value, gradient = GP(Xi, yi, kernel, 0.2).log_marginal_likelihood(eval_gradient=True)
        assert values[i] == pytest.approx(value, rel=1e-9, abs=1e-9)
        np.testing.assert_allclose(gradients[i], gradient, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("mean", ["constant", "linear", lambda X: 2.0 - X[:, 0]])
@pytest.mark.parametrize("form", FORMS)
def test_means_are_those_of_single_models(rng, form, mean):
    X, y, pairs = draw_data(rng, form, n=9)
    X = [Xi[:3] if i == 0 else Xi for i, Xi in enumerate(X)] if form == "list" else X
    if form == "list":
        y = [yi[: len(Xi)] for Xi, yi in zip(X, y, strict=True)]
        X = [np.vstack([Xi, rng.standard_normal((3, 2))]) for Xi in X]
        y = [np.append(yi, rng.standard_normal(3)) for yi in y]
        pairs = list(zip(X, y, strict=True))
    batch = GPBatch(X, y, KERNEL, mean=mean)
    values, gradients = batch.log_marginal_likelihood(eval_gradient=True)
    for i, (Xi, yi) in enumerate(pairs):
        value, gradient = GP(Xi, yi, KERNEL, mean=mean).log_marginal_likelihood(eval_gradient=True)
        assert values[i] == pytest.approx(value, rel=1e-9)
        np.testing.assert_allclose(gradients[i], gradient, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_results_do_not_depend_on_threads_or_neighbours(rng, dtype):
    sizes = [3, 200, 1, 600, 33, 64]
    X = [rng.standard_normal((n, 2)).astype(dtype) for n in sizes]
    y = [rng.standard_normal(n).astype(dtype) for n in sizes]
    alone = [GPBatch([Xi], [yi], KERNEL, threads=1) for Xi, yi in zip(X, y, strict=True)]
    expected = [batch.log_marginal_likelihood(eval_gradient=True) for batch in alone]
    for threads in (1, 2, 4):
        batch = GPBatch(X, y, KERNEL, threads=threads)
        assert batch.dtype == dtype
        values, gradients = batch.log_marginal_likelihood(eval_gradient=True)
        assert values.tolist() == [float(value[0]) for value, _ in expected]
        assert gradients.tolist() == [gradient[0].tolist() for _, gradient in expected]


def test_single_precision_is_near_double(rng):
    X, y, _ = draw_data(rng, "stacked")
    double = GPBatch(X, y, KERNEL).log_marginal_likelihood(eval_gradient=True)
    single = GPBatch(X, y, KERNEL, dtype=np.float32).log_marginal_likelihood(eval_gradient=True)
    for a, b in zip(double, single, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-3)


def test_fixed_hyperparameters_are_not_in_theta(rng):
    X, y, pairs = draw_data(rng, "stacked", d=1)
    noise = rng.uniform(0.1, 1.0, size=5)
    batch = GPBatch(X, y, 2.0 * RBF(1.0, "fixed"), noise=noise, noise_bounds="fixed")
    assert batch.parameter_names == ("k1__constant_value",)
    value, gradient = batch.log_marginal_likelihood(eval_gradient=True)
    assert gradient.shape == (5, 1)
    for i, (Xi, yi) in enumerate(pairs):
        gp = GP(Xi, yi, 2.0 * RBF(1.0, "fixed"), noise=noise[i], noise_bounds="fixed")
        single = gp.log_marginal_likelihood(eval_gradient=True)
        np.testing.assert_allclose([value[i], gradient[i, 0]], [single[0], single[1][0]])


def test_arrays_are_not_copied(rng):
    X, y = rng.standard_normal((4, 6, 2)), rng.standard_normal((4, 6))
    batch = GPBatch(X, y)
    before = batch.log_marginal_likelihood()
    assert np.shares_memory(batch[2].X, X)
    assert np.shares_memory(batch[2].y, y)
    y[2] += 1.0
    after = batch.log_marginal_likelihood()
    assert after[2] != before[2]
    assert np.delete(after, 2).tolist() == np.delete(before, 2).tolist()


@pytest.mark.parametrize("sequence", [list, tuple])
def test_single_precision_is_that_of_all_members(rng, sequence):
    X, y, _ = draw_data(rng, "list", b=3)
    single = [points.astype(np.float32) for points in X]
    assert GPBatch(sequence(single), y).dtype == np.float32
    for mixed in ([single[0], *X[1:]], [X[0], *single[1:]]):
        batch = GPBatch(sequence(mixed), y, KERNEL)
        assert batch.dtype == np.float64
        exact = GPBatch([points.astype(np.float64) for points in mixed], y, KERNEL)
        values = batch.log_marginal_likelihood()
        assert values.tolist() == exact.log_marginal_likelihood().tolist()
    assert GPBatch(sequence(X), y, dtype="float32").dtype == np.float32
