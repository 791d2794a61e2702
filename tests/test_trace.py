"""The trace records every task, once, only inside its block, and adds up."""

import contextlib
import gzip
import itertools
import json
import math
import signal
import threading
import warnings

import numpy as np
import pytest

import gprat
from gprat.exceptions import InvalidInputError, TraceWarning, UnsupportedTypeError
from gprat.tracing import critical_path
from gprat.tracing.kinds import FAMILIES, family_of
from gprat.tracing.lanes import separate_threads


def make_model(n=400, **options):
    X = np.linspace(0.0, 1.0, n).reshape(-1, 1)
    return gprat.GP(X, np.sin(X[:, 0]), noise=0.1, **{"tile_size": 100, **options})


def traced(work, **options):
    with gprat.trace(**options) as t:
        work()
    return t


def fit_and_predict(threads=2):
    """Several calls, with all families of tasks but the updates of a factor."""
    gp = make_model(threads=threads)
    gp.log_marginal_likelihood(eval_gradient=True)
    gp.predict_with_uncertainty(np.linspace(0.0, 1.0, 250).reshape(-1, 1))
    gp.predict(np.linspace(0.0, 1.0, 50).reshape(-1, 1))


@pytest.mark.parametrize("threads", [1, 2])
def test_tasks_of_a_factorisation(threads):
    tasks = traced(lambda: make_model(threads=threads).log_marginal_likelihood()).tasks
    names, counts = np.unique(tasks["name"], return_counts=True)
    count = dict(zip(names.tolist(), counts.tolist(), strict=True))
    # Four tiles a side: ten tiles to assemble, four to factorise, six below the diagonal.
    assert (count["assemble"], count["potrf"], count["trsm"]) == (10, 4, 6)
    assert np.all(tasks["start"] <= tasks["end"])
    assert np.all(np.diff(tasks["end"]) >= 0.0)
    assert np.all((tasks["thread"] >= 0) & (tasks["thread"] < threads))
    assert np.unique(tasks["graph"]).tolist() == [0]


def test_work_is_what_was_asked_for():
    tasks = traced(lambda: make_model().log_marginal_likelihood()).tasks

    def total(name):
        return tasks["work"][tasks["name"] == name].sum()

    # Pairs of the lower triangle; flops of Cholesky factors and triangular solves.
    assert total("assemble") == 400 * 401 / 2
    assert total("potrf") == pytest.approx(4 * 100**3 / 3)
    assert total("trsm") == 6 * 100**3
    flops = sum(total(name) for name in ("potrf", "trsm", "syrk", "gemm"))
    assert flops == pytest.approx(400**3 / 3, rel=0.02)


def test_dependencies_are_respected():
    tasks = traced(lambda: make_model(threads=2).log_marginal_likelihood(eval_gradient=True)).tasks

    def one(name, row, column):
        (found,) = tasks[
            (tasks["name"] == name) & (tasks["row"] == row) & (tasks["column"] == column)
        ]
        return found

    for j in range(3):
        assert one("potrf", j, j)["end"] <= one("trsm", j + 1, j)["start"]
        assert one("assemble", j, j)["end"] <= one("potrf", j, j)["start"]
    assert one("potrf", 3, 3)["end"] <= one("contract", 3, 3)["start"]


@pytest.mark.parametrize("threads", [1, 2])
def test_who_releases_a_task_ends_before_it_starts(threads):
    tasks = traced(lambda: fit_and_predict(threads)).tasks
    released = np.flatnonzero(tasks["released_by"] >= 0)
    by = tasks["released_by"][released]
    assert released.size > 0
    assert np.all(by < released)
    assert np.all(tasks["end"][by] <= tasks["start"][released])
    assert np.all(tasks["graph"][by] == tasks["graph"][released])
    assert np.all(tasks["released_by"] >= -1)
    if threads == 1:
        assert released.size == tasks.size - np.unique(tasks["graph"]).size


@pytest.mark.parametrize("threads", [1, 2])
def test_critical_path_is_a_chain_to_the_end(threads):
    t = traced(lambda: fit_and_predict(threads))
    path = critical_path(t.tasks)
    chain = t.tasks[path]
    assert path[-1] == t.tasks.size - 1
    assert np.all(chain["end"][:-1] <= chain["start"][1:])
    # Where one releases the next they are of one call; else a new call begins, and all go through.
    is_released = chain["released_by"][1:] == path[:-1]
    assert np.all(chain["released_by"][1:][~is_released] == -1)
    assert np.all(np.diff(chain["graph"])[is_released] == 0)
    assert np.all(np.diff(chain["graph"])[~is_released] > 0)
    assert set(chain["graph"]) == set(t.tasks["graph"])
    summary = t.summary()
    assert summary.path_tasks == path.size
    assert summary.path_seconds == pytest.approx(np.sum(chain["end"] - chain["start"]))
    assert summary.path_seconds <= summary.wall_seconds
    assert sum(summary.path_kinds.values()) == pytest.approx(summary.path_seconds)


@pytest.mark.parametrize("threads", [1, 2])
def test_summary_adds_up(threads):
    t = traced(lambda: fit_and_predict(threads))
    tasks, summary = t.tasks, t.summary()
    durations = tasks["end"] - tasks["start"]
    wall = tasks["end"].max() - tasks["start"].min()
    assert (summary.n_tasks, summary.n_lost, summary.n_threads) == (tasks.size, 0, threads)
    assert summary.n_calls == np.unique(tasks["graph"]).size
    assert summary.wall_seconds == pytest.approx(wall)
    assert summary.wall_seconds <= summary.block_seconds == t.seconds
    assert summary.busy_seconds == pytest.approx(durations.sum())
    assert sum(kind.n_tasks for kind in summary.kinds) == tasks.size
    assert sum(kind.share for kind in summary.kinds) == pytest.approx(1.0)
    assert 0.0 < summary.utilisation <= 1.0
    assert summary.thread_shares.shape == (threads,)
    assert summary.thread_shares.mean() == pytest.approx(summary.utilisation)
    # Busy or idle: there is no third.
    assert summary.busy_seconds + summary.idle.seconds == pytest.approx(threads * wall)
    for kind in summary.kinds:
        mine = tasks["name"] == kind.name
        assert kind.longest_seconds == durations[mine].max()
        assert kind.mean_seconds == pytest.approx(kind.seconds / kind.n_tasks)
        if tasks["work"][mine].sum() > 0.0:
            assert kind.rate == pytest.approx(tasks["work"][mine].sum() / kind.seconds)
        else:
            assert math.isnan(kind.rate)
        assert kind.name in str(summary)
    assert summary.limit in str(summary)


def test_idle_time_is_told_apart():
    """Two threads: a start and an end alone, a gap inside, and a pause between two calls."""
    from gprat.tracing.summary import summarise

    fields = ["name", "row", "column", "thread", "start", "end", "work", "graph", "released_by"]
    rows = [
        ("potrf", 0, 0, 0, 1.0, 2.0, 1.0, 0, -1),
        ("trsm", 1, 0, 1, 2.0, 3.0, 1.0, 0, 0),
        ("trsm", 2, 0, 1, 3.5, 5.0, 1.0, 0, 0),
        ("gemm", 2, 1, 0, 2.0, 6.0, 1.0, 0, 0),
        ("assemble", 0, 0, 1, 10.0, 14.0, 1.0, 1, -1),
    ]
    dtype = traced(lambda: None).tasks.dtype
    assert list(dtype.names) == fields
    summary = summarise(np.array(rows, dtype=dtype), 2, 20.0, 0)
    idle = summary.idle
    # The second call is one task on one thread: the other waits for its start all the time.
    assert (idle.between, idle.start, idle.middle, idle.end) == (8.0, 1.0 + 4.0, 0.5, 1.0)
    assert summary.busy_seconds == 11.5
    # potrf, gemm, and the call that came after them.
    assert summary.path_kinds == {"gemm": 4.0, "assemble": 4.0, "potrf": 1.0}
    assert "between calls" in summary.limit


def test_every_task_that_runs_has_a_family():
    names = {str(name) for name in traced(fit_and_predict).tasks["name"]}
    assert {family_of(name) for name in names} == set(FAMILIES)
    assert max(map(len, names)) < 24  # fits into the field


def test_nothing_is_recorded_outside():
    t = traced(lambda: None)
    make_model().log_marginal_likelihood()
    assert t.tasks.size == 0


def test_an_empty_trace_is_told_as_such(tmp_path):
    t = traced(lambda: None)
    assert (t.n_threads, t.n_lost, t.is_truncated) == (0, 0, False)
    assert critical_path(t.tasks).size == 0
    summary = t.summary()
    assert (summary.n_tasks, summary.wall_seconds, summary.utilisation) == (0, 0.0, 0.0)
    assert summary.path_share == 0.0
    assert summary.idle.seconds == 0.0
    assert str(summary) == "No task ran."
    with pytest.raises(InvalidInputError, match="nothing to draw"):
        t.plot()
    t.save(tmp_path / "empty.json")
    events = json.loads((tmp_path / "empty.json").read_text())["traceEvents"]
    assert {event["ph"] for event in events} == {"M"}


@pytest.mark.parametrize("threads", [1, 2])
def test_too_many_tasks_are_counted_and_the_work_goes_on(threads):
    gp, whole = make_model(threads=threads), make_model(threads=threads)
    everything = traced(whole.log_marginal_likelihood)
    with pytest.warns(TraceWarning, match="has the first 10 tasks; .* larger max_tasks"):
        t = traced(gp.log_marginal_likelihood, max_tasks=10)
    assert gp.log_marginal_likelihood() == whole.log_marginal_likelihood()
    assert t.is_truncated
    assert t.tasks.size == 10
    assert t.n_lost == everything.tasks.size - 10
    assert t.tasks["released_by"].max() < 10
    summary = t.summary()
    assert f"{t.n_lost} more were not recorded" in str(summary)
    assert summary.path_seconds <= summary.wall_seconds


def test_as_many_as_may_be_are_not_too_many():
    n = traced(make_model().log_marginal_likelihood).tasks.size
    t = traced(make_model().log_marginal_likelihood, max_tasks=n)
    assert (t.tasks.size, t.is_truncated) == (n, False)


@pytest.mark.parametrize(
    ("most", "error"),
    [
        (0, InvalidInputError),
        (-3, InvalidInputError),
        (10**9 + 1, InvalidInputError),
        (1e6, UnsupportedTypeError),
        ("all", UnsupportedTypeError),
        (True, UnsupportedTypeError),
        (None, UnsupportedTypeError),
    ],
)
def test_impossible_numbers_of_tasks_are_refused(most, error):
    with pytest.raises(error, match="max_tasks must be"):
        gprat.trace(max_tasks=most)


def test_inner_block_records_and_outer_goes_on_afterwards():
    gp = make_model()
    with gprat.trace() as outer:
        gp.log_marginal_likelihood()
        before = outer.tasks.size
        with gprat.trace() as inner:
            gp.log_marginal_likelihood(eval_gradient=True)
        assert outer.tasks.size == before > 0
        gp.predict([[0.5]])
    assert "contract" in inner.tasks["name"]
    assert "contract" not in outer.tasks["name"]
    assert outer.tasks.size > before


def test_blocks_of_threads_that_interleave_end_in_any_order():
    gp = make_model()
    first, second = gprat.trace(), gprat.trace()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    gp.log_marginal_likelihood()
    second.__exit__(None, None, None)
    gp.predict([[0.5]])
    assert first.tasks.size == 0
    assert "mean" not in second.tasks["name"]
    assert "potrf" in second.tasks["name"]


def test_a_trace_is_not_entered_twice_but_may_be_used_again():
    t = traced(make_model().log_marginal_likelihood)
    first = t.tasks
    with t, pytest.raises(InvalidInputError, match="recording already"), t:
        pass
    assert t.tasks.size == 0 < first.size


def test_errors_pass_through_and_end_the_block():
    X = np.zeros((300, 1))
    gp = gprat.GP(X, X[:, 0], noise=1e-30, tile_size=100)
    with gprat.trace() as t, pytest.raises(gprat.exceptions.NotPositiveDefiniteError):
        gp.log_marginal_likelihood()
    assert "potrf" in t.tasks["name"]
    # Of an error and too many tasks, the error is what matters.
    with warnings.catch_warnings(), contextlib.suppress(ZeroDivisionError):
        warnings.simplefilter("error")
        with gprat.trace(max_tasks=1) as t:
            make_model().log_marginal_likelihood()
            raise ZeroDivisionError
    assert t.is_truncated
    make_model().log_marginal_likelihood()
    assert t.tasks.size == 1


def test_ctrl_c_ends_the_block_and_keeps_what_ran():
    gp = make_model(n=4000, tile_size=50)

    def interrupt(*_):
        raise KeyboardInterrupt

    def work_for_ever():
        while True:
            gp.log_marginal_likelihood(theta=gp.theta, eval_gradient=True)

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with gprat.trace() as t, pytest.raises(KeyboardInterrupt):
            work_for_ever()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    ran = t.tasks.size
    assert 0 < ran == t.summary().n_tasks
    make_model().log_marginal_likelihood()
    assert t.tasks.size == ran


@pytest.mark.parametrize("threads", [1, 2])
def test_calls_side_by_side_are_told_apart(threads):
    models = [make_model(threads=threads) for _ in range(4)]
    callers = [
        threading.Thread(target=gp.log_marginal_likelihood, kwargs={"eval_gradient": True})
        for gp in models
    ]
    alone = traced(lambda: make_model().log_marginal_likelihood(eval_gradient=True)).tasks.size
    with gprat.trace() as t:
        for caller in callers:
            caller.start()
        while any(caller.is_alive() for caller in callers):
            tasks = t.tasks
            assert np.all(tasks["released_by"] < np.arange(tasks.size))
        for caller in callers:
            caller.join()
    tasks = t.tasks
    assert np.unique(tasks["graph"], return_counts=True)[1].tolist() == [alone] * 4
    assert_no_thread_has_two_tasks(tasks["thread"], tasks)
    summary = t.summary()
    assert summary.utilisation <= 1.0
    assert summary.busy_seconds + summary.idle.seconds == pytest.approx(
        summary.n_threads * summary.wall_seconds
    )


def assert_no_thread_has_two_tasks(threads, tasks):
    for thread in np.unique(threads):
        mine = np.sort(tasks[threads == thread], order=["start", "end"])
        assert np.all(mine["end"][:-1] <= mine["start"][1:])


def test_threads_are_told_apart_where_their_numbers_are_not():
    rng = np.random.default_rng(5)
    tasks = np.zeros(300, dtype=[("thread", int), ("start", float), ("end", float)])
    tasks["thread"] = rng.integers(0, 2, tasks.size)
    tasks["start"] = rng.uniform(0.0, 10.0, tasks.size)
    tasks["end"] = tasks["start"] + rng.exponential(0.1, tasks.size)
    threads = separate_threads(tasks)
    assert_no_thread_has_two_tasks(threads, tasks)
    # No more threads than tasks that ran at once, by number.
    most = 0
    for thread in (0, 1):
        mine = tasks[tasks["thread"] == thread]
        running = [np.sum((mine["start"] <= s) & (mine["end"] > s)) for s in mine["start"]]
        most += max(running)
    assert np.unique(threads).tolist() == list(range(most))


def test_threads_that_do_not_overlap_keep_their_numbers():
    tasks = np.zeros(4, dtype=[("thread", int), ("start", float), ("end", float)])
    tasks["thread"] = [0, 1, 0, 1]
    tasks["start"] = [0.0, 0.5, 1.0, 2.0]
    tasks["end"] = [1.0, 1.5, 1.0, 3.0]
    assert separate_threads(tasks).tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz", "Trace.JSON"])
@pytest.mark.parametrize("threads", [1, 2])
def test_file_has_every_task_in_microseconds(tmp_path, name, threads):
    t = traced(lambda: fit_and_predict(threads))
    t.save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    document = json.loads(gzip.decompress(content) if name.endswith(".gz") else content)
    events = document["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    assert len(slices) == t.tasks.size
    for event, task in zip(slices, t.tasks, strict=True):
        assert event["name"] == task["name"]
        assert event["cat"] in FAMILIES
        assert event["tid"] == task["thread"]
        assert event["ts"] == pytest.approx(1e6 * task["start"], abs=1e-3)
        assert event["dur"] == pytest.approx(1e6 * (task["end"] - task["start"]), abs=2e-3)
        args = event["args"]
        assert (args["row"], args["column"]) == (task["row"], task["column"])
        assert args.get("flop", args.get("pairs")) == task["work"]
    names = {event["tid"]: event["args"] for event in events if event["name"] == "thread_name"}
    assert names == {thread: {"name": f"worker {thread}"} for thread in range(threads)}
    assert len({event["pid"] for event in events}) == 1
    assert_slices_of_a_track_do_not_overlap(slices)
    assert_arrows_follow_the_critical_path(events, t)


def assert_slices_of_a_track_do_not_overlap(slices):
    for thread in {event["tid"] for event in slices}:
        mine = sorted((e["ts"], e["ts"] + e["dur"]) for e in slices if e["tid"] == thread)
        for (_, end), (start, _) in itertools.pairwise(mine):
            assert end <= start + 1e-6


def assert_arrows_follow_the_critical_path(events, t):
    chain = t.tasks[critical_path(t.tasks)]
    arrows = {kind: [event for event in events if event["ph"] == kind] for kind in "sf"}
    for kind, ends in (("s", chain[:-1]), ("f", chain[1:])):
        assert [event["id"] for event in arrows[kind]] == list(range(chain.size - 1))
        for event, task in zip(arrows[kind], ends, strict=True):
            assert event["tid"] == task["thread"]
            assert 1e6 * task["start"] - 1e-3 <= event["ts"] <= 1e6 * task["end"] + 1e-3


def test_same_trace_gives_the_same_file(tmp_path):
    t = traced(fit_and_predict)
    for name in ("a.json.gz", "b.json.gz"):
        t.save(tmp_path / name)
    assert (tmp_path / "a.json.gz").read_bytes() == (tmp_path / "b.json.gz").read_bytes()


def test_what_cannot_be_saved_leaves_the_old_file(tmp_path, monkeypatch):
    t = traced(fit_and_predict)
    target = tmp_path / "trace.json"
    target.write_text("old")
    with pytest.raises(InvalidInputError, match=r'ends in "\.json"'):
        t.save(tmp_path / "trace.txt")
    with pytest.raises(FileNotFoundError, match=r"cannot be saved: No such file.*folder"):
        t.save(tmp_path / "nowhere" / "trace.json")

    def fails(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fails)
    with pytest.raises(OSError, match=r"No space left on device\. Nothing was changed"):
        t.save(target)
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json"]
    assert target.read_text() == "old"


def test_records_are_read_only():
    tasks = traced(fit_and_predict).tasks
    with pytest.raises(ValueError, match="read-only"):
        tasks["start"][0] = 0.0
