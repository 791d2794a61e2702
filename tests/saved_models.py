"""Models that have a part of every kind, and files of them that were tampered with."""

import hashlib
import json
import struct

import numpy as np
import pytest
from scipy import stats

import gprat
from gprat.exceptions import (
    GpratError,
    ModelFileError,
)
from gprat.means import FixedLinear

N = 37

NOISES = {
    "learned": {"noise": 0.3, "noise_bounds": (1e-7, 3.3)},
    "fixed": {"noise": 0.3, "noise_bounds": "fixed"},
    "wide": {"noise": 1e-4, "noise_bounds": (5e-324, np.inf)},
    "learned and known": {"noise": 0.3, "known_noise": np.linspace(0.0, 0.7, N)},
    "by row": {"noise": np.linspace(0.1, 0.9, N)},
    "text groups": {"noise": [0.1, 0.2, 0.3], "noise_groups": np.array(["b", "ä", "a"] * N)[:N]},
    "whole groups": {"noise": 0.2, "noise_groups": np.arange(N) // 10 - 1},
    "real groups": {"noise": 0.2, "noise_groups": np.arange(N) % 2 / 3},
    "mixed groups": {
        "noise": [0.1, 0.2],
        "noise_groups": np.array([2, 0.5] * N, dtype=object)[:N],
        "known_noise": np.linspace(0.0, 0.7, N),
        "noise_bounds": "fixed",
    },
    "logical groups": {"noise": [0.1, 0.2], "noise_groups": np.arange(N) % 3 == 0},
}
MEANS = ["zero", "constant", "linear", "quadratic", FixedLinear(1 / 3), FixedLinear(0.1, [1, 1e-9])]
PRIORS = [
    None,
    {},
    {"length_scale": stats.lognorm(1.0, scale=1 / 3)},
    {"length_scale[1]": stats.gamma(np.float64(2.0), 0, scale=np.array(0.1))},
    {"length_scale[0]": stats.halfcauchy(scale=3), "length_scale[1]": stats.uniform(0.01, 9)},
]


def round_trip(gp, path, **options):
    gp.save(path, **options)
    return gprat.load(path)


def bits(value):
    return np.asarray(value).tobytes()


def assert_same_model(loaded, gp):
    """Assert that all that can be asked of two models agrees in every bit."""
    assert type(loaded) is type(gp)
    assert repr(loaded) == repr(gp)
    assert (loaded.X.dtype, loaded.y.shape) == (gp.X.dtype, gp.y.shape)
    for name in ("X", "y", "theta", "bounds", "noise_variance"):
        assert bits(getattr(loaded, name)) == bits(getattr(gp, name)), name
    for name in ("parameter_names", "tile_size", "threads", "dtype", "kernel"):
        assert getattr(loaded, name) == getattr(gp, name), name
    points = gp.X[:5] + 0.25
    for name in ("predict", "predict_with_uncertainty", "predict_with_full_cov"):
        mine, yours = getattr(loaded, name)(points), getattr(gp, name)(points)
        assert list(map(bits, mine)) == list(map(bits, yours)), name
    assert loaded.loss() == gp.loss()
    assert list(map(bits, loaded.loss(eval_gradient=True))) == list(
        map(bits, gp.loss(eval_gradient=True))
    )


def refused(path, message):
    with pytest.raises(ModelFileError, match=f"(?s){message}") as raised:
        gprat.load(path)
    assert isinstance(raised.value, GpratError)
    assert isinstance(raised.value, ValueError)
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 2000


class Forgery:
    """The parts of a file, to be changed and written with a digest that fits."""

    def __init__(self, path):
        content = path.read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        self.path = path
        self.table = json.loads(content[8:end])
        self.document = json.loads(self.table["__metadata__"]["gprat"])
        self.data = bytearray(content[end:])

    def array(self, name, dtype=np.float64):
        """Return an array of the file, to be written to."""
        begin, end = self.table[name]["data_offsets"]
        return np.frombuffer(memoryview(self.data)[begin:end], dtype)

    def write(self, document=None, header=None):
        self.document["sha256"] = "0" * 64
        if document is None:
            document = json.dumps(self.document)
        self.table["__metadata__"]["gprat"] = document
        if header is None:
            header = json.dumps(self.table)
        raw = header.encode() if isinstance(header, str) else header
        content = struct.pack("<Q", len(raw)) + raw + bytes(self.data)
        digest = hashlib.sha256(content).hexdigest()
        self.path.write_bytes(content.replace(b"0" * 64, digest.encode(), 1))
