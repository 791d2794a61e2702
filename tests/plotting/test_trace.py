"""The picture of a trace shows every task where it ran; how it looks is for people."""

import sys
import types

import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.collections import PolyCollection

import gprat
from gprat.exceptions import InvalidInputError
from gprat.plotting import plot_trace
from gprat.tracing import critical_path
from gprat.tracing.kinds import FAMILIES, family_of
from gprat.tracing.remote import TRANSFER


def record(threads=2, n=400):
    X = np.linspace(0.0, 1.0, n).reshape(-1, 1)
    gp = gprat.GP(X, np.sin(X[:, 0]), noise=0.1, tile_size=100, threads=threads)
    with gprat.trace() as t:
        gp.log_marginal_likelihood(eval_gradient=True)
        gp.predict_with_uncertainty(X[:200])
    return t


def bars_of(axis):
    """The rectangles, as left, right and middle of the lane, by label."""
    found = {}
    for bars in axis.collections:
        assert isinstance(bars, PolyCollection)
        corners = np.array([path.vertices[:4] for path in bars.get_paths()])
        left, right = corners[:, :, 0].min(axis=1), corners[:, :, 0].max(axis=1)
        found[bars.get_label()] = np.stack([left, right, corners[:, :, 1].mean(axis=1)], axis=1)
    return found


@pytest.mark.parametrize("threads", [1, 2])
def test_every_task_is_a_bar_in_its_lane(threads):
    t = record(threads)
    _, lower = t.plot()
    bars = bars_of(lower)
    families = np.array([family_of(str(name)) for name in t.tasks["name"]])
    assert len(bars) == np.unique(families).size
    drawn = np.concatenate(list(bars.values()))
    assert drawn.shape[0] == t.tasks.size
    scale = {"s": 1.0, "ms": 1e3, "µs": 1e6}[lower.get_xlabel().split("(")[1].rstrip(")")]
    expected = np.stack(
        [
            scale * (t.tasks["start"] - t.tasks["start"].min()),
            scale * (t.tasks["end"] - t.tasks["start"].min()),
            t.tasks["thread"],
        ],
        axis=1,
    )
    assert np.allclose(np.sort(drawn, axis=0), np.sort(expected, axis=0))


def test_families_have_colours_of_their_own_and_are_in_the_legend():
    _, lower = record().plot()
    colours = {tuple(bars.get_facecolor()[0]) for bars in lower.collections}
    assert len(colours) == len(lower.collections) == len(FAMILIES)
    labels = [text.get_text() for text in lower.get_legend().get_texts()]
    assert sorted(labels) == sorted(
        ["critical path", *(bars.get_label() for bars in lower.collections)]
    )


def test_critical_path_goes_through_its_tasks():
    t = record(threads=2)
    _, lower = t.plot()
    (line,) = [line for line in lower.get_lines() if line.get_label() == "critical path"]
    chain = t.tasks[critical_path(t.tasks)]
    wall = t.summary().wall_seconds
    left, right, gap = np.reshape(line.get_xdata(), (-1, 3)).T
    assert np.all(np.isnan(gap))
    assert np.array_equal(np.reshape(line.get_ydata(), (-1, 3))[:, 0], chain["thread"])
    assert np.allclose((right - left) / right[-1], (chain["end"] - chain["start"]) / wall)
    assert np.all(left[1:] >= right[:-1])
    assert right[-1] == pytest.approx(lower.get_xlim()[1])


def test_one_thread_has_no_path_to_mark():
    _, lower = record(threads=1).plot()
    assert not lower.get_lines()


def test_utilisation_is_that_of_the_summary():
    t = record(threads=2)
    upper, _ = t.plot()
    values, edges, _ = upper.patches[0].get_data()
    assert np.all((values >= 0.0) & (values <= 1.0))
    assert np.sum(values * np.diff(edges)) / edges[-1] == pytest.approx(t.summary().utilisation)
    assert f"{t.summary().utilisation:.0%}" in upper.get_title(loc="left")


def test_draws_on_given_axes():
    _, axes = plt.subplots(2, 1)
    assert plot_trace(record(), axes) == tuple(axes)
    with pytest.raises(InvalidInputError, match="axes must be two"):
        record().plot(axes=axes[0])


def trace_of(tasks, n_threads):
    """What is drawn of a trace."""
    lanes = tuple(f"worker {thread}" for thread in range(n_threads))
    transfers = np.empty(0, dtype=TRANSFER)
    return types.SimpleNamespace(tasks=tasks, n_threads=n_threads, lanes=lanes, transfers=transfers)


def test_many_tasks_on_many_threads_are_few_artists():
    rng = np.random.default_rng(0)
    tasks = np.zeros(60_000, dtype=record().tasks.dtype)
    tasks["name"] = rng.choice(["gemm", "potrf", "assemble", "contract"], tasks.size)
    tasks["thread"] = np.arange(tasks.size) % 128
    tasks["start"] = np.arange(tasks.size) // 128
    tasks["end"] = tasks["start"] + rng.uniform(0.5, 1.0, tasks.size)
    tasks["released_by"] = -1
    tasks.sort(order="end")
    upper, lower = plot_trace(trace_of(tasks, 128))
    assert len(lower.collections) == 4
    assert sum(len(bars.get_paths()) for bars in lower.collections) == tasks.size
    assert len(lower.get_yticks()) <= 16
    assert (upper.get_xlim(), lower.get_ylim()) == ((0.0, tasks["end"].max()), (127.5, -0.5))
    upper.figure.canvas.draw()


def test_a_task_without_duration_is_drawn():
    tasks = np.zeros(1, dtype=record().tasks.dtype)
    tasks["released_by"] = -1
    upper, lower = plot_trace(trace_of(tasks, 1))
    upper.figure.canvas.draw()
    assert lower.get_xlim() == (0.0, 1.0)


def test_missing_matplotlib_is_named(monkeypatch):
    t = record()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError, match=r"pip install 'gprat\[plot\]'"):
        t.plot()
