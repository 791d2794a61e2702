"""Calibrations outlive the process; whatever the file is, nothing fails."""

import json
import os
import pickle
import threading
import warnings
from pathlib import Path

import pytest

import gprat
from calibration.conftest import forget, make_calibration
from gprat.calibration import cache, default_folder, find, measuring
from gprat.calibration.table import PAIRS
from gprat.exceptions import CacheWarning


@pytest.fixture
def quick(monkeypatch):
    """Calibrations that are not measured."""
    monkeypatch.setattr(measuring, "calibrate", lambda dtype: make_calibration(str(dtype)))


def path():
    return cache.path_for(cache.this_machine("float64"))


def test_tuning_is_remembered(folder, quick):
    assert find("float64") is None
    calibration = gprat.tune()
    forget()
    assert find("float64").to_plain() == calibration.to_plain()
    assert find("float32") is None
    assert [file.name for file in folder.iterdir()] == [path().name]


def test_measured_rates_are_kept_as_they_are(folder):
    calibration = gprat.tune("float32")
    forget()
    assert find("float32").to_plain() == calibration.to_plain()


def damage(plain, **changes):
    return {**plain, "calibration": {**plain["calibration"], **changes}}


DAMAGES = {
    "empty": lambda plain: "",
    "cut off": lambda plain: json.dumps(plain)[:500],
    "no object": lambda plain: "[1, 2]",
    "a number": lambda plain: "3",
    "binary": lambda plain: "\0\1",
    "deep": lambda plain: "[" * 100_000,
    "no choices": lambda plain: json.dumps({"format": 1, "calibration": plain["calibration"]}),
    "choices of nothing": lambda plain: json.dumps({**plain, "choices": {"100": 0}}),
    "choices of text": lambda plain: json.dumps({**plain, "choices": {"many": 2}}),
    "no rates": lambda plain: json.dumps(damage(plain, rates={})),
    "rates of text": lambda plain: json.dumps(damage(plain, rates="fast")),
    "too few sizes": lambda plain: json.dumps(damage(plain, tile_sizes=[48])),
    "descending": lambda plain: json.dumps(damage(plain, tile_sizes=[5, 4, 3, 2, 1])),
    "negative": lambda plain: json.dumps(damage(plain, submission=-1.0)),
    "infinite": lambda plain: json.dumps(damage(plain, overhead=float("inf"))),
    "no bandwidth": lambda plain: json.dumps(damage(plain, bandwidth=0.0)),
    "endless rate": lambda plain: json.dumps(damage(plain, first_touch=float("inf"))),
    "endless size": lambda plain: json.dumps(damage(plain, tile_sizes=[float("inf")])),
    "sizes without bound": lambda plain: json.dumps(damage(plain, features=[1, 8, 10**40])),
    "a time without bound": lambda plain: json.dumps(damage(plain, overhead=10**400)),
    "times of ages": lambda plain: json.dumps(damage(plain, overhead=1e300)),
    "memory that stands still": lambda plain: json.dumps(damage(plain, bandwidth=1e-300)),
    "pairs for nothing": lambda plain: json.dumps(
        damage(plain, pairs={kind: [0.0, 0.0, 0.0] for kind in PAIRS})
    ),
    "pairs unknown": lambda plain: json.dumps(
        damage(plain, pairs={kind: [1e-9, None, 1e-9] for kind in PAIRS})
    ),
    "a name twice": lambda plain: '{"format": 1, ' + json.dumps(plain)[1:],
    "too large": lambda plain: json.dumps(plain) + " " * cache._LARGEST_FILE,
    "another machine": lambda plain: json.dumps(
        damage(plain, identity={**plain["calibration"]["identity"], "processor": "Z80"})
    ),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_damaged_file_is_ignored_and_replaced(kind, calibrated, quick):
    path().write_text(DAMAGES[kind](json.loads(path().read_text())))
    forget()
    with pytest.warns(CacheWarning, match=f"{path().name} is damaged") as caught:
        assert find("float64") is None
    assert len(caught) == 1
    # Said once is enough.
    assert find("float64") is None
    gprat.tune()
    forget()
    assert find("float64").to_plain() == make_calibration().to_plain()


@pytest.mark.parametrize("kind", ["pipe", "endless", "folder"])
def test_what_is_no_file_is_not_read(kind, calibrated):
    path().unlink()
    if kind == "pipe":
        os.mkfifo(path())
    elif kind == "endless":
        path().symlink_to("/dev/zero")
    else:
        path().mkdir()
    forget()
    with pytest.warns(CacheWarning, match="is damaged"):
        assert find("float64") is None


def test_a_file_of_another_format_is_replaced_without_a_word(calibrated, quick):
    plain = json.loads(path().read_text())
    path().write_text(json.dumps({"format": cache.FORMAT + 1, "all": "different"}))
    forget()
    assert find("float64") is None
    gprat.tune()
    assert json.loads(path().read_text()) == plain


@pytest.mark.parametrize("kind", ["a file in its place", "forbidden", "below a file"])
def test_a_folder_that_cannot_be_written_to_does_no_harm(kind, folder, quick, monkeypatch):
    if kind == "forbidden":
        folder.mkdir(mode=0o500)
    else:
        folder.write_text("in the way")
        if kind == "below a file":
            monkeypatch.setenv("GPRAT_CACHE_DIR", str(folder / "deeper"))
    calibration = gprat.tune()
    assert find("float64") is calibration
    assert gprat.plan(3000).seconds > 0.0


def test_readers_find_a_whole_file_while_others_write(calibrated):
    entries = [cache.Entry(make_calibration(seconds=float(i)), {1000 * i: i}) for i in (1, 2)]
    stop = threading.Event()

    def write(entry):
        while not stop.is_set():
            entry.store()

    writers = [threading.Thread(target=write, args=(entry,)) for entry in entries]
    for writer in writers:
        writer.start()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for _ in range(50):
                forget()
                assert find("float64").seconds in (1.0, 2.0)
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert [file.name for file in path().parent.iterdir()] == [path().name]


def test_choices_of_several_processes_are_kept_together(calibrated):
    mine, others = cache.Entry(calibrated), cache.Entry(calibrated)
    mine.add_choice(1000, 4)
    others.add_choice(2000, 6)
    forget()
    entry = cache.find_entry(calibrated.identity)
    assert (entry.choice(1000), entry.choice(2000), entry.choice(3000)) == (4, 6, None)


def test_choices_never_replace_a_newer_calibration(calibrated):
    stale = cache.Entry(calibrated)
    newer = cache.keep(make_calibration(seconds=2.0)).calibration
    stale.add_choice(1000, 4)
    assert stale.choice(1000) == 4
    forget()
    assert find("float64") == newer


def test_calibrations_can_be_sent_to_other_processes(calibrated):
    assert pickle.loads(pickle.dumps(calibrated)) == calibrated


def test_folders_take_precedence(monkeypatch, tmp_path):
    monkeypatch.setenv("GPRAT_CACHE_DIR", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "common"))
    assert default_folder() == tmp_path / "own"
    monkeypatch.delenv("GPRAT_CACHE_DIR")
    assert default_folder() == tmp_path / "common" / "gprat"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert default_folder() == Path(tmp_path) / ".cache" / "gprat"


@pytest.mark.parametrize(("value", "expected"), [("0", False), ("1", True), ("", True)])
def test_calibration_can_be_switched_off(value, expected, monkeypatch):
    monkeypatch.setenv("GPRAT_CALIBRATE", value)
    assert cache.is_automatic() is expected


def test_machines_have_files_of_their_own():
    one = cache.this_machine("float64")
    paths = {cache.path_for(one), cache.path_for(cache.this_machine("float32"))}
    for field in ("processor", "blas"):
        paths.add(cache.path_for(type(one)(**{**vars_of(one), field: "other"})))
    paths.add(cache.path_for(type(one)(**{**vars_of(one), "processors": 3 * one.processors})))
    assert len(paths) == 5


def vars_of(identity):
    return {name: getattr(identity, name) for name in identity.__slots__}
