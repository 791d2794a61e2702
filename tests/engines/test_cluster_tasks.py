"""What is written down of the tasks of a cluster is what its workers are given, and return."""

from collections import Counter

import numpy as np
import pytest

import gprat
from gprat._costs import Operation
from gprat.engines.base import Problem
from gprat.engines.cluster import ClusterEngine, blocks, contraction, recording
from gprat.engines.cluster.costs import Sized
from gprat.engines.cluster.layout import Cuts, Grid
from gprat.engines.cluster.model import Model
from gprat.engines.cluster.recording import RecordingGraph, Sizes, record_operation
from gprat.kernels import RBF, ConstantKernel, compile

N, M, BLOCK, TILE = 75, 40, 18, 7
OPERATIONS = [Operation.FIT, Operation.PREDICT, Operation.VARIANCE, Operation.COVARIANCE]


class Computed(Sized):
    """A block that is described and computed too."""

    __slots__ = ("value",)


class ComputingGraph(RecordingGraph):
    """Writes tasks down, and runs each of them at once in this process."""

    def add(self, name, index, function, *arguments, at, rank, work=0.0):
        block = super().add(name, index, function, *arguments, at=at, rank=rank)
        return self._computed(block, function(*resolve(list(arguments))), name)

    def share(self, name, index, value):
        return self._computed(super().share(name, index, value), value, name)

    def _computed(self, block, value, name):
        computed = Computed(block.index, block.rows, block.columns, block.size)
        computed.value = value
        self.checked = getattr(self, "checked", [])
        self.checked.append((name, computed))
        return computed


def resolve(argument):
    if isinstance(argument, Computed):
        return argument.value
    if isinstance(argument, list | tuple):
        return type(argument)(map(resolve, argument))
    return argument


def numbers(value):
    """Return the bytes of all arrays in a result."""
    if isinstance(value, np.ndarray):
        return value.nbytes
    if isinstance(value, list | tuple):
        return sum(map(numbers, value))
    fields = {} if isinstance(value, Model) else getattr(value, "__dict__", {})
    return sum(numbers(field) for field in fields.values())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_results_have_the_sizes_that_are_written_down(operation, dtype, rng, monkeypatch):
    program = compile(ConstantKernel() * RBF([1.0, 2.0]), 2)
    for module in (blocks, contraction):
        monkeypatch.setattr(module, "worker_threads", lambda limit: 1)
    monkeypatch.setattr(recording, "RecordingGraph", ComputingGraph)
    monkeypatch.setattr(recording, "_problem", lambda sizes, tile_size: problem)
    monkeypatch.setattr(
        recording,
        "_nothing",
        lambda rows, columns, dtype: rng.normal(size=(rows, columns)).astype(dtype),
    )
    problem = Problem(
        X=rng.normal(size=(N, 2)).astype(dtype),
        Y=rng.normal(size=(N, 1)).astype(dtype),
        basis=np.empty((N, 0), dtype=dtype),
        basis_names=(),
        program=program,
        noise=np.array([0.1]),
        tile_size=TILE,
        threads=None,
    )
    graphs = []
    tasks_of = RecordingGraph.tasks
    monkeypatch.setattr(
        ComputingGraph,
        "tasks",
        lambda self, *rest: graphs.append(self) or tasks_of(self, *rest),
    )
    sizes = Sizes(operation, N, 2, M, 1, program.n_parameters + 1, dtype)
    grid = Grid.of(["a", "b", "c"])
    record_operation(sizes, grid, Cuts.even(N, BLOCK), Cuts.even(M, BLOCK), TILE)
    (graph,) = graphs
    assert len(graph.checked) > 70
    for name, block in graph.checked:
        if isinstance(block.value, np.ndarray) and block.value.ndim == 2:
            assert block.value.shape == (block.rows, block.columns), name
        # Small results are counted with what surrounds them.
        assert abs(numbers(block.value) - block.size) <= max(4500, 0.1 * block.size), name


@pytest.mark.parametrize("operation", OPERATIONS)
def test_workers_are_given_the_tasks_that_are_written_down(client, operation, rng, monkeypatch):
    engine = ClusterEngine(client, BLOCK)
    X, y, points = rng.normal(size=(N, 2)), rng.normal(size=N), rng.normal(size=(M, 2))
    gp = gprat.GP(X, y, ConstantKernel() * RBF([1.0, 2.0]), noise=0.1, engine=engine)
    given, get = Counter(), client.get
    monkeypatch.setattr(
        client,
        "get",
        lambda graph, *rest, **named: (
            given.update(key[0].rpartition("-")[0] for key in graph) or get(graph, *rest, **named)
        ),
    )
    match operation:
        case Operation.FIT:
            gp.log_marginal_likelihood(gp.theta, eval_gradient=True)
        case Operation.PREDICT:
            gp.predict(points)
        case Operation.VARIANCE:
            gp.predict_with_uncertainty(points)
        case Operation.COVARIANCE:
            gp.predict_with_full_cov(points)
    planned = gp.plan(operation.value, M, calibrate=False)
    sizes = Sizes(operation, N, 2, 0 if operation is Operation.FIT else M)
    grid = Grid.of(["a", "b", "c"])
    tasks = record_operation(
        sizes, grid, Cuts.even(N, BLOCK), Cuts.even(sizes.m, BLOCK), planned.tile_size
    )
    assert tasks.counts() == dict(given)
    assert planned.n_tasks == len(tasks)
    assert (planned.workers, planned.threads, planned.block_size) == (3, 1, BLOCK)


def test_a_plan_takes_the_figures_of_a_network(client):
    gp = gprat.GP(np.zeros((50, 1)), np.zeros(50), engine="cluster", client=client)
    planned = gp.plan(bandwidth=1e6, latency=0.5, calibrate=False)
    assert (planned.bandwidth, planned.latency) == (1e6, 0.5)
    assert planned.seconds > 0.5
    assert planned.memory is None or planned.memory > 0
