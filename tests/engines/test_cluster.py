"""What the engine on a cluster promises beyond the contract."""

import gc
import threading
import time

import numpy as np
import pytest
from distributed import Client

import gprat
from gprat import GP, GaussianProcessRegressor
from gprat.engines.cluster import ClusterEngine
from gprat.engines.cluster import client as connection
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.layout import Cuts, Grid, auto_block_size
from gprat.exceptions import (
    ClusterError,
    InvalidInputError,
    NotPositiveDefiniteError,
    UnsupportedTypeError,
)
from gprat.kernels import RBF, ConstantKernel, Matern


def data(seed, n=70, d=2):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    return X, np.sin(2 * X[:, 0]) + 0.1 * rng.normal(size=n)


@pytest.mark.parametrize("workers", range(1, 13))
def test_a_grid_deals_blocks_out_evenly(workers):
    names = [f"tcp://{i:02}" for i in range(workers)]
    grid = Grid.of(names[::-1])
    assert grid.rows * grid.columns == workers
    assert grid.rows >= grid.columns
    owners = [grid.owner(i, j) for i in range(3 * grid.rows) for j in range(2 * grid.columns)]
    assert {owners.count(name) for name in names} == {6}
    # A row of blocks is dealt out to one row of workers.
    assert len({grid.owner(1, j) for j in range(workers)}) == grid.columns


def test_cuts():
    cuts = Cuts.even(10, 4)
    assert cuts.bounds == (0, 4, 8, 10)
    assert [cuts.size(i) for i in range(len(cuts))] == [4, 4, 2]
    assert cuts.up_to(9).bounds == (0, 4, 8)
    assert cuts.up_to(9).extended(17, 4).bounds == (0, 4, 8, 12, 16, 17)
    assert len(Cuts.even(0, 4)) == 0


@pytest.mark.parametrize("n", [1, 300, 8192, 10**6])
@pytest.mark.parametrize("workers", [1, 2, 64])
def test_automatic_blocks_begin_cache_lines_an_odd_number_apart(n, workers):
    size = auto_block_size(n, Grid.of([str(i) for i in range(workers)]))
    assert size % 16 == 8
    assert 256 <= size <= 4104


@pytest.mark.parametrize("block_size", [9, 35, 69, 70, 1000])
def test_results_do_not_depend_on_blocks(client, block_size):
    X, y = data(1)
    local = GP(X, y, 1.3 * Matern([0.9, 1.4], nu=2.5), noise=0.05, mean="linear")
    engine = ClusterEngine(client, block_size)
    gp = GP(X, y, local.kernel, noise=0.05, mean="linear", engine=engine)
    for ours, theirs in zip(
        (
            *gp.log_marginal_likelihood(gp.theta, eval_gradient=True),
            *gp.predict_with_uncertainty(X[:9]),
        ),
        (
            *local.log_marginal_likelihood(gp.theta, eval_gradient=True),
            *local.predict_with_uncertainty(X[:9]),
        ),
        strict=True,
    ):
        assert np.allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_bits_do_not_depend_on_the_number_of_workers(client):
    X, y = data(2)
    results = []
    for count in (1, 2, 3):
        engine = ClusterEngine(client, 16)
        grid = Grid.of(list(client.nthreads())[:count])
        engine._grid = lambda grid=grid: grid
        gp = GP(X, y, RBF(0.8), noise=0.1, engine=engine)
        value, gradient = gp.log_marginal_likelihood(gp.theta, eval_gradient=True)
        results.append(np.concatenate([[value], gradient, gp.predict_with_uncertainty(X[:5])[1]]))
    assert np.array_equal(results[0], results[1])
    assert np.array_equal(results[0], results[2])


def test_training_finds_what_processors_find(client):
    X, y = data(3)
    kernel = ConstantKernel(1.0) * RBF(1.0)
    local = GP(X, y, kernel, noise=0.1)
    gp = GP(X, y, kernel, noise=0.1, engine="cluster", client=client)
    local.optimize(max_iter=5)
    gp.optimize(max_iter=5)
    assert np.allclose(gp.theta, local.theta, rtol=1e-6)


def test_estimator(client):
    from sklearn.base import clone

    X, y = data(4)
    model = GaussianProcessRegressor(
        RBF(1.0), alpha=0.1, optimizer=None, engine="cluster", client=client
    )
    expected = GaussianProcessRegressor(RBF(1.0), alpha=0.1, optimizer=None).fit(X, y)
    fitted = clone(model).fit(X, y)
    assert fitted.client is client
    for ours, theirs in zip(
        fitted.predict(X[:7], return_std=True),
        expected.predict(X[:7], return_std=True),
        strict=True,
    ):
        assert np.allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_indefinite_matrices_are_explained_and_the_model_goes_on(client):
    # So far apart that rounding plays no part: the last pivot is exactly zero.
    X = np.array([[0.0], [100.0], [200.0], [100.0]])
    gp = GP(X, X[:, 0], noise=1e-300, noise_bounds="fixed", engine="cluster", client=client)
    with pytest.raises(NotPositiveDefiniteError, match="row 3"):
        gp.log_marginal_likelihood()
    gp.noise_variance = 0.1
    assert np.isfinite(gp.log_marginal_likelihood())


def tasks_of(client):
    gc.collect()  # errors of other tests may hold models
    return set(client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.tasks)))


def test_nothing_is_left_on_the_cluster(client):
    X, y = data(5)
    before = tasks_of(client)
    gp = GP(X, y, engine="cluster", client=client)
    gp.predict(X[:3])
    gp.log_marginal_likelihood(gp.theta, eval_gradient=True)
    assert tasks_of(client) - before
    del gp
    for _ in range(100):
        if not (left := tasks_of(client) - before):
            return
        time.sleep(0.1)
    raise AssertionError(left)


def test_bad_clients_are_refused(cluster):
    X, y = data(6, n=5)
    with pytest.raises(InvalidInputError, match="needs a client"):
        GP(X, y, engine="cluster")
    with pytest.raises(UnsupportedTypeError, match=r"distributed\.Client, got str"):
        GP(X, y, engine="cluster", client="tcp://127.0.0.1:1")
    with pytest.raises(InvalidInputError, match="block_size"):
        ClusterEngine(Client(cluster), 0)
    with pytest.raises(InvalidInputError, match="for engine"):
        GP(X, y, client=object())
    with pytest.raises(UnsupportedTypeError, match=r"a name or an engine, got int"):
        GP(X, y, engine=3)
    client = Client(cluster)
    gp = GP(X, y, engine="cluster", client=client)
    client.close()
    with pytest.raises(ClusterError, match="the client is closed"):
        gp.predict(X)
    with pytest.raises(ClusterError, match="the client is closed"):
        GP(X, y, engine="cluster", client=client)


@pytest.mark.parametrize(("found", "named"), [(None, "has no gprat"), ("0.0.1", "has gprat 0.0.1")])
def test_workers_with_another_version_are_named(client, monkeypatch, found, named):
    monkeypatch.setattr(connection, "_version_finder", lambda: lambda: found)
    X, y = data(7, n=5)
    with pytest.raises(ClusterError, match=rf"tcp://.* {named}"):
        GP(X, y, engine="cluster", client=client)


def test_every_kernel_gives_what_processors_give(client, kernel):
    X, y = data(9, n=40)
    engine = ClusterEngine(client, 24)
    local, gp = (GP(X, y, kernel, noise=0.1, engine=e) for e in ("cpu", engine))
    for ours, theirs in zip(
        (
            *gp.log_marginal_likelihood(gp.theta, eval_gradient=True),
            *gp.predict_with_uncertainty(X[:5] + 0.1),
            *gp.predict_gradient(X[:5] + 0.1),
        ),
        (
            *local.log_marginal_likelihood(gp.theta, eval_gradient=True),
            *local.predict_with_uncertainty(X[:5] + 0.1),
            *local.predict_gradient(X[:5] + 0.1),
        ),
        strict=True,
    ):
        scale = max(1.0, np.abs(theirs).max(initial=0.0))
        assert np.allclose(ours, theirs, rtol=1e-7, atol=1e-7 * scale)


def test_restarts_and_early_stages_find_what_processors_find(client):
    X, y = data(10, n=120)
    kernel = ConstantKernel(1.0) * RBF(1.0)
    found = []
    for engine in ("cpu", ClusterEngine(client, 40)):
        gp = GP(X, y, kernel, noise=0.1, engine=engine)
        gp.optimize(max_iter=4, n_restarts=2, random_state=0)
        found.append(gp.theta)
    assert np.allclose(*found, rtol=1e-5)


def test_few_points_are_few_tasks(client):
    X, y = data(11, n=160)
    gp = GP(X, y, RBF(0.8), noise=0.1, engine=ClusterEngine(client, 16))
    gp.predict(X[:1])
    local = GP(X, y, RBF(0.8), noise=0.1)
    most = {"predict": 2, "predict_with_uncertainty": 40, "predict_gradient": 90}
    for call, tasks in most.items():
        with gprat.trace() as t:
            found = getattr(gp, call)(X[:1] + 0.1)
        # Ten blocks a side: a few tasks for each, where a wide block of columns takes 55 products.
        assert t.tasks.size <= tasks
        expected = getattr(local, call)(X[:1] + 0.1)
        for ours, theirs in zip(np.atleast_1d(found), np.atleast_1d(expected), strict=True):
            assert np.allclose(ours, theirs, rtol=1e-8, atol=1e-8)


def test_interrupted_predictions_leave_the_factor(client, monkeypatch):
    X, y = data(12)
    gp = GP(X, y, RBF(0.8), noise=0.1, engine=ClusterEngine(client, 16))
    expected = gp.predict(X[:3])

    def interrupt(graph, futures):
        graph.submit()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(BlockGraph, "results", interrupt)
        with pytest.raises(KeyboardInterrupt):
            gp.predict_with_uncertainty(X[:3])
    with gprat.trace() as t:
        assert np.array_equal(gp.predict(X[:3]), expected)
    assert "cholesky" not in t.tasks["name"]


def test_a_model_whose_factor_was_interrupted_begins_anew(client, monkeypatch):
    X, y = data(13)
    gp = GP(X, y, RBF(0.8), noise=0.1, engine=ClusterEngine(client, 16))

    def interrupt(graph, futures):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(BlockGraph, "results", interrupt)
        with pytest.raises(KeyboardInterrupt):
            gp.predict(X[:3])
    expected = GP(X, y, RBF(0.8), noise=0.1).predict(X[:3])
    assert np.allclose(gp.predict(X[:3]), expected, rtol=1e-9, atol=1e-9)


def test_another_threads_interruption_costs_nothing_but_time(client, monkeypatch):
    X, y = data(14)
    gp = GP(X, y, RBF(0.8), noise=0.1, engine=ClusterEngine(client, 16))
    results = BlockGraph.results
    first = threading.Event()

    def interrupt_main(graph, futures):
        if threading.current_thread() is threading.main_thread():
            first.set()
            raise KeyboardInterrupt
        return results(graph, futures)

    monkeypatch.setattr(BlockGraph, "results", interrupt_main)
    found = []
    other = threading.Thread(target=lambda: (first.wait(), found.append(gp.predict(X[:3]))))
    other.start()
    with pytest.raises(KeyboardInterrupt):
        gp.predict(X[:3])
    other.join()
    expected = GP(X, y, RBF(0.8), noise=0.1).predict(X[:3])
    assert np.allclose(found[0], expected, rtol=1e-9, atol=1e-9)
