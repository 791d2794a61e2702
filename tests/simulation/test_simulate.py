"""Simulated schedules keep the rules of the scheduler, and the bounds that theory gives."""

from itertools import pairwise
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest

import gprat
from gprat.exceptions import InvalidInputError, UnsupportedTypeError
from gprat.simulation import ModelMachine, Simulation, record_tasks, run, scaling

matplotlib.use("Agg")

FREE = {"submission": 0.0, "overhead": 0.0}


def random_case(rng):
    what = str(rng.choice(["fit", "predict", "variance", "covariance"]))
    n, m = int(rng.integers(50, 4000)), int(rng.integers(1, 4000))
    threads = int(rng.choice([1, 2, 3, 16, 64, 128]))
    tasks = record_tasks(what, n, 3, m, tile_size=max(10, n // 20), threads=threads)
    return tasks, threads


def machine_of(seconds, **figures):
    """Return a machine on which tasks take given times."""
    figures = {"threads": 1, "bandwidth": None, **FREE, **figures}
    return SimpleNamespace(seconds=lambda tasks, threads: seconds, **figures)


def random_seconds(tasks, rng):
    return rng.exponential(size=len(tasks)) + 0.01


def test_no_quicker_than_the_bounds_and_no_slower_than_list_scheduling_can_be(rng):
    for _ in range(30):
        tasks, threads = random_case(rng)
        seconds = random_seconds(tasks, rng)
        simulation = run(tasks, machine_of(seconds), threads)
        total, longest = seconds.sum(), simulation.critical_path_seconds
        assert simulation.serial_seconds == pytest.approx(total)
        assert simulation.makespan >= max(longest, total / threads) * (1 - 1e-9)
        # Graham (1969): whatever the priorities.
        most = total / threads + (1 - 1 / threads) * longest
        assert simulation.makespan <= most * (1 + 1e-9)
        assert 0 < simulation.efficiency <= 1 + 1e-9
        assert simulation.speedup <= simulation.speedup_bound * (1 + 1e-9)


def test_edges_and_threads_are_kept(rng):
    for _ in range(10):
        tasks, threads = random_case(rng)
        overhead, submission = 0.003, 0.002
        machine = machine_of(random_seconds(tasks, rng), overhead=overhead, submission=submission)
        simulation = run(tasks, machine, threads)
        start, end = simulation.start, simulation.end
        np.testing.assert_allclose(end - start, machine.seconds(tasks, 1))
        task = np.repeat(np.arange(len(tasks)), np.diff(tasks.offsets))
        assert np.all(end[tasks.predecessors] <= start[task])
        order = np.lexsort([start, simulation.thread])
        same = np.diff(simulation.thread[order]) == 0
        # A worker spends the overhead between any two tasks; a single thread runs no scheduler.
        gap = overhead if threads > 1 else 0.0
        assert np.all((start[order][1:] - end[order][:-1])[same] >= gap - 1e-9)
        if threads > 1:
            assert np.all(start >= submission * np.arange(len(tasks)) + overhead - 1e-9)


def test_the_longest_path_is_that_of_a_plain_search(rng):
    tasks, _ = random_case(rng)
    seconds = random_seconds(tasks, rng)
    ends = np.zeros(len(tasks))
    for i in range(len(tasks)):
        before = tasks.predecessors[tasks.offsets[i] : tasks.offsets[i + 1]]
        ends[i] = ends[before].max(initial=0.0) + seconds[i]
    longest = run(tasks, machine_of(seconds), 2).critical_path_seconds
    assert longest == pytest.approx(ends.max())


def test_utilisation_is_the_busy_time(rng):
    tasks, threads = random_case(rng)
    simulation = run(tasks, machine_of(random_seconds(tasks, rng)), threads)
    busy = simulation.end - simulation.start
    for intervals in (1, 7, 200):
        share = simulation.utilisation(intervals)
        assert share.shape == (intervals,)
        assert np.all((share >= -1e-9) & (share <= 1 + 1e-9))
        assert share.mean() * threads * simulation.makespan == pytest.approx(busy.sum())
    edges = np.linspace(0, simulation.makespan, 8)
    expected = [
        np.clip(np.minimum(simulation.end, b) - np.maximum(simulation.start, a), 0, None).sum()
        for a, b in pairwise(edges)
    ]
    np.testing.assert_allclose(
        simulation.utilisation(7) * threads * np.diff(edges), expected, rtol=1e-9, atol=1e-12
    )
    assert sum(simulation.busy_seconds.values()) == pytest.approx(busy.sum())


def test_a_slow_adding_thread_a_slow_scheduler_and_a_slow_memory_cost_time():
    def seconds(**figures):
        return gprat.simulate(4096, threads=64, machine=ModelMachine(**figures)).makespan

    free = seconds(**FREE)
    tasks = len(gprat.simulate(4096, threads=64).tasks)
    assert seconds(submission=1e-3, overhead=0.0) >= 1e-3 * (tasks - 1)
    assert seconds(submission=0.0, overhead=1e-3) >= free + 1e-3
    assert seconds(bandwidth=1e10) > 2 * seconds(bandwidth=1e13) > free
    passed = gprat.simulate(4096, threads=64, machine=ModelMachine(**FREE), bandwidth=1e10)
    assert passed.makespan == seconds(bandwidth=1e10, **FREE)


def test_another_machine_may_have_another_memory(rng):
    tasks = record_tasks("fit", 1000, tile_size=100, threads=8)
    seconds = random_seconds(tasks, rng) * 1e-9
    machine = machine_of(seconds)

    def makespan(bandwidth):
        simulation = gprat.simulate(
            1000, 1, threads=8, tile_size=100, machine=machine, bandwidth=bandwidth
        )
        return simulation.makespan

    assert makespan(1e6) >= tasks.bytes.sum() / 1e6 * (1 - 1e-9)
    assert makespan(None) < makespan(1e6)


def test_the_model_machine():
    tasks = record_tasks("fit", 2000, tile_size=200)
    machine = ModelMachine(peak=1e9, core_bandwidth=1e15)
    seconds = machine.seconds(tasks, 1)
    for name, half in (("gemm", 24.0), ("trsm", 60.0), ("potrf", 250.0)):
        members = tasks.kind == tasks.names.index(name)
        expected = tasks.work[members] / 1e9 * (1 + half / 200)
        np.testing.assert_allclose(seconds[members], expected)
    members = tasks.kind == tasks.names.index("assemble")
    np.testing.assert_allclose(seconds[members], 2e-9 * tasks.work[members])
    single = record_tasks("fit", 2000, tile_size=200, dtype="float32")
    assert machine.seconds(single, 1).sum() < 0.6 * seconds.sum()


def test_the_default_tile_size_is_that_of_such_a_machine():
    for threads in (1, 16, 64):
        simulation = gprat.simulate(np.int64(8192), threads=threads)
        assert simulation.tasks.tile_size == gprat.planning.auto_tile_size(8192, threads)
    assert gprat.simulate(500, threads=2, tile_size=1000).tasks.tile_size == 500


def test_strong_scaling():
    curve = scaling(4096, threads=[64, 1, 8, 8], what="variance", m=1000)
    assert curve.threads == (1, 8, 64)
    assert np.all(np.diff(curve.seconds) < 0)
    assert np.all((curve.efficiency > 0) & (curve.efficiency <= 1.0))
    for threads, seconds in zip(curve.threads, curve.seconds, strict=True):
        alone = gprat.simulate(4096, 8, 1000, what="variance", threads=threads)
        assert seconds == alone.makespan
    # Compared with one thread also where that is not asked for.
    assert scaling(4096, threads=[64]).speedup[0] == scaling(4096, threads=[1, 64]).speedup[1]


def test_what_is_printed():
    text = str(gprat.simulate(4096, 3, 1000, what="variance", threads=16))
    assert text.splitlines()[0] == (
        "Means and variances, 4,096 training points, 1,000 test points, on 16 threads"
    )
    assert "efficiency" in text
    assert "cross_covariance" in text
    assert max(map(len, text.splitlines())) <= 100
    assert "64" in str(scaling(4096, threads=(1, 64)))
    assert gprat.simulate(100, threads=1)._repr_html_().startswith("<pre>")


@pytest.mark.parametrize("what", ["fit", "predict", "variance", "covariance"])
def test_pictures(what):
    from matplotlib import pyplot as plt

    simulation = gprat.simulate(2000, m=500, what=what, threads=8)
    axis = simulation.plot()
    areas = [area.get_paths()[0].vertices[:, 1] for area in axis.collections]
    # Stacked: the topmost edge stays below the number of threads.
    assert max(area.max() for area in areas) <= 8 + 1e-9
    assert simulation.plot(plt.figure().add_subplot()) is not axis
    speedup, efficiency = scaling(2000, threads=(1, 4), m=500, what=what).plot()
    assert speedup.lines[2].get_ydata()[0] == 1.0
    assert efficiency.get_ylim() == (0.0, 1.05)
    with pytest.raises(InvalidInputError, match="axes must be"):
        simulation.plot(3)
    plt.close("all")


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"threads": 0}, InvalidInputError, "threads must be"),
        ({"threads": -3}, InvalidInputError, "threads must be"),
        ({"threads": 1.5}, UnsupportedTypeError, "threads must be"),
        ({"threads": 5000}, InvalidInputError, "at most 4,096"),
        ({"n": 10**12}, InvalidInputError, "n must be at most 1,000,000"),
        ({"n": "many"}, UnsupportedTypeError, "n must be"),
        ({"n": 0}, InvalidInputError, "n must be"),
        ({"d": None}, UnsupportedTypeError, "d must be"),
        ({"d": 0}, InvalidInputError, "d must be"),
        ({"what": "train"}, InvalidInputError, "unknown operation 'train'"),
        ({"what": "predict"}, InvalidInputError, "needs test points"),
        ({"tile_size": "small"}, UnsupportedTypeError, "tile_size must be"),
        ({"tile_size": 3}, InvalidInputError, "Pass larger tiles"),
        ({"bandwidth": 0}, InvalidInputError, "bandwidth must be"),
        ({"bandwidth": float("nan")}, InvalidInputError, "bandwidth must be"),
        ({"bandwidth": "fast"}, UnsupportedTypeError, "bandwidth must be"),
    ],
)
def test_bad_input(changes, error, match):
    with pytest.raises(error, match=match):
        gprat.simulate(**{"n": 5000, **changes})


def test_bad_machines():
    tasks = record_tasks("fit", 100, tile_size=50)
    for seconds in (np.full(len(tasks), np.nan), -np.ones(len(tasks)), np.ones(3)):
        with pytest.raises(InvalidInputError, match=r"Mend its method seconds\(\)"):
            run(tasks, machine_of(seconds), 2)
    for figures in ({"peak": 0.0}, {"overhead": -1.0}, {"bandwidth": np.inf}, {"threads": 0}):
        with pytest.raises(InvalidInputError, match="must be a finite number"):
            ModelMachine(**figures)
    for threads, error in (([], InvalidInputError), ("12", UnsupportedTypeError)):
        with pytest.raises(error, match="threads"):
            scaling(100, threads=threads)


def test_results_belong_to_the_tasks():
    simulation = gprat.simulate(1000, threads=4)
    assert isinstance(simulation, Simulation)
    for values in (simulation.start, simulation.end, simulation.thread):
        assert values.shape == (len(simulation.tasks),)
