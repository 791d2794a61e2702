"""Rows appended and deleted: equal to a new model but for rounding, and all or nothing."""

import copy
import threading

import numpy as np
import pytest

import oracles
from gprat import GP
from gprat.exceptions import (
    InvalidInputError,
    NotPositiveDefiniteError,
    UnsupportedTypeError,
)
from gprat.kernels import RBF, ConstantKernel, Matern, WhiteKernel

N = 61
KERNEL = 1.5 * Matern([0.7, 1.3], nu=2.5)
TILES = pytest.mark.parametrize("tile_size", [1, 16, 500, "auto"])


@pytest.fixture
def data(rng):
    """Inputs, two outputs, test points."""
    return oracles.random_problem(rng, N, 7, 2, 2)


def results(gp, Xs):
    loo = gp.loo()
    mean, variance = gp.predict_with_uncertainty(Xs)
    return {
        "log marginal likelihood": gp.log_marginal_likelihood(),
        "mean": mean,
        "variance": variance,
        "alpha": gp.alpha,
        "trend": gp.trend_coefficients,
        "trend covariance": gp.trend_covariance,
        "loo mean": loo.mean,
        "loo variance": loo.variance,
        "loo density": loo.log_density,
        "cholesky": gp.cholesky(),
    }


def assert_same_model(gp, other, Xs):
    """Compare everything to within rounding, relative to n·ε·cond(K)."""
    assert np.array_equal(gp.X, other.X)
    assert np.array_equal(gp.y, other.y)
    assert gp.y.shape == other.y.shape
    assert gp.tile_size == other.tile_size
    assert np.array_equal(gp.theta, other.theta)
    assert gp.parameter_names == other.parameter_names
    assert str(gp) == str(other)
    epsilon = np.finfo(gp.dtype).eps
    tolerance = 10 * len(gp.X) * epsilon * max(10.0, other.condition_number())
    actual, expected = results(gp, Xs), results(other, Xs)
    for name, value in expected.items():
        scale = max(1.0, np.abs(value).max(initial=0.0))
        assert np.shape(actual[name]) == np.shape(value), name
        difference = np.abs(actual[name] - value).max(initial=0.0)
        assert difference <= tolerance * scale, (name, difference, tolerance * scale)


def with_factor(gp):
    gp.log_marginal_likelihood()
    return gp


@TILES
@pytest.mark.parametrize("mean", ["zero", "linear", lambda X: np.sin(X[:, 0])])
@pytest.mark.parametrize("n", [4, 48, 60])
def test_append(data, n, mean, tile_size):
    X, Y, Xs = data
    arguments = {"noise": 0.2, "mean": mean, "tile_size": tile_size}
    gp = with_factor(GP(X[:n], Y[:n], KERNEL, **arguments))
    gp.append(X[n:], Y[n:])
    assert_same_model(gp, GP(X, Y, KERNEL, **arguments), Xs)


@TILES
@pytest.mark.parametrize(
    "indices",
    [0, -1, 30, [0, 5, 6, 40, 60], slice(2, 55), np.arange(N) % 3 == 1, range(59)],
    ids=lambda indices: type(indices).__name__,
)
@pytest.mark.parametrize("mean", ["constant", lambda X: np.sin(X[:, 0])])
def test_delete(data, indices, mean, tile_size):
    X, Y, Xs = data
    arguments = {"noise": 0.2, "mean": mean, "tile_size": tile_size}
    gp = with_factor(GP(X, Y, KERNEL, **arguments))
    gp.delete(indices)
    rest = np.delete(np.arange(N), indices)
    assert_same_model(gp, GP(X[rest], Y[rest], KERNEL, **arguments), Xs)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("tile_size", [7, 16])
def test_many_updates_one_after_the_other(data, rng, dtype, tile_size):
    X, Y, Xs = data
    rows = np.arange(20)
    gps = [
        with_factor(
            GP(X[rows], Y[rows, 0], KERNEL, 0.3, tile_size=tile_size, threads=t, dtype=dtype)
        )
        for t in (1, 2, 4)
    ]
    for step in range(12):
        if step % 3 == 2:
            gone = rng.choice(len(rows), 3, replace=False)
            rows = np.delete(rows, gone)
            for gp in gps:
                gp.delete(gone)
        else:
            new = rng.choice(np.setdiff1d(np.arange(N), rows), 1 + step, replace=False)[:4]
            rows = np.concatenate([rows, new])
            for gp in gps:
                gp.append(X[new], Y[new, 0])
        if step % 2:  # so that some updates start from a factor without solves
            gps[0].predict(Xs)
    fresh = GP(X[rows], Y[rows, 0], KERNEL, 0.3, tile_size=tile_size, dtype=dtype)
    assert_same_model(gps[0], fresh, Xs)
    reference = results(gps[0], Xs)
    for gp in gps[1:]:
        for name, value in results(gp, Xs).items():
            assert np.array_equal(value, reference[name]), name


def test_appended_rows_can_be_deleted_again(data):
    X, Y, _ = data
    gp = with_factor(GP(X[:40], Y[:40], KERNEL, 0.2))
    before = gp.cholesky()
    gp.append(X[40:], Y[40:])
    gp.delete(range(40, N))
    # The last rows leave nothing behind.
    assert np.array_equal(gp.cholesky(), before)
    gp.append(X[:0], Y[:0])
    gp.delete([])
    assert np.array_equal(gp.cholesky(), before)


KNOWN = np.linspace(0.1, 0.4, N)
GROUPS = np.array(["a", "b", "c"])[np.arange(N) % 3]
# What the model is made with, and which of it belongs to rows.
NOISES = [
    ({"noise": 0.2}, ()),
    ({"noise": KNOWN}, ("noise",)),
    ({"noise": 0.2, "known_noise": KNOWN}, ("known_noise",)),
    ({"noise": 0.2, "known_noise": 0.1}, ()),
    ({"noise": [0.1, 0.2, 0.3], "noise_groups": GROUPS}, ("noise_groups",)),
    (
        {"noise": [0.1, 0.2, 0.3], "noise_groups": GROUPS, "known_noise": KNOWN},
        ("noise_groups", "known_noise"),
    ),
]


@pytest.mark.parametrize(("arguments", "by_row"), NOISES)
def test_every_kind_of_noise(data, arguments, by_row):
    X, Y, Xs = data

    def of_rows(rows):
        return arguments | {name: arguments[name][rows] for name in by_row}

    gp = with_factor(GP(X[:50], Y[:50], KERNEL, **of_rows(slice(50))))
    rest = slice(50, None)
    gp.append(X[rest], Y[rest], **{name: arguments[name][rest] for name in by_row})
    assert_same_model(gp, GP(X, Y, KERNEL, **arguments), Xs)
    gp.delete(slice(0, None, 2))
    odd = np.arange(1, N, 2)
    assert_same_model(gp, GP(X[odd], Y[odd], KERNEL, **of_rows(odd)), Xs)


@pytest.mark.parametrize(("arguments", "by_row"), NOISES)
def test_noise_that_is_missing_or_out_of_place_is_refused(data, arguments, by_row):
    X, Y, _ = data
    gp = GP(X, Y, KERNEL, **arguments)
    enough = {name: arguments[name][:1] for name in by_row}
    for name in {"noise", "known_noise", "noise_groups"} - set(by_row):
        if name == "noise" or name not in arguments:
            with pytest.raises(InvalidInputError, match=f"{name} has no place in this model"):
                gp.append(X[:1], Y[:1], **enough, **{name: [1]})
    for name in by_row:
        too_little = {other: value for other, value in enough.items() if other != name}
        with pytest.raises(InvalidInputError, match=f"{name} differs between rows"):
            gp.append(X[:1], Y[:1], **too_little)
    assert gp.X.shape == (N, 2)


@pytest.mark.parametrize("name", ["noise", "known_noise"])
def test_one_variance_serves_all_new_rows(data, name):
    X, Y, _ = data
    gps = [GP(X[:50], Y[:50], **{name: KNOWN[:50]}) for _ in range(2)]
    for gp, variance in zip(gps, (0.3, np.full(N - 50, 0.3)), strict=True):
        gp.append(X[50:], Y[50:], **{name: variance})
    assert gps[0].log_marginal_likelihood() == gps[1].log_marginal_likelihood()


def test_groups_keep_their_names_and_variances(data):
    X, Y, _ = data
    gp = GP(X, Y, KERNEL, [0.1, 0.2, 0.3], noise_groups=GROUPS)
    names, theta = gp.parameter_names, gp.theta
    gp.delete(GROUPS == "b")
    assert gp.parameter_names == names
    assert np.array_equal(gp.theta, theta)
    _, gradient = gp.log_marginal_likelihood(eval_gradient=True)
    assert gradient[names.index("noise_variance[b]")] == 0.0
    gp.noise_variance = [0.3, 0.2, 0.1]
    assert gp.parameter_names == names
    gp.append(X[:2], Y[:2], noise_groups=["b", "a"])
    known = np.concatenate([np.where(GROUPS == "a", 0.3, 0.1)[GROUPS != "b"], [0.2, 0.3]])
    same = GP(gp.X, gp.y, KERNEL, known)
    assert np.isclose(gp.log_marginal_likelihood(), same.log_marginal_likelihood())
    with pytest.raises(InvalidInputError, match=r"label 'd'.*labels are 'a', 'b', 'c'"):
        gp.append(X[:2], Y[:2], noise_groups=["b", "d"])


def test_white_noise_and_python_kernels(data):
    X, Y, Xs = data

    class OwnRBF(RBF):
        pass

    for kernel in (KERNEL + WhiteKernel(0.2), ConstantKernel(0.9) * OwnRBF(0.8)):
        for tile_size in (16, 7):
            gp = with_factor(GP(X[:30], Y[:30], kernel, tile_size=tile_size))
            gp.append(X[30:], Y[30:])
            gp.delete([3, 33])
            rest = np.delete(np.arange(N), [3, 33])
            assert_same_model(gp, GP(X[rest], Y[rest], kernel, tile_size=tile_size), Xs)


@TILES
def test_one_row_may_grow_to_many(rng, tile_size):
    X = rng.normal(size=(300, 2))
    gp = with_factor(GP(X[:1], X[:1, 0], KERNEL, tile_size=tile_size))
    for start, end in ((1, 2), (2, 30), (30, 300)):
        gp.append(X[start:end], X[start:end, 0])
    assert_same_model(gp, GP(X, X[:, 0], KERNEL, tile_size=tile_size), X[:5])
    gp.delete(slice(1, None))
    assert_same_model(gp, GP(X[:1], X[:1, 0], KERNEL, tile_size=tile_size), X[:5])


def test_training_goes_on(data):
    X, Y, _ = data
    gp = GP(X[:40], Y[:40], KERNEL, 0.1)
    gp.optimize(max_iter=3)
    theta = gp.theta
    gp.append(X[40:], Y[40:])
    assert np.array_equal(gp.theta, theta)
    before = gp.loss()
    gp.optimize_step()
    gp.optimize()
    assert gp.loss() < before


def test_without_a_factor_only_the_data_change(data):
    X, Y, _ = data
    gp = GP(np.vstack([X, X[:1]]), np.vstack([Y, Y[:1]]), RBF(), noise=1e-300)
    with pytest.raises(NotPositiveDefiniteError):
        gp.log_marginal_likelihood()
    # Deleting mends a model that has no factor.
    gp.delete(slice(2, None))
    assert np.isfinite(gp.log_marginal_likelihood())


def test_a_shallow_copy_shares_the_factor_and_goes_its_own_way(data):
    X, Y, Xs = data
    gp = with_factor(GP(X[:48], Y[:48], KERNEL, noise=0.2))
    other = copy.copy(gp)
    assert np.shares_memory(gp._posterior.factor(), other._posterior.factor())
    other.append(X[48:], Y[48:])
    other.delete(0)
    assert_same_model(other, GP(X[1:], Y[1:], KERNEL, noise=0.2), Xs)
    other.theta = other.theta + 0.1
    assert_same_model(gp, GP(X[:48], Y[:48], KERNEL, noise=0.2), Xs)


def test_a_failure_changes_nothing(data):
    X, Y, Xs = data
    gp = with_factor(GP(X, Y, RBF(0.01), noise=1e-300))
    before = results(gp, Xs)
    far = [[100.0, 0.0], [200.0, 0.0], [100.0, 0.0]]
    with pytest.raises(NotPositiveDefiniteError) as failure:
        gp.append(far, Y[:3])
    assert failure.value.row == N + 2
    assert failure.value.near_duplicates == (N,)
    assert gp.X.shape == (N, 2)
    assert all(np.array_equal(results(gp, Xs)[name], value) for name, value in before.items())


class Interrupts(RBF):
    """Evaluated in Python; the next call ends in what Ctrl-C raises."""

    is_armed = False

    def __call__(self, X, Y=None, eval_gradient=False):
        if Interrupts.is_armed:
            raise KeyboardInterrupt
        return super().__call__(X, Y, eval_gradient)


def test_ctrl_c_changes_nothing(data, monkeypatch):
    X, Y, Xs = data
    gp = with_factor(GP(X[:50], Y[:50], Interrupts(), 0.1))
    before = results(gp, Xs)
    monkeypatch.setattr(Interrupts, "is_armed", True)
    with pytest.raises(KeyboardInterrupt):
        gp.append(X[50:], Y[50:])
    monkeypatch.setattr(Interrupts, "is_armed", False)
    assert gp.X.shape == (50, 2)
    assert all(np.array_equal(results(gp, Xs)[name], value) for name, value in before.items())
    gp.append(X[50:], Y[50:])
    assert_same_model(gp, GP(X, Y, Interrupts(), 0.1), Xs)


def test_threads_predict_while_rows_come_and_go(data):
    X, Y, Xs = data
    gp = GP(X[:40], Y[:40], KERNEL, KNOWN[:40], tile_size=16)
    expected = [gp.predict(Xs)]
    full = GP(X, Y, KERNEL, KNOWN, tile_size=16)
    expected.append(full.predict(Xs))
    failures, done = [], threading.Event()

    def read():
        while not done.is_set():
            mean = gp.predict(Xs)
            if min(np.abs(mean - e).max() for e in expected) > 1e-8:
                failures.append(mean)
            loo, value = gp.loo(), gp.loo_log_density(gp.theta)
            if loo.mean.shape[0] not in (40, N) or not np.isfinite(value):
                failures.append(value)

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    for _ in range(10):
        gp.append(X[40:], Y[40:], noise=KNOWN[40:])
        gp.delete(range(40, N))
    done.set()
    for reader in readers:
        reader.join()
    assert not failures


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        ([[0.0]], [[1.0, 2.0]], "must have the 2 features"),
        ([[0.0, 1.0]], [1.0], "the 2 outputs of the training data, got 1"),
        ([[0.0, 1.0]], [[1.0, 2.0], [3.0, 4.0]], "one row for each of the 1 rows"),
        ([[0.0, np.nan]], [[1.0, 2.0]], "must be finite"),
        ([[0.0, 1.0]], [[1.0, np.inf]], "must be finite"),
    ],
)
def test_bad_rows_are_refused(data, X, y, message):
    gp = GP(*data[:2])
    with pytest.raises(InvalidInputError, match=message):
        gp.append(X, y)
    assert gp.X.shape == (N, 2)


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        (N, InvalidInputError, rf"indices has {N}, and there are {N} rows.*from -{N} to {N - 1}"),
        ([0, -N - 1], InvalidInputError, f"indices has -{N + 1}"),
        ([0.0, 1.0], UnsupportedTypeError, "whole numbers"),
        ("first", UnsupportedTypeError, "whole numbers"),
        (None, UnsupportedTypeError, "whole numbers"),
        ([[1], [1, 2]], InvalidInputError, "whole numbers"),
        (np.ones(3, dtype=bool), InvalidInputError, rf"must have shape \({N},\)"),
        (np.ones(N, dtype=bool), InvalidInputError, f"all {N} rows would be deleted"),
        (slice(None), InvalidInputError, "needs at least one"),
        (slice(1, None), InvalidInputError, "the mean has 3 coefficients, more than the 1 rows"),
    ],
)
def test_bad_indices_are_refused(data, indices, error, message):
    gp = GP(*data[:2], mean="linear")
    with pytest.raises(error, match=message):
        gp.delete(indices)
    assert gp.X.shape == (N, 2)


def test_rows_named_twice_are_deleted_once(data):
    X, Y, _ = data
    gp = GP(X, Y)
    gp.delete([3, -1, 3, N - 1])
    assert np.array_equal(gp.X, np.delete(X, [3, N - 1], axis=0))
