"""Measures of predictions agree with their formulas, and honest models look honest."""

import re

import numpy as np
import pytest
from scipy.stats import binom, norm
from sklearn.exceptions import NotFittedError

from gprat import GP, GaussianProcessRegressor, exceptions
from gprat.diagnostics import diagnose, diagnose_leave_one_out, diagnose_predictions
from gprat.kernels import RBF, Matern
from oracles import predict

NUMBERS = ("rmse", "mae", "smse", "nlpd", "msll", "residual_mean", "residual_std")


def draw(rng, n, k=None):
    """Targets, and normal predictions of them with rows' own deviations."""
    shape = (n,) if k is None else (n, k)
    std = rng.uniform(0.2, 3.0, size=shape)
    mean = rng.standard_normal(shape)
    return mean + std * rng.standard_normal(shape), mean, std


def as_arrays(result):
    return {name: getattr(result, name) for name in result.__dataclass_fields__ if name != "source"}


def assert_same(result, other):
    for name, value in as_arrays(result).items():
        assert np.allclose(value, getattr(other, name), rtol=1e-9, equal_nan=True), name


def test_formulas(rng):
    y, mean, std = draw(rng, 57)
    y_train = rng.normal(3.0, 2.0, size=31)
    result = diagnose_predictions(y, mean, std, y_train=y_train)
    n, trivial = len(y), norm(y_train.mean(), y_train.std())
    squares = sum((y[i] - mean[i]) ** 2 for i in range(n))
    losses = [-np.log(norm(mean[i], std[i]).pdf(y[i])) for i in range(n)]
    residuals = [(y[i] - mean[i]) / std[i] for i in range(n)]
    center = sum(residuals) / n
    expected = {
        "rmse": np.sqrt(squares / n),
        "mae": sum(abs(y[i] - mean[i]) for i in range(n)) / n,
        "smse": squares / sum((y - y.mean()) ** 2),
        "nlpd": sum(losses) / n,
        "msll": sum(losses[i] + np.log(trivial.pdf(y[i])) for i in range(n)) / n,
        "residual_mean": center,
        "residual_std": np.sqrt(sum((z - center) ** 2 for z in residuals) / (n - 1)),
    }
    for name in NUMBERS:
        assert np.isclose(getattr(result, name), expected[name]), name
    assert abs(result.largest_residual) == max(map(abs, residuals))
    assert result.largest_residual == residuals[result.largest_row]
    assert result.n == n


def test_coverage_counts_central_intervals(rng):
    y, mean, std = draw(rng, 80)
    levels = [0.1, 0.5, 0.83, 0.99]
    result = diagnose_predictions(y, mean, std, levels=levels)
    for level, share, low, high in zip(
        levels, result.coverage, result.coverage_low, result.coverage_high, strict=True
    ):
        lower, upper = norm(mean, std).interval(level)
        assert share == np.mean((lower <= y) & (y <= upper))
        # The band is the shortest that both tails allow.
        count = binom(80, level)
        assert count.cdf(80 * low - 1e-6) <= 0.025 < count.cdf(80 * low + 1e-6)
        assert count.cdf(80 * high - 1e-6) < 0.975 <= count.cdf(80 * high + 1e-6)


def test_outputs_are_judged_one_by_one(rng):
    y, mean, std = draw(rng, 40, 3)
    y[[2, 7], 1] = np.nan
    mean[7, 1] = std[7, 1] = np.nan
    together = diagnose_predictions(y, mean, std)
    for o in range(3):
        known = np.flatnonzero(~np.isnan(y[:, o]))
        alone = diagnose_predictions(y[known, o], mean[known, o], std[known, o])
        for name in (*NUMBERS, "n", "largest_residual"):
            assert np.isclose(getattr(together, name)[o], getattr(alone, name)), name
        assert together.largest_row[o] == known[alone.largest_row]
        assert np.array_equal(together.coverage[:, o], alone.coverage)
        assert np.array_equal(together.coverage_high[:, o], alone.coverage_high)


def test_one_deviation_for_all_outputs(rng):
    y, mean, std = draw(rng, 20, 2)
    shared = diagnose_predictions(y, mean, std[:, 0])
    assert_same(shared, diagnose_predictions(y, mean, np.column_stack([std[:, 0]] * 2)))


def test_the_trivial_prediction_scores_one_and_zero(rng):
    y = rng.normal(5.0, 3.0, size=200)
    result = diagnose_predictions(y, np.full(200, y.mean()), np.full(200, y.std()))
    assert np.isclose(result.smse, 1.0)
    assert np.isclose(result.msll, 0.0, atol=1e-12)


def test_units_matter_only_where_they_should(rng):
    y, mean, std = draw(rng, 60)
    result = diagnose_predictions(y, mean, std)
    scaled = diagnose_predictions(7.0 - 4.0 * y, 7.0 - 4.0 * mean, 4.0 * std)
    for name in ("smse", "msll", "residual_std", "coverage"):
        assert np.allclose(getattr(scaled, name), getattr(result, name)), name
    assert np.isclose(scaled.rmse, 4.0 * result.rmse)
    assert np.isclose(scaled.mae, 4.0 * result.mae)
    assert np.isclose(scaled.nlpd, result.nlpd + np.log(4.0))


def test_the_band_holds_honest_models(rng):
    """At each level no more than one honest data set in twenty leaves the band."""
    for n in (20, 150):
        y, mean, std = draw(rng, n, 1000)
        false_alarms = (~diagnose_predictions(y, mean, std).is_calibrated).mean(axis=1)
        # Five standard errors of the simulation above the stated rate.
        assert (false_alarms < 0.05 + 5.0 * np.sqrt(0.05 * 0.95 / 1000)).all()


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_the_band_does_not_hold_dishonest_ones(rng, factor):
    y, mean, std = draw(rng, 200)
    result = diagnose_predictions(y, mean, factor * std)
    middle = (result.levels > 0.3) & (result.levels < 0.9)
    assert not result.is_calibrated[middle].any()
    assert (result.coverage < result.levels)[middle].all() == (factor < 1.0)
    assert np.isclose(factor * result.residual_std, 1.0, atol=0.3)


def test_leave_one_out_of_the_true_model_is_calibrated(rng):
    """Its errors depend on each other little: false alarms stay near those of the band."""
    X, noise, n_sets = rng.uniform(0.0, 10.0, size=(60, 1)), 0.1, 300
    K = RBF(1.0)(X) + noise * np.eye(60)
    Y = np.linalg.cholesky(K) @ rng.standard_normal((60, n_sets))
    result = diagnose(GP(X, Y, RBF(1.0), noise))
    assert ((~result.is_calibrated).mean(axis=1) < 0.15).all()
    assert abs(result.residual_std.mean() - 1.0) < 0.05


def test_without_data_each_target_is_left_out(rng):
    kernel, noise = 2.0 * Matern([0.8, 1.5], nu=2.5), 0.2
    X, Y = rng.standard_normal((14, 2)), rng.standard_normal((14, 2))
    mean, std = np.empty((14, 2)), np.empty(14)
    for row in range(14):
        others = np.arange(14) != row
        mean[row], variance, _ = predict(kernel, X[others], Y[others], noise, X[row : row + 1])
        std[row] = np.sqrt(variance[0] + noise)
    gp = GP(X, Y, kernel, noise)
    assert_same(diagnose(gp), diagnose_predictions(Y, mean, std))
    assert_same(diagnose_leave_one_out(gp.loo(), Y), diagnose(gp))
    assert diagnose(gp).source == "leave-one-out"


def test_held_out_data_are_predicted_with_noise(rng):
    X, y = rng.standard_normal((25, 2)), rng.standard_normal(25)
    Xs, ys = rng.standard_normal((9, 2)), rng.standard_normal(9)
    ys[4] = np.nan
    gp = GP(X, y, RBF(0.7), noise=0.3)
    mean, variance, _ = predict(RBF(0.7), X, y, 0.3, Xs)
    other = rng.uniform(0.1, 1.0, size=9)
    for include_noise, added in ((True, 0.3), (0.7, 0.7), (other, other)):
        std = np.sqrt(variance + added)
        expected = diagnose_predictions(ys, mean[:, 0], std, y_train=y)
        assert_same(diagnose(gp, Xs, ys, include_noise=include_noise), expected)
    column = diagnose(GP(X, y.reshape(-1, 1), RBF(0.7), noise=0.3), Xs, ys.reshape(-1, 1))
    assert np.isclose(column.rmse[0], diagnose(gp, Xs, ys).rmse)


def test_an_estimator_is_judged_in_the_units_of_its_targets(rng):
    X = rng.uniform(0.0, 6.0, size=(50, 1))
    Y = np.column_stack([np.sin(X[:, 0]), np.cos(X[:, 0])]) + 0.1 * rng.standard_normal((50, 2))
    Y = 100.0 + 20.0 * Y
    options = {"alpha": 0.01, "optimizer": None, "normalize_y": True}
    model = GaussianProcessRegressor(RBF(1.0), **options).fit(X, Y)
    scaled = (Y - Y.mean(axis=0)) / Y.std(axis=0)
    inside = diagnose(GP(X, scaled, RBF(1.0), noise=0.01))
    result = diagnose(model)
    assert np.allclose(result.rmse, inside.rmse * Y.std(axis=0))
    assert np.allclose(result.msll, inside.msll)
    held_out = diagnose(model, X, Y)
    assert (held_out.rmse < result.rmse).all()
    mean, std = model.predict(X, return_std=True, include_noise=True)
    assert_same(held_out, diagnose_predictions(Y, mean, std, y_train=Y))


def test_missing_targets_of_an_estimator_do_not_count(rng):
    X, Y = rng.uniform(0.0, 6.0, size=(30, 1)), rng.standard_normal((30, 2))
    Y[[3, 8, 9], 0] = np.nan
    model = GaussianProcessRegressor(RBF(1.0), alpha=0.5, optimizer=None, nan_policy="omit")
    with pytest.warns(exceptions.DataWarning):
        model.fit(X, Y)
    assert diagnose(model).n.tolist() == [27, 30]


def test_what_cannot_be_known_is_nan():
    result = diagnose_predictions([2.0], [1.0], [1.0])
    assert np.isnan([result.smse, result.msll, result.residual_std]).all()
    assert re.search(r"mean standardised log loss +-$", str(result), re.MULTILINE)
    assert diagnose_predictions([2.0], [1.0], [1.0], y_train=[0.0, 4.0]).msll < 0.0


def test_the_table_tells_the_numbers_and_what_is_odd(rng):
    y, mean, std = draw(rng, 200)
    y[31] = mean[31] + 9.0 * std[31]
    result = diagnose_predictions(y, mean, std, levels=[0.5, 0.9])
    text = str(result)
    lines = {line[:30].strip(): line[30:].split() for line in text.splitlines()}
    assert float(lines["root mean squared error"][-1]) == pytest.approx(result.rmse, rel=0.01)
    assert re.search(r"largest +9 !", text)
    assert re.search(r"at row +31$", text, re.MULTILINE)
    assert "inside the 50 % interval" in text
    assert "inside the 90 % interval" in text
    assert "! more than chance explains" in text
    assert result._repr_html_().startswith("<pre>")


def test_a_table_of_many_outputs_stays_narrow(rng):
    y, mean, std = draw(rng, 30, 9)
    y[0, 0] = np.nan
    lines = str(diagnose_predictions(1e-9 * y, 1e-9 * mean, 1e-9 * std)).splitlines()
    assert max(map(len, lines)) <= 100
    assert "29 to 30 targets" in lines[0]
    heads = [int(number) for line in lines for number in re.findall(r"output (\d)", line)]
    assert heads == list(range(9))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 2.0], [1.0], [1.0, 1.0]), "one prediction for each target"),
        (([1.0, [2.0, 3.0]], [1.0, 2.0], [1.0, 1.0]), "y must be an array of numbers"),
        (([1.0, 2.0], [1.0, 2.0], [1.0, 0.0]), "std must be positive, .* at row 1"),
        (([1.0, 2.0], [1.0, np.nan], [1.0, 1.0]), "mean must be finite, got nan at row 1"),
        (([np.nan, np.nan], [1.0, 2.0], [1.0, 1.0]), "no known target of output 0"),
        (([1.0, np.inf], [1.0, 2.0], [1.0, 1.0]), "y must be finite"),
        ((1.0, 1.0, 1.0), r"y must have shape \(n,\)"),
        (([], [], []), "y must have at least one row"),
        ((["a"], [1.0], [1.0]), "y must hold real numbers"),
        (([1.0], ["a"], [1.0]), "mean must hold real numbers"),
    ],
)
def test_bad_predictions(arguments, message):
    with pytest.raises(exceptions.GpratError, match=message):
        diagnose_predictions(*arguments)


def test_bad_training_targets_and_levels():
    y = np.ones((2, 2))
    with pytest.raises(exceptions.InvalidInputError, match="y has 2 outputs and y_train 1"):
        diagnose_predictions(y, y, y, y_train=[1.0, 2.0])
    for levels in ("half", [], [0.0], [0.5, 1.0], [np.nan], [[0.5]]):
        with pytest.raises(exceptions.InvalidInputError, match="levels must be probabilities"):
            diagnose_predictions(y, y, y, levels=levels)


def test_bad_models():
    gp = GP([[0.0], [1.0]], [1.0, 2.0], noise=[0.1, 0.2])
    with pytest.raises(exceptions.InvalidInputError, match="y was given without X"):
        diagnose(gp, y=[1.0])
    with pytest.raises(exceptions.InvalidInputError, match="X was given without y"):
        diagnose(gp, [[1.0]])
    with pytest.raises(exceptions.InvalidInputError, match="one prediction for each"):
        diagnose(gp, [[1.0]], [1.0, 2.0], include_noise=0.1)
    with pytest.raises(exceptions.InvalidInputError, match="one noise variance for all points"):
        diagnose(gp, [[1.0]], [1.0])
    with pytest.raises(NotFittedError, match="not fitted"):
        diagnose(GaussianProcessRegressor())
    for other in (object(), GP, GaussianProcessRegressor):
        with pytest.raises(exceptions.UnsupportedTypeError, match=r"must be a gprat\.GP"):
            diagnose(other)
