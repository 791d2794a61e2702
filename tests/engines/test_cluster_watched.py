"""What people see of a computation on a cluster: a bar, a trace, and that Ctrl-C ends it."""

import json
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import gprat
from gprat import GP, _progress
from gprat.engines.cluster import ClusterEngine
from gprat.engines.cluster import engine as cluster_engine
from gprat.kernels import RBF

N, BLOCK = 120, 12


@pytest.fixture
def gp(client):
    """A model of ten blocks a side."""
    rng = np.random.default_rng(21)
    X = rng.normal(size=(N, 2))
    return GP(X, np.sin(X[:, 0]), RBF(0.9), noise=0.1, engine=ClusterEngine(client, BLOCK))


@pytest.fixture
def told(monkeypatch):
    """What bars are told, which are shown at once, for however short computations."""
    told = []
    monkeypatch.setattr(_progress, "_PATIENCE", 0.0)
    monkeypatch.setattr(_progress, "_INTERVAL", 0.0)
    monkeypatch.setattr(cluster_engine, "is_long", lambda flops: True)
    tell = _progress._Bar.tell

    def listen(bar, done):
        told.append((done, bar._total))
        tell(bar, done)

    monkeypatch.setattr(_progress._Bar, "tell", listen)
    return told


def test_progress_counts_operations(gp, told, capsys):
    with gprat.runtime.progress(True):
        gp.log_marginal_likelihood(gp.theta, eval_gradient=True)
    done = [part for part, _ in told]
    assert len(done) > 100
    assert (np.diff(done) > 0).all()
    assert {total for _, total in told} == {done[-1]}
    # With blocks in place of numbers, sums over k ≤ j ≤ i have a few more terms.
    assert 1.0 < done[-1] / N**3 < 1.5
    shown = capsys.readouterr().err
    assert f"likelihood and gradient, n = {N}" in shown
    assert "100%" in shown


def test_no_progress_unless_wanted_nor_beside_training(gp, told, capsys):
    gp.log_marginal_likelihood()
    assert not told
    few = GP(gp.X[:30], gp.y[:30], RBF(0.9), noise=0.1, engine=gp._engine)
    with gprat.runtime.progress(True):
        few.optimize(max_iter=1, warm_start=None)
    assert "likelihood and gradient" not in capsys.readouterr().err


@pytest.fixture
def traced(gp):
    """A trace of a likelihood with its gradient."""
    gp.predict(gp.X[:3])
    with gprat.trace() as t:
        gp.log_marginal_likelihood(gp.theta + 0.1, eval_gradient=True)
    return t


def test_trace_has_a_lane_for_each_thread_and_every_block(traced, client):
    tasks, count = traced.tasks, N // BLOCK
    assert traced.n_threads == len(traced.lanes) == len(set(traced.lanes)) == 3
    workers = {lane.rpartition("/")[0] for lane in traced.lanes}
    assert workers == {address.split("://")[1] for address in client.nthreads()}
    assert traced.n_lost == 0
    names = tasks["name"].tolist()
    assert names.count("cholesky") == names.count("invert") - count * (count - 1) // 2 == count
    assert names.count("gradient") == count * (count + 1) // 2
    rows, columns = (tasks[side][tasks["name"] == "gradient"] for side in ("row", "column"))
    assert {*zip(rows.tolist(), columns.tolist(), strict=True)} == {
        (i, j) for i in range(count) for j in range(i + 1)
    }
    assert (tasks["start"] <= tasks["end"]).all()
    assert (np.diff(tasks["end"]) >= 0).all()
    assert 1.0 < tasks["work"].sum() / N**3 < 1.5
    released = tasks[tasks["released_by"] >= 0]
    assert released.size > tasks.size // 2
    assert (tasks["end"][released["released_by"]] <= released["start"]).all()


def test_trace_has_transfers(traced):
    transfers = traced.transfers
    assert set(transfers["name"]) <= {"transfer", "disk-read"}
    assert (transfers["start"] <= transfers["end"]).all()
    moved = transfers[transfers["name"] == "transfer"]
    assert moved.size > N // BLOCK
    for transfer in moved:
        receiver = traced.lanes[transfer["thread"]].rpartition("/")[0]
        assert not str(transfer["source"]).endswith(receiver)


def test_trace_can_be_summed_up_saved_and_drawn(traced, tmp_path):
    summary = traced.summary()
    assert summary.n_threads == 3
    assert "on 3 threads" in str(summary)
    assert summary.n_calls == 1
    traced.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    names = {event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert names >= set(traced.lanes)
    assert sum(event["ph"] == "X" for event in events) == traced.tasks.size
    assert sum(event["ph"] == "b" for event in events) == traced.transfers.size
    pytest.importorskip("matplotlib")
    _, lower = traced.plot()
    labels = {text.get_text() for text in lower.get_legend().get_texts()}
    assert labels >= {"transfers", "critical path", "inverse", "gradient"}
    assert [text.get_text() for text in lower.get_yticklabels()] == list(traced.lanes)


def test_traces_of_both_engines_join(gp):
    local = GP(gp.X, gp.y, RBF(0.9), noise=0.1)
    with gprat.trace() as t:
        local.predict(gp.X[:3])
        alone = t.n_threads
        gp.predict(gp.X[:3])
    assert t.n_threads == alone + 3
    assert t.lanes[0] == "worker 0"
    assert set(t.tasks["name"]) >= {"potrf", "cholesky"}
    assert np.unique(t.tasks["graph"][t.tasks["thread"] >= alone]).size == 1
    with pytest.warns(gprat.exceptions.TraceWarning), gprat.trace(max_tasks=5) as t:
        gp.log_marginal_likelihood(gp.theta + 0.1)
    assert t.tasks.size == 5
    assert t.n_lost > 0


INTERRUPTED = """
import signal, sys
import numpy as np
from distributed import Client
from gprat import GP
from gprat.engines.cluster import ClusterEngine

signal.signal(signal.SIGINT, signal.default_int_handler)
X = np.random.default_rng(3).normal(size=(900, 2))
with Client(sys.argv[1]) as client:
    gp = GP(X, np.sin(X[:, 0]), noise=0.1, engine=ClusterEngine(client, 48))
    print("ready", flush=True)
    try:
        while True:
            gp.log_marginal_likelihood(gp.theta, eval_gradient=True)
            gp.noise_variance = 0.1
            gp.predict_with_uncertainty(X)
    except KeyboardInterrupt as error:
        kept = error  # with all frames
        print("interrupted", flush=True)
    input()
    print(gp.log_marginal_likelihood(), flush=True)
"""


def busy_workers(client):
    """How many tasks workers are given, and how many tasks there are at all."""

    def look(dask_scheduler):
        processing = sum(len(worker.processing) for worker in dask_scheduler.workers.values())
        return processing, len(dask_scheduler.tasks)

    return client.run_on_scheduler(look)


def until(holds, client, process):
    """Look until workers are as they should be; a process that has ended is an error."""
    while not holds(*busy_workers(client)):
        assert process.poll() is None
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT for another process")
def test_ctrl_c_stops_the_workers_and_leaves_the_model(client, cluster):
    before = busy_workers(client)[1]
    command = [sys.executable, "-c", INTERRUPTED, cluster.scheduler_address]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        # Where it hangs, it is killed, and the test fails.
        guard = threading.Timer(300.0, process.kill)
        guard.start()
        assert process.stdout.readline() == "ready\n"
        until(lambda processing, _: processing > 0, client, process)
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
        # The other process lives and still has its exception: it has told the workers to stop.
        until(lambda processing, tasks: processing == 0 and tasks <= before, client, process)
        out, _ = process.communicate("go on\n")
        guard.cancel()
    X = np.random.default_rng(3).normal(size=(900, 2))
    expected = GP(X, np.sin(X[:, 0]), noise=0.1).log_marginal_likelihood()
    assert process.returncode == 0
    assert np.isclose(float(out), expected, rtol=1e-9)
