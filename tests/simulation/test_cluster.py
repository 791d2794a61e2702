"""A simulated cluster runs the engine's own tasks, and keeps the bounds that theory gives."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest

import gprat
from gprat._costs import Operation
from gprat.calibration import calibrate, choice
from gprat.exceptions import InsufficientMemoryError, InvalidInputError, UnsupportedTypeError
from gprat.planning import ClusterPlan, plan
from gprat.simulation import ModelMachine, Network, cluster_scaling, simulate_cluster
from gprat.simulation.cluster.events import Events
from gprat.simulation.cluster.simulate import record_blocks, run_blocks

matplotlib.use("Agg")

GIB = 2**30
FREE = Network(bandwidth=1e18, latency=0.0, submission=0.0, scheduling=0.0, overhead=0.0)
WHATS = ["fit", "predict", "variance", "covariance"]


def random_case(rng, **figures):
    network = Network(
        bandwidth=10 ** rng.uniform(7, 11),
        latency=rng.choice([0.0, 1e-3]),
        submission=rng.choice([0.0, 1e-4]),
        scheduling=rng.choice([0.0, 3e-4]),
    )
    n = int(rng.integers(200, 6000))
    options = {
        "what": str(rng.choice(WHATS)),
        "workers": int(rng.choice([1, 2, 3, 4, 6, 16])),
        "threads": int(rng.choice([1, 2, 8])),
        "block_size": max(20, n // int(rng.integers(1, 14))),
        "network": network,
        **figures,
    }
    return simulate_cluster(n, 3, int(rng.integers(1, 3000)), **options)


def edges(tasks):
    """Return the tasks that wait, and what each waits for."""
    return np.repeat(np.arange(len(tasks)), np.diff(tasks.offsets)), tasks.predecessors


def test_no_quicker_than_any_of_its_bounds(rng):
    for _ in range(12):
        simulation = random_case(rng)
        for seconds in simulation.bounds.values():
            assert simulation.makespan >= seconds * (1 - 1e-9)
        assert 0.0 < simulation.efficiency <= 1.0 + 1e-9


def test_tasks_wait_for_what_they_need_and_for_its_way(rng):
    for _ in range(8):
        simulation = random_case(rng)
        tasks, network = simulation.tasks, simulation.network
        later, before = edges(tasks)
        way = tasks.bytes[before] / network.bandwidth + network.latency
        way[tasks.owner[before] == tasks.owner[later]] = 0.0
        told = 2 * network.latency + network.scheduling
        assert np.all(simulation.start[later] >= (simulation.end[before] + way + told) * (1 - 1e-9))
        added = network.submission * np.arange(1, len(tasks) + 1)
        assert np.all(simulation.start >= added * (1 - 1e-9))


def test_a_block_goes_once_to_each_other_worker_that_needs_it(rng):
    for _ in range(8):
        simulation = random_case(rng)
        tasks = simulation.tasks
        later, before = edges(tasks)
        ways = {
            (int(block), int(worker))
            for block, worker in zip(before, tasks.owner[later], strict=True)
            if worker != tasks.owner[block]
        }
        expected = sum(tasks.bytes[block] for block, _ in ways)
        assert simulation.traffic_bytes == pytest.approx(expected)
        assert simulation.sent.sum() == pytest.approx(expected)


def test_a_worker_runs_no_more_tasks_at_a_time_than_it_has_threads(rng):
    for _ in range(10):
        simulation = random_case(rng)
        for worker in range(simulation.workers):
            mine = simulation.tasks.owner == worker
            times = np.concatenate([simulation.start[mine], simulation.end[mine]])
            change = np.repeat([1, -1], mine.sum())
            # Ends come before starts at the same time.
            order = np.lexsort([change, times])
            assert np.cumsum(change[order]).max(initial=0) <= simulation.threads


def test_one_thread_takes_the_sum_of_all_tasks(rng):
    for _ in range(5):
        simulation = random_case(rng, workers=1, threads=1, network=FREE)
        assert simulation.makespan == pytest.approx(simulation.work.sum())
        assert simulation.traffic_bytes == 0.0


def test_operations_are_those_of_the_equations():
    # n³ for likelihood and gradient, and twice n³/3 more for the inverse that is not in place.
    n = 4000
    tasks = simulate_cluster(n, workers=4, block_size=200).tasks
    assert n**3 < tasks.flops < 1.15 * n**3
    factor = simulate_cluster(n, m=1, what="predict", workers=4, block_size=200).tasks
    assert factor.flops == pytest.approx(n**3 / 3, rel=0.15)


def test_panels_reach_as_many_workers_as_the_grid_has_in_a_row_and_a_column():
    n, block = 6400, 200
    for side in (2, 4):
        simulation = simulate_cluster(
            n, m=1, what="predict", workers=side**2, block_size=block, network=FREE
        )
        # Each block of L goes to a row and a column of workers, less its owner.
        most = 8 * n**2 / 2 * 2 * (side - 1)
        assert 0.6 * most < simulation.traffic_bytes < 1.1 * most


def test_memory_holds_the_triangle_and_goes_back():
    triangle = 8 * 2000**2 / 2
    for workers in (1, 4):
        tasks = simulate_cluster(2000, workers=workers, threads=1, block_size=100).tasks
        seconds = np.full(len(tasks), 1e-3)
        events = Events(tasks, seconds, seconds, 1, FREE)
        events.run()
        peaks = [memory.peak for memory in events.memory]
        assert sum(peaks) > triangle
        if workers == 1:
            assert sum(peaks) < 1.5 * triangle
        # What the client waits for is all that is left: numbers, and no block.
        assert sum(memory.in_use for memory in events.memory) < 0.05 * triangle


def test_the_slowest_part_is_named():
    options = {"workers": 4, "threads": 4, "block_size": 400}
    assert simulate_cluster(8000, network=FREE, **options).limit == "compute"
    slow = {"bandwidth": 1e6, "submission": 0.1, "latency": 10.0}
    names = {"bandwidth": "network", "submission": "scheduler", "latency": "critical path"}
    for figure, value in slow.items():
        network = replace(FREE, **{figure: value})
        simulation = simulate_cluster(8000, network=network, **options)
        assert simulation.limit == names[figure]
        assert simulation.makespan > simulate_cluster(8000, network=FREE, **options).makespan


def test_what_does_not_fit_goes_to_disk_and_back():
    tasks = record_blocks(simulate_cluster(3000, workers=2).tasks.sizes, 2, 2, 150)
    machine, network = ModelMachine(), Network(disk_bandwidth=1e8)
    in_memory = run_blocks(tasks, 2, machine, network)
    peak = in_memory.peak_bytes.max()
    roomy = run_blocks(tasks, 2, machine, replace(network, memory=1.01 * peak))
    assert roomy.makespan == in_memory.makespan
    assert not roomy.written.any()
    tight = run_blocks(tasks, 2, machine, replace(network, memory=0.6 * peak))
    assert tight.peak_bytes.max() <= 0.75 * peak
    assert tight.written.max() > 0.2 * peak
    assert tight.read.sum() > 0.0
    assert tight.makespan > in_memory.makespan
    assert "written" in str(tight)


def test_more_threads_help_until_blocks_have_too_few_tiles():
    seconds = [
        simulate_cluster(4000, workers=1, threads=threads, block_size=4000, network=FREE).makespan
        for threads in (1, 4, 16)
    ]
    assert seconds[0] > 2.5 * seconds[1] > 2.5 * seconds[2]


def test_single_precision_takes_half_the_traffic():
    double, single = (simulate_cluster(3000, workers=4, dtype=dtype) for dtype in ("f8", "f4"))
    assert single.traffic_bytes == pytest.approx(double.traffic_bytes / 2, rel=0.02)


def test_scaling():
    strong = cluster_scaling(6000, workers=(4, 1, 2), threads=2, network=FREE)
    assert strong.workers == (1, 2, 4)
    assert strong.n == (6000,) * 3
    assert strong.seconds[0] > strong.seconds[1] > strong.seconds[2]
    assert strong.speedup[0] == 1.0
    weak = cluster_scaling(6000, kind="weak", workers=(1, 4), threads=2, network=FREE)
    assert weak.n == (3000, 6000)
    assert all(limit == "compute" for limit in weak.limits)
    for curve in (strong, weak):
        first, second = curve.plot()
        assert first.get_ylabel() == "seconds"
        assert second.get_ylabel() == "efficiency"
        assert "Gbit/s" in str(curve)
        assert all(len(line) <= 100 for line in str(curve).splitlines())
    both = gprat.plotting.plot_cluster_scaling([strong, weak])
    assert len(both[1].get_legend().get_texts()) == 2
    matplotlib.pyplot.close("all")


def test_the_picture_shows_all_busy_time():
    simulation = simulate_cluster(5000, workers=3, threads=2)
    axis = simulation.plot()
    assert "efficiency" in axis.get_title()
    areas = [collection.get_paths()[0].vertices[:, 1].max() for collection in axis.collections]
    assert max(areas) <= 3 * 2 * 1.2
    matplotlib.pyplot.close("all")


@pytest.mark.parametrize(
    ("figures", "error", "message"),
    [
        ({"bandwidth": 0.0}, InvalidInputError, "bandwidth must be a finite number of bytes a sec"),
        ({"latency": -1.0}, InvalidInputError, "latency must be a finite number of seconds"),
        ({"memory": 0}, InvalidInputError, "memory must be a finite number of bytes"),
        ({"scheduling": float("nan")}, InvalidInputError, "scheduling"),
        ({"bandwidth": 10**400}, InvalidInputError, "bandwidth"),
        ({"bandwidth": "fast"}, UnsupportedTypeError, "bandwidth must be a number"),
    ],
)
def test_networks_that_there_are_not(figures, error, message):
    with pytest.raises(error, match=message):
        Network(**figures)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers must be at least 1"),
        ({"workers": 5000}, "workers must be at most 4,096"),
        ({"block_size": 3}, "block_size=20"),
        ({"what": "train"}, "unknown operation 'train'"),
        ({"what": "factor"}, "unknown operation 'factor'"),
        ({"what": "variance"}, "needs test points"),
    ],
)
def test_clusters_that_are_not_simulated(options, message):
    with pytest.raises(InvalidInputError, match=message):
        simulate_cluster(2000, **options)
    with pytest.raises(InvalidInputError, match="kind must be"):
        cluster_scaling(1000, kind="superb")
    with pytest.raises(InvalidInputError, match="workers is empty"):
        cluster_scaling(1000, workers=())
    with pytest.raises(UnsupportedTypeError, match="workers must be several"):
        cluster_scaling(1000, workers="12")
    with pytest.raises(InvalidInputError, match="no curve"):
        gprat.plotting.plot_cluster_scaling([])


def planned(n=6000, **options):
    return plan(n, d=3, calibrate=False, **{"workers": 4, "threads": 2, **options})


@pytest.mark.parametrize("what", WHATS)
def test_a_plan_is_what_the_simulation_says(what):
    costs = planned(what=what, m=500, bandwidth=5e8, latency=0.002)
    network = Network(bandwidth=5e8, latency=0.002)
    simulation = simulate_cluster(
        6000, 3, 500, what=what, workers=4, threads=2,
        network=network, machine=ModelMachine(threads=2),
    )  # fmt: skip
    assert isinstance(costs, ClusterPlan)
    assert costs.n_tasks == len(simulation.tasks)
    assert costs.seconds == pytest.approx(simulation.makespan)
    assert costs.traffic_bytes == pytest.approx(simulation.traffic_bytes)
    assert costs.worker_peak_bytes > simulation.peak_bytes.max()
    assert json.loads(json.dumps(costs.as_dict()))["block_size"] == costs.block_size
    assert all(len(line) <= 100 for line in str(costs).splitlines())
    assert costs._repr_html_().startswith("<pre>")


def test_a_plan_refuses_what_does_not_fit_and_says_what_would():
    with pytest.raises(InsufficientMemoryError, match="What would fit") as caught:
        planned(8000, memory=450 << 20, block_size=400)
    assert caught.value.needed > caught.value.available
    (workers,) = re.findall(r"would fit: (\d+) workers of this size", str(caught.value))
    assert int(workers) > 4
    enough = planned(8000, memory=450 << 20, workers=int(workers), block_size=400)
    assert enough.worker_peak_bytes <= 450 << 20
    with pytest.raises(InsufficientMemoryError, match="workers with more memory"):
        planned(8000, memory=100 << 20, block_size=400)


def test_a_plan_says_how_much_slower_disks_are():
    costs = planned(8000, memory=600 << 20, disk_bandwidth=1e8, block_size=400)
    assert costs.spilled_bytes > 0
    assert costs.seconds > costs.seconds_in_memory
    assert "times slower than in memory" in str(costs)
    roomy = planned(6000, memory=64 * GIB, disk_bandwidth=2e8)
    assert roomy.spilled_bytes == 0
    assert roomy.seconds == roomy.seconds_in_memory
    with pytest.raises(InvalidInputError, match="smaller"):
        planned(6000, memory=400 << 20, block_size=3000, disk_bandwidth=2e8)


@pytest.mark.parametrize(
    "options", [{"bandwidth": 1e9}, {"latency": 1e-3}, {"disk_bandwidth": 1e9}, {"block_size": 100}]
)
def test_figures_of_a_cluster_without_one_are_refused(options):
    with pytest.raises(InvalidInputError, match=f"{next(iter(options))} is for clusters alone"):
        plan(1000, **options)
    if "block_size" not in options:
        gp = gprat.GP(np.zeros((3, 1)), np.zeros(3))
        with pytest.raises(InvalidInputError, match='for engine="cluster" alone'):
            gp.plan(**options)


def test_numbers_out_of_a_simulations_range_are_refused():
    with pytest.raises(InvalidInputError, match="n must be at most 1,000,000 to be simulated"):
        planned(10**7)
    with pytest.raises(InvalidInputError, match="workers must be at least 1"):
        planned(workers=0)
    with pytest.raises(InvalidInputError, match="blocks of 10 rows"):
        planned(block_size=10)


def test_calibrated_rates_are_taken(monkeypatch):
    entry = SimpleNamespace(calibration=calibrate(tile_sizes=(48, 96)))
    monkeypatch.setattr(choice, "obtain", lambda *_, **__: entry)
    costs = plan(3000, workers=2, threads=4)
    assert costs.rates == "this machine's"
    assert costs.seconds > 0.0


def test_operations_that_are_planned_are_all_recorded():
    for operation in (Operation.FIT, Operation.PREDICT, Operation.VARIANCE, Operation.COVARIANCE):
        simulation = simulate_cluster(900, 2, 300, what=operation.value, workers=2, block_size=200)
        assert simulation.tasks.counts()["panel"] == 10
