"""What takes too much memory is refused before it starts; what can, makes do with less."""

import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import gprat
from gprat import _machine
from gprat._costs import Operation
from gprat.engines import calls
from gprat.engines.calls import Call
from gprat.exceptions import GpratError, InsufficientMemoryError, UnsupportedTypeError
from gprat.gp import training
from gprat.kernels import RBF

# Whether samples of smooth functions need jitter is a matter of rounding.
pytestmark = pytest.mark.filterwarnings("ignore::gprat.exceptions.JitterWarning")

N, M = 500, 300
UPDATES = {
    "append": lambda gp, points: gp.append(points, np.zeros(len(points))),
    "delete": lambda gp, points: gp.delete(slice(10, 20)),
}
FITS = {
    "gradient": lambda gp, points: gp.log_marginal_likelihood(eval_gradient=True),
    "leave-one-out gradient": lambda gp, points: gp.loo_log_density(eval_gradient=True),
    "input gradient": lambda gp, points: gp.input_gradient(),
    "training": lambda gp, points: gp.optimize(max_iter=1),
    "restarts": lambda gp, points: gp.optimize(max_iter=1, n_restarts=1, warm_start=[100]),
}
CALLS = {
    "likelihood": lambda gp, points: gp.log_marginal_likelihood(),
    "mean": lambda gp, points: gp.predict(points),
    "variance": lambda gp, points: gp.predict_with_uncertainty(points),
    "covariance": lambda gp, points: gp.predict_with_full_cov(points),
    "prediction's gradient": lambda gp, points: gp.predict_gradient(points),
    "posterior samples": lambda gp, points: gp.sample(points, 3),
    "prior samples": lambda gp, points: gp.sample(points, 3, source="prior"),
    "leave-one-out": lambda gp, points: gp.loo(),
    "solve": lambda gp, points: gp.solve(np.ones((N, M))),
    "cholesky": lambda gp, points: gp.cholesky(),
    "alpha": lambda gp, points: gp.alpha,
    **FITS,
}


@pytest.fixture
def model(rng):
    """Make models of the same data, and points to predict at."""
    X, points = rng.uniform(-3, 3, size=(N, 2)), rng.uniform(-3, 3, size=(M, 2))
    y = np.sin(X[:, 0])

    def make(**options):
        return gprat.GP(X, y, RBF(), noise=0.1, **{"tile_size": 64, **options})

    return make, points


@pytest.fixture
def machine(monkeypatch):
    """Let the machine have as much memory as a test says, also for small models."""
    monkeypatch.setattr(calls, "_SMALL", 0)

    def set_memory(available):
        source = available if callable(available) else lambda: available
        monkeypatch.setattr(_machine, "available_memory", source)

    return set_memory


def refused(call, gp, points):
    """Return the error, after seeing that nothing was computed."""
    with gprat.trace() as t, pytest.raises(InsufficientMemoryError) as caught:
        call(gp, points)
    assert len(t.tasks) == 0
    return caught.value


@pytest.mark.parametrize("name", CALLS)
def test_what_does_not_fit_is_refused_at_once(name, model, machine):
    make, points = model
    machine(100_000)
    error = refused(CALLS[name], make(), points)
    assert isinstance(error, GpratError)
    assert isinstance(error, MemoryError)
    assert error.needed > error.available == 100_000
    assert "97.7 KiB" in str(error)
    assert "available" in str(error)


@pytest.mark.parametrize("name", CALLS)
def test_limit_is_exact(name, model):
    """What an error says is needed is enough, and a byte less is not."""
    make, points = model
    call = CALLS[name]
    needed = refused(call, make(memory_limit=1), points).needed
    call(make(memory_limit=needed), points)
    error = refused(call, make(memory_limit=needed - 1), points)
    assert (error.needed, error.available) == (needed, needed - 1)
    assert "memory_limit" in str(error)


@pytest.mark.parametrize("name", UPDATES)
def test_updates_of_a_factor_need_memory(name, model, machine):
    make, points = model
    gp, update = make(), UPDATES[name]
    gp.predict(points)
    machine(1000)
    theta, n = gp.theta, len(gp.X)
    refused(update, gp, points)
    assert len(gp.X) == n
    assert np.array_equal(gp.theta, theta)
    update(make(), points)  # without a factor nothing is taken
    machine(2**40)
    update(gp, points)
    assert len(gp.X) != n


def test_both_limits_count(model, machine):
    make, points = model
    machine(200_000)
    assert refused(CALLS["mean"], make(memory_limit=2**40), points).available == 200_000
    assert refused(CALLS["mean"], make(memory_limit=50_000), points).available == 50_000


def test_unknown_memory_is_no_reason_to_refuse(model, machine):
    make, points = model
    machine(0)
    make().predict(points)


def test_kept_factor_counts_as_there(model, machine):
    make, points = model
    gp = make()
    machine(100_000)
    refused(CALLS["mean"], gp, points)
    machine(2**40)
    gp.predict(points)
    full = refused(CALLS["mean"], make(memory_limit=1), points).needed
    triangle = 8 * N * N // 2
    machine(full - triangle)
    gp.predict(points)
    machine(full - 2 * triangle)
    refused(CALLS["mean"], gp, points)


def test_training_gives_the_kept_factor_back(model, machine):
    make, points = model
    gp = make()
    gp.predict(points)
    needed = refused(FITS["gradient"], make(memory_limit=1), points).needed
    factor = 8 * N * N // 2
    has_factor = lambda: gp._posterior is not None and gp._posterior.has_factor  # noqa: E731
    machine(lambda: needed - factor if has_factor() else needed)
    refused(FITS["gradient"], gp, points)
    gp.optimize(max_iter=1)


def test_small_models_never_look_at_the_machine(model, monkeypatch):
    def fail():
        raise AssertionError("nobody needs to know")

    make, points = model
    monkeypatch.setattr(_machine, "available_memory", fail)
    for call in (*CALLS.values(), *UPDATES.values()):
        if call is not FITS["restarts"]:
            call(make(), points)


def test_absurd_sizes_are_refused_by_the_real_machine(rng):
    n = 2_000_000
    gp = gprat.GP(np.zeros((n, 1)), np.zeros(n))
    error = refused(CALLS["gradient"], gp, None)
    assert error.needed > 8 * n**2 / 2
    assert not error.plan.fits
    assert 0 < error.plan.largest_n < n
    assert "training points" in str(error)


def test_error_tells_what_would_fit(model):
    make, points = model
    points = np.concatenate([points] * 8)
    double = refused(CALLS["covariance"], make(memory_limit=1), points).needed
    error = refused(CALLS["covariance"], make(memory_limit=double * 3 // 4), points)
    message = str(error)
    assert 'dtype="float32"' in message
    assert "predict_with_uncertainty" in message
    make(memory_limit=double * 3 // 4, dtype=np.float32).predict_with_full_cov(points)
    make(memory_limit=double * 3 // 4).predict_with_uncertainty(points)
    (most,) = [
        int(part.split()[2].replace(",", ""))
        for part in message.split("; ")
        if "points at a time" in part
    ]
    make(memory_limit=double * 3 // 4).predict_with_full_cov(points[:most])
    refused(CALLS["covariance"], make(memory_limit=double * 3 // 4), points[: most + 1])
    assert error.plan.what == "covariance"
    assert (error.plan.n, error.plan.m) == (N, 8 * M)


def test_error_survives_the_way_back_from_a_process(model):
    make, points = model
    error = refused(CALLS["variance"], make(memory_limit=1), points)
    copy = pickle.loads(pickle.dumps(error))
    assert str(copy) == str(error)
    assert (copy.needed, copy.available, copy.plan) == (error.needed, 1, error.plan)


@pytest.mark.parametrize(
    ("call", "operation"),
    [
        (lambda gp, points: gp.predict_with_uncertainty(points), Operation.VARIANCE),
        (lambda gp, points: gp.predict_gradient(points), Operation.PREDICT_GRADIENT),
        (lambda gp, points: (gp.loo().mean, gp.loo().variance), Operation.LEAVE_ONE_OUT),
    ],
)
def test_fewer_blocks_at_a_time_give_the_same_bits(call, operation, rng):
    X = rng.uniform(-3, 3, size=(N, 2))
    points = rng.uniform(-3, 3, size=(3000, 2))
    gprat.runtime.start(4)

    def make(limit):
        return gprat.GP(X, np.sin(X[:, 0]), noise=0.1, tile_size=64, memory_limit=limit)

    expected = call(make(None), points)
    with pytest.raises(InsufficientMemoryError) as caught:
        call(make(1), points)
    least = caught.value.needed
    for limit in (least, least + least // 10):
        gp, m = make(limit), 0 if operation is Operation.LEAVE_ONE_OUT else len(points)
        plain = Call(gp._problem(gp._hyperparameters), operation, m)
        assert 1 <= plain.ensure_fits() <= 4, "the test is to use fewer blocks than without limit"
        for got, wanted in zip(call(gp, points), expected, strict=True):
            assert np.array_equal(got, wanted)
    gprat.runtime.start()


def test_samples_are_refused_before_they_are_drawn(model):
    make, points = model
    gp = make(memory_limit=2**26)
    gp.sample(points, 10, random_state=0)
    for source in ("posterior", "prior"):
        with pytest.raises(InsufficientMemoryError, match="fewer samples"):
            gp.sample(points, 10**12, source=source)
    with pytest.raises(InsufficientMemoryError):
        make().sample(points, 10**12)


@pytest.mark.parametrize("limit", [2.5, True, "8 GiB"])
def test_limit_must_be_a_number_of_bytes(limit, model):
    with pytest.raises(UnsupportedTypeError, match=r"memory_limit must be .*8 \* 2\*\*30"):
        model[0](memory_limit=limit)


def test_limit_can_be_changed(model):
    make, points = model
    gp = make(memory_limit=1)
    refused(CALLS["mean"], gp, points)
    gp.memory_limit = None
    gp.predict(points)
    with pytest.raises(gprat.exceptions.InvalidInputError, match="at least 1"):
        gp.memory_limit = 0
    assert gp.memory_limit is None
    copy = pickle.loads(pickle.dumps(make(memory_limit=7)))
    assert copy.memory_limit == 7


def test_restarts_share_the_limit_of_the_model(model, monkeypatch):
    make, _ = model
    seen = []
    original = training.train

    def spy(*arguments, memory_limit, **options):
        seen.append(memory_limit)
        return original(*arguments, memory_limit=memory_limit, **options)

    monkeypatch.setattr(training, "train", spy)
    make(memory_limit=2**30).optimize(max_iter=1)
    make(memory_limit=2**30).optimize(max_iter=1, memory_limit=12345)
    make().optimize(max_iter=1)
    assert seen == [2**30, 12345, None]


def test_limit_of_the_estimator(rng, tmp_path):
    X = rng.uniform(-3, 3, size=(100, 2))
    y = np.sin(X[:, 0])
    with pytest.raises(InsufficientMemoryError):
        gprat.GaussianProcessRegressor(alpha=0.1, memory_limit=1000).fit(X, y)
    model = gprat.GaussianProcessRegressor(alpha=0.1, memory_limit=2**25).fit(X, y)
    assert model.gp_.memory_limit == 2**25
    with pytest.raises(InsufficientMemoryError):
        model.predict(np.zeros((5000, 2)), return_cov=True)
    model.save(tmp_path / "model.gprat")
    assert gprat.load(tmp_path / "model.gprat").gp_.memory_limit == 2**25


MEASURE = """
import resource
import numpy as np, gprat
from gprat.engines import calls
from gprat.exceptions import InsufficientMemoryError

calls._SMALL = 0

def used():
    return int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()

def confine(limit):
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))

rng = np.random.default_rng(0)
n, m = 2200, 1500
X, points = rng.uniform(-3, 3, (n, 2)), rng.uniform(-3, 3, (m, 2))
CALLS = {
    "fit": lambda gp: gp.log_marginal_likelihood(eval_gradient=True),
    "variance": lambda gp: gp.predict_with_uncertainty(points),
    "covariance": lambda gp: gp.predict_with_full_cov(points),
    "leave-one-out": lambda gp: gp.loo(),
    "cholesky": lambda gp: gp.cholesky(),
    "samples": lambda gp: gp.sample(points, 200),
}
def make(size, **options):
    return gprat.GP(X[:size], np.sin(X[:size, 0]), noise=0.1, threads=2, **options)

def needed_for(call):
    try:
        call(make(n, memory_limit=1))
    except InsufficientMemoryError as error:
        return error.needed

gprat.runtime.start(2)
for name, call in CALLS.items():
    call(make(500))  # threads and their stacks, libraries
    needed = needed_for(call)
    gprat._core.runtime.free_cached_memory()
    before = used()
    confine(before + needed // 2)
    try:
        call(make(n))
        raise AssertionError(f"{name}: half is not enough")
    except InsufficientMemoryError as error:
        assert error.available <= needed // 2
    confine(before + needed + needed // 20 + 2**22)
    call(make(n))
    confine(resource.RLIM_INFINITY)
    print(name)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux's /proc")
def test_no_more_is_taken_than_was_asked_for():
    """With a limit of the system just above what is asked for, the call works out."""
    completed = subprocess.run(
        [sys.executable, "-c", MEASURE],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
