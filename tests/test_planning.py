"""Sizes that are chosen, and costs that are known, before the work starts."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

import gprat
from gprat._machine import available_memory
from gprat.exceptions import InvalidInputError, UnsupportedTypeError
from gprat.planning import auto_tile_size, plan

GIB = 2**30
WHATS = ["fit", "predict", "variance", "covariance"]


@pytest.mark.parametrize("processors", [1, 2, 64])
@pytest.mark.parametrize("n", [1, 2, 100, 193, 1000, 4096, 20_000, 100_000])
def test_tile_size_is_possible(n, processors):
    assert 1 <= auto_tile_size(n, processors) <= min(n, 1008)


def test_many_processors_get_many_tiles():
    sizes = [auto_tile_size(8192, processors) for processors in (1, 4, 16, 64, 256)]
    assert sizes == sorted(sizes, reverse=True)
    assert 8192 / sizes[3] >= 32


def test_tile_size_is_the_same_for_any_number_of_threads():
    X = [[float(i)] for i in range(1000)]
    sizes = {gprat.GP(X, range(1000), threads=threads).tile_size for threads in (None, 1, 2, 64)}
    assert len(sizes) == 1


def run(what, n, m, tile_size, rng):
    X, y = rng.uniform(-3, 3, size=(n, 2)), rng.standard_normal(n)
    gp = gprat.GP(X, y, tile_size=tile_size)
    points = rng.uniform(-3, 3, size=(m, 2))
    with gprat.trace() as t:
        match what:
            case "fit":
                gp.log_marginal_likelihood(eval_gradient=True)
            case "predict":
                gp.predict(points)
            case "variance":
                gp.predict_with_uncertainty(points)
            case "covariance":
                gp.predict_with_full_cov(points)
    return len(t.tasks)


# The tiles of the last pair come in groups of 1, those of the first in groups of 64 and more.
@pytest.mark.parametrize(
    ("n", "tile_size"), [(1, 1), (150, 1), (300, 7), (601, 24), (500, 100), (900, 300), (2400, 800)]
)
@pytest.mark.parametrize("what", WHATS)
def test_tasks_are_those_that_run(what, n, tile_size, rng):
    m = 1600 if n == 500 else 130
    planned = plan(n, d=2, m=m, what=what, tile_size=tile_size)
    assert planned.n_tasks == run(what, n, m, tile_size, rng)
    assert planned.tile_size == tile_size


def test_tiles_are_those_of_the_lower_triangle():
    assert plan(1000, tile_size=300).n_tiles == 10
    assert plan(1000, tile_size=5000).n_tiles == 1


MEASURE = """
import json, re, sys
import numpy as np, gprat
from gprat.kernels import RBF, ConstantKernel
what, n, m, threads = sys.argv[1], *map(int, sys.argv[2:5])
rng = np.random.default_rng(0)
X, points = rng.uniform(-3, 3, (n, 4)), rng.uniform(-3, 3, (m, 4))
gp = gprat.GP(X, np.sin(X[:, 0]), ConstantKernel() * RBF([1.0] * 4), threads=threads)
gprat.runtime.start(threads)
status = lambda key: int(re.search(key + r":\\s+(\\d+)", open("/proc/self/status").read())[1])
open("/proc/self/clear_refs", "w").write("5")
before = status("VmRSS")
if what == "fit":
    gp.log_marginal_likelihood(eval_gradient=True)
else:
    gp.predict_with_uncertainty(points)
print(1024 * (status("VmHWM") - before))
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="needs Linux's /proc")
@pytest.mark.parametrize(("what", "m", "threads"), [("fit", 1, 1), ("variance", 3000, 2)])
def test_peak_is_about_what_is_measured(what, m, threads):
    n = 2500
    arguments = [what, str(n), str(m), str(threads)]
    completed = subprocess.run(
        [sys.executable, "-c", MEASURE, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    planned = plan(n, d=4, m=m, what=what, threads=threads)
    # What each thread keeps differs between instruction sets, and with the pages of the system.
    assert planned.peak_bytes == pytest.approx(int(completed.stdout), rel=0.2)


def test_peak_holds_the_triangle_and_little_more():
    planned = plan(20_000, d=8)
    triangle = 8 * 20_000**2 / 2
    assert triangle < planned.peak_bytes < 1.1 * triangle
    assert planned.data_bytes == 8 * 20_000 * 9


def test_single_precision_takes_half():
    double, single = (plan(10_000, dtype=dtype, threads=1) for dtype in ("float64", "float32"))
    assert single.peak_bytes == pytest.approx(double.peak_bytes / 2, rel=0.02)
    assert single.dtype == "float32"


def test_operations_grow_with_the_cube():
    assert plan(20_000).flops == pytest.approx(20_000.0**3, rel=0.01)
    assert plan(40_000).flops / plan(20_000).flops == pytest.approx(8.0, rel=0.01)
    # L⁻¹K(X, X*) is what a variance costs more than a mean.
    more = plan(5000, m=700, what="variance").flops - plan(5000, m=700, what="predict").flops
    assert more == pytest.approx(5000.0**2 * 700)


@pytest.mark.parametrize("what", WHATS)
@pytest.mark.parametrize("tile_size", ["auto", 64])
def test_largest_n_is_the_last_that_fits(what, tile_size):
    options = {"d": 3, "m": 100, "what": what, "memory": GIB, "tile_size": tile_size}
    largest = plan(1, **options).largest_n
    assert plan(largest, **options).fits
    assert not plan(largest + 1, **options).fits


def test_nothing_fits_into_a_byte():
    planned = plan(1, memory=1)
    assert planned.largest_n == 0
    assert not planned.fits
    assert "does not fit into 1 B of memory" in str(planned)


def test_memory_is_the_machines_unless_given():
    assert 0 < plan(10).memory <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def test_threads_are_those_of_a_computation():
    with gprat.runtime.limit(1):
        assert plan(10).threads == 1
    assert plan(10, threads=64).threads == 64


def test_report_shows_what_counts():
    text = str(plan(20_000, d=8, m=500, what="variance", memory=GIB))
    for part in ("20,000 training points", "does not fit", "8 features", "500 test points", "GiB"):
        assert part in text
    assert all(len(line) <= 100 for line in text.splitlines())
    html = plan(10)._repr_html_()
    assert html.startswith("<pre>")


def test_as_dict_is_json():
    planned = plan(np.int64(300), d=np.int32(2))
    fields = json.loads(json.dumps(planned.as_dict()))
    assert fields["n"] == 300
    assert fields["n_hyperparameters"] == 4
    assert fields["fits"] is planned.fits


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 0}, "n must be at least 1"),
        ({"n": -5}, "n must be at least 1"),
        ({"n": 10**12}, "n must be at most 1,000,000,000"),
        ({"n": 2**70}, "n must be at most"),
        ({"n": 10, "d": 0}, "d must be at least 1"),
        ({"n": 10, "m": -1}, "m must be at least 1"),
        ({"n": 10, "what": "variance"}, "needs test points"),
        ({"n": 10, "what": "train"}, "unknown operation 'train'"),
        ({"n": 10, "what": None}, "unknown operation None"),
        ({"n": 10, "n_outputs": 0}, "n_outputs must be at least 1"),
        ({"n": 10, "n_hyperparameters": 0}, "n_hyperparameters must be at least 1"),
        ({"n": 10, "threads": 0}, "threads must be at least 1"),
        ({"n": 10, "tile_size": 0}, "tile_size must be at least 1"),
        ({"n": 10, "memory": 0}, "memory must be at least 1"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        plan(**arguments)


@pytest.mark.parametrize(
    "arguments",
    [{"n": 2e4}, {"n": "10"}, {"n": True}, {"n": 10, "m": True}, {"n": 10, "m": 1.5},
     {"n": 10, "dtype": "int8"}, {"n": 10, "memory": 1e9}, {"n": 10, "tile_size": "big"}],
)  # fmt: skip
def test_what_is_no_count_is_refused(arguments):
    with pytest.raises(UnsupportedTypeError):
        plan(**arguments)


def write(root, files):
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)


MEMINFO = {"proc/meminfo": "MemTotal:  2000 kB\nMemAvailable:    1000 kB\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 1000 * 1024),
        (
            {  # version 2: a limit of a parent, and file pages that can go
                "proc/self/cgroup": "0::/jobs/mine\n",
                "sys/fs/cgroup/jobs/mine/memory.max": "max\n",
                "sys/fs/cgroup/jobs/memory.max": "5000\n",
                "sys/fs/cgroup/jobs/memory.current": "4000\n",
                "sys/fs/cgroup/jobs/memory.stat": "anon 1000\ninactive_file 3000\n",
            },
            4000,
        ),
        (
            {  # version 1, in a container: the path is none of its own
                "proc/self/cgroup": "3:cpu:/x\n4:memory:/docker/abc\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "7000",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "9000",
            },
            0,
        ),
        (
            {  # version 1 without a limit
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "9000",
            },
            1000 * 1024,
        ),
    ],
)
def test_available_memory_is_the_least_that_binds(tmp_path, files, expected):
    write(tmp_path, {**MEMINFO, **files})
    assert available_memory(tmp_path) == expected


def test_available_memory_without_proc_is_the_physical_one(tmp_path):
    assert available_memory(tmp_path) == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
