"""What is measured, and how it is shown."""

import json
import math

import numpy as np
import pytest

import gprat
from calibration.conftest import kinds, make_calibration
from gprat.calibration import Calibration, calibrate
from gprat.calibration.table import PAIRS
from gprat.exceptions import RuntimeSuspendedError, UnsupportedTypeError


@pytest.fixture(scope="module", params=["float64", "float32"])
def measured(request):
    return calibrate(request.param, tile_sizes=(40, 100))


def test_every_kind_of_task_is_measured(measured):
    assert set(kinds()) <= set(measured.rates)


def test_figures_are_possible(measured):
    for rates in measured.rates.values():
        for seconds in (rates.alone, rates.together):
            assert len(seconds) == len(measured.tile_sizes)
            assert all(math.isnan(s) or 0.0 <= s < 1e-3 for s in seconds)
    assert set(measured.pairs) == set(PAIRS)
    assert all(len(seconds) == len(measured.features) for seconds in measured.pairs.values())
    costs = (measured.submission, measured.overhead, measured.inline_overhead)
    assert all(0.0 <= cost < 1e-2 for cost in costs)
    assert measured.bandwidth > 0.0
    assert measured.first_touch > 0.0
    assert measured.identity.processors == gprat.runtime.processors()


def test_measuring_leaves_the_users_trace_alone():
    with gprat.trace() as t:
        calibrate("float32", tile_sizes=(40,))
    assert t.tasks.size == 0


def test_a_table_is_shown(measured):
    text = str(measured)
    assert measured.identity.dtype in text
    for kind in measured.rates:
        assert kind in text
    for size in measured.tile_sizes:
        assert f"tile {size}" in text
    assert all(len(line) <= 100 for line in text.splitlines())
    assert measured._repr_html_().startswith("<pre>")


def test_json_and_back_is_the_same(measured):
    again = Calibration.from_plain(json.loads(json.dumps(measured.to_plain())))
    assert again.to_plain() == measured.to_plain()
    assert str(again) == str(measured)


def test_kinds_that_did_not_occur_are_kept_as_such():
    plain = make_calibration().to_plain()
    plain["rates"]["gemm"]["alone"][-1] = None
    again = Calibration.from_plain(plain)
    assert math.isnan(again.rates["gemm"].alone[-1])
    assert "-" in str(again)


def test_other_precisions_are_refused():
    with pytest.raises(UnsupportedTypeError, match="dtype must be"):
        gprat.tune(np.int8)


def test_a_suspended_runtime_refuses():
    gprat.runtime.suspend()
    with pytest.raises(RuntimeSuspendedError):
        calibrate()
