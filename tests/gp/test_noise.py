"""Noise that is learned, known, both, or learned by groups of rows."""

import numpy as np
import pytest

import oracles
from gprat import GP
from gprat.exceptions import InvalidInputError
from gprat.kernels import RBF, WhiteKernel

N = 60


@pytest.fixture
def data(rng):
    X, Y, Xs = oracles.random_problem(rng, N, 5, 2, 1)
    return X, Y[:, 0], Xs


KNOWN = np.linspace(0.0, 0.3, N)
GROUPS = np.array(["a", "b", "c"])[np.arange(N) % 3]


def variances(noise, known=0.0, groups=None):
    return known + (noise if groups is None else np.asarray(noise)[np.arange(N) % 3])


@pytest.mark.parametrize(
    ("arguments", "expected", "names"),
    [
        ({"noise": 0.2}, variances(0.2), ("noise_variance",)),
        ({"noise": KNOWN + 0.1}, KNOWN + 0.1, ()),
        ({"noise": 0.2, "known_noise": KNOWN}, variances(0.2, KNOWN), ("noise_variance",)),
        (
            {"noise": [0.1, 0.2, 0.3], "noise_groups": GROUPS},
            variances([0.1, 0.2, 0.3], groups=GROUPS),
            ("noise_variance[a]", "noise_variance[b]", "noise_variance[c]"),
        ),
        (
            {"noise": 0.1, "noise_groups": GROUPS, "known_noise": KNOWN},
            variances([0.1] * 3, KNOWN, GROUPS),
            ("noise_variance[a]", "noise_variance[b]", "noise_variance[c]"),
        ),
        ({"noise": 0.2, "known_noise": KNOWN, "noise_bounds": "fixed"}, variances(0.2, KNOWN), ()),
    ],
)
def test_likelihood_and_gradient(data, arguments, expected, names):
    X, y, Xs = data
    gp = GP(X, y, RBF(0.8), tile_size=25, **arguments)
    assert gp.parameter_names == ("length_scale", *names)
    dense = oracles.Dense(RBF(0.8), X, y, expected, np.empty((N, 0)))
    assert np.isclose(gp.log_marginal_likelihood(), dense.log_marginal_likelihood())
    mean, variance, _ = dense.predict(Xs, np.empty((5, 0)))
    assert np.allclose(gp.predict_with_uncertainty(Xs), (mean[:, 0], variance))
    for evaluate in (gp.log_marginal_likelihood, gp.loo_log_density):
        _, gradient = evaluate(eval_gradient=True)
        for i in range(len(gradient)):
            step = 1e-5 * np.eye(len(gradient))[i]
            change = evaluate(gp.theta + step) - evaluate(gp.theta - step)
            assert np.isclose(gradient[i], change / 2e-5, rtol=1e-6, atol=1e-6)


def test_groups_are_learned_apart(rng):
    X = rng.uniform(-3, 3, (300, 1))
    group = np.arange(300) % 2
    y = np.sin(X[:, 0]) + np.where(group, 0.5, 0.05) * rng.normal(size=300)
    gp = GP(X, y, RBF(1.0), noise=0.1, noise_groups=group)
    gp.optimize()
    assert gp.parameter_names[-2:] == ("noise_variance[0]", "noise_variance[1]")
    assert np.allclose(np.sqrt(gp.noise_variance), [0.05, 0.5], rtol=0.25)


def test_known_noise_is_not_learned_again(rng):
    X = rng.uniform(-3, 3, (300, 1))
    known = rng.uniform(0.01, 0.3, 300)
    y = np.sin(X[:, 0]) + np.sqrt(known + 0.04) * rng.normal(size=300)
    gp = GP(X, y, RBF(1.0), noise=1.0, known_noise=known)
    gp.optimize()
    assert 0.01 < gp.noise_variance < 0.1


def test_noise_may_be_set_again(data):
    X, y, _ = data
    gp = GP(X, y, noise=0.1, noise_groups=GROUPS, known_noise=KNOWN)
    gp.noise_variance = [0.3, 0.2, 0.1]
    assert gp.noise_variance.tolist() == [0.3, 0.2, 0.1]
    same = GP(X, y, noise=[0.3, 0.2, 0.1], noise_groups=GROUPS, known_noise=KNOWN)
    assert gp.log_marginal_likelihood() == same.log_marginal_likelihood()
    gp.noise_variance = 0.5
    assert gp.noise_variance.tolist() == [0.5] * 3
    one = GP(X, y, noise=0.1)
    one.noise_variance = KNOWN + 0.1
    assert one.parameter_names == ("k1__constant_value", "k2__length_scale")
    one.noise_variance = 0.2
    assert one.log_marginal_likelihood() == GP(X, y, noise=0.2).log_marginal_likelihood()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"known_noise": [0.1, 0.2]},
            r"known_noise must be one variance, or one for each of the 60",
        ),
        ({"known_noise": KNOWN - 1.0}, "finite and not negative, got -1.0 at row 0"),
        ({"known_noise": KNOWN, "noise": KNOWN + 1}, "Pass one of them"),
        ({"noise_groups": [1, 2]}, "one label for each of the 60 rows"),
        ({"noise_groups": np.full(N, np.nan)}, "NaN at row 0"),
        ({"noise_groups": GROUPS, "noise": [0.1, 0.2]}, "one for each of 3 rows"),
        ({"noise_groups": GROUPS, "noise": -0.1}, "must be positive"),
    ],
)
def test_bad_noise_is_refused(data, arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        GP(*data[:2], **arguments)


def test_noise_of_new_points_must_be_known(data):
    X, y, Xs = data
    for gp in (GP(X, y, known_noise=KNOWN), GP(X, y, noise_groups=GROUPS)):
        with pytest.raises(InvalidInputError, match="differs between training rows"):
            gp.predict_with_uncertainty(Xs, include_noise=True)
        _, plain = gp.predict_with_uncertainty(Xs)
        _, noisy = gp.predict_with_uncertainty(Xs, include_noise=np.full(5, 0.3))
        assert np.allclose(noisy - plain, 0.3)


def test_noise_that_is_fixed_may_be_zero(data):
    X, y, _ = data
    with_nugget = GP(X, y, RBF(0.1) + WhiteKernel(0.2), noise=0.0, noise_bounds="fixed")
    with_noise = GP(X, y, RBF(0.1), noise=0.2)
    assert np.isclose(with_nugget.loss(), with_noise.loss())
    by_row = GP(X, y, RBF(0.1) + WhiteKernel(0.2), noise=np.zeros(len(y)))
    assert np.isclose(by_row.loss(), with_noise.loss())
    with pytest.raises(InvalidInputError, match="must be positive"):
        GP(X, y, noise=0.0)


def test_one_known_variance_for_all_rows(data):
    X, y, Xs = data
    both = GP(X, y, RBF(0.3), noise=0.2, known_noise=0.1)
    each = GP(X, y, RBF(0.3), noise=0.2, known_noise=np.full(len(y), 0.1))
    assert both.parameter_names == each.parameter_names
    for model in (both, each):
        model.optimize(max_iter=3)
    assert np.allclose(both.theta, each.theta)
    _, latent = both.predict_with_uncertainty(Xs)
    _, observed = both.predict_with_uncertainty(Xs, include_noise=True)
    assert np.allclose(observed - latent, both.noise_variance + 0.1)
