"""Warm starts: fewer evaluations on all rows, from what fewer rows taught."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ortho_group

from gprat.exceptions import InvalidInputError, NotPositiveDefiniteError
from gprat.optimize.adam import Adam
from gprat.optimize.base import Search
from gprat.optimize.lbfgs import LBFGSB
from gprat.optimize.train import TrainingInterrupted, train
from gprat.optimize.warm_start import (
    check_schedule,
    default_schedule,
    measure_curvature,
    nested_subsets,
)
from toys import make_task, quadratic, rosenbrock, with_hole

N_ROWS = 1600


def by_rows(objectives, otherwise=quadratic):
    """A task whose loss depends on the number of rows; and how often each was evaluated."""
    calls = {}

    def make_objective(rows, threads):
        n = N_ROWS if rows is None else rows.size

        def objective(theta):
            calls.setdefault(n, []).append(theta.copy())
            loss, gradient = objectives.get(n, otherwise)(theta)
            return n * loss, n * gradient

        return objective

    return make_task(make_objective=make_objective, n_rows=N_ROWS), calls


def test_default_schedule():
    assert default_schedule(1999, 3) == default_schedule(10_000, 0) == ()
    for n in (2000, 5001, 100_000):
        assert default_schedule(n, 3) == (n // 4, n // 2)
    assert default_schedule(2000, 26) == ()


def test_schedules_are_checked():
    assert check_schedule(None, 100, 2) == ()
    assert check_schedule((), 100, 2) == ()
    assert check_schedule([10, np.int64(99)], 100, 2) == (10, 99)
    assert check_schedule("auto", 8000, 2) == (2000, 4000)
    for bad in ((0, 10), (10, 10), (20, 10), (100,), (10.0,), "fast", 10, ("10",)):
        with pytest.raises(InvalidInputError, match="warm_start must be None, 'auto' or numbers"):
            check_schedule(bad, 100, 2)


def test_subsets_are_nested_distinct_and_seeded():
    small, middle, large = nested_subsets(50, (5, 20, 49), seed=3)
    for rows, size in ((small, 5), (middle, 20), (large, 49)):
        assert rows.size == size
        assert (np.diff(rows) > 0).all()
        assert rows[0] >= 0
        assert rows[-1] < 50
    assert set(small) < set(middle) < set(large)
    assert np.array_equal(nested_subsets(50, (5,), seed=3)[0], small)
    assert not np.array_equal(nested_subsets(50, (5,), seed=4)[0], small)


def test_stages_follow_each_other_from_optimum_to_optimum():
    shifted = lambda theta: quadratic(theta + 0.1)  # noqa: E731
    task, calls = by_rows({100: rosenbrock, 400: shifted})
    seen = []
    report = train(task, warm_start=(100, 400), random_state=0, callback=seen.append)
    assert [stage.rows for stage in report.stages] == [100, 400, N_ROWS]
    assert {n: len(thetas) for n, thetas in calls.items()} == {
        stage.rows: stage.n_evaluations for stage in report.stages
    }
    assert report.n_evaluations == sum(stage.n_evaluations for stage in report.stages)
    assert [iteration.iteration for iteration in seen] == list(range(1, report.n_iterations + 1))
    assert sorted({iteration.stage for iteration in seen}) == [100, 400, N_ROWS]
    assert len(report.loss_history) == sum(stage.n_iterations for stage in report.stages)
    assert np.allclose(calls[400][0], [1.0, 1.0], atol=1e-2)
    assert np.allclose(calls[N_ROWS][0], [0.9, -2.1], atol=1e-3)
    # An optimum on fewer rows that is no worse than the start was: the start is not tried again.
    for n in (400, N_ROWS):
        assert not any(np.array_equal(theta, task.start) for theta in calls[n])
    assert np.allclose(report.theta, [1.0, -2.0], atol=1e-3)
    assert report.success
    assert report.loss == N_ROWS * quadratic(report.theta)[0]
    assert report.initial_theta is report.starts[0].theta


def test_two_seeds_two_subsets():
    chosen = []

    def make_objective(rows, threads):
        chosen.append(rows)
        return quadratic

    task = make_task(make_objective=make_objective)
    for seed in (0, 0, 1):
        train(task, warm_start=(10,), random_state=seed)
    assert np.array_equal(chosen[0], chosen[2])
    assert not np.array_equal(chosen[0], chosen[4])
    assert chosen[1] is chosen[3] is None


def likelihood_like(stretch, rotation, optimum):
    """A loss a row that is no quadratic, with its minimum at `optimum`."""

    def objective(theta):
        u = stretch * (rotation @ (theta - optimum))
        return float(np.sum(np.cosh(u) - 1.0)), rotation.T @ (stretch * np.sinh(u))

    return objective


def test_curvature_saves_evaluations_on_all_rows(rng):
    p = 6
    stretch = np.geomspace(0.01, 1.0, p)
    rotation = ortho_group.rvs(p, random_state=rng)
    full = likelihood_like(stretch, rotation, np.zeros(p))
    coarse = likelihood_like(stretch * 1.1, rotation, rng.normal(scale=0.05, size=p))
    task, calls = by_rows({200: coarse}, full)
    task = make_task(
        names=tuple(f"p{i}" for i in range(p)),
        is_log=np.ones(p, dtype=bool),
        start=np.full(p, 2.0),
        bounds=np.array([[-10.0, 10.0]] * p),
        n_rows=N_ROWS,
        make_objective=task.make_objective,
    )
    plain = train(task)
    n_plain = len(calls[N_ROWS])
    calls.clear()
    warm = train(task, warm_start=(200,), random_state=0)
    assert len(calls[N_ROWS]) <= n_plain / 2
    assert warm.loss <= plain.loss + 1e-4
    assert warm.unconverged == ()
    assert warm.success


def test_curvature_is_handed_from_stage_to_stage(rng):
    hessian = np.diag([3.0, 40.0])

    def cosh(theta):
        return likelihood_like(np.sqrt(np.diag(hessian)), np.eye(2), np.array([1.0, -2.0]))(theta)

    task, calls = by_rows({}, cosh)
    report = train(task, warm_start=(100, 400), random_state=0)
    # Differenced once, on the fewest rows; where the optimum stays, there is nothing left to do.
    assert [stage.n_evaluations for stage in report.stages[1:]] <= [2, 2]
    assert len(calls[N_ROWS]) <= 2
    assert np.allclose(report.theta, [1.0, -2.0], atol=1e-3)


def test_only_plain_lbfgsb_gives_way(rng):
    runs = []

    class Spy(LBFGSB):
        def run(self, search, start, bounds):
            runs.append(self.tolerance)
            return super().run(search, start, bounds)

    train(make_task(), Spy(), warm_start=(10, 20))
    assert runs == [1e-6]
    runs.clear()
    train(make_task(), Spy(tolerance=1e-3), warm_start=(10,))
    assert runs == [1e-3]
    for own in (Spy(scale=[1.0, 2.0]), Spy(gradient_tolerance=1e-3)):
        runs.clear()
        report = train(make_task(), own, warm_start=(10,))
        assert runs == [1e-6, 2.2e-9]
        # No evaluation for curvature that nobody asks for.
        loose = replace(own, tolerance=1e-6)
        assert report.stages[0].n_evaluations == train(make_task(), loose).n_evaluations


def test_limits_carry_over_to_later_stages():
    limited = LBFGSB(max_iter=2)
    full = lambda theta: rosenbrock(theta + 1.0)  # noqa: E731
    task, _ = by_rows({100: rosenbrock}, full)
    report = train(task, limited, warm_start=(100,), random_state=0)
    assert [stage.n_iterations for stage in report.stages] == [2, 2]
    assert report.message == "reached 2 iterations"
    early = train(task, LBFGSB(tolerance=0.5), warm_start=(100,), random_state=0)
    late = train(task, LBFGSB(), warm_start=(100,), random_state=0)
    assert early.stages[-1].n_evaluations < late.stages[-1].n_evaluations


def test_curvature_of_a_quadratic():
    bounds = np.array([[-1.0, 1.0], [-1.0, 1.0], [0.5, 0.5], [-100.0, 100.0]])
    rotation = ortho_group.rvs(4, random_state=0)
    hessian = rotation @ np.diag([1.0, 10.0, 3.0, 100.0]) @ rotation.T
    tried = []

    def objective(theta):
        tried.append(theta.copy())
        return 0.5 * float(theta @ hessian @ theta), hessian @ theta

    theta = np.array([1.0, -1.0, 0.5, 50.0])
    search = Search(objective)
    curvature = measure_curvature(
        search, theta, bounds, np.array([True, True, True, False]), rows=10
    )
    known = np.ix_([0, 1, 3], [0, 1, 3])
    assert np.allclose(curvature.at(40)[known], 4.0 * hessian[known])
    assert search.n_evaluations == 4
    assert (np.array(tried) >= bounds[:, 0]).all()
    assert (np.array(tried) <= bounds[:, 1]).all()
    # The third has no room for a difference.
    assert curvature.hessian[2].tolist() == curvature.hessian[:, 2].tolist() == [0.0, 0.0, 1.0, 0.0]
    assert curvature.typical.tolist() == [1.0, 1.0, 1.0, 50.0]


def test_no_loss_beside_the_optimum_leaves_curvature_unknown():
    objective = with_hole(quadratic, lambda theta: theta[0] > 1.0)
    curvature = measure_curvature(
        Search(objective), np.array([1.0, -2.0]), make_task().bounds, np.array([True, True]), 10
    )
    assert np.allclose(curvature.hessian, np.diag([1.0, 30.0]))


# When the coarse optimum misleads


@pytest.mark.parametrize("optimizer", ["l-bfgs-b", Adam(max_iter=500)])
def test_without_a_loss_at_the_coarse_optimum_training_begins_at_the_start(optimizer):
    full = with_hole(quadratic, lambda theta: theta[0] < 0.0)
    task, calls = by_rows({200: lambda theta: quadratic(theta + 5.0)}, full)
    report = train(task, optimizer, warm_start=(200,), random_state=0)
    assert calls[N_ROWS][0][0] < 0.0
    assert np.array_equal(calls[N_ROWS][1], task.start)
    assert np.allclose(report.theta, [1.0, -2.0], atol=1e-2)


def test_a_coarse_optimum_that_is_worse_than_the_start_is_left():
    task, calls = by_rows({200: lambda theta: quadratic(theta - 9.0)})
    report = train(task, "adam", warm_start=(200,), random_state=0)
    assert np.array_equal(calls[N_ROWS][1], task.start)
    # Adam's first step is short, and it sets out from the start.
    assert np.allclose(calls[N_ROWS][2], task.start, atol=0.11)
    assert np.allclose(report.theta, [1.0, -2.0], atol=0.1)


def test_with_restarts_only_the_best_goes_on():
    task, calls = by_rows({})
    report = train(task, warm_start=(100, 400), n_restarts=4, random_state=0)
    assert len(report.starts) == 5
    assert len(calls[N_ROWS]) == report.stages[-1].n_evaluations
    losses = [start.loss for start in report.starts]
    assert report.starts[int(np.argmin(losses))].is_best
    # On the rows of the last stage that all went through.
    assert np.allclose(losses, 400 * 7.0)
    assert np.isclose(report.loss, N_ROWS * 7.0)


def test_the_next_best_goes_on_where_the_best_has_no_loss_on_all_rows():
    def coarse(theta):
        # Two minima; the lower one is on the side without a loss on all rows.
        side = np.sign(theta[0])
        shift = theta - np.array([3.0 * side, 0.0])
        return float(shift @ shift) + side, 2.0 * shift

    full = with_hole(quadratic, lambda theta: theta[0] < 0.0)
    task, _ = by_rows({100: coarse}, full)
    starts = iter([np.array([-4.0, 1.0]), np.array([4.0, 1.0])])
    task = make_task(
        start=np.array([-2.0, 0.0]),
        make_objective=task.make_objective,
        n_rows=N_ROWS,
        draw_start=lambda rng: next(starts),
    )
    report = train(task, warm_start=(100,), n_restarts=2, random_state=0)
    assert [start.is_best for start in report.starts] == [False, False, True]
    assert [start.failure is None for start in report.starts] == [False, False, True]
    assert np.allclose(report.theta, [1.0, -2.0], atol=1e-2)


def test_no_loss_on_all_rows_is_an_error_that_leaves_nothing_to_adopt():
    task, _ = by_rows({N_ROWS: with_hole(quadratic, lambda theta: True)})
    with pytest.raises(TrainingInterrupted) as raised:
        train(task, warm_start=(100,), n_restarts=1, random_state=0)
    assert isinstance(raised.value.cause, NotPositiveDefiniteError)
    assert raised.value.report is None


def test_training_stopped_in_a_coarse_stage_has_its_best():
    task, calls = by_rows({})
    report = train(task, warm_start=(100,), callback=lambda iteration: iteration.iteration == 2)
    assert N_ROWS not in calls
    assert [stage.rows for stage in report.stages] == [100]
    assert report.loss == 100 * quadratic(report.theta)[0]
    assert not report.success
