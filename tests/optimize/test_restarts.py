"""Restarts: the best of many starts, whatever runs at the same time."""

import _thread
import threading
import time

import numpy as np
import pytest

from gprat._validation import check_random_state
from gprat.exceptions import InvalidInputError, NotPositiveDefiniteError, UnsupportedTypeError
from gprat.optimize.restarts import concurrency
from gprat.optimize.train import TrainingInterrupted, train
from toys import assert_same_result, make_task, quadratic, waves, with_hole

START = np.array([4.3, -4.1])


def test_the_best_start_wins():
    alone = train(make_task(waves, start=START))
    report = train(make_task(waves, start=START), n_restarts=20, random_state=3)
    assert report.loss < alone.loss
    assert len(report.starts) == 21
    losses = [start.loss for start in report.starts]
    best = int(np.argmin(losses))
    assert [start.is_best for start in report.starts] == [i == best for i in range(21)]
    assert report.loss == losses[best]
    assert np.array_equal(report.theta, report.starts[best].optimum)
    assert np.array_equal(report.starts[0].theta, START)
    assert report.starts[0].loss == alone.loss
    assert report.n_evaluations == sum(start.n_evaluations for start in report.starts)
    assert report.stages[0].n_evaluations == report.starts[best].n_evaluations


def test_starts_are_drawn_from_the_seed():
    rng = np.random.default_rng(7)
    expected = [rng.uniform(-5.0, 5.0, size=2) for _ in range(4)]
    for seed in (7, np.random.default_rng(7)):
        report = train(make_task(), n_restarts=4, random_state=seed)
        assert np.array_equal([start.theta for start in report.starts[1:]], expected)


def test_random_states():
    assert check_random_state(5).random() == check_random_state(np.int64(5)).random()
    legacy = [check_random_state(np.random.RandomState(5)).random() for _ in range(2)]
    assert legacy[0] == legacy[1]
    state = np.random.RandomState(5)
    assert check_random_state(state).random() != check_random_state(state).random()
    assert check_random_state(None).random() != check_random_state(None).random()
    for bad in ("seed", 1.5, -1, object()):
        with pytest.raises(UnsupportedTypeError, match="random_state must be"):
            check_random_state(bad)


def test_starts_outside_the_bounds_are_moved_inside():
    task = make_task(start=np.array([30.0, 0.0]), draw_start=lambda rng: np.array([-99.0, 99.0]))
    report = train(task, n_restarts=1)
    assert [list(start.theta) for start in report.starts] == [[10.0, 0.0], [-10.0, 10.0]]


@pytest.mark.parametrize("theta", [np.zeros(3), np.array([np.nan, 0.0])])
def test_draws_that_are_no_starts_are_refused(theta):
    with pytest.raises(InvalidInputError, match="a start must be 2 finite numbers"):
        train(make_task(draw_start=lambda rng: theta), n_restarts=1)


@pytest.mark.parametrize("warm_start", [None, (10, 30)])
@pytest.mark.parametrize("optimizer", ["l-bfgs-b", "adam"])
def test_the_result_does_not_depend_on_what_runs_at_the_same_time(optimizer, warm_start):
    objective = with_hole(waves, lambda theta: theta[0] < -2.5)

    def run(threads, memory_limit=None):
        return train(
            make_task(objective, start=START, threads=threads),
            optimizer,
            n_restarts=12,
            random_state=1,
            warm_start=warm_start,
            memory_limit=memory_limit,
        )

    reference = run(threads=1)
    assert any(start.failure for start in reference.starts)
    for threads in (2, 5, 100):
        assert_same_result(run(threads), reference)
    assert_same_result(run(8, memory_limit=1), reference)


def test_as_many_run_as_processors_and_memory_allow():
    running, most, threads_of = 0, 0, set()
    lock = threading.Lock()

    def make_objective(rows, threads):
        threads_of.add(threads)

        def objective(theta):
            nonlocal running, most
            with lock:
                running += 1
                most = max(most, running)
            time.sleep(0.005)
            with lock:
                running -= 1
            return quadratic(theta)

        return objective

    def run(**limits):
        nonlocal most
        most = 0
        threads_of.clear()
        task = make_task(make_objective=make_objective, threads=6)
        train(task, n_restarts=7, random_state=0, **limits)
        return most, threads_of

    # A toy of 100 rows takes 80000 bytes an evaluation.
    assert run() == (6, {1})
    assert run(memory_limit=3 * 80_000 + 1) == (3, {2})
    assert run(memory_limit=1) == (1, {6})


def test_concurrency():
    assert concurrency(10, 4, 1, None) == 4
    assert concurrency(3, 4, 1, None) == 3
    assert concurrency(3, 4, 100, 250) == 2
    assert concurrency(3, 4, 100, 0) == 1
    assert concurrency(3, 4, 1 << 62, None) == 1
    assert concurrency(3, 4, 0, 10) == 3


def test_failed_starts_are_reported_and_skipped():
    task = make_task(with_hole(quadratic, lambda theta: theta[0] > 2.0))
    report = train(task, n_restarts=10, random_state=0)
    failed = [start for start in report.starts if start.failure]
    assert 0 < len(failed) < 11
    assert all(start.theta[0] > 2.0 for start in failed)
    for start in failed:
        assert (start.failure, start.loss) == ("no factor at all", None)
        assert (start.n_evaluations, start.is_best) == (1, False)
    assert np.allclose(report.theta, [1.0, -2.0], atol=1e-4)
    assert any("starts failed, the first: no factor at all" in line for line in report.advice)


@pytest.mark.parametrize("threads", [1, 3])
def test_if_all_starts_fail_the_first_error_is_raised(threads):
    for failure, kind in (("exception", NotPositiveDefiniteError), ("infinity", InvalidInputError)):
        objective = with_hole(quadratic, lambda theta: True, failure)
        with pytest.raises(TrainingInterrupted) as raised:
            train(make_task(objective, threads=threads), n_restarts=4, random_state=0)
        assert isinstance(raised.value.cause, kind)
        assert str(raised.value.cause).startswith("all 5 starts failed, the first because")
        assert raised.value.report is None
    assert raised.value.__cause__ is raised.value.cause


# Callbacks and interruption


@pytest.mark.parametrize("threads", [1, 4])
def test_callbacks_come_one_at_a_time_from_the_calling_thread(threads):
    seen, is_inside = [], False

    def callback(iteration):
        nonlocal is_inside
        assert not is_inside
        is_inside = True
        assert threading.current_thread() is threading.main_thread()
        time.sleep(0.001)
        seen.append((iteration.start, iteration.iteration))
        is_inside = False

    report = train(
        make_task(waves, threads=threads), n_restarts=5, random_state=0, callback=callback
    )
    for number in range(6):
        counts = [count for start, count in seen if start == number]
        assert counts == list(range(1, len(counts) + 1))
        assert counts
    best = next(i for i, start in enumerate(report.starts) if start.is_best)
    assert report.n_iterations == sum(start == best for start, _ in seen)


@pytest.mark.parametrize("threads", [1, 4])
def test_a_callback_stops_all_starts(threads):
    n_calls = 0

    def callback(iteration):
        nonlocal n_calls
        n_calls += 1
        return n_calls == 5

    task = make_task(waves, threads=threads)
    report = train(task, "adam", n_restarts=9, random_state=0, callback=callback)
    assert n_calls == 5
    assert (report.message, report.success) == ("stopped by the callback", False)
    assert sum(start.n_evaluations > 0 for start in report.starts) <= 5
    assert report.loss == min(start.loss for start in report.starts if start.loss is not None)
    assert "not run" in str(report)


@pytest.mark.parametrize("threads", [1, 4])
def test_an_error_of_a_callback_keeps_the_best(threads):
    losses = []

    def callback(iteration):
        losses.append(iteration.loss)
        if len(losses) == 7:
            raise RuntimeError("the display is gone")

    with pytest.raises(TrainingInterrupted) as raised:
        train(make_task(waves, threads=threads), n_restarts=9, random_state=0, callback=callback)
    assert isinstance(raised.value.cause, RuntimeError)
    report = raised.value.report
    assert report.loss <= min(losses)
    assert not report.success
    assert "interrupted by RuntimeError('the display is gone')" in report.message


@pytest.mark.parametrize("threads", [1, 4])
def test_an_error_of_the_loss_keeps_the_best(threads):
    count, lock, values = 0, threading.Lock(), []

    def objective(theta):
        nonlocal count
        with lock:
            count += 1
            if count == 20:
                raise MemoryError("no room")
        values.append(waves(theta)[0])
        return waves(theta)

    with pytest.raises(TrainingInterrupted) as raised:
        train(make_task(objective, threads=threads), n_restarts=9, random_state=0)
    assert isinstance(raised.value.cause, MemoryError)
    assert raised.value.report.loss == min(values)
    assert count <= 20 + 10 * threads


@pytest.mark.parametrize("threads", [1, 4])
def test_ctrl_c_stops_all_starts_and_keeps_the_best(threads):
    values, lock, after = [], threading.Lock(), 0
    is_interrupted = threading.Event()

    def objective(theta):
        nonlocal after
        with lock:
            after += is_interrupted.is_set()
            values.append(waves(theta)[0])
            if len(values) == 30:
                is_interrupted.set()
                _thread.interrupt_main()
        time.sleep(0.002)
        return waves(theta)

    n_threads = threading.active_count()
    with pytest.raises(TrainingInterrupted) as raised:
        train(make_task(objective, threads=threads), n_restarts=20, random_state=0)
    assert isinstance(raised.value.cause, KeyboardInterrupt)
    assert min(values[:29]) >= raised.value.report.loss >= min(values)
    assert threading.active_count() == n_threads
    # Those that were on their way when the signal came, with some time for it to arrive.
    assert after <= 10 * threads


def test_ctrl_c_while_all_starts_wait_for_the_callback():
    def callback(iteration):
        raise KeyboardInterrupt

    with pytest.raises(TrainingInterrupted) as raised:
        train(make_task(waves, threads=8), n_restarts=7, random_state=0, callback=callback)
    assert isinstance(raised.value.cause, KeyboardInterrupt)
    assert raised.value.report is not None


# Arguments


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_restarts": -1}, InvalidInputError, "n_restarts must not be negative, got -1"),
        ({"n_restarts": 1.5}, UnsupportedTypeError, "n_restarts must be a whole number, got 1.5"),
        ({"n_restarts": True}, UnsupportedTypeError, "n_restarts must be a whole number"),
        ({"memory_limit": 0}, InvalidInputError, "memory_limit must be at least 1"),
        ({"callback": 3}, UnsupportedTypeError, "callback must be callable, got 3"),
        ({"progress": "yes"}, UnsupportedTypeError, "progress must be True, False or None"),
        ({"random_state": "x"}, UnsupportedTypeError, "random_state must be"),
        ({"resume": True}, InvalidInputError, "resume=True needs the file"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(arguments, error, message):
    def objective(theta):
        raise AssertionError("nothing is to be computed")

    with pytest.raises(error, match=message):
        train(make_task(objective), **arguments)


def test_nothing_to_train_is_one_evaluation():
    task = make_task(
        lambda theta: (3.0, theta),
        names=(),
        is_log=np.zeros(0, dtype=bool),
        start=np.zeros(0),
        bounds=np.zeros((0, 2)),
    )
    for optimizer in ("l-bfgs-b", "adam"):
        report = train(task, optimizer, n_restarts=5, warm_start=(10,))
        assert (report.loss, report.n_evaluations, report.success) == (3.0, 1, True)
        assert report.message == "all hyperparameters are fixed"
        assert report.gradient_history.shape == (0, 0)
        assert "all hyperparameters are fixed" in str(report)
