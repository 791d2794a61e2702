"""Archives and containers: what classes that are saved are given."""

import json
import sys

import numpy as np
import pytest

import gprat
from gprat.exceptions import (
    GpratError,
    ModelFileError,
)
from gprat.persistence import Archive
from gprat.persistence.container import read_container, write_container
from saved_models import assert_same_model, refused


def test_archives_are_split_once():
    count = 3000
    arrays = {f"{i}/{j}": np.zeros(1) for i in range(count) for j in range(3)}
    archive = Archive({str(i): {} for i in range(count)}, arrays)
    first = archive.take("0")
    assert sorted(first.arrays) == ["0", "1", "2"]
    # What is left lies by archive, so that taking each one doesn't look at all arrays.
    assert not archive.arrays
    for i in range(1, count - 1):
        assert len(archive.take(str(i)).arrays) == 3
    with pytest.raises(ModelFileError, match=str(count - 1)):
        archive.check_empty()


def test_archives_nest_and_are_emptied(gp, path):
    whole = Archive({"name": "two models"})
    whole.put("0", gp._to_archive(False))
    whole.put("1", gp._to_archive(False))
    loaded = Archive(json.loads(json.dumps(whole.description)), dict(whole.arrays))
    for name in ("0", "1"):
        assert_same_model(gprat.GP._from_archive(loaded.take(name)), gp)
    with pytest.raises(ModelFileError, match="belong to no model: name"):
        loaded.check_empty()
    with pytest.raises(ModelFileError, match="it has no entry '0'"):
        loaded.take("0")


def test_containers_hold_every_dtype_in_either_byte_order(path):
    arrays = {
        "none": np.zeros((0, 3)),
        "one": np.array(3.5),
        "big": np.arange(5, dtype=">f8"),
        "single": np.arange(6, dtype=">f4").reshape(2, 3),
        "whole": np.arange(-3, 3).astype(">i8"),
        "bytes": np.arange(7, dtype=np.uint8),
        "turned": np.arange(6.0).reshape(2, 3).T,
        "stepped": np.arange(9.0)[::-2],
    }
    write_container(path, arrays, {"text": "é\ud800\0", "numbers": [0.1, -0.0, 5e-324, 1 << 80]})
    document, loaded = read_container(path)
    assert document.pop("gprat") == gprat.__version__
    assert document == {"text": "é\ud800\0", "numbers": [0.1, -0.0, 5e-324, 1 << 80]}
    assert list(loaded) == list(arrays)
    for name, array in arrays.items():
        assert loaded[name].shape == array.shape
        assert loaded[name].dtype == array.dtype.newbyteorder("=")
        assert np.array_equal(loaded[name], array)
        assert loaded[name].ctypes.data % 64 == 0
        assert not loaded[name].flags.writeable


def test_other_byte_order_of_the_machine(path, monkeypatch):
    """Where bytes are swapped, arrays are copies of the right values."""
    write_container(path, {"x": np.arange(5.0)}, {})
    monkeypatch.setattr(sys, "byteorder", "big")
    array = read_container(path)[1]["x"]
    assert np.array_equal(array, np.arange(5.0))
    assert array.dtype == np.float64
    assert not array.flags.writeable


def test_documents_that_are_too_large_are_not_written(path, monkeypatch):
    monkeypatch.setattr("gprat.persistence.container._LARGEST_HEADER", 1000)
    with pytest.raises(GpratError, match=r"takes .* bytes, more than the 1000"):
        write_container(path, {}, {"text": "x" * 1000})
    assert not path.exists()


def test_headers_that_are_too_large_are_not_read(path, gp, monkeypatch):
    gp.save(path)
    monkeypatch.setattr("gprat.persistence.container._LARGEST_HEADER", 1000)
    refused(path, "its header has .* bytes")
