"""Members that fail: named where that is an error, and harmless to the others where not."""

import pickle

import numpy as np
import pytest
from scipy.stats import uniform

from batch.members import KERNEL, draw_data, draw_points
from gprat import GPBatch
from gprat.exceptions import (
    InsufficientMemoryError,
    InvalidInputError,
    NotPositiveDefiniteError,
    RankDeficientTrendError,
    ResultOverflowError,
    UnsupportedKernelError,
    UnsupportedTypeError,
)
from gprat.kernels import RBF, ConstantKernel, Kernel


def singular(rng, b=6, n=8, bad=3):
    """Return data of which those of one member begin with a row twice.

    With a kernel of variance 1, its second pivot is 1 − 1 on any machine.
    """
    X, y, _ = draw_data(rng, "stacked", b=b, n=n)
    X[bad, 1] = X[bad, 0]
    return X, y


def test_a_singular_member_is_named(rng):
    X, y = singular(rng)
    batch = GPBatch(X, y, RBF([0.8, 1.7]), noise=0.0, noise_bounds="fixed")
    calls = [
        batch.log_marginal_likelihood,
        lambda: batch.log_marginal_likelihood(eval_gradient=True),
        lambda: batch.predict(X[0]),
        lambda: batch.predict_with_uncertainty(X),
        lambda: batch.optimize(),
    ]
    before = batch.theta
    for call in calls:
        with pytest.raises(
            NotPositiveDefiniteError, match=r"member 3: .*row 1 from row 0"
        ) as caught:
            call()
        assert (caught.value.row, caught.value.near_duplicates) == (1, (0,))
        assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert batch.theta.tolist() == before.tolist()
    assert list(batch.errors()) == [3]
    assert str(batch.errors()[3]) == str(caught.value)


def test_others_go_on_without_a_singular_member(rng):
    X, y = singular(rng)
    Xs, _ = draw_points(rng, "shared", b=6)
    options = {"kernel": RBF([0.8, 1.7]), "noise": 0.0, "noise_bounds": "fixed"}
    batch = GPBatch(X, y, **options, on_failure="nan")
    good = np.arange(6) != 3
    alone = GPBatch(X[good], y[good], **options)
    value, gradient = batch.log_marginal_likelihood(eval_gradient=True)
    expected = alone.log_marginal_likelihood(eval_gradient=True)
    assert value[3] == batch.log_marginal_likelihood()[3] == -np.inf
    assert np.isnan(gradient[3]).all()
    assert value[good].tolist() == expected[0].tolist()
    assert gradient[good].tolist() == expected[1].tolist()
    for got, single in (
        (batch.predict_with_uncertainty(Xs), alone.predict_with_uncertainty(Xs)),
        (batch.predict_with_full_cov(Xs), alone.predict_with_full_cov(Xs)),
    ):
        for a, b in zip(got, single, strict=True):
            assert np.isnan(a[3]).all()
            assert a[good].tolist() == b.tolist()
    start = batch.theta
    report = batch.optimize()
    alone.optimize()
    assert report.failed.tolist() == (~good).tolist()
    assert "no loss at the start: member 3" in str(report)
    assert batch.theta[3].tolist() == start[3].tolist()
    assert batch.theta[good].tolist() == alone.theta.tolist()


def test_data_that_are_no_numbers(rng):
    X, y, _ = draw_data(rng, "list")
    X[1][1, 1], y[4][0] = np.nan, np.inf
    with pytest.raises(InvalidInputError, match="member 1: X must be finite, got NaN at row 1 col"):
        GPBatch(X, y)
    batch = GPBatch(X, y, on_failure="nan", mean="constant")
    value = batch.log_marginal_likelihood()
    assert np.isneginf(value).tolist() == [False, True, False, False, True]
    assert [str(e) for e in batch.errors().values()] == [
        "member 1: X must be finite, got NaN at row 1 column 1. Drop that row or fill in a value.",
        "member 4: y must be finite, got inf at row 0. Drop that row or fill in a value.",
    ]
    report = batch.optimize(n_restarts=1, random_state=0)
    assert report.failed.tolist() == [False, True, False, False, True]
    assert np.isnan(batch.predict(X[0])).all(axis=1).tolist() == report.failed.tolist()
    with pytest.raises(InvalidInputError, match="member 4: y"):
        batch[4]
    y_shared = rng.standard_normal((3, 4))
    y_shared[2, 3] = np.nan
    with pytest.raises(InvalidInputError, match="member 2: y must be finite, got NaN at row 3"):
        GPBatch(rng.standard_normal((4, 2)), y_shared)


def test_a_trend_that_a_member_cannot_tell(rng):
    X, y, _ = draw_data(rng, "stacked")
    X[2, :, 1] = 1.0
    batch = GPBatch(X, y, KERNEL, mean="linear")
    with pytest.raises(RankDeficientTrendError, match=r"member 2: .*x\[1\] is a linear"):
        batch.log_marginal_likelihood()
    X, y, _ = draw_data(rng, "list")
    X[3], y[3] = X[3][:2], y[3][:2]
    with pytest.raises(InvalidInputError, match=r"member [0-9]: the mean has 3 coef"):
        GPBatch(X, y, mean="linear")


def test_results_out_of_range(rng):
    X, y, _ = draw_data(rng, "stacked")
    y[2] *= 1e200
    with pytest.raises(ResultOverflowError, match="member 2"):
        GPBatch(X, y, KERNEL).log_marginal_likelihood(eval_gradient=True)
    tolerant = GPBatch(X, y, KERNEL, on_failure="nan")
    value, gradient = tolerant.log_marginal_likelihood(eval_gradient=True)
    assert np.isneginf(value).tolist() == [False, False, True, False, False]
    assert tolerant.optimize().failed.tolist() == [False, False, True, False, False]
    assert np.isnan(gradient).all(axis=1).tolist() == [False, False, True, False, False]


def test_a_start_without_a_prior_density(rng):
    X, y, _ = draw_data(rng, "stacked", b=3)
    priors = {"length_scale": uniform(10.0, 5.0)}
    batch = GPBatch(X, y, RBF(12.0), priors=priors)
    theta = batch.theta
    theta[1, 0] = 0.0
    batch.theta = theta
    assert np.isinf(batch.loss()).tolist() == [False, True, False]
    with pytest.raises(InvalidInputError, match="member 1: the loss at the start is infinite"):
        batch.optimize()
    assert batch.theta.tolist() == theta.tolist()
    report = batch.optimize(n_restarts=2, random_state=0)
    assert not report.failed.any()
    assert (report.values[:, 0] >= 10.0).all()


class Own(RBF):
    """A kernel that cannot be compiled."""


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        (([], []), {}, InvalidInputError, "X must have shape"),
        ((np.zeros((2, 3, 1)), np.zeros(3)), {}, InvalidInputError, r"y must have shape \(2, 3\)"),
        ((np.zeros((3, 1)), np.zeros(3)), {}, InvalidInputError, r"y must have shape \(b, 3\)"),
        ((np.zeros((3, 1)), np.zeros((0, 3))), {}, InvalidInputError, "y must have shape"),
        ((np.zeros((2, 0, 1)), np.zeros((2, 0))), {}, InvalidInputError, "at least one row"),
        (([[[0.0]], [[0.0]]], [[1.0]]), {}, InvalidInputError, "for each of the 2 members.*got 1"),
        (([[[0.0]], [[0.0]]], 1.0), {}, InvalidInputError, "for each of the 2 members.*got none"),
        (([[[0.0]], [[0.0, 1.0]]], [[1.0], [2.0]]), {}, InvalidInputError, "member 1: X has 2 fea"),
        (([[[0.0]], [[0.0]]], [[1.0], [2.0, 3.0]]), {}, InvalidInputError, "member 1: y must have"),
        (([[[0.0]], [0.0]], [[1.0], [2.0]]), {}, InvalidInputError, "member 1: X must have shape"),
        (([[[0.0]], [["a"]]], [[1.0], [2.0]]), {}, UnsupportedTypeError, "member 1: X must hold"),
        (([[0.0]], [[1.0]]), {"on_failure": "skip"}, InvalidInputError, "on_failure"),
        (([[0.0]], [[1.0]]), {"noise": [1.0, 2.0]}, InvalidInputError, "each of the 1 members"),
        (([[0.0]], [[1.0]]), {"noise": [0.0]}, InvalidInputError, "member 0: noise is a variance"),
        (([[0.0]], [[1.0]]), {"kernel": Own()}, UnsupportedKernelError, "evaluated in Python"),
        (([[0.0]], [[1.0]]), {"kernel": RBF([1.0, 1.0])}, InvalidInputError, "length_scale"),
        (([[0.0]], [[1.0]]), {"threads": 0}, InvalidInputError, "threads"),
        (([[0.0]], [[1.0]]), {"dtype": "int"}, UnsupportedTypeError, "dtype"),
    ],
)
def test_bad_arguments(arguments, options, error, message):
    with pytest.raises(error, match=message):
        GPBatch(*arguments, **options)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda b: b.predict(np.zeros((3, 2, 1))), InvalidInputError, "each of the 2 members"),
        (lambda b: b.predict(np.zeros((3, 2))), InvalidInputError, "the 1 features"),
        (lambda b: b.predict([[[0.0]], [[np.nan]]]), InvalidInputError, "member 1: X must be fin"),
        (lambda b: b.predict([[np.nan]]), InvalidInputError, "^X must be finite"),
        (lambda b: b.predict_with_uncertainty([[0.0]], 0.1), InvalidInputError, "include_noise"),
        (lambda b: b.log_marginal_likelihood(np.zeros((3, 3))), InvalidInputError, "theta must"),
        (
            lambda b: setattr(b, "theta", [[0, 0, 0], [0, 0, 800]]),
            InvalidInputError,
            "member 1: th",
        ),
        (lambda b: setattr(b, "noise_variance", [1.0, -1.0]), InvalidInputError, "member 1: noise"),
        (lambda b: b.optimize(max_iter=0), InvalidInputError, "max_iter"),
        (lambda b: b.optimize(n_restarts=-1), InvalidInputError, "n_restarts"),
        (lambda b: b.optimize(fixed=["length"]), InvalidInputError, "'length'"),
        (lambda b: b.optimize(fixed=3), UnsupportedTypeError, "fixed"),
        (lambda b: b.optimize(callback=3), UnsupportedTypeError, "callback"),
        (lambda b: b.optimize(progress=3), UnsupportedTypeError, "progress"),
        (lambda b: b[2], IndexError, "2 members, and no member 2"),
        (lambda b: b["first"], UnsupportedTypeError, "whole numbers"),
    ],
)
def test_bad_calls(call, error, message):
    batch = GPBatch([[0.0], [1.0]], [[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(error, match=message):
        call(batch)


def test_too_little_memory(rng):
    X, y, _ = draw_data(rng, "stacked", n=100)
    batch = GPBatch(X, y, memory_limit=10_000)
    for call in (batch.log_marginal_likelihood, lambda: batch.predict(X[0]), batch.optimize):
        with pytest.raises(InsufficientMemoryError, match=r"memory_limit allows 9\.77 KiB"):
            call()
    assert isinstance(batch.kernel, Kernel)


def test_hyperparameters_that_theta_cannot_stand_for_are_refused():
    """The exponential of a logarithm below -700 may be zero, for which there is no kernel."""
    X, y = [[0.0], [1.0]], [[1.0, 2.0]]
    with pytest.raises(InvalidInputError, match="logarithm of length_scale"):
        GPBatch(X, y, RBF(5e-324))
    batch = GPBatch(X, y, RBF(1.0))
    with pytest.raises(InvalidInputError, match="logarithm of noise_variance"):
        batch.noise_variance = 5e-324
    assert batch.noise_variance.tolist() == [0.1]


def test_noise_beyond_the_range_spoils_its_member_alone():
    X, y = np.zeros((1, 1), np.float32), np.zeros((2, 1), np.float32)
    batch = GPBatch(X, y, RBF(1.0), noise=[1.0, 1e160], on_failure="nan")
    for predict in (batch.predict_with_uncertainty, batch.predict_with_full_cov):
        mean, spread = predict(X, include_noise=True)
        assert (mean[0], spread[0]) == (0.0, 1.5)
        assert np.isnan(mean[1]).all()
        assert np.isnan(spread[1]).all()


def test_huge_targets_are_learned_without_warnings():
    """Squares of the slopes of the loss overflow; warnings are errors here."""
    batch = GPBatch([[[0.0]]], [[3e77]], RBF(1.0), noise=1.0)
    start = batch.loss()
    report = batch.optimize(max_iter=3, n_restarts=1, random_state=0)
    assert (report.loss <= start).all()


def test_likelihoods_beyond_the_range_are_no_numbers():
    """Squares of such targets overflow to infinity on either side of a difference."""
    X = np.zeros((6, 1))
    y = np.zeros((2, 6))
    y[0, 3] = 1e160
    options = {"kernel": ConstantKernel(1e-300) * RBF(1.0), "noise": 1e-300}
    batch = GPBatch(X, y, **options, on_failure="nan")
    assert np.isneginf(batch.log_marginal_likelihood()[0])
    assert np.isfinite(batch.log_marginal_likelihood()[1])
    assert isinstance(batch.errors()[0], ResultOverflowError)
    with pytest.raises(ResultOverflowError, match="member 0: the log marginal likelihood"):
        GPBatch(X, y, **options).log_marginal_likelihood()


def test_gradients_beyond_the_range_warn_of_nothing_else():
    y = np.zeros((3, 6))
    y[2, 5] = 1e300
    batch = GPBatch(np.zeros((6, 1)), y, RBF(1.0), noise=1e160)
    with pytest.raises(ResultOverflowError, match="member 2"):
        batch.log_marginal_likelihood(eval_gradient=True)
