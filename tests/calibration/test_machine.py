"""How long tasks take on a calibrated machine."""

import numpy as np
import pytest

from calibration.conftest import TILE_SIZES, make_calibration
from gprat.calibration import CalibratedMachine
from gprat.calibration.table import PAIRS
from gprat.simulation import record_tasks


@pytest.fixture
def machine():
    return CalibratedMachine(make_calibration(half=50.0, contention=1.3))


@pytest.mark.parametrize("tile_size", TILE_SIZES)
def test_measured_rates_are_found_again(machine, tile_size):
    tasks = record_tasks("fit", 2 * tile_size, tile_size=tile_size, threads=machine.threads)
    alone = machine.seconds(tasks, 1)
    together = machine.seconds(tasks, machine.threads)
    place = TILE_SIZES.index(tile_size)
    for index, kind in enumerate(tasks.names):
        which = (tasks.kind == index) & (tasks.work > 0.0)
        if which.any():
            rates = machine.calibration.rates[kind]
            np.testing.assert_allclose(alone[which], tasks.work[which] * rates.alone[place])
            if machine.threads > 1:
                expected = tasks.work[which] * rates.together[place]
                np.testing.assert_allclose(together[which], expected)


@pytest.mark.parametrize("tile_size", [10, 60, 250, 500, 2000])
def test_between_measured_sizes_rates_are_between(machine, tile_size):
    seconds = machine.calibration.rates["gemm"].alone
    assert min(seconds) <= 1.0000001 * machine.seconds_a_unit("gemm", tile_size, 1)
    assert machine.seconds_a_unit("gemm", tile_size, 1) <= 1.0000001 * max(seconds)


def test_the_more_threads_the_slower_is_each(machine):
    counts = [1, machine.threads, 2 * machine.threads, 4 * machine.threads]
    seconds = [machine.seconds_a_unit("potrf", 200, count) for count in counts]
    assert seconds == sorted(seconds)
    # More threads than processors take turns.
    assert seconds[3] == pytest.approx(2.0 * seconds[2])


def test_a_larger_machine_takes_no_turns():
    larger = CalibratedMachine(make_calibration(), processors=64)
    assert larger.threads == 64
    one, all_, more = (larger.seconds_a_unit("gemm", 192, count) for count in (1, 64, 128))
    assert one <= all_ < more
    assert all_ == pytest.approx(larger.calibration.rates["gemm"].together[2])


def test_kinds_that_were_not_measured_count_as_products(machine):
    for tile_size in (48, 300):
        expected = machine.seconds_a_unit("gemm", tile_size, 1)
        assert machine.seconds_a_unit("something new", tile_size, 1) == expected


@pytest.mark.parametrize("kind", PAIRS)
def test_pairs_cost_by_features(kind):
    calibration = make_calibration()
    seconds = {
        d: CalibratedMachine(calibration, d).seconds_a_unit(kind, 192, 1)
        for d in (1, 8, 20, 32, 64, 128)
    }
    assert seconds[1] == pytest.approx(0.5 * seconds[8])
    assert seconds[32] == pytest.approx(2.5 * seconds[8])
    assert seconds[20] == pytest.approx(0.5 * (seconds[8] + seconds[32]))
    # 1e-9 + d·1.25e-10 beyond, as between the last two.
    assert seconds[64] == pytest.approx(4.5 * seconds[8])


def test_sizes_at_which_a_kind_did_not_occur_are_bridged():
    plain = make_calibration().to_plain()
    plain["rates"]["gemm"]["alone"][2:] = [None] * 3
    machine = CalibratedMachine(type(make_calibration()).from_plain(plain))
    assert machine.seconds_a_unit("gemm", 768, 1) == pytest.approx(
        plain["rates"]["gemm"]["alone"][1]
    )


def test_a_factor_that_no_cache_holds_is_read_from_memory():
    slow = CalibratedMachine(make_calibration(bandwidth=1e9))
    small, large = (record_tasks("fit", n, tile_size=400) for n in (800, 4000))

    def rate(tasks):
        which = tasks.kind == tasks.names.index("solve_vector_update")
        return (slow.seconds(tasks, 1)[which] / tasks.work[which]).max()

    # Four bytes an operation.
    assert rate(large) == pytest.approx(4e-9)
    assert rate(small) < 1e-9
