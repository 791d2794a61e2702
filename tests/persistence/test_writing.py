"""What can't be saved, and disks that fail: an error, and the old file is still there."""

import errno
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import gprat
from gprat.exceptions import (
    InvalidInputError,
    UnsupportedKernelError,
    UnsupportedTypeError,
)
from gprat.kernels import RBF
from gprat.means import BasisFunction, FixedMean
from gprat.persistence import save


class OwnKernel(RBF):
    """A kernel of a user's own."""


class OwnGP(gprat.GP):
    """A model of a user's own."""


def square(X):
    return X[:, 0] ** 2


class Truncated(type(stats.norm)):
    """A distribution of a user's own."""


OWN_PRIOR = Truncated(a=0.0, name="norm")(1.0)
SAME_CLASS_OTHER_SUPPORT = type(stats.norm)(a=-5.0, b=5.0, name="norm")()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"kernel": OwnKernel()}, UnsupportedKernelError, "is a OwnKernel, which cannot be saved"),
        (
            {"mean": square},
            UnsupportedTypeError,
            "is a function, which cannot be saved.*by hand|by",
        ),
        ({"mean": FixedMean(square)}, UnsupportedTypeError, "mean .* is a function"),
        ({"mean": [BasisFunction(square)]}, UnsupportedTypeError, "mean .* is a function"),
        (
            {"noise_groups": np.array([b"a", b"b"])},
            UnsupportedTypeError,
            "label b'a' of noise_groups has type bytes",
        ),
        ({"priors": {"noise_variance": OWN_PRIOR}}, UnsupportedTypeError, "prior of noise_var"),
        ({"priors": {"noise_variance": SAME_CLASS_OTHER_SUPPORT}}, UnsupportedTypeError, "prior"),
        ({"priors": {"noise_variance": stats.norm(np.float32(1))}}, UnsupportedTypeError, "prior"),
        (
            {"priors": {"noise_variance": stats.rv_histogram(np.histogram([0.1, 1.0]))}},
            UnsupportedTypeError,
            "the prior of noise_variance.* cannot be saved",
        ),
    ],
)
def test_code_is_not_saved(arguments, error, message, path):
    gp = gprat.GP([[0.0], [1.0]], [0.0, 1.0], **{"kernel": RBF(), **arguments})
    path.write_bytes(b"old")
    with pytest.raises(error, match=f"(?s){message}"):
        gp.save(path)
    assert [file.read_bytes() for file in path.parent.iterdir()] == [b"old"]


@pytest.mark.parametrize("model", [None, "x", gprat.GP, OwnGP([[0.0]], [1.0])])
def test_other_objects_are_not_saved(model, path):
    with pytest.raises(UnsupportedTypeError, match=r"expected a GP.* to save"):
        save(model, path)
    assert not path.exists()


@pytest.mark.parametrize("bad", [None, 3, b"model", ["model"]])
def test_what_is_no_path_is_refused(bad, gp):
    with pytest.raises(UnsupportedTypeError, match="path must be the path of a file"):
        gp.save(bad)
    with pytest.raises(UnsupportedTypeError, match="path must be the path of a file"):
        gprat.load(bad)


def test_path_with_a_zero_byte_is_refused(gp):
    for use in (gp.save, gprat.load):
        with pytest.raises(InvalidInputError, match="has a zero byte"):
            use("a\0b")


def left_in(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}


@pytest.mark.parametrize("function", ["fsync", "fdopen", "replace"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO])
def test_disk_that_fails_leaves_the_old_file(function, number, path, gp, monkeypatch):
    gp.save(path)
    before = left_in(path.parent)

    def fail(*_):
        raise OSError(number, os.strerror(number))

    if function == "replace":
        monkeypatch.setattr(Path, "replace", fail)
    elif function == "fsync":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(hashlib, "sha256", fail)  # while the file is written
    with pytest.raises(OSError, match=r"cannot be saved: .*Nothing was changed") as raised:
        gp.save(path)
    assert raised.value.errno == number
    assert isinstance(raised.value, PermissionError) == (number == errno.EACCES)
    monkeypatch.undo()
    assert left_in(path.parent) == before


def test_interruption_leaves_the_old_file(path, gp, monkeypatch):
    gp.save(path)
    before = left_in(path.parent)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        gp.save(path)
    assert left_in(path.parent) == before


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_full_disk_is_noticed(gp, path, monkeypatch):
    opened = Path.open

    def open_full(self, mode="r", *rest, **options):
        if mode != "wb":
            return opened(self, mode, *rest, **options)
        return opened(Path("/dev/full"), "wb")

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(OSError, match="No space left") as raised:
        gp.save(path)
    assert raised.value.errno == errno.ENOSPC


def test_places_that_cannot_be_written_to(tmp_path, gp):
    with pytest.raises(FileNotFoundError, match="cannot be saved"):
        gp.save(tmp_path / "missing" / "model")
    with pytest.raises(IsADirectoryError, match="cannot be saved"):
        gp.save(tmp_path)
    with pytest.raises(OSError, match="cannot be saved"):
        gp.save(tmp_path / ("x" * 5000))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(OSError, match="cannot be saved"):
        gp.save(tmp_path / "loop" / "model")
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(NotADirectoryError, match="cannot be saved"):
        gp.save(file / "model")
    assert left_in(tmp_path) == {"file": b""}
