"""Losses whose minima are known, as tasks for training."""

from dataclasses import replace

import numpy as np

from gprat.exceptions import NotPositiveDefiniteError
from gprat.optimize.task import TrainingTask

WIDE = np.array([[-10.0, 10.0]] * 2)


def quadratic(theta):
    """A narrow valley with its minimum 7 at (1, -2)."""
    difference = theta - np.array([1.0, -2.0])
    scale = np.array([1.0, 30.0])
    return 7.0 + 0.5 * float(scale @ difference**2), scale * difference


def rosenbrock(theta):
    """A bent valley with its minimum 0 at (1, 1)."""
    x, y = theta
    bend = y - x**2
    return (
        float((1.0 - x) ** 2 + 100.0 * bend**2),
        np.array([-2.0 * (1.0 - x) - 400.0 * x * bend, 200.0 * bend]),
    )


def waves(theta):
    """Many minima, the lowest 0 at the origin."""
    return (
        float(np.sum(theta**2 + 5.0 * (1.0 - np.cos(3.0 * theta)))),
        2.0 * theta + 15.0 * np.sin(3.0 * theta),
    )


def with_hole(objective, is_hole, failure="exception"):
    """The same loss, but for a region where there is none."""

    def punctured(theta):
        loss, gradient = objective(theta)
        if not is_hole(theta):
            return loss, gradient
        if failure == "exception":
            raise NotPositiveDefiniteError("no factor\nat all", row=4, near_duplicates=(1, 2))
        return (np.inf, gradient) if failure == "infinity" else (loss, gradient + np.nan)

    return punctured


def make_task(objective=quadratic, **changes):
    """A task of two hyperparameters whose loss is the same on any rows."""
    task = TrainingTask(
        names=("length_scale[0]", "noise_variance"),
        is_log=np.array([True, True]),
        start=np.array([3.0, 3.0]),
        bounds=WIDE,
        n_rows=100,
        make_objective=lambda rows, threads: objective,
        draw_start=lambda rng: rng.uniform(-5.0, 5.0, size=2),
        bytes_per_evaluation=lambda rows: 8 * rows**2,
        threads=4,
        fingerprint="a toy",
    )
    return replace(task, **changes)


def newton(obj_func, initial_theta, bounds):
    """An optimiser as scikit-learn takes it."""
    from scipy.optimize import minimize

    result = minimize(obj_func, initial_theta, jac=True, method="TNC", bounds=bounds)
    return result.x, result.fun


def assert_same_result(report, other):
    """Assert that two reports agree bitwise in all but the time they took."""
    for name in ("theta", "initial_theta", "gradient", "loss_history", "gradient_history"):
        assert np.array_equal(getattr(report, name), getattr(other, name)), name
    for name in ("loss", "n_iterations", "n_evaluations", "success", "message", "at_bounds"):
        assert getattr(report, name) == getattr(other, name), name
    assert len(report.starts) == len(other.starts)
    for start, its_other in zip(report.starts, other.starts, strict=True):
        assert np.array_equal(start.theta, its_other.theta)
        assert (start.loss, start.n_evaluations, start.failure, start.is_best) == (
            its_other.loss,
            its_other.n_evaluations,
            its_other.failure,
            its_other.is_best,
        )
    assert [(s.rows, s.n_evaluations, s.n_iterations, s.loss) for s in report.stages] == [
        (s.rows, s.n_evaluations, s.n_iterations, s.loss) for s in other.stages
    ]
