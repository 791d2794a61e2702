"""A plan's times: those of the simulation of what would run."""

import json

import numpy as np
import pytest
from sklearn.gaussian_process.kernels import PairwiseKernel

import gprat
from calibration.conftest import make_calibration
from gprat.calibration import CalibratedMachine, cache, choice, forecast
from gprat.simulation import record_tasks, run

WHATS = ["fit", "predict", "variance", "covariance"]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Scale up from small graphs: large ones take their time."""
    monkeypatch.setattr(forecast, "_MOST_TASKS", 20_000)
    monkeypatch.setattr(choice, "_LARGEST_SIMULATED", 5000)


def points(what, m=700):
    return 0 if what == "fit" else m


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("what", WHATS)
def test_times_are_those_of_the_simulation(what, threads, calibrated):
    planned = gprat.plan(2000, 3, points(what), what=what, threads=threads, tile_size=250)
    tasks = record_tasks(
        what, 2000, 3, points(what), n_hyperparameters=5, tile_size=250, threads=threads,
        processors=calibrated.identity.processors,
    )  # fmt: skip
    simulation = run(tasks, CalibratedMachine(calibrated, 3, inline=threads == 1), threads)
    assert planned.n_tasks == len(tasks)
    assert planned.critical_path_seconds == pytest.approx(simulation.critical_path_seconds)
    # A call and fresh memory cost something too.
    most = 1e-3 + planned.peak_bytes / calibrated.first_touch
    assert 0.0 <= planned.seconds - simulation.makespan <= most


@pytest.mark.parametrize("n", [1, 50, 1000, 5000, 10**6, 10**9])
@pytest.mark.parametrize("what", WHATS)
def test_figures_are_consistent(what, n, calibrated):
    for threads in (1, 2, 64):
        planned = gprat.plan(n, 8, points(what, 10), what=what, threads=threads)
        assert 0.0 < planned.critical_path_seconds <= planned.seconds
        assert 0.0 < planned.efficiency <= 1.0
        if threads == 1:
            assert planned.efficiency == pytest.approx(1.0)


@pytest.mark.parametrize("what", WHATS[1:])
@pytest.mark.parametrize(("n", "m"), [(1, 10**9), (6, 10**9), (3000, 10**7), (10**9, 10**9)])
def test_far_more_test_points_than_training_points(what, n, m, calibrated):
    planned = gprat.plan(n, 8, m, what=what)
    assert 0.0 < planned.critical_path_seconds <= planned.seconds
    fewer = gprat.plan(n, 8, m // 10, what=what)
    assert fewer.seconds < planned.seconds


@pytest.mark.parametrize("name", ["d", "n_outputs", "n_hyperparameters", "threads"])
def test_what_cannot_be_simulated_has_no_time(name, calibrated):
    planned = gprat.plan(100, **{name: 10**9})
    assert planned.seconds is None
    assert planned.flops > 0.0
    assert "unknown" in str(planned)


@pytest.mark.parametrize("what", WHATS)
def test_more_points_take_longer(what, calibrated):
    sizes = [100, 400, 1600, 6400, 25_600, 102_400]
    planned = [gprat.plan(n, 8, points(what), what=what) for n in sizes]
    for name in ("seconds", "critical_path_seconds"):
        values = [getattr(plan, name) for plan in planned]
        assert values == sorted(values)
        assert values[-1] > values[0]


def test_large_graphs_are_scaled_up_from_smaller_ones(calibrated, monkeypatch):
    whole = gprat.plan(12_000, tile_size=240, threads=2)
    monkeypatch.setattr(forecast, "_MOST_TASKS", whole.n_tasks // 8)
    scaled = gprat.plan(12_000, tile_size=240, threads=2)
    assert scaled.seconds == pytest.approx(whole.seconds, rel=0.1)
    assert scaled.critical_path_seconds == pytest.approx(whole.critical_path_seconds, rel=0.1)


def test_more_features_take_longer(calibrated):
    seconds = [gprat.plan(2000, d).seconds for d in (1, 8, 100)]
    assert seconds == sorted(seconds)


def test_a_model_plans_for_itself(calibrated):
    X = np.linspace(0.0, 1.0, 1500).reshape(-1, 1) * np.ones(3)
    gp = gprat.GP(X, np.zeros((1500, 2)), threads=1, dtype="float32", tile_size=123)
    planned = gp.plan("variance", m=40)
    expected = gprat.plan(
        1500, 3, 40, what="variance", n_outputs=2, n_hyperparameters=len(gp.theta), threads=1,
        dtype="float32", tile_size=123, memory=planned.memory,
    )  # fmt: skip
    assert planned == expected
    assert gp.plan().what == "fit"


def test_a_model_plans_with_the_tile_size_that_it_has_chosen(calibrated):
    gp = gprat.GP(np.linspace(0.0, 1.0, 3000)[:, np.newaxis], np.zeros(3000))
    assert gp.plan().tile_size == gp.tile_size == gprat.plan(3000).tile_size
    assert gp.plan().seconds > 0.0


def test_times_of_kernels_that_run_in_python_are_unknown(calibrated):
    gp = gprat.GP(np.zeros((10, 1)), np.zeros(10), PairwiseKernel(metric="rbf"))
    planned = gp.plan()
    assert planned.seconds is planned.efficiency is None
    assert planned.flops > 0.0


def test_without_a_calibration_there_are_no_times(folder):
    planned = gprat.plan(2000)
    assert (planned.seconds, planned.critical_path_seconds, planned.efficiency) == (None,) * 3
    assert "gprat.tune" in str(planned)
    assert json.loads(json.dumps(planned.as_dict()))["seconds"] is None


def test_times_are_shown(calibrated):
    text = str(gprat.plan(20_000, 8))
    (line,) = [line for line in text.splitlines() if line.startswith("time ")]
    assert "efficiency" in line
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.parametrize("automatic", ["1", "0"])
def test_a_calibration_can_be_asked_for(automatic, folder, monkeypatch):
    monkeypatch.setenv("GPRAT_CALIBRATE", automatic)
    monkeypatch.setattr(choice, "calibrate", lambda dtype: make_calibration(dtype))
    assert gprat.plan(500).seconds is None
    assert gprat.plan(500, calibrate=True).seconds > 0.0
    assert (gprat.plan(500).seconds is None) is (automatic == "0")
    assert gprat.plan(500, calibrate=False).seconds is None


def test_long_work_is_worth_a_calibration(folder, monkeypatch):
    monkeypatch.setattr(choice, "calibrate", lambda dtype: make_calibration(dtype))
    assert gprat.plan(10**6).seconds > 0.0
    assert cache.find_entry(cache.this_machine("float64")) is not None


def test_fresh_memory_takes_time(folder):
    cache.keep(make_calibration(first_touch=1e8))
    slow = gprat.plan(4000, m=10, what="predict")
    cache.keep(make_calibration(first_touch=1e10))
    quick = gprat.plan(4000, m=10, what="predict")
    expected = slow.peak_bytes * (1e-8 - 1e-10)
    assert slow.seconds - quick.seconds == pytest.approx(expected, rel=0.01)
