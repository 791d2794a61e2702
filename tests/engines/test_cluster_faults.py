"""Workers that are killed in a computation: it takes longer, and gives the same bits."""

import os
import signal
import threading
import time

import numpy as np
import pytest
from distributed import Client, LocalCluster

import gprat
from gprat import GP
from gprat.engines.cluster import ClusterEngine
from gprat.exceptions import ClusterError
from gprat.kernels import RBF


@pytest.fixture
def cluster():
    """Workers that nobody else needs."""
    with LocalCluster(
        n_workers=3, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster


def nap(value):
    time.sleep(0.1)
    return value


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def everything(gp, Xs):
    value, gradient = gp.log_marginal_likelihood(gp.theta, eval_gradient=True)
    return np.concatenate([[value], gradient, *gp.predict_with_uncertainty(Xs)])


def test_a_killed_worker_costs_time_and_no_bit(cluster):
    rng = np.random.default_rng(11)
    X, Xs = rng.normal(size=(160, 2)), rng.normal(size=(20, 2))
    y = np.sin(X[:, 0])
    with Client(cluster) as client:
        engine = ClusterEngine(client, 16)

        def model():
            return GP(X, y, RBF(0.9), noise=0.1, engine=engine)

        expected = everything(model(), Xs)
        # Tasks go by their number of messages: the first kill comes early in one, the next late.
        for delay in (0.05, 0.8):
            pid = next(iter(client.run(os.getpid).values()))
            killer = threading.Timer(delay, os.kill, (pid, signal.SIGKILL))
            killer.start()
            try:
                assert np.array_equal(everything(model(), Xs), expected)
            finally:
                killer.join()
            client.wait_for_workers(3)


def test_tasks_outlive_all_workers_at_once(cluster):
    with Client(cluster) as client, ClusterEngine(client).graph("test", 100) as graph:
        naps = [graph.add("nap", (i,), nap, i, at=(i, i), rank=i) for i in range(30)]
        graph.submit()
        time.sleep(0.5)
        for pid in client.run(os.getpid).values():
            os.kill(pid, signal.SIGKILL)
        results = []
        # Where it waits for ever, the thread ends with the client.
        waiting = threading.Thread(target=lambda: results.extend(graph.results(naps)))
        waiting.start()
        waiting.join(120.0)
        assert results == list(range(30))


def test_a_block_that_kills_its_workers_is_an_error(cluster):
    with Client(cluster) as client:
        client.run_on_scheduler(
            lambda dask_scheduler: setattr(dask_scheduler, "allowed_failures", 0)
        )
        with ClusterEngine(client).graph("test", 100) as graph:
            fatal = graph.add("fatal", (), die, at=(0, 0), rank=0)
            with pytest.raises(ClusterError, match="lost every worker that tried"):
                graph.results([fatal])


def test_a_cluster_without_workers_is_an_error(cluster):
    with Client(cluster) as client:
        cluster.scale(0)
        while client.nthreads():
            time.sleep(0.1)
        with pytest.raises(ClusterError, match="has no worker"):
            GP(np.zeros((1, 1)), np.ones(1), noise=0.1, engine="cluster", client=client)


def test_a_lost_scheduler_is_an_error_that_leaves_the_model(cluster):
    X = np.random.default_rng(12).normal(size=(40, 2))
    client = Client(cluster)
    gp = GP(X, X[:, 0], noise=0.1, engine="cluster", client=client)
    before = gp.predict(X[:3])
    cluster.close()
    with pytest.raises(ClusterError):
        gp.predict(X[:3])
    client.close()
    assert np.allclose(GP(X, X[:, 0], gp.kernel, gp.noise_variance).predict(X[:3]), before)


def test_a_worker_that_joins_is_used_from_the_next_call_on(cluster):
    rng = np.random.default_rng(13)
    X, Xs = rng.normal(size=(120, 2)), rng.normal(size=(20, 2))
    with Client(cluster) as client:
        cluster.scale(1)
        while len(client.nthreads()) > 1:
            time.sleep(0.1)
        gp = GP(X, np.sin(X[:, 0]), RBF(0.9), noise=0.1, engine=ClusterEngine(client, 16))
        with gprat.trace() as t:
            expected = everything(gp, Xs)
        assert t.n_threads == 1
        cluster.scale(2)
        client.wait_for_workers(2)
        with gprat.trace() as t:
            value, gradient = gp.log_marginal_likelihood(gp.theta, eval_gradient=True)
        assert np.array_equal(np.concatenate([[value], gradient]), expected[: 1 + len(gradient)])
        assert t.n_threads == 2
        assert set(t.tasks["thread"]) == {0, 1}
