"""The estimator agrees with scikit-learn's, survives conversions, and never changes its inputs."""

import pickle
import tempfile
import warnings
from pathlib import Path

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor as Peer

import gprat
from fuzz.journal import fuzzed
from fuzz.strategies_arrays import fingerprint, tables
from fuzz.strategies_kernels import kernels
from gprat import GaussianProcessRegressor
from gprat.exceptions import GpratError, UnsupportedKernelError
from gprat.kernels import plain_clone


@st.composite
def problems(draw, missing=False):
    """Data, test points and arguments that both classes take."""
    n, m, d = draw(st.integers(2, 9)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    X, points = draw(tables(n, d)), draw(tables(m, d))
    y = draw(tables(n, draw(st.sampled_from([None, 1, 2, 3]))))
    if missing:
        holes = draw(st.lists(st.integers(0, y.size - 1), max_size=3))
        y.flat[holes] = np.nan
    by_row = np.linspace(0.0625, 0.25, n)
    arguments = {
        # scikit-learn's class takes no compound of one kernel.
        "kernel": plain_clone(draw(kernels(d))),
        "alpha": draw(st.sampled_from([0.0625, 0.5, by_row])),
        "normalize_y": draw(st.booleans()),
        "optimizer": None,
    }
    return X, y, points, arguments


def _quietly(call, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return call(*arguments, **options)


def _fit(kind, X, y, arguments):
    try:
        return _quietly(kind(**arguments).fit, X, y)
    except np.linalg.LinAlgError:
        return None


def _well_conditioned(ours, X):
    return max(gp.condition_number() for gp in ours.gps_) < 1e7


@fuzzed(problem=problems())
def test_answers_are_those_of_scikit_learn(problem):
    X, y, points, arguments = problem
    before = fingerprint(X), fingerprint(y), fingerprint(points)
    ours, theirs = (_fit(kind, X, y, arguments) for kind in (GaussianProcessRegressor, Peer))
    if ours is None or theirs is None:
        return
    assume(_well_conditioned(ours, X))
    mean, std = _quietly(ours.predict, points, return_std=True)
    their_mean, their_std = _quietly(theirs.predict, points, return_std=True)
    _, covariance = _quietly(ours.predict, points, return_cov=True)
    _, their_covariance = _quietly(theirs.predict, points, return_cov=True)
    assert (fingerprint(X), fingerprint(y), fingerprint(points)) == before
    size = 1.0 + np.abs(y).max()
    prior = float(ours.kernel_.diag(np.concatenate([X, points])).max()) * size**2
    close = 1e-8 * max(gp.condition_number() for gp in ours.gps_) ** 0.5
    assert_allclose(mean, their_mean, rtol=close, atol=close * size * (1 + prior))
    assert_allclose(std**2, their_std**2, rtol=close, atol=close * (1 + prior))
    assert_allclose(covariance, their_covariance, rtol=close, atol=close * (1 + prior))
    likelihood = theirs.log_marginal_likelihood_value_
    assert_allclose(ours.log_marginal_likelihood_value_, likelihood, rtol=close, atol=close * size)


@fuzzed(problem=problems(missing=True), noise=st.sampled_from([None, 0.25]))
def test_conversions_keep_the_model(problem, noise):
    X, y, points, arguments = problem
    assume(not np.isnan(y).reshape(len(y), -1).all(axis=0).any())
    model = _fit(
        GaussianProcessRegressor, X, y, {**arguments, "noise": noise, "nan_policy": "omit"}
    )
    assume(model is not None)
    expected = _quietly(model.predict, points, return_std=True)
    copies = {
        "pickle": pickle.loads(pickle.dumps(model)),
        "file": _saved(model),
        "refitted": _fit(type(model), X, y, clone(model).get_params(deep=False)),
    }
    for name, copied in copies.items():
        if copied is not None:
            for a, b in zip(
                _quietly(copied.predict, points, return_std=True), expected, strict=True
            ):
                assert_array_equal(a, b, err_msg=name)
    if not np.isnan(y).any() and _well_conditioned(model, X):
        there = gprat.to_sklearn(model)
        back = gprat.from_sklearn(there)
        assert_allclose(_quietly(there.predict, points), expected[0], rtol=1e-5, atol=1e-5)
        assert_allclose(_quietly(back.predict, points), expected[0], rtol=1e-5, atol=1e-5)


def _saved(model):
    """The model from a file; None if it is code in part."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.gprat"
        try:
            model.save(path)
        except UnsupportedKernelError:
            return None
        return gprat.load(path)


@fuzzed(problem=problems(missing=True), rows=st.integers(1, 8), gone=st.lists(st.integers(0, 3)))
def test_rows_come_and_go(problem, rows, gone):
    X, y, points, arguments = problem
    # One variance in an array is one for all rows, as in scikit-learn.
    first = min(max(rows, 1 + np.ndim(arguments["alpha"])), len(X) - 1)
    assume(first > np.ndim(arguments["alpha"]))
    assume(not np.isnan(y[:first]).reshape(first, -1).all(axis=0).any())
    arguments = {**arguments, "normalize_y": False, "nan_policy": "omit"}
    alpha = arguments["alpha"]
    by_row = np.ndim(alpha) == 1
    model = _fit(
        GaussianProcessRegressor,
        X[:first],
        y[:first],
        {**arguments, "alpha": alpha[:first] if by_row else alpha},
    )
    assume(model is not None)
    kept = np.delete(np.arange(len(X)), np.unique([i for i in gone if i < len(X)]).astype(int))
    assume(len(kept) > 0)
    assume(not np.isnan(y[kept]).reshape(len(kept), -1).all(axis=0).any())
    try:
        _quietly(model.append, X[first:], y[first:], **({"alpha": alpha[first:]} if by_row else {}))
        _quietly(model.delete, [i for i in gone if i < len(X)])
    except np.linalg.LinAlgError:
        return
    fresh = _fit(
        GaussianProcessRegressor,
        X[kept],
        y[kept],
        {**arguments, "alpha": alpha[kept] if by_row else alpha},
    )
    if fresh is None or not _well_conditioned(fresh, X):
        return
    assert_array_equal(model.y_train_, fresh.y_train_)
    for a, b in zip(
        _quietly(model.predict, points, return_std=True),
        _quietly(fresh.predict, points, return_std=True),
        strict=True,
    ):
        assert_allclose(a, b, rtol=1e-4, atol=1e-4 * (1.0 + np.nanmax(np.abs(y))))


@fuzzed(problem=problems(), seed=st.integers(0, 100), steps=st.integers(0, 1))
def test_training_ends_within_the_bounds(problem, seed, steps):
    X, y, points, arguments = problem
    model = GaussianProcessRegressor(
        **{**arguments, "optimizer": "fmin_l_bfgs_b"},
        n_restarts_optimizer=steps,
        random_state=seed,
        noise=0.25,
    )
    bounds = arguments["kernel"].bounds
    try:
        _quietly(model.fit, X, y)
    except GpratError:
        return
    theta = model.kernel_.theta
    low, high = np.reshape(bounds, (-1, 2)).T
    inside = (theta >= low - 1e-12) & (theta <= high + 1e-12)
    assert inside.all(), (theta, bounds)
    assert np.isfinite(_quietly(model.predict, points)).all()
