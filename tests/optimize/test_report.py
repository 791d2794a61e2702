"""Reports: what they say about training, and the advice in them."""

from dataclasses import replace

import numpy as np
import pytest

from gprat.optimize.advice import advise
from gprat.optimize.report import (
    TrainingReport,
    at_bounds,
    gradient_tolerance,
    unconverged,
)
from gprat.optimize.train import train
from toys import make_task, quadratic, waves, with_hole


@pytest.fixture
def report():
    return train(make_task())


def named(report, name, side="upper", **changes):
    """The report of one hyperparameter, at a bound."""
    return replace(
        report,
        names=(name,),
        is_log=np.array([True]),
        theta=np.array([2.0]),
        at_bounds={name: side},
        **changes,
    )


def test_to_optimize_result(report):
    result = report.to_optimize_result()
    assert np.array_equal(result.x, report.theta)
    assert np.array_equal(result.jac, report.gradient)
    assert np.array_equal(result.loss_history, report.loss_history)
    assert (result.fun, result.nit, result.nfev) == (
        report.loss,
        report.n_iterations,
        report.n_evaluations,
    )
    assert (result.success, result.status, result.message) == (True, 0, report.message)
    assert train(make_task(), "adam", callback=lambda _: True).to_optimize_result().status == 1


def test_history(report):
    assert report.loss_history.shape == (report.n_iterations,)
    assert report.gradient_history.shape == (report.n_iterations, 2)
    assert report.loss_history[-1] == report.loss
    assert np.array_equal(report.gradient_history[-1], report.gradient)
    assert report.seconds > 0.0


def test_values_are_natural():
    report = train(make_task(is_log=np.array([True, False])))
    assert np.allclose(report.values, [np.exp(report.theta[0]), report.theta[1]])
    assert np.allclose(report.initial_values, [np.exp(3.0), 3.0])


def test_text_is_plain_narrow_and_complete():
    names = ("a" * 150, "k1__length_scale[0]")
    task = make_task(
        with_hole(waves, lambda theta: theta[0] < 0.5), names=names, start=np.array([3.9, 2.0])
    )
    report = train(task, "adam", n_restarts=4, random_state=0, warm_start=(20,))
    report = replace(report, condition=3e14, advice=("use [bold]less[/bold] data",))
    text = str(report)
    assert text.isprintable() or {c for c in text if not c.isprintable()} == {"\n"}
    assert max(len(line) for line in text.splitlines()) <= 100
    folded = [line.split()[0] for line in text.splitlines() if line.startswith("aaa")]
    assert "".join(folded) == names[0]
    for part in (
        "k1__length_scale[0]",
        "on 100 rows",
        "3.0e+14",
        "no factor at all",
        "[bold]less[/bold]",
        "Adam(max_iter=200",
        f"{-report.loss:.6g}",
        f"{report.values[1]:.4g}",
    ):
        assert part in text, part
    assert report._repr_html_().startswith("<pre>")
    assert "&#x27;constant&#x27;" in report._repr_html_()


def test_text_names_what_is_at_bounds_and_what_moves():
    bounds = np.array([[-10.0, 0.5], [-10.0, 10.0]])
    report = train(make_task(bounds=bounds), "adam", callback=lambda it: it.iteration == 40)
    lines = str(report).splitlines()
    assert any("length_scale[0]" in line and "at its upper bound" in line for line in lines)
    assert any("noise_variance" in line and "not converged" in line for line in lines)


def test_at_bounds():
    bounds = np.array([[0.0, 1.0], [0.0, 1.0], [0.0, 1.0], [2.0, 2.0], [0.0, 1e-9]])
    theta = np.array([0.0, 1.0 - 1e-9, 0.5, 2.0, 5e-10])
    assert at_bounds(tuple("abcde"), theta, bounds) == {"a": "lower", "b": "upper"}


def test_unconverged():
    bounds = np.array([[-1.0, 1.0]] * 5)
    theta = np.array([-1.0, -1.0, 1.0, 0.0, 0.0])
    large = 1.1 * gradient_tolerance(400)
    gradient = np.array([large, -large, -large, large, 0.9 * gradient_tolerance(400)])
    # At a bound only a loss that falls to the inside counts.
    assert unconverged(tuple("abcde"), theta, gradient, bounds, rows=400) == ("b", "d")
    assert gradient_tolerance(400) == pytest.approx(0.2)


# Advice


def test_no_advice_where_all_is_well(report):
    assert report.advice == ()
    assert advise(replace(report, condition=1e3)) == ()


@pytest.mark.parametrize(
    ("name", "side", "words"),
    [
        ("k1__k2__length_scale[3]", "upper", "feature 3 may be irrelevant"),
        ("length_scale", "upper", "hardly varies"),
        ("k1__length_scale[0]", "lower", "noise for fast variation"),
        ("noise_variance", "lower", "free of noise"),
        ("k2__noise_level", "lower", "free of noise"),
        ("noise_variance", "upper", "explains little"),
        ("k1__constant_value", "upper", "subtract its mean"),
        ("variance[1]", "upper", "subtract its mean"),
        ("k1__constant_value", "lower", "adds nothing"),
        ("k1__periodicity", "upper", "the optimum may lie beyond"),
        ("", "lower", "the optimum may lie beyond"),
        ("odd\n[3]", "lower", "the optimum may lie beyond"),
    ],
)
def test_advice_on_bounds(report, name, side, words):
    (line,) = advise(named(report, name, side))
    assert line.startswith(f"{name} is at its {side} bound 7.39: ")
    assert words in line


def test_advice_on_condition(report):
    assert advise(replace(report, condition=0.9e12)) == ()
    (line,) = advise(replace(report, condition=1.1e12))
    assert "condition number 1.1e+12" in line
    single = float(np.finfo(np.float32).eps)
    assert advise(replace(report, condition=0.9 / single), epsilon=single) == ()
    assert len(advise(replace(report, condition=1.1 / single), epsilon=single)) == 1


def test_advice_on_iterations():
    for optimizer in ("l-bfgs-b", "adam"):
        from gprat.optimize.registry import get_optimizer

        report = train(make_task(waves), get_optimizer(optimizer, max_iter=2))
        (line,) = report.advice
        assert "raise max_iter" in line
        assert "falls along 2 hyperparameters" in line
    assert train(make_task(), "adam", callback=lambda _: True).advice == ()


def test_advice_on_other_optima():
    report = train(make_task(waves), n_restarts=9, random_state=0)
    losses = np.array([start.loss for start in report.starts])
    n_worse = int((losses > losses.min() + 0.1).sum())
    assert 0 < n_worse < 10
    (line,) = report.advice
    assert line.startswith(f"{n_worse} of 10 starts ended in worse optima")
    assert train(make_task(quadratic), n_restarts=9, random_state=0).advice == ()


def test_advice_is_part_of_the_report():
    bounds = np.array([[-10.0, 0.5], [-10.0, 10.0]])
    report = train(make_task(bounds=bounds))
    assert isinstance(report, TrainingReport)
    assert report.advice == advise(report)
    assert "feature 0 may be irrelevant" in " ".join(str(report).split())
