"""Kernels that are evaluated in Python: the same results, and errors that reach the user."""

import os
import signal
import threading

import numpy as np
import pytest
from sklearn.gaussian_process.kernels import Hyperparameter, Kernel, PairwiseKernel

import oracles
from gprat import GP
from gprat.exceptions import InvalidInputError, UnsupportedKernelError
from gprat.kernels import RBF, WhiteKernel


class Twin(RBF):
    """The RBF kernel in disguise: a subclass may compute anything, so it is called."""


class Broken(Kernel):
    """Does what it is told to do wrong."""

    def __init__(self, fault=None, scale=1.0):
        self.fault, self.scale = fault, scale

    @property
    def hyperparameter_scale(self):
        return Hyperparameter("scale", "numeric", (1e-3, 1e3))

    def __call__(self, X, Y=None, eval_gradient=False):
        if self.fault == "raise":
            raise ZeroDivisionError("mine")
        K = self.scale * RBF()(X, Y)
        if self.fault == "shape":
            return K[:, :1]
        if self.fault == "nan":
            K = K * np.nan
        return (K, K[:, :, np.newaxis]) if eval_gradient else K

    def diag(self, X):
        return np.full(len(X), self.scale)

    def is_stationary(self):
        return True


@pytest.fixture
def data(rng):
    X, Y, Xs = oracles.random_problem(rng, 70, 9, 2, 2)
    return X, Y, Xs


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("threads", [1, 2])
def test_same_results_as_compiled(data, dtype, threads):
    X, Y, Xs = data
    options = {"noise": 0.2, "tile_size": 16, "threads": threads, "dtype": dtype, "mean": "linear"}
    called = GP(X, Y, 1.5 * Twin([0.7, 1.2]) + WhiteKernel(0.1), **options)
    compiled = GP(X, Y, 1.5 * RBF([0.7, 1.2]) + WhiteKernel(0.1), **options)
    tolerance = 1e-9 if dtype == np.float64 else 2e-3
    assert called.parameter_names == compiled.parameter_names
    for method in ("log_marginal_likelihood", "loo_log_density"):
        values = [getattr(gp, method)(eval_gradient=True) for gp in (called, compiled)]
        assert np.isclose(values[0][0], values[1][0], rtol=tolerance)
        assert np.allclose(values[0][1], values[1][1], rtol=tolerance, atol=tolerance * 10)
    for method in ("predict_with_uncertainty", "predict_with_full_cov"):
        for one, other in zip(
            getattr(called, method)(Xs), getattr(compiled, method)(Xs), strict=True
        ):
            assert np.allclose(one, other, rtol=tolerance, atol=tolerance)
    assert np.allclose(called.loo().mean, compiled.loo().mean, atol=tolerance)
    assert np.allclose(called.sample(Xs, 2, 0), compiled.sample(Xs, 2, 0), atol=10 * tolerance)


def test_training(data):
    X, Y, _ = data
    called, compiled = GP(X, Y, 1.5 * Twin(0.7)), GP(X, Y, 1.5 * RBF(0.7))
    assert np.isclose(called.optimize().fun, compiled.optimize().fun, rtol=1e-8)
    assert type(called.kernel.k2) is Twin


def test_pairwise_kernel(data):
    X, Y, Xs = data
    kernel = PairwiseKernel(metric="laplacian", gamma=0.5)
    gp = GP(X, Y, kernel, 0.2, tile_size=30)
    dense = oracles.Dense(kernel, X, Y, 0.2, np.empty((70, 0)))
    assert np.isclose(gp.log_marginal_likelihood(), dense.log_marginal_likelihood())
    assert np.allclose(gp.predict(Xs), dense.predict(Xs, np.empty((9, 0)))[0])


@pytest.mark.parametrize("threads", [1, 2])
def test_errors_come_out_as_they_are(data, threads):
    X, Y, Xs = data
    gp = GP(X, Y, Broken("raise"), tile_size=16, threads=threads)
    for call in (gp.loss, lambda: gp.loss(eval_gradient=True), lambda: gp.predict(Xs)):
        with pytest.raises(ZeroDivisionError, match="mine"):
            call()


def test_nonsense_is_refused(data):
    X, Y, _ = data
    with pytest.raises(UnsupportedKernelError, match=r"Broken.*shape"):
        GP(X, Y, Broken("shape"), tile_size=16).loss()
    with pytest.raises(InvalidInputError, match="Broken"):
        GP(X, Y, Broken("nan"), tile_size=16).loss()


def test_no_derivatives_by_inputs(data):
    X, Y, Xs = data
    gp = GP(X, Y, Twin())
    for call in (gp.input_gradient, lambda: gp.predict_gradient(Xs)):
        with pytest.raises(UnsupportedKernelError, match=r"evaluated in Python, because.*Twin"):
            call()


def evaluate_for_ever(gp):
    while True:
        gp.theta = gp.theta + 1e-3
        gp.loss()


@pytest.mark.parametrize("threads", [1, 2])
def test_interruption(rng, threads):
    X = rng.normal(size=(3000, 2))
    gp = GP(X, X[:, 0], Twin(), tile_size=64, threads=threads)
    timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        evaluate_for_ever(gp)
    timer.join()
