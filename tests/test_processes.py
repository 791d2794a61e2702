"""Forked children, the threads of a process, and neighbours: each in a process of its own."""

import os
import subprocess
import sys
import weakref

import pytest

import gprat
from gprat.gp import state

SETUP = """
import os, warnings
import numpy as np
import gprat
X = np.random.default_rng(0).standard_normal((900, 3))
gp = gprat.GP(X, X[:, 0], tile_size=128)
value = gp.log_marginal_likelihood()
"""


def run(code, **environment):
    completed = subprocess.run(
        [sys.executable, "-c", SETUP + code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    return completed.stdout.split()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_forked_child_computes_the_same():
    code = """
warnings.simplefilter("ignore")  # Python warns of fork() in a process with threads
child = os.fork()
if child == 0:
    same = gprat.GP(X, X[:, 0], tile_size=128).log_marginal_likelihood() == value
    kept = np.array_equal(gp.predict(X[:5]), gprat.GP(X, X[:, 0], tile_size=128).predict(X[:5]))
    gprat.runtime.stop()
    os._exit(0 if same and kept else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    assert run(code) == ["0"]


@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="needs /proc")
def test_stop_ends_the_worker_threads():
    code = """
import time
running = len(os.listdir("/proc/self/task"))
gprat.runtime.stop()
for _ in range(100):
    stopped = len(os.listdir("/proc/self/task"))
    if stopped <= running - 3:
        break
    time.sleep(0.02)
print(running - stopped)
"""
    assert run(code, GPRAT_NUM_THREADS="3", OPENBLAS_NUM_THREADS="1") == ["3"]


def test_blas_runs_one_thread_and_leaves_that_of_numpy_alone():
    code = """
from threadpoolctl import threadpool_info
ours = [p for p in threadpool_info() if "gprat" in p["filepath"] or "_libs" in p["filepath"]]
others = [p for p in threadpool_info() if p["user_api"] == "blas" and p not in ours]
print([p["num_threads"] for p in ours], max(p["num_threads"] for p in others))
"""
    processors = len(os.sched_getaffinity(0))
    assert run(code) == ["[1]", str(processors)]


def test_runtime_uses_the_processors_of_the_affinity_mask():
    code = """
gprat.runtime.stop()
print(gprat.runtime.threads(), gprat.runtime.processors())
"""
    one = f"os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})\n"
    completed = subprocess.run(
        [sys.executable, "-c", "import os\n" + one + SETUP + code],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert completed.stdout.split() == ["1", "1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork()")
def test_child_that_is_forked_while_the_parent_computes():
    """Also with models whose locks are held by threads that the child doesn't have."""
    code = """
import signal, threading, time
warnings.simplefilter("ignore")
fork = threading.Event()

def callback(_):
    fork.set()
    time.sleep(0.05)

class Slow(gprat.kernels.RBF):
    def __call__(self, X, Y=None, eval_gradient=False):
        fork.set()
        time.sleep(0.02)
        return super().__call__(X, Y, eval_gradient)

def child_of(work):
    fork.clear()
    thread = threading.Thread(target=work)
    thread.start()
    fork.wait()
    child = os.fork()
    if child == 0:
        signal.alarm(30)
        try:
            gp.optimize(max_iter=1)
            shared.append(X[:1], X[:1, 0])
            same = np.array_equal(shared.predict(X[:9]), fresh.predict(X[:9]))
        finally:
            os._exit(0 if same else 1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    thread.join()
    return status

def models():
    made = [gprat.GP(X[:400], X[:400, 0], Slow(), tile_size=100) for _ in range(2)]
    made[1].append(X[:1], X[:1, 0])
    return made

shared, fresh = models()
print(child_of(lambda: gp.optimize(max_iter=5, callback=callback)))
shared, fresh = models()
print(child_of(lambda: shared.predict(X[:9])))
shared, fresh = models()
shared.predict(X[:1])
print(child_of(lambda: shared.append(X[:1], X[:1, 0])))
"""
    assert run(code) == ["0", "0", "0"]


def test_no_code_runs_when_a_model_goes():
    """Python loses a Ctrl-C that comes while the callback of a weak reference runs."""
    models = [gprat.GP([[0.0]], [1.0]) for _ in range(3)]
    references = weakref.getweakrefs(models[0])
    assert references
    assert all(reference.__callback__ is None for reference in references)


def test_models_that_went_are_forgotten():
    kept = gprat.GP([[0.0]], [1.0])
    for _ in range(500):
        gprat.GP([[0.0]], [1.0])
    references = state._models._references
    assert any(reference() is kept for reference in references)
    alive = sum(reference() is not None for reference in references)
    assert len(references) <= max(64, 2 * alive) + 64


def test_spawned_process_computes_the_same():
    code = """
import concurrent.futures, multiprocessing
spawn = multiprocessing.get_context("spawn")
with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as pool:
    mean = pool.submit(gp.predict, X[:9]).result()
    threads = pool.submit(gprat.runtime.threads).result()
print(np.array_equal(mean, gp.predict(X[:9])), threads)
"""
    assert run(code, GPRAT_NUM_THREADS="3") == ["True", "3"]


def test_workers_of_joblib_share_the_processors():
    code = """
import joblib, multiprocessing, sys
from gprat import _progress
class Terminal:
    closed, isatty = False, lambda self: True
def seen():
    sys.stderr = Terminal()  # a bar in each process would be one too many
    return gprat.runtime.threads(), gprat.runtime._progress._is_wanted()
def error():
    gprat.GP(X, X[:, 0], memory_limit=1).predict(X)
with joblib.Parallel(n_jobs=2) as parallel:
    results = parallel(joblib.delayed(seen)() for _ in range(4))
    print({threads for threads, _ in results}, {bar for _, bar in results})
    try:
        parallel([joblib.delayed(error)()])
    except gprat.exceptions.InsufficientMemoryError as e:
        print(e.needed > e.available)
"""
    share = max(1, len(os.sched_getaffinity(0)) // 2)
    assert run(code) == [f"{{{share}}}", "{False}", "True"]


BUSY = """
from concurrent.futures import ThreadPoolExecutor

def most_at_a_time(records):
    steps = sorted([(r["start"], 1) for r in records] + [(r["end"], -1) for r in records])
    return max(np.cumsum([step for _, step in steps]))

def work(number):
    # With different numbers of threads, which don't add up.
    model = gprat.GP(X + number, X[:, 0], tile_size=100, threads=(None, 2)[number % 2])
    return model.log_marginal_likelihood()
"""


def test_threads_of_python_share_the_workers():
    code = """
import joblib
gprat.runtime.start(2)
with gprat.trace() as t, ThreadPoolExecutor(4) as pool:
    values = list(pool.map(work, range(8)))
print(len(values), most_at_a_time(t.tasks) <= 2)
with gprat.trace() as t:
    values = joblib.Parallel(4, backend="threading")(joblib.delayed(work)(i) for i in range(8))
print(len(values), most_at_a_time(t.tasks) <= 2)
"""
    assert run(BUSY + code) == ["8", "True"] * 2


def test_limit_of_threadpoolctl_changes_nothing_for_us():
    """Our BLAS has one thread, whatever others want: the parallelism is between its calls."""
    code = """
from threadpoolctl import threadpool_info, threadpool_limits
def ours():
    return [p["num_threads"] for p in threadpool_info() if "gprat" in p["filepath"]]
def compute():
    return gprat.GP(X, X[:, 0], tile_size=128).log_marginal_likelihood()
with threadpool_limits(1):
    assert compute() == value
with threadpool_limits(3, user_api="blas"):
    assert ours() == [3], ours()
    assert compute() == value
    print(ours())
print(ours())
"""
    assert run(code) == ["[1]", "[1]"]


NESTED = """
from gprat.kernels import RBF
inner = gprat.GP(X, X[:, 0], tile_size=100)

class Warped(RBF):
    # Points are moved by the prediction of another model: enough work for many threads.
    def __call__(self, X, Y=None, eval_gradient=False):
        inner.theta = inner.theta + 1e-9  # a new factor each time
        moved = [None if Z is None else Z + inner.predict(Z)[:, np.newaxis] for Z in (X, Y)]
        return super().__call__(*moved, eval_gradient)
"""


def test_kernel_that_uses_a_model_does_not_deadlock():
    code = """
for threads in (1, 2, 4):
    gprat.runtime.start(threads)
    outer = gprat.GP(X[:300], X[:300, 0], Warped(), tile_size=60)
    print(np.isfinite(outer.predict(X[:5])).all())
"""
    assert run(NESTED + code) == ["True"] * 3


def test_kernel_that_asks_its_own_model_is_refused():
    code = """
from gprat.kernels import RBF

class Circular(RBF):
    model = None

    def __call__(self, X, Y=None, eval_gradient=False):
        if Circular.model is not None:
            Circular.model.predict(X[:1])
        return super().__call__(X, Y, eval_gradient)

for threads in (1, 2):
    gprat.runtime.start(threads)
    Circular.model = None
    model = Circular.model = gprat.GP(X[:200], X[:200, 0], Circular(), tile_size=60)
    for call in (model.predict, lambda _: model.log_marginal_likelihood(eval_gradient=True)):
        try:
            call(X[:5])
        except gprat.exceptions.UnsupportedKernelError as error:
            print("asked its own model" in str(error))
    Circular.model = None
    print(np.isfinite(model.predict(X[:5])).all())
"""
    assert run(code) == ["True"] * 6


def test_callback_may_compute_and_change_threads():
    code = """
def callback(iteration):
    inner.predict(X[:5])
    gprat.runtime.start(1 + iteration.iteration % 3)
    gprat.GP(X, X[:, 0], tile_size=100).log_marginal_likelihood(eval_gradient=True)

gp.optimize(max_iter=4, n_restarts=2, random_state=0, callback=callback)
print(len(gp.training_.starts))
"""
    assert run(NESTED + code) == ["3"]


def test_kernel_cannot_stop_what_it_runs_in():
    code = """
class Stopping(RBF):
    def __call__(self, X, Y=None, eval_gradient=False):
        gprat.runtime.stop()

for threads in (1, 2):
    gprat.runtime.start(threads)
    try:
        gprat.GP(X, X[:, 0], Stopping(), tile_size=100).predict(X[:5])
    except gprat.exceptions.InvalidInputError as error:
        print("inside" in str(error))
    gprat.runtime.stop()
"""
    assert run(NESTED + code) == ["True", "True"]


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux's /proc")
def test_fewer_threads_than_wanted_are_an_error():
    """A limit on addresses stands for any: each thread has a stack of some MiB."""
    code = """
import resource
gprat.runtime.stop()
pages = int(open("/proc/self/statm").read().split()[0])
limit = pages * resource.getpagesize() + 2**28
resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
gprat.runtime.start(5000)
for _ in range(2):
    try:
        gprat.GP(X, X[:, 0], tile_size=128).log_marginal_likelihood()
        print("no error")
    except gprat.exceptions.TooFewThreadsError as error:
        print("5000" in str(error) and "start(threads=" in str(error))
gprat.runtime.start(2)
print(gprat.GP(X, X[:, 0], tile_size=128).log_marginal_likelihood() == value)
resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
"""
    assert run(code) == ["True"] * 3
