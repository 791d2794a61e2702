"""A recorded task list is that of the graph that runs: same tasks, same edges."""

from collections import Counter, defaultdict

import numpy as np
import pytest

import gprat
from gprat._costs import Operation, Work
from gprat.exceptions import InvalidInputError, UnsupportedTypeError
from gprat.kernels import RBF, ConstantKernel
from gprat.simulation import record_tasks

OPERATIONS = ("fit", "predict", "variance", "covariance")
# Tiles a side: few; just fewer, and just more, than make the core cut its tasks finer.
TILES = (1, 4, 15, 17)
THREADS = gprat.runtime.processors()


def execute(what, n, m, tile_size, rng):
    """Run an operation and return the trace, in the order in which the tasks started."""
    gprat.runtime.start(THREADS)
    X = rng.uniform(-2, 2, size=(n, 3))
    gp = gprat.GP(
        X, rng.normal(size=n), ConstantKernel(1.0) * RBF(1.0), noise=0.5, tile_size=tile_size
    )
    points = rng.uniform(-2, 2, size=(m, 3))
    calls = {
        "fit": lambda: gp.log_marginal_likelihood(gp.theta, eval_gradient=True),
        "predict": lambda: gp.predict(points),
        "variance": lambda: gp.predict_with_uncertainty(points),
        "covariance": lambda: gp.predict_with_full_cov(points),
    }
    with gprat.trace() as t:
        calls[what]()
    return np.sort(t.tasks, order=["start", "end"], kind="stable")


def record(what, n, m, tile_size):
    return record_tasks(what, n, 3, 0 if what == "fit" else m, tile_size=tile_size, threads=THREADS)


def keys(tasks):
    """Return the name, row and column of each recorded task."""
    names = np.array(tasks.names)[tasks.kind].tolist()
    return list(zip(names, tasks.row.tolist(), tasks.column.tolist(), strict=True))


def predecessors(tasks):
    return np.split(tasks.predecessors, tasks.offsets[1:-1])


@pytest.mark.parametrize("tiles", TILES)
@pytest.mark.parametrize("what", OPERATIONS)
def test_the_same_tasks_run(what, tiles, rng):
    n, m = int(rng.integers(250, 300)), int(rng.integers(100, 300))
    tile_size = -(-n // tiles)
    ran = execute(what, n, m, tile_size, rng)
    tasks = record(what, n, m, tile_size)
    names = zip(ran["name"].tolist(), ran["row"].tolist(), ran["column"].tolist(), strict=True)
    assert Counter(keys(tasks)) == Counter(names)


@pytest.mark.parametrize("tiles", TILES)
@pytest.mark.parametrize("what", OPERATIONS)
def test_execution_keeps_every_edge(what, tiles, rng):
    n, m = int(rng.integers(250, 300)), int(rng.integers(100, 300))
    tile_size = -(-n // tiles)
    ran = execute(what, n, m, tile_size, rng)
    tasks = record(what, n, m, tile_size)
    # Tasks of one name on one tile write the same data, so they run in program order; but solves
    # with several blocks of test points have the same names and tiles.
    executed = defaultdict(list)
    for i, task in enumerate(ran):
        executed[task["name"], int(task["row"]), int(task["column"])].append(i)
    place = [executed[key].pop(0) for key in keys(tasks)]
    start, end = ran["start"][place], ran["end"][place]
    if what in ("variance", "covariance"):
        is_solve = np.char.startswith(ran["name"][place], "solve")
        start[is_solve], end[is_solve] = np.inf, -np.inf
    for i, before in enumerate(predecessors(tasks)):
        assert np.all(end[before] <= start[i])


def runs(first, last, width):
    return [range(k, min(k + width, last)) for k in range(first, last, width)]


def fit_accesses(tasks, t):
    """Return what each task of a fit reads and writes, by the algebra that it stands for.

    Tiles of the matrix are (i, j), blocks of L⁻¹y are ("z", i) and those of α ("a", i).
    """
    is_fine = t >= 16
    per_update = max(1, 1536 // tasks.tile_size)
    per_strip = max(1, (512 if is_fine else 1536) // tasks.tile_size)
    per_solve = 1 if is_fine else per_update
    times, solved = Counter(), False
    for name, i, j in keys(tasks):
        # How often the tile was worked on before, by tasks of this name.
        nth = times[name, i, j]
        times[name, i, j] += 1
        solved |= name == "copy_whitened"
        strip = [(i, k) for k in range(j, min(j + per_strip, i))]
        panels = range(j, min(j + per_solve, i))
        apart = 1 if is_fine and j > 0 else 0
        updates = [*runs(0, j - apart, per_update), *runs(j - apart, j, 1)]
        match name:
            case "assemble" | "potrf" | "trtri" | "lauum":
                yield [], [(i, j)]
            case "trsm" | "inverse_trmm":
                yield [(j, j)], [(i, j)]
            case "syrk" | "gemm":
                yield [(row, k) for row in (i, j) for k in updates[nth]], [(i, j)]
            case "log_determinant":
                yield [(i, i)], []
            case "copy_targets":
                yield [], [("z", i)]
            case "copy_whitened":
                yield [("z", i)], [("a", i)]
            case "solve_vector":
                yield [(i, i)], [("z", i)]
            case "solve_vector_transposed":
                yield [(i, i)], [("a", i)]
            case "solve_vector_update" if not solved:
                yield [*((i, k) for k in panels), *(("z", k) for k in panels)], [("z", i)]
            case "solve_vector_update":
                yield [*((i, k) for k in panels), ("a", i)], [("a", k) for k in panels]
            case "weights_ready":
                yield [("a", k) for k in range(t)], ["all"]
            case "inverse_trsm" | "gram_trmm":
                yield [(i, i)], strip
            case "inverse_gemm":
                # Rows below j in turn: the n-th is row j + 1 + n of the inverse.
                k = j + 1 + nth
                row = [(k, column) for column in range(j, min(j + per_strip, k))]
                yield [*row, (i, k)], [(i, column) for _, column in row]
            case "gram_gemm" | "gram_syrk":
                k = i + 1 + nth
                if name == "gram_syrk":
                    yield [(k, i)], [(i, i)]
                else:
                    yield [*((k, column) for _, column in strip), (k, i)], strip
            case "contract":
                yield [("a", i), ("a", j)], [(i, j)]
            case _:
                raise AssertionError(name)


def conflicts(accesses_of_tasks):
    """Return, for each task, those before it that it must wait for."""
    writer, readers, result = {}, defaultdict(set), []
    for i, (reads, writes) in enumerate(accesses_of_tasks):
        before = {writer[piece] for piece in (*reads, *writes) if piece in writer}
        before |= {reader for piece in writes for reader in readers[piece]}
        result.append(sorted(before - {i}))
        for piece in reads:
            readers[piece].add(i)
        for piece in writes:
            writer[piece], readers[piece] = i, set()
    return result


@pytest.mark.parametrize("tile_size", [30, 100, 300, 600])
@pytest.mark.parametrize("t", [1, 2, 5, 15, 16, 23])
def test_edges_are_those_of_the_algebra(t, tile_size):
    tasks = record_tasks("fit", t * tile_size, tile_size=tile_size)
    expected = conflicts(fit_accesses(tasks, t))
    assert [edges.tolist() for edges in predecessors(tasks)] == expected


def test_as_many_tasks_as_are_planned(rng):
    for _ in range(60):
        what = str(rng.choice(OPERATIONS))
        n, m, k = (int(rng.integers(1, top)) for top in (4000, 9000, 12))
        tile = int(rng.integers(max(1, n // 40), n // 2 + 2))
        threads = int(rng.choice([1, 2, 8, 64]))
        tasks = record_tasks(what, n, 3, m, n_outputs=k, tile_size=tile, threads=threads)
        work = Work(Operation(what), 3, m, k, 3, threads, threads, 8, lambda _, tile=tile: tile)
        assert len(tasks) == work.tasks(n)


def test_work_and_bytes(rng):
    n = int(rng.integers(500, 900))
    tasks = record_tasks("fit", n, tile_size=n // 7)
    work = tasks.sum_by_kind(tasks.work)
    # A factor takes n³/3, an inverse another 2n³/3; tiles on the diagonal a little more.
    flops = sum(v for name, v in work.items() if name not in ("assemble", "contract"))
    assert flops == pytest.approx(n**3, rel=0.02)
    assert work["assemble"] == work["contract"] == n * (n + 1) / 2
    single = record_tasks("fit", n, tile_size=n // 7, dtype="float32")
    np.testing.assert_array_equal(2 * single.bytes, tasks.bytes)
    potrf = tasks.kind == tasks.names.index("potrf")
    np.testing.assert_array_equal(tasks.bytes[potrf], 8 * (n // 7) ** 2)


def test_what_has_no_room_in_memory_is_recorded():
    # A triangle of four terabytes.
    tasks = record_tasks("covariance", 1_000_000, 8, 1_000_000, tile_size=50_000, threads=64)
    assert len(tasks) > 1000


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"what": "dance"}, InvalidInputError, "unknown operation 'dance'"),
        ({"n": 0}, InvalidInputError, "n must be"),
        ({"n": 10**10}, InvalidInputError, "at most 1,000,000"),
        ({"n": 2.5}, UnsupportedTypeError, "n must be"),
        ({"d": 0}, InvalidInputError, "d must be"),
        ({"what": "variance", "m": 0}, InvalidInputError, "needs test points"),
        ({"tile_size": 0}, InvalidInputError, "tile_size must be"),
        ({"n": 100_000, "tile_size": 10}, InvalidInputError, "Pass larger tiles"),
        ({"threads": 0}, InvalidInputError, "threads must be"),
        ({"threads": 10**6}, InvalidInputError, "at most 4,096"),
        ({"dtype": "int8"}, UnsupportedTypeError, "dtype must be"),
    ],
)
def test_bad_input(changes, error, match):
    arguments = {"what": "fit", "n": 100, "tile_size": 50, **changes}
    with pytest.raises(error, match=match):
        record_tasks(**arguments)
