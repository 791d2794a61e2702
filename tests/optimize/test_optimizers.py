"""Optimisers, on functions whose minimum is known."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import ortho_group

from gprat.exceptions import InvalidInputError, NotPositiveDefiniteError
from gprat.optimize.adam import Adam, Moments
from gprat.optimize.base import Evaluation, Failure, Search
from gprat.optimize.external import External
from gprat.optimize.lbfgs import LBFGSB
from gprat.optimize.registry import describe, get_optimizer
from gprat.optimize.train import TrainingInterrupted, train
from gprat.optimize.trust_region import TrustRegionBFGS
from toys import WIDE, make_task, newton, quadratic, rosenbrock, with_hole


@dataclass(frozen=True)
class FromGuess:
    """A trust region that sets out from a guess of the Hessian, the same each time."""

    curvature: float

    def run(self, search, start, bounds):
        hessian = self.curvature * np.eye(start.size)
        return TrustRegionBFGS(hessian, np.ones(start.size)).run(search, start, bounds)


OPTIMIZERS = [
    LBFGSB(),
    LBFGSB(scale=[1.0, 0.2]),
    FromGuess(1.0),
    Adam(max_iter=2000, learning_rate=0.05),
    Adam(max_iter=2000, learning_rate=0.1, schedule="cosine"),
    External(newton),
]
BY_NAME = {"argvalues": OPTIMIZERS, "ids": [describe(optimizer) for optimizer in OPTIMIZERS]}


@pytest.mark.parametrize("optimizer", **BY_NAME)
def test_minimum_is_found(optimizer):
    report = train(make_task(), optimizer)
    assert np.allclose(report.theta, [1.0, -2.0], atol=1e-4)
    assert np.isclose(report.loss, 7.0, atol=1e-6)
    assert report.success
    assert np.allclose(report.gradient, quadratic(report.theta)[1])


@pytest.mark.parametrize(("slope", "success"), [(1e-4, True), (1.0, False)])
def test_a_start_that_rounding_favours_is_a_minimum(slope, success):
    """No lower loss is found from there; whether one may exist is told by the slope."""
    start = np.array([0.3, -0.2])

    def objective(theta):
        rounding = 1e-7 * (not np.array_equal(theta, start))
        if success:
            step = theta - start
            return 1e3 + rounding + slope * step.sum() + 5.0 * step @ step, slope + 10.0 * step
        # A slope that leads nowhere: a gradient that is wrong.
        return 1e3 + rounding + 5.0 * np.sum((theta - start) ** 2), np.full(2, slope)

    report = train(make_task(objective, bounds=WIDE, start=start), LBFGSB())
    assert report.success == success, report.message
    assert np.allclose(report.theta, start, atol=1e-4)


@pytest.mark.parametrize("optimizer", **BY_NAME)
def test_bounds_hold(optimizer):
    bounds = np.array([[-5.0, 0.5], [-1.0, 5.0]])
    tried = []

    def objective(theta):
        tried.append(theta.copy())
        return quadratic(theta)

    report = train(make_task(objective, bounds=bounds, start=np.array([-3.0, 3.0])), optimizer)
    assert np.allclose(report.theta, [0.5, -1.0])
    assert report.at_bounds == {"length_scale[0]": "upper", "noise_variance": "lower"}
    assert report.unconverged == ()
    assert report.success
    assert (np.array(tried) >= bounds[:, 0]).all()
    assert (np.array(tried) <= bounds[:, 1]).all()


@pytest.mark.parametrize(
    "optimizer",
    [
        LBFGSB(),
        LBFGSB(scale=[1.0, 1.0]),
        FromGuess(5.0),
        Adam(2000, learning_rate=1.0),
        External(newton),
    ],
    ids=describe,
)
@pytest.mark.parametrize("failure", ["exception", "infinity", "gradient that is not a number"])
def test_search_backs_off_where_the_loss_does_not_exist(optimizer, failure):
    failures = 0

    def is_hole(theta):
        nonlocal failures
        failures += theta[1] < -2.5
        return theta[1] < -2.5

    objective = with_hole(quadratic, is_hole, failure)
    # From here a first step of length one overshoots.
    report = train(make_task(objective, start=np.array([1.2, -1.9])), optimizer)
    if not isinstance(optimizer, External):
        assert failures > 0
    assert np.allclose(report.theta, [1.0, -2.0], atol=1e-3)


@pytest.mark.parametrize("optimizer", **BY_NAME)
def test_failure_at_the_start_is_raised(optimizer):
    task = make_task(with_hole(quadratic, lambda theta: True))
    with pytest.raises(TrainingInterrupted) as raised:
        train(task, optimizer)
    assert isinstance(raised.value.cause, NotPositiveDefiniteError)
    assert raised.value.cause.row == 4
    assert raised.value.report is None
    task = make_task(with_hole(quadratic, lambda theta: True, "infinity"))
    with pytest.raises(TrainingInterrupted, match="loss at the start is inf") as raised:
        train(task, optimizer)
    assert isinstance(raised.value.cause, InvalidInputError)


@pytest.mark.parametrize("optimizer", **BY_NAME)
@pytest.mark.parametrize("way", ["return True", "raise StopIteration"])
def test_callback_may_stop(optimizer, way):
    seen = []

    def callback(iteration):
        seen.append(iteration)
        if iteration.iteration < 3:
            return None
        if way == "raise StopIteration":
            raise StopIteration
        return True

    report = train(make_task(rosenbrock, start=np.array([-2.0, 2.0])), optimizer, callback=callback)
    assert [iteration.iteration for iteration in seen] == [1, 2, 3]
    assert (report.n_iterations, report.success) == (3, False)
    assert report.message == "stopped by the callback"
    for iteration in seen:
        loss, gradient = rosenbrock(iteration.theta)
        assert iteration.loss == loss == -iteration.log_marginal_likelihood == -iteration.objective
        assert np.array_equal(iteration.gradient, gradient)
        assert np.isclose(iteration.gradient_norm, np.linalg.norm(gradient))
        assert (iteration.stage, iteration.start) == (100, 0)
    with pytest.raises(AttributeError):
        seen[0].loss = 0.0


@pytest.mark.parametrize("optimizer", **BY_NAME)
def test_what_a_callback_does_to_its_arrays_changes_nothing(optimizer):
    def vandal(iteration):
        iteration.theta[:] = np.nan
        iteration.gradient[:] = np.nan

    assert train(make_task(), optimizer, callback=vandal).loss == train(make_task(), optimizer).loss


def test_best_theta_wins_over_the_last():
    points = [np.array([3.0, 3.0]), np.array([1.0, -1.5]), np.array([9.0, 9.0])]

    class Wanderer:
        def run(self, search, start, bounds):
            for point in points:
                search.finish_iteration(search.evaluate(point))
            return True, "walked"

    report = train(make_task(), Wanderer())
    assert np.array_equal(report.theta, points[1])
    assert report.loss == quadratic(points[1])[0]
    assert report.loss_history.tolist() == [quadratic(point)[0] for point in points]
    assert report.gradient_history.tolist() == [quadratic(point)[1].tolist() for point in points]


def test_nothing_is_evaluated_twice():
    n_calls = 0

    def objective(theta):
        nonlocal n_calls
        n_calls += 1
        return quadratic(theta)

    search = Search(objective)
    theta = np.array([1.0, 2.0])
    first = search.evaluate(theta)
    theta[0] = 5.0
    assert search.evaluate(np.array([1.0, 2.0])) is first
    assert first.theta[0] == 1.0
    assert n_calls == search.n_evaluations == 1
    search.evaluate(theta)
    assert n_calls == search.n_evaluations == 2


def test_a_search_tells_failures_from_evaluations():
    search = Search(with_hole(quadratic, lambda theta: theta[0] > 0.0))
    assert isinstance(search.attempt(np.array([1.0, 0.0])), Failure)
    assert search.best is None
    assert isinstance(search.attempt(np.array([-1.0, 0.0])), Evaluation)
    assert search.evaluate(np.array([1.0, 0.0])) is None


# L-BFGS-B


def test_scale_undoes_bad_scaling():
    stretch = np.array([1.0, 1e3])

    def objective(theta):
        loss, gradient = rosenbrock(theta * stretch)
        return loss, gradient * stretch

    task = make_task(objective, start=np.array([-1.2, 1e-3]))
    plain, scaled = train(task, LBFGSB()), train(task, LBFGSB(scale=1.0 / stretch))
    unstretched = train(make_task(rosenbrock, start=np.array([-1.2, 1.0])), LBFGSB())
    assert np.allclose(scaled.theta * stretch, unstretched.theta, atol=1e-4)
    assert scaled.n_evaluations <= unstretched.n_evaluations + 5 < plain.n_evaluations


def test_scaled_search_meets_start_and_bounds_exactly(rng):
    bounds = np.sort(rng.normal(size=(2, 2)), axis=1)
    start = np.array([rng.uniform(*pair) for pair in bounds])
    tried = []

    def objective(theta):
        tried.append(theta.copy())
        return quadratic(theta * 1e3)

    report = train(make_task(objective, bounds=bounds, start=start), LBFGSB(scale=[0.3, 0.7]))
    assert np.array_equal(tried[0], start)
    for name, side in report.at_bounds.items():
        entry = report.names.index(name)
        assert report.theta[entry] == bounds[entry, int(side == "upper")]


@pytest.mark.parametrize("scale", [[0.0, 1.0], [-1.0, 1.0], [np.inf, 1.0], [np.nan, 1.0]])
def test_bad_scales_are_refused(scale):
    with pytest.raises(InvalidInputError, match="scale must hold positive finite"):
        LBFGSB(scale=scale)


def test_scale_must_fit():
    with pytest.raises(TrainingInterrupted, match="one entry for each of 2") as raised:
        train(make_task(), LBFGSB(scale=[1.0]))
    assert isinstance(raised.value.cause, InvalidInputError)


def test_tolerances_end_early():
    task = make_task(rosenbrock, start=np.array([-1.2, 1.0]))
    precise = train(task, LBFGSB())
    assert train(task, LBFGSB(tolerance=0.1)).n_evaluations < precise.n_evaluations
    assert train(task, LBFGSB(gradient_tolerance=5.0)).n_evaluations < precise.n_evaluations


# Quasi-Newton in a trust region


def random_quadratic(rng, p, condition=1e4):
    axes = ortho_group.rvs(p, random_state=rng)
    hessian = (axes * np.geomspace(1.0, condition, p)) @ axes.T
    optimum = rng.normal(size=p)

    def objective(theta):
        step = theta - optimum
        return float(0.5 * step @ hessian @ step), hessian @ step

    return objective, hessian, optimum


def test_one_step_suffices_where_the_hessian_is_known(rng):
    objective, hessian, optimum = random_quadratic(rng, p=6)
    search = Search(objective)
    optimizer = TrustRegionBFGS(hessian, np.ones(6))
    start = optimum + rng.uniform(-1.0, 1.0, size=6)
    assert optimizer.run(search, start, np.array([[-9.0, 9.0]] * 6))[0]
    assert search.n_evaluations == 2
    assert len(search.iterations) == 1
    assert np.allclose(search.best.theta, optimum, atol=1e-6)
    assert np.allclose(optimizer.hessian, hessian)


def test_typical_steps_are_units_and_change_nothing(rng):
    objective, hessian, optimum = random_quadratic(rng, p=4, condition=10.0)
    typical = 10.0 ** rng.uniform(-3.0, 3.0, size=4)
    search = Search(lambda theta: _in_units(objective, theta, typical))
    optimizer = TrustRegionBFGS(hessian / np.outer(typical, typical), typical)
    bounds = np.array([[-9.0, 9.0]] * 4) * typical[:, None]
    assert optimizer.run(search, (optimum + 0.5) * typical, bounds)[0]
    assert search.n_evaluations == 2
    assert np.allclose(search.best.theta, optimum * typical)


def _in_units(objective, theta, typical):
    loss, gradient = objective(theta / typical)
    return loss, gradient / typical


@pytest.mark.parametrize("is_known", [True, False])
def test_the_optimum_within_bounds_is_exact_whatever_binds(rng, is_known):
    for _ in range(5):
        objective, hessian, optimum = random_quadratic(rng, p=5, condition=100.0)
        bounds = optimum[:, None] + np.sort(rng.normal(size=(5, 2)), axis=1)
        bounds[4, 1] = bounds[4, 0]
        start = rng.uniform(bounds[:, 0], bounds[:, 1])
        search = Search(objective)
        guess = hessian if is_known else np.eye(5)
        assert TrustRegionBFGS(guess, np.ones(5)).run(search, start, bounds)[0]
        theta, gradient = search.best.theta, search.best.gradient
        peer = minimize(objective, start, jac=True, bounds=bounds, options={"ftol": 1e-15})
        assert search.best.loss <= peer.fun + 1e-5
        # Where a bound is the optimum, theta is that very number.
        pushed_down = (gradient > 0.1) & (bounds[:, 0] < bounds[:, 1])
        pushed_up = (gradient < -0.1) & (bounds[:, 0] < bounds[:, 1])
        assert np.array_equal(theta[pushed_down], bounds[pushed_down, 0])
        assert np.array_equal(theta[pushed_up], bounds[pushed_up, 1])


@pytest.mark.parametrize("curvature", [-50.0, 0.0, 1e-8, 1e8])
def test_a_wrong_hessian_only_costs_evaluations(curvature):
    search = Search(rosenbrock)
    optimizer = TrustRegionBFGS(curvature * np.eye(2), np.ones(2), negligible=1e-10)
    assert optimizer.run(search, np.array([-1.2, 1.0]), WIDE)[0]
    assert np.allclose(search.best.theta, [1.0, 1.0], atol=1e-3)
    losses = [evaluation.loss for evaluation in search.iterations]
    assert (np.diff(losses) < 0.0).all()
    assert (np.linalg.eigvalsh(optimizer.hessian) > 0.0).all()


def test_a_loss_with_the_noise_of_single_precision_is_left_soon(rng):
    def noisy(theta):
        loss, gradient = quadratic(theta)
        return 1e4 + loss + 1e-2 * rng.uniform(), gradient + 1e-3 * rng.normal(size=2)

    search = Search(noisy)
    optimizer = TrustRegionBFGS(np.diag([2.0, 20.0]), np.ones(2))
    assert optimizer.run(search, np.array([3.0, 3.0]), WIDE)[0]
    assert search.n_evaluations < 40
    assert np.allclose(search.best.theta, [1.0, -2.0], atol=0.3)


def test_a_gradient_that_lies_is_reported():
    search = Search(lambda theta: (float(theta @ theta), -2.0 * theta))
    success, message = TrustRegionBFGS(np.eye(2), np.ones(2)).run(search, np.ones(2), WIDE)
    assert not success
    assert "as its gradient promises" in message
    assert np.array_equal(search.best.theta, np.ones(2))


def test_the_trust_region_has_a_limit_of_iterations():
    search = Search(rosenbrock)
    optimizer = TrustRegionBFGS(np.eye(2), np.ones(2), max_iter=3)
    assert optimizer.run(search, np.array([-1.2, 1.0]), WIDE) == (False, "reached 3 iterations")
    assert len(search.iterations) == 3


# Adam


def test_adam_follows_its_paper(rng):
    gradients = rng.normal(size=(30, 4))
    moments = Moments(4)
    steps = [moments.step(gradient, 0.02) for gradient in gradients]
    first, second = np.zeros(4), np.zeros(4)
    for t, (gradient, step) in enumerate(zip(gradients, steps, strict=True), start=1):
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        expected = -0.02 * (first / (1 - 0.9**t)) / (np.sqrt(second / (1 - 0.999**t)) + 1e-8)
        assert np.allclose(step, expected)


def test_schedule_scales_the_steps():
    def steps(schedule):
        thetas = []
        task = make_task(lambda theta: (float(theta.sum()), np.ones(2)))
        train(
            task,
            Adam(max_iter=10, learning_rate=0.1, schedule=schedule),
            callback=lambda iteration: thetas.append(iteration.theta[0]),
        )
        return -np.diff([3.0, *thetas])

    # The gradient never changes, so every step has the length of the learning rate.
    assert np.allclose(steps("constant"), 0.1)
    assert np.allclose(steps("cosine"), 0.05 * (1.0 + np.cos(np.pi * np.arange(10) / 10)))
    assert np.allclose(steps(lambda i, n: 1.0 if i < n // 2 else 0.5), [0.1] * 5 + [0.05] * 5)


def test_cosine_settles_on_a_rough_loss():
    def rough(theta):
        # A minimum with a kink: steps of constant length jump over it forever.
        return float(np.abs(theta).sum()), np.sign(theta)

    options = {"max_iter": 100, "learning_rate": 0.31}
    constant, cosine = (
        train(make_task(rough), Adam(**options, schedule=schedule)).loss_history[-1]
        for schedule in ("constant", "cosine")
    )
    assert cosine < 1e-3 < constant


def test_bad_schedules_are_refused():
    with pytest.raises(InvalidInputError, match="schedule must be 'constant', 'cosine'"):
        Adam(schedule="linear")
    for factor in (-1.0, np.nan, np.inf):
        with pytest.raises(TrainingInterrupted, match="finite factor") as raised:
            train(make_task(), Adam(schedule=lambda i, n, factor=factor: factor))
        assert isinstance(raised.value.cause, InvalidInputError)


def test_number_of_iterations_is_capped():
    for name, message in (("adam", "reached 4 iterations"), ("l-bfgs-b", "LIMIT")):
        task = make_task(rosenbrock, start=np.array([-1.2, 1.0]))
        report = train(task, get_optimizer(name, max_iter=4))
        assert report.n_iterations == 4
        assert not report.success
        assert message in report.message


# Functions with scikit-learn's signature


def test_an_external_optimizer_gets_what_scikit_learn_gives():
    seen = {}

    def optimizer(obj_func, initial_theta, bounds):
        loss, gradient = obj_func(initial_theta)
        seen.update(start=initial_theta, bounds=bounds, loss=loss, gradient=gradient)
        assert obj_func(initial_theta, eval_gradient=False) == loss
        nothing, flat = obj_func(np.array([-1.0, 0.0]))
        assert nothing == np.inf
        assert not flat.any()
        outside, flat = obj_func(np.array([11.0, 0.0]), eval_gradient=True)
        assert outside == np.inf
        assert not flat.any()
        return initial_theta, loss

    report = train(make_task(with_hole(quadratic, lambda theta: theta[0] < 0.0)), optimizer)
    assert np.array_equal(seen["start"], [3.0, 3.0])
    assert np.array_equal(seen["bounds"], WIDE)
    assert (seen["loss"], list(seen["gradient"])) == (report.loss, list(report.gradient))
    assert report.n_evaluations == 2


@pytest.mark.parametrize("method", ["Nelder-Mead", "Powell", "SLSQP"])
def test_methods_of_scipy_work(method):
    def optimizer(obj_func, initial_theta, bounds):
        needs_gradient = method == "SLSQP"
        result = minimize(
            obj_func if needs_gradient else lambda theta: obj_func(theta, eval_gradient=False),
            initial_theta,
            jac=needs_gradient,
            method=method,
            bounds=bounds,
        )
        return result.x, result.fun

    report = train(make_task(), optimizer)
    assert np.allclose(report.theta, [1.0, -2.0], atol=1e-3)
    assert report.message == "the optimizer returned"


def test_the_best_seen_counts_whatever_an_external_optimizer_returns():
    better, worse = np.array([1.0, -2.0]), np.array([8.0, 8.0])

    def forgets(obj_func, initial_theta, bounds):
        obj_func(better)
        return worse, 1e9

    def guesses(obj_func, initial_theta, bounds):
        return better, 0.0

    def despairs(obj_func, initial_theta, bounds):
        assert obj_func(np.full(2, np.nan), eval_gradient=False) == np.inf
        obj_func(better)
        return np.full(2, np.nan), np.nan

    for optimizer in (forgets, guesses, despairs):
        report = train(make_task(), optimizer)
        assert np.array_equal(report.theta, better)
        assert report.loss == 7.0


@pytest.mark.parametrize("answer", [None, 3.0, (), ([1.0, 2.0],), ([1.0], 0.0), ("ab", 0.0)])
def test_malformed_answers_of_external_optimizers(answer):
    with pytest.raises(TrainingInterrupted) as raised:
        train(make_task(), lambda obj_func, initial_theta, bounds: answer)
    assert isinstance(raised.value.cause, InvalidInputError)
    assert raised.value.report.loss == quadratic(np.array([3.0, 3.0]))[0]


def test_an_external_optimizer_cannot_swallow_what_ends_training():
    def stubborn(obj_func, initial_theta, bounds):
        for shift in np.linspace(0.0, 1.0, 20):
            try:
                obj_func(initial_theta - shift)
            except Exception:
                continue
        return initial_theta, 0.0

    report = train(make_task(), stubborn, callback=lambda iteration: iteration.iteration == 2)
    assert report.message == "stopped by the callback"
    assert report.n_iterations == 2

    def broken(iteration):
        raise RuntimeError("no display")

    with pytest.raises(TrainingInterrupted) as raised:
        train(make_task(), stubborn, callback=broken)
    assert isinstance(raised.value.cause, RuntimeError)


# Names


def test_optimizers_by_name():
    assert get_optimizer("adam", schedule="cosine") == Adam(schedule="cosine")
    assert get_optimizer("l-bfgs-b", tolerance=1e-3) == LBFGSB(tolerance=1e-3)
    assert get_optimizer(newton) == External(newton)
    optimizer = Adam()
    assert get_optimizer(optimizer) is optimizer


@pytest.mark.parametrize("optimizer", ["sgd", None, 3, LBFGSB])
def test_unknown_optimizers_are_refused(optimizer):
    with pytest.raises(InvalidInputError, match=r"unknown optimizer .*: expected 'l-b"):
        get_optimizer(optimizer)


def test_options_must_belong_to_the_optimizer():
    with pytest.raises(InvalidInputError, match="has no option learning_rate"):
        get_optimizer("l-bfgs-b", learning_rate=0.1)
    for optimizer in (newton, Adam()):
        with pytest.raises(InvalidInputError, match="options max_iter belong"):
            get_optimizer(optimizer, max_iter=3)
