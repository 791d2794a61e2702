"""The tile size that a calibration recommends: from the tasks that run, kept, and fixable."""

import dataclasses

import numpy as np
import pytest

import gprat
from calibration.conftest import forget, make_calibration
from gprat.calibration import CalibratedMachine, Calibration, best_tile_size, cache, choice
from gprat.planning import auto_tile_size
from gprat.simulation import record_tasks, run


def seconds(n, size, calibration):
    processors = calibration.identity.processors
    tasks = record_tasks("fit", n, tile_size=size, threads=processors)
    machine = CalibratedMachine(calibration, inline=processors == 1)
    return run(tasks, machine, processors).makespan


@pytest.mark.parametrize("half", [1.0, 30.0, 100.0])
@pytest.mark.parametrize("n", [1000, 2500, 6000])
def test_no_other_size_is_much_better(n, half):
    calibration = make_calibration(half=half)
    best = best_tile_size(n, calibration, auto_tile_size(n, 2))
    others = [size for size in range(120, 1009, 48) if size <= n and n / size <= 40]
    least = min(seconds(n, size, calibration) for size in others)
    # Sizes between those that are tried, and the last, ragged tile.
    assert seconds(n, best, calibration) <= 1.05 * least


@pytest.mark.parametrize("n", [2048, 2880, 4096])
@pytest.mark.parametrize("processors", [64, 128])
def test_on_many_processors_it_is_no_worse_than_the_rule(n, processors):
    here = make_calibration()
    identity = dataclasses.replace(here.identity, processors=processors)
    calibration = dataclasses.replace(here, identity=identity)
    rule = auto_tile_size(n, processors)
    best = best_tile_size(n, calibration, rule)
    # The rule's number of tiles is tried, in tiles of nearly the same size.
    assert seconds(n, best, calibration) <= 1.05 * seconds(n, rule, calibration)


def test_slow_sizes_are_avoided():
    plain = make_calibration(half=100.0).to_plain()
    for rates in plain["rates"].values():
        for use in ("alone", "together"):
            rates[use][-1] *= 2.0
    large_are_slow = Calibration.from_plain(plain)
    small_are_slow = make_calibration(half=100.0)
    sizes = [best_tile_size(6000, each, 480) for each in (large_are_slow, small_are_slow)]
    assert sizes[0] < sizes[1]


def model(n, **options):
    X = np.linspace(0.0, 1.0, n)[:, np.newaxis]
    return gprat.GP(X, X[:, 0], **options)


def refuse(*arguments, **options):
    raise AssertionError("not expected to be called")


def test_small_models_neither_calibrate_nor_look(folder, monkeypatch):
    monkeypatch.setattr(choice, "obtain", refuse)
    for n in (1, 10, 500, 999):
        assert model(n).tile_size == auto_tile_size(n, gprat.runtime.processors())


def test_models_of_some_thousand_rows_calibrate_not(folder, monkeypatch):
    monkeypatch.setattr(choice, "calibrate", refuse)
    for n in (1000, 3000):
        assert model(n).tile_size == auto_tile_size(n, gprat.runtime.processors())


def large():
    """Return a number of rows that is worth a calibration."""
    work = choice._SECONDS_WORTH_MORE * choice._FLOPS_A_SECOND * gprat.runtime.processors()
    return int(1.1 * work ** (1 / 3))


def test_large_models_calibrate_once(folder, monkeypatch):
    calls = []
    monkeypatch.setattr(choice, "calibrate", lambda dtype: calls.append(dtype) or SLOW)
    sizes = {model(large()).tile_size for _ in range(3)}
    assert calls == ["float64"]
    assert len(sizes) == 1
    forget()
    assert model(large()).tile_size in sizes
    assert calls == ["float64"]


SLOW = make_calibration(half=200.0)


@pytest.mark.parametrize("reason", ["switched off", "limited", "suspended", "already measuring"])
def test_nothing_is_measured_that_disturbs(reason, folder, monkeypatch):
    monkeypatch.setattr(choice, "calibrate", refuse)
    n = large()
    monkeypatch.setattr(gprat.runtime, "processors", lambda: 2)
    expected = auto_tile_size(n, 2)
    match reason:
        case "switched off":
            monkeypatch.setenv("GPRAT_CALIBRATE", "0")
            size = model(n).tile_size
        case "limited":
            with gprat.runtime.limit(1):
                size = model(n).tile_size
        case "suspended":
            gprat.runtime.suspend()
            size = model(n).tile_size
        case "already measuring":
            with choice._measuring:
                size = model(n).tile_size
    assert size == expected


def test_switched_off_nothing_is_used(calibrated, monkeypatch):
    monkeypatch.setenv("GPRAT_CALIBRATE", "0")
    monkeypatch.setattr(choice, "best_tile_size", refuse)
    assert model(4000).tile_size == auto_tile_size(4000, gprat.runtime.processors())


def test_a_choice_is_made_once_for_similar_sizes(calibrated, monkeypatch):
    first = model(4000).tile_size
    monkeypatch.setattr(choice, "best_tile_size", refuse)
    assert model(4000).tile_size == first
    assert abs(model(4001).tile_size - first) <= 24
    forget()
    assert model(4000).tile_size == first


def test_tuning_forgets_choices(calibrated, monkeypatch):
    model(4000)
    assert cache.find_entry(calibrated.identity)._choices
    cache.keep(make_calibration(half=3.0))
    forget()
    assert not cache.find_entry(calibrated.identity)._choices


def test_the_choice_does_not_depend_on_threads(calibrated):
    assert len({model(4000, threads=threads).tile_size for threads in (None, 1, 2, 64)}) == 1


def test_the_choice_is_recorded_and_can_be_fixed(calibrated, tmp_path, monkeypatch):
    gp = model(1500)
    chosen = gp.tile_size
    gp.save(tmp_path / "model.gprat")
    monkeypatch.setattr(choice, "best_tile_size", lambda *_: 1500)
    cache.keep(make_calibration())
    assert gprat.load(tmp_path / "model.gprat").tile_size == chosen
    assert gp.tile_size == chosen
    assert model(1500).tile_size == 1500
    assert model(1500, tile_size=77).tile_size == 77


def test_subsets_and_other_rows_have_choices_of_their_own(calibrated):
    gp = model(1500)
    gp.append(np.linspace(2.0, 3.0, 1500)[:, np.newaxis], np.zeros(1500))
    assert gp.tile_size == model(3000).tile_size


def test_precisions_have_calibrations_of_their_own(calibrated, monkeypatch):
    monkeypatch.setattr(choice, "best_tile_size", refuse)
    rule = auto_tile_size(2000, gprat.runtime.processors())
    assert model(2000, dtype="float32").tile_size == rule


@pytest.mark.parametrize("n", [1000, 20_000, 10**9])
def test_any_size_has_a_choice(n, calibrated):
    assert 1 <= choice.choose_tile_size(n, calibrated.identity.processors, "float64", 480) <= n
