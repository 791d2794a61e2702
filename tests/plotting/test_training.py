"""The picture of training shows what it should; how it looks is for people."""

import sys

import numpy as np
import pytest
from matplotlib import pyplot as plt

from gprat.exceptions import InvalidInputError
from gprat.optimize.registry import get_optimizer
from gprat.optimize.train import train
from gprat.plotting import plot_training
from toys import make_task, rosenbrock


def test_objective_and_gradients_are_drawn():
    report = train(make_task(rosenbrock))
    upper, lower = plot_training(report)
    (line,) = upper.get_lines()
    assert np.array_equal(line.get_ydata(), -report.loss_history)
    assert np.array_equal(line.get_xdata(), np.arange(1, report.n_iterations + 1))
    gradients = [line.get_ydata() for line in lower.get_lines()[:2]]
    expected = np.maximum(np.abs(report.gradient_history.T), 1e-12)
    assert np.array_equal(gradients, expected)
    assert lower.get_yscale() == "log"
    assert set(report.names) <= {text.get_text() for text in lower.texts}


def test_stages_are_parted_and_compare_by_row():
    report = train(make_task(rosenbrock), warm_start=(10, 30))
    upper, _ = plot_training(report)
    rows = np.concatenate([np.full(stage.n_iterations, stage.rows) for stage in report.stages])
    objectives = [line for line in upper.get_lines() if line.get_linestyle() == "-"]
    drawn = np.concatenate([line.get_ydata() for line in objectives])
    assert np.allclose(drawn, -report.loss_history / rows)
    assert {text.get_text() for text in upper.texts} == {"10 rows", "30 rows", "100 rows"}
    assert upper.get_ylabel() == "objective per row"


def test_what_has_converged_is_muted_and_bounds_are_named():
    bounds = np.array([[-10.0, 0.5], [-10.0, 10.0]])
    report = train(make_task(bounds=bounds), get_optimizer("adam", max_iter=40))
    assert report.unconverged == ("noise_variance",)
    _, lower = plot_training(report)
    settled, moving = lower.get_lines()[:2]
    assert settled.get_linewidth() < moving.get_linewidth()
    colours = {text.get_text(): text.get_color() for text in lower.texts}
    assert colours["noise_variance"] == moving.get_color()
    assert colours["length_scale[0] (at bound)"] == settled.get_color() != moving.get_color()


@pytest.mark.parametrize("p", [1, 2, 15, 40])
def test_labels_do_not_overlap(p):
    task = make_task(
        lambda theta: (float(theta @ theta), 2.0 * theta),
        names=tuple(f"k{i}" for i in range(p)),
        is_log=np.ones(p, dtype=bool),
        start=np.full(p, 3.0),
        bounds=np.array([[-10.0, 10.0]] * p),
    )
    _, lower = plot_training(train(task, get_optimizer("adam", max_iter=5)))
    heights = sorted(text.xyann[1] for text in lower.texts if text.get_text().startswith("k"))
    assert len(heights) == p
    assert heights[0] >= -1e-9
    assert heights[-1] <= 1.0 + 1e-9
    assert (np.diff(heights) >= min(0.065, 1.0 / max(1, p - 1)) - 1e-9).all()


def test_given_axes_are_used():
    _, axes = plt.subplots(1, 2)
    assert plot_training(train(make_task()), axes) == tuple(axes)
    for bad in (axes[:1], axes[0]):
        with pytest.raises(InvalidInputError, match="axes must be two"):
            plot_training(train(make_task()), bad)


def test_a_zero_gradient_is_drawn_too():
    task = make_task(lambda theta: (float(theta[0] ** 2), np.array([2.0 * theta[0], 0.0])))
    _, lower = plot_training(train(task))
    lower.figure.canvas.draw()


def test_without_iterations_there_is_nothing_to_draw():
    report = train(make_task(start=np.array([1.0, -2.0])), "adam")
    assert report.n_iterations == 0
    with pytest.raises(InvalidInputError, match="nothing to draw"):
        plot_training(report)


def test_a_missing_matplotlib_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'gprat\[plot\]'"):
        plot_training(train(make_task()))
