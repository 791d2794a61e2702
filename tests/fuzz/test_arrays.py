"""Whatever array an argument comes as, its numbers count; what makes no sense is refused."""

import warnings

import numpy as np
import pytest
from hypothesis import assume
from hypothesis import strategies as st

import gprat
from fuzz.journal import documented, fuzzed
from fuzz.strategies_arrays import disguised, nasty, tables
from gprat import GP, GaussianProcessRegressor
from gprat.diagnostics import diagnose_predictions
from gprat.kernels import RBF, DotProduct


@st.composite
def data(draw):
    """X, y and test points in disguise, all of the same features."""
    n, m, d = draw(st.integers(1, 7)), draw(st.integers(0, 4)), draw(st.integers(1, 3))
    k = draw(st.sampled_from([None, 1, 2]))
    return [
        draw(disguised(draw(tables(rows, columns)))) for rows, columns in ((n, d), (n, k), (m, d))
    ]


def _answers(gp, points):
    mean, variance = gp.predict_with_uncertainty(points, include_noise=True)
    covariance = gp.predict_with_full_cov(points)[1]
    return [
        gp.predict(points),
        mean,
        variance,
        covariance,
        *gp.predict_gradient(points),
        gp.log_marginal_likelihood(),
        gp.loo().mean,
    ]


@fuzzed(
    arguments=data(), dtype=st.sampled_from([None, "float32", "float64"]), tile=st.integers(1, 9)
)
def test_the_container_does_not_matter(arguments, dtype, tile):
    before = [argument.fingerprint() for argument in arguments]
    X, y, points = (argument.argument for argument in arguments)
    gp = GP(X, y, 2.0 * RBF() + DotProduct(), tile_size=tile, dtype=dtype)
    answers = _answers(gp, points)

    assert [argument.fingerprint() for argument in arguments] == before
    X, y, points = (argument.numbers for argument in arguments)
    plain = GP(X, y, 2.0 * RBF() + DotProduct(), tile_size=tile, dtype=gp.dtype)
    for answer, expected in zip(answers, _answers(plain, points), strict=True):
        assert np.shape(answer) == np.shape(expected)
        np.testing.assert_array_equal(answer, expected)


@fuzzed(arguments=data(), normalize=st.booleans())
def test_the_container_does_not_matter_to_the_estimator(arguments, normalize):
    # scikit-learn refuses matrices, and an estimator no points.
    assume(not any(isinstance(argument.argument, np.matrix) for argument in arguments))
    has_points = len(arguments[2].numbers) > 0

    def answers(X, y, points):
        model = GaussianProcessRegressor(RBF(), alpha=0.1, optimizer=None, normalize_y=normalize)
        try:
            model.fit(X, y)
        except ValueError as error:
            # scikit-learn before version 1.7 doesn't know all of pandas' columns.
            assume("Unsupported dtype object" not in str(error))
            raise
        return model.predict(points if has_points else X, return_std=True)

    before = [argument.fingerprint() for argument in arguments]
    X, y, points = (argument.argument for argument in arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the data, and of names of features
        given = answers(X, y, points)
        expected = answers(*(argument.numbers for argument in arguments))
    assert [argument.fingerprint() for argument in arguments] == before
    np.testing.assert_array_equal(given, expected)


X = np.array([[0.0, 1.0], [1.0, -1.0], [0.5, 0.25]])
Y = np.array([1.0, -1.0, 0.5])


def _gp(**arguments):
    return GP(**{"X": X, "y": Y, **arguments})


def _fitted():
    return GaussianProcessRegressor(alpha=0.1, optimizer=None).fit(X, Y)


OF_GP = {
    "X": lambda value: GP(value, Y),
    "y": lambda value: GP(X, value),
    **{
        name: lambda value, name=name: _gp(**{name: value})
        for name in (
            "kernel",
            "noise",
            "noise_bounds",
            "known_noise",
            "noise_groups",
            "priors",
            "objective",
            "tile_size",
            "threads",
            "dtype",
            "memory_limit",
        )
    },
    "mean": lambda value: _gp(mean=value if not callable(value) else "zero"),
    "one prior": lambda value: _gp(priors={"noise_variance": value}),
    "predict": lambda value: _gp().predict(value),
    "variance": lambda value: _gp().predict_with_uncertainty(value),
    "covariance": lambda value: _gp().predict_with_full_cov(value),
    "include_noise": lambda value: _gp().predict_with_uncertainty(X, value),
    "noise of covariance": lambda value: _gp().predict_with_full_cov(X, value),
    "predict_gradient": lambda value: _gp().predict_gradient(value),
    "sample": lambda value: _gp().sample(value),
    "n_samples": lambda value: _gp().sample(X, _few(value)),
    "random_state": lambda value: _gp().sample(X, random_state=value),
    "source": lambda value: _gp().sample(X, source=value),
    "append X": lambda value: _gp().append(value, Y),
    "append y": lambda value: _gp().append(X, value),
    "append known_noise": lambda value: _gp(known_noise=Y**2).append(X, Y, known_noise=value),
    "append noise": lambda value: _gp(noise=Y**2).append(X, Y, noise=value),
    "append groups": lambda value: _gp(noise_groups=[0, 1, 0]).append(X, Y, noise_groups=value),
    "delete": lambda value: _gp().delete(value),
    "solve": lambda value: _gp().solve(value),
    "theta": lambda value: _gp().log_marginal_likelihood(value),
    "theta of gradient": lambda value: _gp().log_marginal_likelihood(value, eval_gradient=True),
    "loss": lambda value: _gp().loss(value),
    "loo_log_density": lambda value: _gp().loo_log_density(value),
    "set theta": lambda value: setattr(_gp(), "theta", value),
    "set noise": lambda value: setattr(_gp(), "noise_variance", value),
    "set memory": lambda value: setattr(_gp(), "memory_limit", value),
    "optimizer": lambda value: _gp().optimize(value if not callable(value) else "adam", max_iter=1),
    "max_iter": lambda value: _gp().optimize("adam", max_iter=_few(value)),
    "n_restarts": lambda value: _gp().optimize(max_iter=1, n_restarts=_few(value)),
    "starts": lambda value: _gp().optimize(max_iter=1, starts=value),
    "warm_start": lambda value: _gp().optimize(max_iter=1, warm_start=value),
    "learning_rate": lambda value: _gp().optimize_step(value),
    "length_scale": lambda value: _gp(kernel=RBF(value)),
    "length_scale_bounds": lambda value: _gp(kernel=RBF(1.0, value)),
    "levels": lambda value: gprat.diagnose(_gp(), levels=value),
    "diagnosed X": lambda value: gprat.diagnose(_gp(), value, Y),
    "diagnosed y": lambda value: gprat.diagnose(_gp(), X, value),
    "predicted y": lambda value: diagnose_predictions(value, Y, Y**2),
    "predicted mean": lambda value: diagnose_predictions(Y, value, Y**2),
    "predicted std": lambda value: diagnose_predictions(Y, Y, value),
    "y_train": lambda value: diagnose_predictions(Y, Y, Y**2, y_train=value),
    "parse_kernel": lambda value: gprat.kernels.parse_kernel(value),
    "n of plan": lambda value: gprat.plan(value, calibrate=False),
    "d of plan": lambda value: gprat.plan(100, d=value, calibrate=False),
    "m of plan": lambda value: gprat.plan(100, m=value, what="predict", calibrate=False),
    "what of plan": lambda value: gprat.plan(100, what=value, calibrate=False),
    "memory of plan": lambda value: gprat.plan(100, memory=value, calibrate=False),
    "tile_size of plan": lambda value: gprat.plan(100, tile_size=value, calibrate=False),
    "dtype of plan": lambda value: gprat.plan(100, dtype=value, calibrate=False),
    "from_sklearn": gprat.from_sklearn,
    "to_sklearn": gprat.to_sklearn,
    "diagnose": gprat.diagnose,
}
OF_ESTIMATOR = {
    "fit X": lambda value: GaussianProcessRegressor(alpha=0.1, optimizer=None).fit(value, Y),
    "fit y": lambda value: GaussianProcessRegressor(alpha=0.1, optimizer=None).fit(X, value),
    **{
        name: lambda value, name=name: GaussianProcessRegressor(
            **{"alpha": 0.1, "optimizer": None, name: value}
        ).fit(X, Y)
        for name in (
            "kernel",
            "alpha",
            "normalize_y",
            "copy_X_train",
            "n_targets",
            "random_state",
            "noise",
            "noise_bounds",
            "priors",
            "objective",
            "nan_policy",
            "tile_size",
            "threads",
            "dtype",
            "memory_limit",
        )
    },
    "predict": lambda value: _fitted().predict(value),
    "std": lambda value: _fitted().predict(value, return_std=True),
    "include_noise": lambda value: _fitted().predict(X, return_std=True, include_noise=value),
    "prior": lambda value: GaussianProcessRegressor().predict(value, return_std=True),
    "sample_y": lambda value: _fitted().sample_y(value),
    "n_samples": lambda value: _fitted().sample_y(X, _few(value)),
    "random_state": lambda value: _fitted().sample_y(X, random_state=value),
    "score": lambda value: _fitted().score(X, value),
    "theta": lambda value: _fitted().log_marginal_likelihood(value),
    "append X": lambda value: _fitted().append(value, Y),
    "append y": lambda value: _fitted().append(X, value),
    "append alpha": lambda value: _fitted().append(X, Y, value),
    "delete": lambda value: _fitted().delete(value),
    "partial_fit": lambda value: _fitted().partial_fit(value, Y),
    "predict_gradient": lambda value: _fitted().predict_gradient(value),
}


def _few(value):
    """Numbers that are valid, but mean hours of work or terabytes, are no part of the test."""
    return 3 if isinstance(value, int | np.integer) and value > 1000 else value


@pytest.mark.parametrize("call", OF_GP)
@fuzzed(weight=0.5, value=nasty)
def test_what_makes_no_sense_is_refused(call, value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=gprat.exceptions.DataWarning)
        warnings.filterwarnings("ignore", category=gprat.exceptions.JitterWarning)
        with documented():
            OF_GP[call](value)


@pytest.mark.parametrize("call", OF_ESTIMATOR)
@fuzzed(weight=0.5, value=nasty)
def test_what_makes_no_sense_is_refused_by_the_estimator(call, value):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-learn warns of much
        # scikit-learn lets errors of others' objects through.
        with documented(ValueError, TypeError, RuntimeError, OverflowError):
            OF_ESTIMATOR[call](value)
