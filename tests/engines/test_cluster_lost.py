"""What is lost: a connection, a factor, tasks that nobody can ask for any more."""

import gc
import os
import signal
import sys
import threading
import time

import numpy as np
import pytest
from distributed import Client, LocalCluster
from distributed.comm.core import CommClosedError

from gprat import GP
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.layout import Grid
from gprat.exceptions import ClusterError


def tasks_of(client):
    return client.run_on_scheduler(lambda dask_scheduler: set(dask_scheduler.tasks))


def left_of(client, before, seconds):
    """Return tasks that are there after so many seconds, or none as soon as there are none."""
    until = time.monotonic() + seconds
    while (left := tasks_of(client) - before) and time.monotonic() < until:
        time.sleep(0.1)
    return left


def test_a_connection_that_closes_is_explained(cluster, monkeypatch):
    X = np.random.default_rng(41).normal(size=(20, 2))
    with Client(cluster) as client:
        gp = GP(X, X[:, 0], noise=0.1, engine="cluster", client=client)

        def close():
            raise CommClosedError("reset by peer")

        with monkeypatch.context() as patch:
            patch.setattr(client, "nthreads", close)
            with pytest.raises(ClusterError, match="no longer answers"):
                gp.log_marginal_likelihood()
        assert np.isfinite(gp.log_marginal_likelihood())


def test_tasks_that_come_after_a_restart_are_withdrawn(cluster):
    class StoppedError(Exception):
        pass

    def stop(client):
        with BlockGraph(client, Grid.of(list(client.nthreads())), "test") as graph:
            kept = [graph.add("nap", (i,), time.sleep, 0.5, at=(0, 0), rank=i) for i in range(60)]
            graph.submit()
            # All that a client does when it is told that the scheduler was restarted; here tasks
            # are on their way that the scheduler does not know yet.
            client._handle_restart()
            raise StoppedError(kept)

    with Client(cluster) as client:
        before = tasks_of(client)
        with pytest.raises(StoppedError):
            stop(client)
        # Behind the tasks, and what the client said of them, there is another.
        assert client.submit(abs, -1, priority=1).result() == 1
        assert not left_of(client, before, 10.0)


def test_tasks_that_come_in_the_midst_of_a_restart_are_computed_or_cancelled(cluster):
    is_at_it = threading.Event()

    class Slow(dict):
        def clear(self):
            is_at_it.set()
            time.sleep(0.5)
            super().clear()

    with Client(cluster) as client:
        grid = Grid.of(list(client.nthreads()))
        client.futures = Slow(client.futures)
        client.loop.add_callback(client._handle_restart)
        assert is_at_it.wait(10.0)
        with BlockGraph(client, grid, "test") as graph:
            made = graph.add("one", (0,), abs, -1, at=(0, 0), rank=0)
            graph.submit()
            # Both of it is over when another call of that thread is.
            client.run_on_scheduler(lambda: None)
            assert made.key in client.futures or made.submitted.cancelled()


def test_ctrl_c_is_not_lost_where_a_future_dies(client):
    class Dying:
        def __del__(self):
            raise KeyboardInterrupt

    def interrupted():
        with BlockGraph(client, Grid.of(list(client.nthreads())), "test"):
            Dying()
            time.sleep(10.0)

    hook = sys.unraisablehook
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sys.unraisablehook is hook


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for this process alone")
def test_dask_does_not_report_an_interruption(cluster, caplog):
    def interrupted(client):
        timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
        with BlockGraph(client, Grid.of(list(client.nthreads())), "test") as graph:
            naps = [graph.add("nap", (i,), time.sleep, 0.5, at=(0, 0), rank=i) for i in range(20)]
            timer.start()
            graph.results(naps)

    with Client(cluster) as client:
        with pytest.raises(KeyboardInterrupt):
            interrupted(client)
        # This comes behind all that the client's thread had to do for the others.
        assert client.submit(abs, -1).result() == 1
        gc.collect()
    assert not [record for record in caplog.records if record.name == "asyncio"]


def test_a_factor_that_was_lost_is_an_error_and_its_successor_no_garbage():
    X = np.random.default_rng(42).normal(size=(60, 2))
    with (
        LocalCluster(1, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):
        gp = GP(X, X[:, 0], noise=0.1, engine="cluster", client=client)
        expected = gp.predict_with_uncertainty(X[:3])
        client.restart()
        gc.disable()
        try:
            with pytest.raises(ClusterError, match="cancelled"):
                gp.predict_with_uncertainty(X[:3])
            assert np.array_equal(gp.predict_with_uncertainty(X[:3]), expected)
            assert tasks_of(client)
            del gp
            assert not left_of(client, set(), 10.0)
        finally:
            gc.enable()
