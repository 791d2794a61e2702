"""A cache folder of its own for each test, and calibrations that are made up."""

import dataclasses

import pytest

from gprat.calibration import Calibration, Rates, cache
from gprat.calibration.table import PAIRS
from gprat.simulation import record_tasks

TILE_SIZES = (48, 96, 192, 384, 768)


def kinds():
    """Names of all kinds of tasks that have work to do."""
    names = {}
    for what in ("fit", "predict", "variance", "covariance"):
        tasks = record_tasks(what, 300, m=0 if what == "fit" else 400, tile_size=48, threads=2)
        work = tasks.sum_by_kind(tasks.work)
        names |= dict.fromkeys(name for name in tasks.names if work[name] > 0.0)
    return tuple(names)


def make_calibration(dtype="float64", half=30.0, contention=1.1, **changes):
    """Make up the calibration of this machine: tiles of side `half` reach half of the peak."""
    alone = {
        kind: tuple((2e-9 if kind in PAIRS else 1e-11) * (1.0 + half / b) for b in TILE_SIZES)
        for kind in kinds()
    }
    calibration = Calibration(
        cache.this_machine(dtype),
        TILE_SIZES,
        {kind: Rates(s, tuple(contention * x for x in s)) for kind, s in alone.items()},
        (1, 8, 32),
        dict.fromkeys(PAIRS, (1e-9, 2e-9, 5e-9)),
        submission=3e-7,
        overhead=5e-7,
        inline_overhead=3e-8,
        bandwidth=5e10,
        first_touch=1e10,
        seconds=1.0,
    )
    return dataclasses.replace(calibration, **changes)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The cache folder of a process that has just started, and may calibrate."""
    path = tmp_path / "cache"
    monkeypatch.setenv("GPRAT_CACHE_DIR", str(path))
    monkeypatch.delenv("GPRAT_CALIBRATE", raising=False)
    monkeypatch.setattr(cache, "_entries", {})
    return path


@pytest.fixture
def calibrated(folder):
    """The calibration that is kept for this machine."""
    return cache.keep(make_calibration()).calibration


def forget():
    """Be a process that has just started."""
    cache._entries.clear()
