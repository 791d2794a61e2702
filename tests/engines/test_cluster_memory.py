"""Memory on a cluster: what is refused, what is spilled to disk, and what this process may take."""

import os
import re

import numpy as np
import pytest
from distributed import Client, LocalCluster

from gprat import GP
from gprat.engines.cluster import ClusterEngine
from gprat.engines.cluster import engine as cluster_engine
from gprat.engines.cluster.layout import Cuts, Grid, auto_block_size
from gprat.engines.cluster.memory import Need, WorkerMemory, find_memory, largest_block
from gprat.exceptions import InsufficientMemoryError
from gprat.kernels import RBF


def data(n, d=2):
    X = np.random.default_rng(31).normal(size=(n, d))
    return X, np.sin(2 * X[:, 0])


def grid_of(workers):
    return Grid.of([f"{i:04}" for i in range(workers)])


@pytest.mark.parametrize("workers", [1, 2, 4, 6, 16, 64])
def test_need_is_a_share_of_the_triangle(workers):
    n, grid = 60_000, grid_of(workers)
    cuts = Cuts.even(n, auto_block_size(n, grid))
    triangle = 8 * n * (n + 1) // 2
    factor, gradient = (Need.of(cuts, grid, 8, gradient=wanted) for wanted in (False, True))
    assert triangle / workers < factor.stored < gradient.stored < 4.5 * triangle / workers
    assert factor.working == gradient.working
    half = Need.of(cuts, grid, 4, threads=2)
    assert abs(half.stored - factor.stored / 2) <= 1
    assert half.working == factor.working


def test_blocks_leave_half_of_the_memory():
    workers = [WorkerMemory(10**9, 0, 1), WorkerMemory(10**8, 0, 1)]
    rows = largest_block(workers, 8)
    cuts = Cuts.even(10 * rows, rows)
    assert 0.45e8 < Need.of(cuts, grid_of(2), 8).working <= 0.5e8
    assert largest_block(None, 8) > 10_000
    assert auto_block_size(10**6, grid_of(2), most=rows) <= rows + 8


def with_memory(monkeypatch, memory, disk=0):
    """Let workers seem to have so much."""

    def find(client, *, with_disk):
        return [WorkerMemory(memory, disk if with_disk else 0, 1) for _ in client.nthreads()]

    monkeypatch.setattr(cluster_engine, "find_memory", find)


@pytest.mark.parametrize("gradient", [False, True])
def test_too_little_memory_is_refused_with_what_would_fit(client, monkeypatch, gradient):
    with_memory(monkeypatch, 60_000)
    X, y = data(300)
    gp = GP(X, y, RBF(), noise=0.1, engine=ClusterEngine(client, 16))
    with pytest.raises(InsufficientMemoryError) as refused:
        gp.log_marginal_likelihood(gp.theta, eval_gradient=gradient)
    found = re.search(
        r"fit: (\d+) workers of this size; at most (\d+) training", str(refused.value)
    )
    workers, rows = map(int, found.groups())

    def fits(n, count):
        need = Need.of(Cuts.even(n, 16), grid_of(count), 8, gradient=gradient)
        return WorkerMemory(60_000, 0, 1).holds(need)

    assert workers > 3
    assert fits(300, workers)
    assert fits(rows, 3)
    assert not fits(rows + 16, 3)
    assert refused.value.needed > refused.value.available
    smaller = GP(X[:rows], y[:rows], RBF(), noise=0.1, engine=ClusterEngine(client, 16))
    likelihood = smaller.log_marginal_likelihood(gp.theta, eval_gradient=gradient)
    assert np.isfinite(likelihood[0] if gradient else likelihood)


def test_many_test_points_are_refused_where_few_fit(client, monkeypatch):
    with_memory(monkeypatch, 60_000)
    X, y = data(100)
    gp = GP(X, y, RBF(), noise=0.1, engine=ClusterEngine(client, 16))
    points = np.vstack([X, X + 0.1, X + 0.2])
    assert gp.predict_with_full_cov(points[:9])[1].shape == (9, 9)
    with pytest.raises(InsufficientMemoryError, match="fit: fewer test points at a time; "):
        gp.predict_with_full_cov(points)
    assert np.isfinite(gp.predict_with_uncertainty(points)[1]).all()


def test_disk_lets_more_through_but_not_blocks_that_are_too_large(client, monkeypatch):
    with_memory(monkeypatch, 60_000, disk=10**9)
    X, y = data(300)
    expected = GP(X, y, RBF(), noise=0.1).log_marginal_likelihood()
    gp = GP(X, y, RBF(), noise=0.1, engine=ClusterEngine(client, 16))
    assert np.isclose(gp.log_marginal_likelihood(), expected, rtol=1e-9)
    gp = GP(X, y, RBF(), noise=0.1, engine=ClusterEngine(client, 100))
    with pytest.raises(InsufficientMemoryError, match=r"on disk\. What .*a smaller block_si"):
        gp.log_marginal_likelihood()


def test_workers_tell_what_they_may_take(client):
    found = find_memory(client, with_disk=True)
    assert len(found) == 3
    assert all(worker.memory > 0 and worker.disk > 0 and worker.threads == 1 for worker in found)


def test_memory_limit_is_what_this_process_may_take(client):
    X, y = data(60)
    gp = GP(X, y, RBF(), noise=0.1, memory_limit=20_000, engine=ClusterEngine(client, 16))
    assert np.isfinite(gp.predict(X)).all()
    for call, remedy in (
        (gp.cholesky, "predictions and solve"),
        (lambda: gp.predict_with_full_cov(X), "fewer test points"),
        (lambda: gp.solve(np.ones((60, 20))), "fewer columns"),
        (lambda: gp.sample(X, 30), "fewer samples"),
    ):
        with pytest.raises(InsufficientMemoryError, match=rf"memory_limit allows.*{remedy}"):
            call()
    gp.memory_limit = None
    assert gp.cholesky().shape == (60, 60)


def test_spilling_lets_a_cluster_go_beyond_its_memory(client):
    used = max(client.run(lambda dask_worker: dask_worker.monitor.get_process_memory()).values())
    room = 60 << 20
    limit = int((used + room) / 0.8)
    X, y = data(5000)
    with (
        LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            memory_limit=limit,
            dashboard_address=":0",
            silence_logs="ERROR",
        ) as cluster,
        Client(cluster) as own,
    ):
        before = own.run(os.getpid)
        gp = GP(X, y, RBF(0.9), noise=0.1, engine="cluster", client=own)
        value = gp.log_marginal_likelihood()
        spilled = own.run(lambda dask_worker: dask_worker.data.spilled_total.memory)
        assert own.run(os.getpid) == before
    assert sum(spilled.values()) > 0
    expected = GP(X, y, RBF(0.9), noise=0.1).log_marginal_likelihood()
    assert np.isclose(value, expected, rtol=1e-9)
