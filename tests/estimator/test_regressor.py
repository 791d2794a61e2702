"""The estimator: what scikit-learn's gives, and what goes beyond it."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from joblib import Parallel, delayed
from scipy.stats import lognorm
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.gaussian_process import GaussianProcessRegressor as Peer
from sklearn.gaussian_process.kernels import GenericKernelMixin, Kernel
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import gprat
from gprat import GaussianProcessRegressor
from gprat.exceptions import DataWarning, InvalidInputError, NotPositiveDefiniteError
from gprat.kernels import (
    RBF,
    ConstantKernel,
    DotProduct,
    ExpSineSquared,
    Matern,
    RationalQuadratic,
    WhiteKernel,
)

KERNELS = {
    "RBF": ConstantKernel(2.0) * RBF([1.0, 2.0]),
    "Matern": Matern([1.0, 2.0], nu=1.5),
    "sum": RationalQuadratic(1.5, 0.7) + DotProduct(0.5) + WhiteKernel(0.1),
    "periodic": ExpSineSquared(1.0, 3.0) * RBF(2.0),
}


@pytest.fixture
def data(rng):
    X = rng.uniform(-2, 2, size=(60, 2))
    y = 3 * np.sin(X[:, 0]) + X[:, 1] ** 2 + 0.1 * rng.normal(size=60)
    return X, y, rng.uniform(-2, 2, size=(17, 2))


def two_outputs(y):
    return np.stack([y, 100.0 - 7.0 * y[::-1]], axis=1)


@pytest.mark.parametrize("several", [False, True])
@pytest.mark.parametrize("normalize_y", [False, True])
@pytest.mark.parametrize("name", KERNELS)
def test_predictions_are_those_of_scikit_learn(data, name, normalize_y, several):
    X, y, Xs = data
    y = two_outputs(y) if several else y
    options = {"alpha": 0.01, "normalize_y": normalize_y, "optimizer": None}
    ours = GaussianProcessRegressor(KERNELS[name], mean="zero", **options)
    theirs = Peer(KERNELS[name], **options).fit(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        ours.fit(X, y)
    for arguments in ({"return_std": True}, {"return_cov": True}):
        for a, b in zip(
            ours.predict(Xs, **arguments), theirs.predict(Xs, **arguments), strict=True
        ):
            assert a.shape == b.shape
            np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(ours.predict(Xs), theirs.predict(Xs), rtol=1e-6)
    for attribute in ("L_", "alpha_", "X_train_", "y_train_", "_y_train_mean", "_y_train_std"):
        np.testing.assert_allclose(
            getattr(ours, attribute), getattr(theirs, attribute), rtol=1e-6, atol=1e-8
        )
    theta = ours.kernel_.theta + 0.1
    value, gradient = ours.log_marginal_likelihood(theta, eval_gradient=True)
    expected, expected_gradient = theirs.log_marginal_likelihood(theta, eval_gradient=True)
    assert np.isclose(value, expected)
    np.testing.assert_allclose(gradient, expected_gradient, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("n_restarts", [0, 3])
def test_fits_are_those_of_scikit_learn(data, n_restarts):
    X, y, Xs = data
    options = {"alpha": 0.01, "n_restarts_optimizer": n_restarts, "random_state": 4}
    kernel = ConstantKernel(1.0, (1e-2, 1e3)) * RBF([1.0, 1.0], (0.1, 100.0))
    ours = GaussianProcessRegressor(kernel, **options).fit(X, y)
    theirs = Peer(kernel, **options).fit(X, y)
    tolerance = 1e-3
    reached, theirs_reached = (model.log_marginal_likelihood_value_ for model in (ours, theirs))
    assert reached > theirs_reached - tolerance
    np.testing.assert_allclose(ours.kernel_.theta, theirs.kernel_.theta, atol=0.02)
    np.testing.assert_allclose(ours.predict(Xs), theirs.predict(Xs), atol=0.01)
    if n_restarts:
        rng = np.random.RandomState(4)
        bounds = kernel.bounds
        for start in ours.training_.starts[1:]:
            np.testing.assert_array_equal(start.theta, rng.uniform(bounds[:, 0], bounds[:, 1]))


def test_gradient_of_the_likelihood(data):
    X, y, _ = data
    model = GaussianProcessRegressor(KERNELS["RBF"], alpha=0.1, optimizer=None).fit(X, y)
    theta, step = model.kernel_.theta, 1e-5
    _, gradient = model.log_marginal_likelihood(theta, eval_gradient=True)
    for i, unit in enumerate(np.eye(theta.size)):
        change = model.log_marginal_likelihood(theta + step * unit) - model.log_marginal_likelihood(
            theta - step * unit
        )
        assert np.isclose(change / (2 * step), gradient[i], rtol=1e-5, atol=1e-6)


def test_learned_noise(data):
    X, y, Xs = data
    model = GaussianProcessRegressor(ConstantKernel() * RBF([1.0, 1.0]), noise=0.1).fit(X, y)
    with_white = Peer(ConstantKernel() * RBF([1.0, 1.0]) + WhiteKernel(0.1)).fit(X, y)
    assert np.isclose(model.noise_variance_, with_white.kernel_.k2.noise_level, rtol=0.02)
    _, latent = model.predict(Xs, return_std=True)
    _, observed = model.predict(Xs, return_std=True, include_noise=True)
    np.testing.assert_allclose(observed**2 - latent**2, model.noise_variance_ + model.alpha)
    _, expected = with_white.predict(Xs, return_std=True)
    np.testing.assert_allclose(observed, expected, rtol=0.01)
    # The likelihood takes theta with the noise and without.
    theta = model.kernel_.theta
    value, gradient = model.log_marginal_likelihood(theta, eval_gradient=True)
    full = np.append(theta, np.log(model.noise_variance_))
    both, full_gradient = model.log_marginal_likelihood(full, eval_gradient=True)
    assert np.isclose(value, both)
    np.testing.assert_allclose(full_gradient[:-1], gradient)
    assert np.isclose(model.log_marginal_likelihood(), value)


def test_known_noise_of_each_row(data, rng):
    X, y, Xs = data
    alpha = rng.uniform(0.01, 0.5, size=len(y))
    ours = GaussianProcessRegressor(RBF([1.0, 1.0]), alpha=alpha, optimizer=None).fit(X, y)
    theirs = Peer(RBF([1.0, 1.0]), alpha=alpha, optimizer=None).fit(X, y)
    np.testing.assert_allclose(ours.predict(Xs), theirs.predict(Xs))
    learned = GaussianProcessRegressor(RBF([1.0, 1.0]), alpha=alpha, noise=0.1).fit(X, y)
    assert learned.gp_.parameter_names[-1] == "noise_variance"
    with pytest.raises(TypeError, match="Pass the variance of each target as alpha"):
        ours.fit(X, y, sample_weight=np.ones(len(y)))
    with pytest.raises(TypeError, match="unexpected keyword argument 'weights'"):
        ours.fit(X, y, weights=alpha)


class TestMissingTargets:
    def test_one_output(self, data):
        X, y, Xs = data
        known = np.arange(len(y)) % 5 != 1
        model = GaussianProcessRegressor(RBF([1.0, 1.0]), alpha=0.1, nan_policy="omit")
        with pytest.warns(DataWarning, match="12 of 60 targets are missing"):
            model.fit(X, np.where(known, y, np.nan))
        expected = GaussianProcessRegressor(RBF([1.0, 1.0]), alpha=0.1).fit(X[known], y[known])
        np.testing.assert_allclose(model.predict(Xs), expected.predict(Xs))
        loo = model.loo_
        assert np.array_equal(np.isnan(loo.mean), ~known)
        np.testing.assert_allclose(loo.variance[known], expected.loo_.variance)
        with pytest.raises(ValueError, match="NaN"):
            clone(model).set_params(nan_policy="raise").fit(X, np.where(known, y, np.nan))

    def test_outputs_missing_at_different_rows(self, data):
        X, y, Xs = data
        Y = np.stack([y, y + 1.0, -2.0 * y, y**2], axis=1)
        Y[3, 1] = Y[7:9, 2] = Y[7:9, 3] = np.nan
        kernel = RBF([1.0, 1.0])
        model = GaussianProcessRegressor(
            kernel, alpha=0.1, optimizer=None, nan_policy="omit", normalize_y=True
        )
        with pytest.warns(DataWarning, match=r"5 of 240 .* \(0, 1, 2, 2 by output\)"):
            model.fit(X, Y)
        assert len(model.gps_) == 3
        mean, std = model.predict(Xs, return_std=True)
        _, cov = model.predict(Xs, return_cov=True)
        by_mean, by_variance = model.predict_gradient(Xs)
        samples = model.sample_y(Xs, 4)
        likelihood = 0.0
        for o in range(4):
            known = ~np.isnan(Y[:, o])
            alone = GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None, normalize_y=True)
            alone.fit(X[known], Y[known, o])
            expected, expected_std = alone.predict(Xs, return_std=True)
            np.testing.assert_allclose(mean[:, o], expected)
            np.testing.assert_allclose(std[:, o], expected_std)
            np.testing.assert_allclose(cov[..., o], alone.predict(Xs, return_cov=True)[1])
            expected, expected_variance = alone.predict_gradient(Xs)
            np.testing.assert_allclose(by_mean[..., o], expected)
            np.testing.assert_allclose(by_variance[..., o], expected_variance)
            np.testing.assert_allclose(model.loo_.mean[known, o], alone.loo_.mean)
            np.testing.assert_allclose(model.loo_.log_density[known, o], alone.loo_.log_density)
            np.testing.assert_allclose(model.alpha_[known, o], alone.alpha_)
            likelihood += alone.log_marginal_likelihood()
        assert samples.shape == (17, 4, 4)
        assert np.isclose(model.log_marginal_likelihood(), likelihood)
        with pytest.raises(InvalidInputError, match="Use gps_"):
            _ = model.gp_

    def test_hyperparameters_are_shared(self, data):
        X, y, _ = data
        Y = np.stack([y, y + 0.3 * X[:, 0]], axis=1)
        Y[:5, 1] = np.nan
        model = GaussianProcessRegressor(
            ConstantKernel() * RBF([1.0, 1.0]),
            noise=0.1,
            nan_policy="omit",
            priors={"noise_variance": lognorm(1.0, scale=0.1)},
        )
        with pytest.warns(DataWarning, match="missing"):
            model.fit(X, Y)
        one, two = model.gps_
        np.testing.assert_array_equal(one.theta, two.theta)
        _, gradient = model.log_marginal_likelihood(one.theta, eval_gradient=True)
        # At the optimum the prior's gradient is all that is left.
        prior_gradient = -(one.theta[-1] - np.log(0.1))
        assert np.abs(gradient[:-1]).max() < 0.05
        assert abs(gradient[-1] + prior_gradient) < 0.05

    def test_an_output_without_targets_is_refused(self, data):
        X, y, _ = data
        Y = np.stack([y, np.full(len(y), np.nan)], axis=1)
        with pytest.raises(InvalidInputError, match="output 1 of y has no target"):
            GaussianProcessRegressor(nan_policy="omit").fit(X, Y)


class TestUpdating:
    @pytest.mark.parametrize("several", [False, True])
    def test_append_and_delete_equal_a_refit(self, data, several):
        X, y, Xs = data
        y = two_outputs(y) if several else y
        model = GaussianProcessRegressor(
            RBF([1.0, 1.0]), alpha=0.1, optimizer=None, normalize_y=True, mean="constant"
        ).fit(X[:40], y[:40])
        scale = model._y_train_mean, model._y_train_std
        model.append(X[40:], y[40:]).delete([0, 5, -1])
        rows = np.delete(np.arange(60), [0, 5, -1])
        expected = GaussianProcessRegressor(
            RBF([1.0, 1.0]), alpha=0.1, optimizer=None, mean="constant"
        ).fit(X[rows], (y[rows] - scale[0]) / scale[1])
        assert np.array_equal(model.X_train_, X[rows])
        np.testing.assert_allclose(
            model.predict(Xs), expected.predict(Xs) * scale[1] + scale[0], rtol=1e-8
        )
        assert np.isclose(model.log_marginal_likelihood(), expected.log_marginal_likelihood())

    def test_noise_of_each_row_goes_along(self, data, rng):
        X, y, Xs = data
        alpha = rng.uniform(0.1, 0.3, size=60)
        options = {"kernel": RBF([1.0, 1.0]), "optimizer": None}
        for noise in (None, 0.1):
            model = GaussianProcessRegressor(alpha=alpha[:50], noise=noise, **options)
            model.fit(X[:50], y[:50]).append(X[50:], y[50:], alpha=alpha[50:]).delete(slice(10))
            expected = GaussianProcessRegressor(alpha=alpha[10:], noise=noise, **options)
            expected.fit(X[10:], y[10:])
            np.testing.assert_allclose(model.predict(Xs), expected.predict(Xs))
        with pytest.raises(InvalidInputError, match="pass those of the 10 new rows"):
            model.append(X[50:], y[50:])

    def test_missing_targets(self, data):
        X, y, Xs = data
        y = two_outputs(y)
        y[2, 0] = y[55, 1] = np.nan
        options = {"kernel": RBF([1.0, 1.0]), "alpha": 0.1, "nan_policy": "omit"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DataWarning)
            model = GaussianProcessRegressor(optimizer=None, mean="constant", **options).fit(
                X[:50], y[:50]
            )
            model.append(X[50:], y[50:]).delete([7])
            rows = np.delete(np.arange(60), [7])
            expected = GaussianProcessRegressor(optimizer=None, mean="constant", **options).fit(
                X[rows], y[rows]
            )
        np.testing.assert_allclose(model.predict(Xs), expected.predict(Xs))

    def test_partial_fit(self, data):
        X, y, Xs = data
        model = GaussianProcessRegressor(RBF([1.0, 1.0]), alpha=0.1)
        for part in np.split(np.arange(60), 4):
            model.partial_fit(X[part], y[part])
        first = GaussianProcessRegressor(RBF([1.0, 1.0]), alpha=0.1).fit(X[:15], y[:15])
        assert model.kernel_ == first.kernel_
        expected = GaussianProcessRegressor(first.kernel_, alpha=0.1, optimizer=None).fit(X, y)
        np.testing.assert_allclose(model.predict(Xs), expected.predict(Xs))

    def test_what_does_not_fit_is_refused_and_changes_nothing(self, data):
        X, y, Xs = data
        model = GaussianProcessRegressor(RBF([1.0, 1.0]), alpha=0.0, optimizer=None)
        model.fit(X[:9], y[:9])
        before = model.predict(Xs)
        with pytest.raises(ValueError, match="3 features"):
            model.append(np.ones((2, 3)), np.ones(2))
        with pytest.raises(ValueError, match="inconsistent numbers of samples"):
            model.append(X, y[:-1])
        with pytest.raises(InvalidInputError, match=r"y must have shape \(60,\)"):
            model.append(X, two_outputs(y))
        with pytest.raises(InvalidInputError, match="alpha is one variance"):
            model.append(X, y, alpha=0.1)
        with pytest.raises(NotPositiveDefiniteError, match="increasing the 'alpha'"):
            model.append(np.repeat(X[:3], 40, axis=0), np.ones(120))
        assert np.array_equal(model.predict(Xs), before)
        assert len(model.X_train_) == 9


class Characters(GenericKernelMixin, Kernel):
    """Shared characters of two texts."""

    def __init__(self):
        pass

    def __call__(self, X, Y=None, eval_gradient=False):
        Y = X if Y is None else Y
        K = np.array([[len(set(x) & set(y)) + (x == y) for y in Y] for x in X], dtype=float)
        return (K, np.empty((*K.shape, 0))) if eval_gradient else K

    def diag(self, X):
        return np.array([len(set(x)) + 1.0 for x in X])

    def is_stationary(self):
        return False


def test_kernels_of_objects():
    words, new = ["tile", "task", "graph", "kernel"], ["trend", "tile"]
    values = [1.0, 2.0, 3.0, 4.0]
    ours = GaussianProcessRegressor(Characters(), alpha=0.1).fit(words, values)
    theirs = Peer(Characters(), alpha=0.1).fit(words, values)
    for a, b in zip(
        ours.predict(new, return_cov=True), theirs.predict(new, return_cov=True), strict=True
    ):
        np.testing.assert_allclose(a, b)
    copy = pickle.loads(pickle.dumps(ours))
    np.testing.assert_array_equal(copy.predict(new), ours.predict(new))
    assert isinstance(ours.kernel_, Characters)


def _threads_here():
    return gprat.runtime.threads()


class TestEcosystem:
    def test_pipeline_and_grid_search(self, data):
        X, y, _ = data
        pipeline = make_pipeline(StandardScaler(), GaussianProcessRegressor(alpha=0.01))
        search = GridSearchCV(
            pipeline,
            {"gaussianprocessregressor__alpha": [1e-2, 1e3]},
            cv=3,
            n_jobs=2,
        ).fit(X, y)
        assert search.best_params_ == {"gaussianprocessregressor__alpha": 0.01}
        assert cross_val_score(pipeline, X, y, cv=3).min() > 0.9

    def test_worker_processes_share_the_processors(self):
        most = gprat.runtime.processors()
        n_jobs = min(2, most)
        counts = Parallel(n_jobs=2)(delayed(_threads_here)() for _ in range(4))
        assert max(counts) * n_jobs <= most

    def test_data_frames(self, data):
        X, y, Xs = data
        frame = pd.DataFrame(X, columns=["force", "speed"])
        model = GaussianProcessRegressor(alpha=0.1).fit(frame, pd.Series(y))
        assert list(model.feature_names_in_) == ["force", "speed"]
        expected = GaussianProcessRegressor(alpha=0.1).fit(X, y).predict(Xs)
        np.testing.assert_array_equal(
            model.predict(pd.DataFrame(Xs, columns=["force", "speed"])), expected
        )
        with pytest.raises(ValueError, match="in the same order"):
            model.predict(pd.DataFrame(Xs, columns=["speed", "force"]))
        scaled = make_pipeline(StandardScaler(), clone(model)).set_output(transform="pandas")
        assert list(scaled.fit(frame, y)[-1].feature_names_in_) == ["force", "speed"]

    def test_clone_pickle_and_html(self, data):
        X, y, Xs = data
        model = GaussianProcessRegressor(Matern(nu=2.5), noise=0.1, mean="linear").fit(X, y)
        assert clone(model).get_params()["kernel"] == Matern(nu=2.5)
        copy = pickle.loads(pickle.dumps(model))
        np.testing.assert_array_equal(copy.predict(Xs), model.predict(Xs))
        assert "GaussianProcessRegressor" in model._repr_html_()

    def test_random_state_of_samples(self, data):
        X, y, Xs = data
        model = GaussianProcessRegressor(alpha=0.1).fit(X, y)
        same = [model.sample_y(Xs, 3, random_state=5) for _ in range(2)]
        np.testing.assert_array_equal(*same)
        assert not np.array_equal(same[0], model.sample_y(Xs, 3, random_state=6))
        state = np.random.RandomState(1)
        assert not np.array_equal(
            model.sample_y(Xs, random_state=state), model.sample_y(Xs, random_state=state)
        )


class TestWarnings:
    def test_constant_features(self, data):
        X, y, _ = data
        frame = pd.DataFrame(np.column_stack([X, np.ones(60)]), columns=["a", "b", "site"])
        with pytest.warns(DataWarning, match="feature site is constant"):
            GaussianProcessRegressor(RBF([1.0] * 3), alpha=0.1, optimizer=None).fit(frame, y)

    def test_targets_far_from_zero(self, data):
        X, y, _ = data
        model = GaussianProcessRegressor(alpha=0.1, optimizer=None)
        with pytest.warns(DataWarning, match=r"y has mean .* normalize_y=True"):
            model.fit(X, y + 1000.0)
        for mend in ({"normalize_y": True}, {"mean": "constant"}):
            model.set_params(**mend).fit(X, y + 1000.0)

    def test_repeated_rows(self, data):
        X, y, _ = data
        X, y = np.vstack([X, X[:2]]), np.append(y, y[:2])
        with pytest.warns(DataWarning, match="2 rows of X repeat others"):
            GaussianProcessRegressor(alpha=1e-8, optimizer=None).fit(X, y)
        for mend in ({"alpha": 0.1}, {"noise": 0.1}, {"kernel": RBF() + WhiteKernel(0.1)}):
            GaussianProcessRegressor(optimizer=None, **mend).fit(X, y)

    def test_bounds_that_bind(self, data):
        X, y, _ = data
        with pytest.warns(ConvergenceWarning, match="noise_variance is at its upper bound"):
            GaussianProcessRegressor(RBF(1.0, "fixed"), noise=1e-6, noise_bounds=(1e-7, 1e-5)).fit(
                X, y
            )

    def test_no_convergence(self, data):
        X, y, _ = data

        def lazy(obj_func, initial_theta, bounds):
            return initial_theta, obj_func(initial_theta, eval_gradient=False)

        GaussianProcessRegressor(RBF(1.0), alpha=0.1, optimizer=lazy).fit(X, y)
        adam = GaussianProcessRegressor(RBF(1.0), alpha=0.1, optimizer="adam")
        with pytest.warns(ConvergenceWarning, match="did not converge"):
            adam.fit(X, y)


def test_warm_start_from_the_last_fit(data):
    X, y, _ = data
    model = GaussianProcessRegressor(ConstantKernel() * RBF([1.0, 1.0]), noise=0.1, warm_start=True)
    model.fit(X, y)
    learned = model.gp_.theta
    model.fit(X, y)
    np.testing.assert_allclose(model.training_.starts[0].theta, learned)
    model.set_params(warm_start=False).fit(X, y)
    np.testing.assert_allclose(model.training_.starts[0].theta, [0, 0, 0, np.log(0.1)])


def test_before_fit(data):
    X, _, Xs = data
    model = GaussianProcessRegressor(RBF(1.0), mean=lambda X: 2.0 + X[:, 0])
    np.testing.assert_allclose(model.predict(Xs), 2.0 + Xs[:, 0])
    samples = GaussianProcessRegressor(RBF(1.0)).sample_y([[0.0], [9.0]], 20_000)
    # Deviations of 20 000 samples' covariances are 0.01; five of them are exceeded once in 10⁶.
    np.testing.assert_allclose(np.cov(samples), np.eye(2), atol=0.05)
    for attribute in ("L_", "alpha_", "loo_", "gp_", "noise_variance_"):
        with pytest.raises(NotFittedError):
            getattr(model, attribute)
    for call in (
        lambda: model.append(X, X[:, 0]),
        lambda: model.delete([0]),
        lambda: model.predict_gradient(X),
        lambda: model.plot_diagnostics(),
        lambda: model.log_marginal_likelihood([0.0]),
    ):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            call()
    with pytest.raises(NotFittedError, match="coefficients of the trend are not known"):
        GaussianProcessRegressor(mean="constant").predict(Xs)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"alpha": -1.0}, ValueError, "'alpha' parameter"),
        ({"alpha": np.full(60, -1.0)}, InvalidInputError, "must be not negative"),
        ({"alpha": np.ones(7)}, ValueError, "alpha must be a scalar or an array with same number"),
        ({"optimizer": "newton"}, ValueError, "'optimizer' parameter"),
        ({"n_restarts_optimizer": -1}, ValueError, "'n_restarts_optimizer' parameter"),
        ({"nan_policy": "ignore"}, ValueError, "'nan_policy' parameter"),
        ({"noise": 0.0}, ValueError, "'noise' parameter"),
        ({"kernel": "RBF"}, ValueError, "'kernel' parameter"),
        ({"mean": "cubic"}, InvalidInputError, "unknown mean 'cubic'"),
        ({"objective": "speed"}, InvalidInputError, "unknown objective"),
        ({"priors": {"length": lognorm(1.0)}}, InvalidInputError, "length_scale"),
        ({"tile_size": 0}, InvalidInputError, "tile_size"),
        ({"dtype": "int32"}, TypeError, "dtype"),
        ({"warm_start": (100,)}, InvalidInputError, "warm_start"),
    ],
)
def test_bad_parameters(data, parameters, error, message):
    X, y, _ = data
    with pytest.raises(error, match=message):
        GaussianProcessRegressor(**parameters).fit(X, y)


def test_single_precision_and_no_copy(data):
    X, y, Xs = data
    single = GaussianProcessRegressor(alpha=0.1, dtype=np.float32, optimizer=None).fit(X, y)
    double = GaussianProcessRegressor(alpha=0.1, optimizer=None).fit(X, y)
    assert single.gp_.dtype == np.float32
    np.testing.assert_allclose(single.predict(Xs), double.predict(Xs), rtol=1e-3, atol=1e-3)
    assert not np.shares_memory(double.X_train_, X)
    shared = GaussianProcessRegressor(alpha=0.1, copy_X_train=False, optimizer=None).fit(X, y)
    assert shared.X_train_ is X
    assert np.shares_memory(shared.gp_.X, X)


def test_a_fit_that_fails_leaves_the_last_one(data):
    X, y, Xs = data
    model = GaussianProcessRegressor(RBF(1.0), alpha=0.1).fit(X, y)
    before = model.predict(Xs)

    def interrupted(obj_func, initial_theta, bounds):
        raise KeyboardInterrupt

    model.set_params(optimizer=interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[:20], y[:20])
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X, np.full(60, np.nan))
    model.set_params(alpha=0.0, optimizer=None)
    with pytest.raises(NotPositiveDefiniteError, match="increasing the 'alpha'"):
        model.fit(np.ones((9, 2)), np.ones(9))
    np.testing.assert_array_equal(model.predict(Xs), before)
    assert len(model.X_train_) == 60
    fresh = clone(model)
    with pytest.raises(NotPositiveDefiniteError):
        fresh.fit(np.ones((9, 2)), np.ones(9))
    with pytest.raises(NotFittedError):
        _ = fresh.L_


class TestStorage:
    @pytest.mark.parametrize("include_factor", [False, True])
    def test_what_comes_back_is_the_same(self, data, tmp_path, include_factor):
        X, y, Xs = data
        frame = pd.DataFrame(X, columns=["a", "b"])
        model = GaussianProcessRegressor(
            Matern([1.0, 2.0], nu=2.5),
            alpha=np.linspace(0.01, 0.02, 60),
            noise=0.1,
            normalize_y=True,
            mean="linear",
            priors={"noise_variance": lognorm(1.0)},
            warm_start=[20],
            tile_size=16,
            random_state=3,
        ).fit(frame, pd.Series(y, name="height"))
        model.save(tmp_path / "model", include_factor=include_factor)
        loaded = gprat.load(tmp_path / "model")
        points = pd.DataFrame(Xs, columns=["a", "b"])
        for a, b in zip(
            loaded.predict(points, return_std=True),
            model.predict(points, return_std=True),
            strict=True,
        ):
            np.testing.assert_array_equal(a, b)
        assert loaded.target_names_ == ["height"]
        assert list(loaded.feature_names_in_) == ["a", "b"]
        assert loaded.kernel_ == model.kernel_
        assert loaded.log_marginal_likelihood() == model.log_marginal_likelihood()
        for name, value in model.get_params(deep=False).items():
            if name != "priors":
                assert np.array_equal(getattr(loaded, name), value), name
        np.testing.assert_array_equal(loaded.loo_.mean, model.loo_.mean)
        again = clone(loaded).fit(frame, y)
        np.testing.assert_allclose(again.predict(points), model.predict(points), rtol=1e-4)
        loaded.append(points, np.zeros(17), alpha=0.1).delete(slice(5))

    def test_missing_targets(self, data, tmp_path):
        X, y, Xs = data
        Y = two_outputs(y)
        Y[3, 0] = np.nan
        model = GaussianProcessRegressor(alpha=0.1, nan_policy="omit", normalize_y=True)
        with pytest.warns(DataWarning):
            model.fit(X, Y)
        model.save(tmp_path / "model")
        loaded = gprat.load(tmp_path / "model")
        np.testing.assert_array_equal(loaded.predict(Xs), model.predict(Xs))
        np.testing.assert_array_equal(loaded.alpha_, model.alpha_)

    def test_what_cannot_be_saved_is_refused(self, data, tmp_path):
        X, y, _ = data
        model = GaussianProcessRegressor(alpha=0.1, random_state=np.random.RandomState(0))
        with pytest.raises(NotFittedError):
            model.save(tmp_path / "model")
        with pytest.raises(TypeError, match=r"set_params\(random_state=None\)"):
            model.fit(X, y).save(tmp_path / "model")
        words = GaussianProcessRegressor(Characters(), alpha=0.1).fit(["a", "b"], [1.0, 2.0])
        with pytest.raises(ValueError, match="Characters"):
            words.save(tmp_path / "model")
        assert not list(tmp_path.iterdir())


def test_fitting_again_gives_back_the_memory_of_the_last_factor(data):
    X, y, _ = data
    model = GaussianProcessRegressor(RBF(1.0), alpha=0.1).fit(X, y)
    last = model.gp_
    assert last._posterior is not None
    factors = []

    def watch(obj_func, initial_theta, bounds):
        factors.append(last._posterior)
        return initial_theta, obj_func(initial_theta, eval_gradient=False)

    model.set_params(optimizer=watch).fit(X, y)
    assert factors == [None]
