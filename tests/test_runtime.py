"""The runtime: it starts by itself, obeys in any order, and its limits bind whom they should."""

import asyncio
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from gprat import GP, runtime
from gprat.exceptions import InvalidInputError, RuntimeSuspendedError, UnsupportedTypeError

ACTIONS = {
    "start": lambda: runtime.start(threads=2),
    "stop": runtime.stop,
    "suspend": runtime.suspend,
    "resume": runtime.resume,
}


@pytest.fixture
def gp(rng):
    """A model that has several tiles, so that it needs the runtime."""
    X = rng.normal(size=(40, 2))
    return GP(X, np.sin(X[:, 0]), tile_size=8)


@pytest.fixture
def expected(gp):
    return gp.predict(gp.X)


@pytest.mark.parametrize("actions", list(itertools.product(ACTIONS, repeat=3)), ids="-".join)
def test_any_order_of_actions(gp, expected, actions):
    suspended = False
    for action in actions:
        ACTIONS[action]()
        suspended = action == "suspend"
        if suspended:
            with pytest.raises(RuntimeSuspendedError, match=r"runtime\.resume\(\)"):
                gp.predict(gp.X)
            with pytest.raises(RuntimeSuspendedError):
                GP(gp.X, gp.y, tile_size=8).log_marginal_likelihood(eval_gradient=True)
        else:
            assert np.array_equal(gp.predict(gp.X), expected)
            assert runtime.is_running()
    runtime.resume()
    assert np.array_equal(GP(gp.X, gp.y, tile_size=8).predict(gp.X), expected)


def test_start_and_stop_are_seen():
    runtime.stop()
    assert not runtime.is_running()
    runtime.stop()
    runtime.start(threads=3)
    assert runtime.is_running()
    assert runtime.threads() == 3
    runtime.start(threads=1)
    assert runtime.threads() == 1
    runtime.start()
    assert runtime.threads() >= 1


def test_restart_by_itself_keeps_the_number_of_threads(gp):
    runtime.start(threads=3)
    runtime.stop()
    assert runtime.threads() == 3
    gp.predict(gp.X)
    assert runtime.is_running()
    assert runtime.threads() == 3
    runtime.start()


def test_environment_variable_sets_the_default(monkeypatch):
    monkeypatch.setenv("GPRAT_NUM_THREADS", " 3 ")
    runtime.stop()
    runtime.start()
    assert runtime.threads() == 3
    runtime.start(threads=1)
    assert runtime.threads() == 1, "an explicit number counts more"
    monkeypatch.setenv("GPRAT_NUM_THREADS", "")
    runtime.start()
    assert runtime.threads() >= 1


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "٣"])
def test_bad_environment_variable_is_named(monkeypatch, text):
    runtime.start()
    monkeypatch.setenv("GPRAT_NUM_THREADS", text)
    runtime.stop()
    for call in (runtime.start, runtime.threads, lambda: GP([[0.0]], [0.0]).loss()):
        with pytest.raises(InvalidInputError, match=f"GPRAT_NUM_THREADS must be .*'{text}'"):
            call()


@pytest.mark.parametrize(
    "call", [runtime.start, lambda threads: runtime.limit(threads).__enter__()]
)
@pytest.mark.parametrize(
    ("count", "error"),
    [
        (0, InvalidInputError),
        (-2, InvalidInputError),
        (1.5, UnsupportedTypeError),
        (True, UnsupportedTypeError),
        ("2", UnsupportedTypeError),
    ],
)
def test_bad_numbers_of_threads_are_refused(call, count, error):
    with pytest.raises(error, match=r"threads must be .*threads=2"):
        call(count)


def test_limits_nest_to_the_smallest():
    runtime.start(threads=4)
    with runtime.limit(threads=3):
        assert runtime.threads() == 3
        with runtime.limit(threads=8):
            assert runtime.threads() == 3
            with runtime.limit(threads=1):
                assert runtime.threads() == 1
            assert runtime.threads() == 3
    assert runtime.threads() == 4
    runtime.start()


def test_limit_ends_with_an_error():
    runtime.start(threads=4)
    with pytest.raises(KeyError), runtime.limit(threads=2):
        raise KeyError
    assert runtime.threads() == 4
    runtime.start()


def test_limit_binds_only_its_thread_and_its_task():
    runtime.start(threads=4)

    async def task(count):
        with runtime.limit(threads=count):
            await asyncio.sleep(0)
            return runtime.threads()

    async def both():
        return await asyncio.gather(task(1), task(2), task(3))

    assert asyncio.run(both()) == [1, 2, 3]
    with runtime.limit(threads=1), ThreadPoolExecutor(1) as pool:
        assert pool.submit(runtime.threads).result() == 4
    runtime.start()


def test_call_uses_the_smallest_of_model_and_limit():
    runtime.start(threads=2)
    assert runtime.threads_for_call(None) == 2
    assert runtime.threads_for_call(1) == 1
    with runtime.limit(threads=3):
        assert runtime.threads_for_call(None) == 2
        assert runtime.threads_for_call(8) == 3
    runtime.start()


def test_limit_holds_for_a_factor_made_without_it(gp, expected):
    with runtime.limit(threads=1):
        assert np.array_equal(gp.predict(gp.X), expected)
        value = gp.log_marginal_likelihood()
    assert gp.log_marginal_likelihood() == value


def test_model_with_more_threads_than_the_runtime(gp, expected):
    runtime.start(threads=1)
    wide = GP(gp.X, gp.y, tile_size=8, threads=4)
    assert np.array_equal(wide.predict(gp.X), expected)
    runtime.start()
