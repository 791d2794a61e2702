"""Forked children, the threads of a process, and neighbours: each in a process of its own."""

import os
import subprocess
import sys

import pytest

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
