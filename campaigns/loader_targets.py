"""What is fuzzed: bytes become a file, which a reader accepts or refuses with its documented error.

Changes know the structure of the files: they edit the JSON inside and seal it with a digest that
fits, so that they reach what lies behind the checks.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import struct
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

import gprat
from gprat.calibration import cache, calibrate
from gprat.calibration.choice import best_tile_size
from gprat.exceptions import (
    CheckpointError,
    GpratError,
    ModelFileError,
    NotPositiveDefiniteError,
)
from gprat.kernels import RBF, ActiveDims, ChangePoint, ConstantKernel, Matern, Periodic
from gprat.means import FixedLinear

__all__ = ["TARGETS", "Target", "mutate"]

_NO_DIGEST = "0" * 64
# Values that break what expects others.
_HOSTILE: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 7, 1 << 31, 1 << 63, 1 << 64, 10**40, -(1 << 63)),
    *(0.0, -0.0, 0.5, 1e-320, 1e308, -1e308, 1e20, 3.5, "", "x", "fixed", "auto", "linear"),
    *("os.system", "../../etc/passwd", "\ud800", "a\0b", [], {}, [[]], [1.0, 2.0], [0] * 50),
    *({"float": "nan"}, {"float": "inf"}, {"tuple": [1, 2]}, {"slice": [None, None, None]}),
    *({"slice": [0, 10**15, None]}, {"array": [1, 2], "dtype": "int64", "shape": [2]}),
    {"kernel": "Matern", "arguments": {"nu": 1e5}},
    {"kernel": "ArcCosine", "arguments": {"order": 10**6}},
    {"kernel": "Polynomial", "arguments": {"degree": 10**9}},
    {"kernel": "PairwiseKernel", "arguments": {"metric": "chi2"}},
)


class Target:
    """A reader of files.

    Parameters
    ----------
    seeds : list of bytes
        Files as they are written.
    read : callable
        Takes a file of any content; raises the documented errors only.
    parse : callable
        Takes a file apart: returns its JSON and the bytes behind it, or None.
    seal : callable
        Puts them together again, with a digest that fits.
    """

    def __init__(
        self,
        seeds: list[bytes],
        read: Callable[[Path], object],
        parse: Callable[[bytes], tuple[Any, bytes] | None],
        seal: Callable[[Any, bytes], bytes],
    ) -> None:
        self.seeds, self.parse, self.seal = seeds, parse, seal
        self._read = read
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "file"

    def test(self, content: bytes) -> bool:
        """Read a file; return whether it was accepted."""
        self._path.write_bytes(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return bool(self._read(self._path))


def mutate(target: Target, content: bytes, rng: random.Random) -> bytes:
    """Change a file in some places: its JSON, or just its bytes."""
    parts = target.parse(content) if rng.random() < 0.9 else None
    if parts is None:
        return _change_bytes(content, rng)
    document, data = parts
    try:
        document = copy.deepcopy(document)
        for _ in range(rng.choice((1, 1, 1, 2, 4))):
            _change_entry(document, rng)
        if data and rng.random() < 0.3:
            data = _change_bytes(data, rng)
        return target.seal(document, data)
    except RecursionError:  # nested more and more deeply, by one change after the other
        return _change_bytes(content, rng)


def _change_bytes(content: bytes, rng: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.choice((1, 2, 8))):
        if not changed:
            return b"\0"
        place = rng.randrange(len(changed))
        match rng.randrange(4):
            case 0:
                changed[place] ^= 1 << rng.randrange(8)
            case 1:
                del changed[place : place + rng.choice((1, 8, 64))]
            case 2:
                changed[place:place] = rng.randbytes(rng.choice((1, 8)))
            case _:
                eight = struct.pack("<d", rng.choice((np.nan, np.inf, -1.0, 1e300, 5e-324)))
                changed[place & ~7 : (place & ~7) + 8] = eight
    return bytes(changed)


def _change_entry(document: Any, rng: random.Random) -> None:
    """Replace, remove, repeat or swap an entry, somewhere in nested lists and objects."""
    places = list(_places(document))
    if not places:
        return
    # Other numbers reach further than other structures, which are soon refused.
    numbers = [place for place in places if type(place[0][place[1]]) is float]
    if numbers and rng.random() < 0.4:
        holder, key = rng.choice(numbers)
        holder[key] = rng.choice((holder[key] * 1.5, -holder[key], 0.0, 1e-300, 1e5, 1e300, 3.0))
        return
    holder, key = rng.choice(places)
    match rng.randrange(5):
        case 0:
            del holder[key]
        case 1:
            other, name = rng.choice(places)
            holder[key] = copy.deepcopy(other[name])
        case 2 if type(holder[key]) in (int, float):
            holder[key] = rng.choice((holder[key] + 1, -holder[key], holder[key] * 1e9, 0))
        case 3:
            for _ in range(rng.choice((1, 50, 120))):
                holder[key] = [holder[key]]
        case _:
            holder[key] = copy.deepcopy(rng.choice(_HOSTILE))


def _places(value: Any) -> Any:
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _places(value[key])


# Models


def _models() -> list[Any]:
    rng = np.random.default_rng(0)
    X = rng.uniform(-2.0, 2.0, size=(12, 2))
    y = np.sin(X[:, 0])
    labels = np.array(["north", "south"] * 6)
    nested = ConstantKernel(2.0) * ActiveDims(Periodic(1.0, 3.0), [0]) + Matern([0.5, 1.0], nu=3.7)
    change = ChangePoint(RBF(1.0), ConstantKernel(0.5) * RBF(2.0), location=0.1)
    prior = {"noise_variance": stats.lognorm(1.0)}
    gaps = np.stack([y, np.where(np.arange(12) % 3 == 0, np.nan, y)], axis=1)
    return [
        gprat.GP(X, y, noise_groups=labels, noise=[0.1, 0.2], mean="linear", priors=prior),
        gprat.GP(X, y, nested, mean=FixedLinear(0.5, [1.0, 2.0]), tile_size=5, dtype="float32"),
        gprat.GP(X, gaps[:, :1], change, noise=np.full(12, 0.1), known_noise=None),
        gprat.GaussianProcessRegressor(RBF(1.0), alpha=0.1, optimizer=None).fit(X, y),
        gprat.GaussianProcessRegressor(noise=0.1, nan_policy="omit", optimizer=None).fit(X, gaps),
    ]


def _model_files() -> list[bytes]:
    files = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model"
        for include_factor in (False, True):
            for model in _models():
                model.save(path, include_factor=include_factor)
                files.append(path.read_bytes())
    return files


def _load_model(path: Path) -> bool:
    """Load a model; what is accepted can be used, or says why not."""
    try:
        model = gprat.load(path)
    except ModelFileError:
        return False
    repr(model)
    gp = model if isinstance(model, gprat.GP) else model.gps_[0]
    if len(gp.X) <= 64:
        try:
            model.predict(np.zeros((2, gp.n_features), dtype=gp.dtype))
        except (GpratError, np.linalg.LinAlgError, NotPositiveDefiniteError):
            return True
    return True


def _parse_model(content: bytes) -> tuple[Any, bytes] | None:
    try:
        end = 8 + int.from_bytes(content[:8], "little")
        table = json.loads(content[8:end])
        table["__metadata__"]["gprat"] = json.loads(table["__metadata__"]["gprat"])
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return table, content[end:]


def _seal_model(table: Any, data: bytes) -> bytes:
    metadata = table.get("__metadata__")
    if isinstance(metadata, dict):
        document = metadata.get("gprat")
        if isinstance(document, dict) and "sha256" in document:
            document["sha256"] = _NO_DIGEST
        metadata["gprat"] = json.dumps(document)
    header = json.dumps(table).encode(errors="replace")
    content = struct.pack("<Q", len(header)) + header + data
    digest = hashlib.sha256(content).hexdigest().encode()
    return content.replace(_NO_DIGEST.encode(), digest, 1)


# Checkpoints


def _checkpoint_model() -> gprat.GP:
    X = np.linspace(0.0, 5.0, 12).reshape(-1, 1)
    return gprat.GP(X, np.sin(X[:, 0]), RBF(1.0), noise=0.1)


def _train(path: Path) -> None:
    _checkpoint_model().optimize(
        "adam", max_iter=2, n_restarts=1, random_state=0, checkpoint=path, resume=True
    )


def _checkpoint_files() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "training"
        _train(path)
        return [path.read_bytes()]


def _resume(path: Path) -> bool:
    try:
        _train(path)
    except CheckpointError:
        return False
    except GpratError:  # what a failure in the file says
        return True
    return True


def _parse_json(content: bytes) -> tuple[Any, bytes] | None:
    try:
        return json.loads(content), b""
    except (ValueError, RecursionError):
        return None


def _seal_checkpoint(frame: Any, _: bytes) -> bytes:
    if isinstance(frame, dict) and "body" in frame and "sha256" in frame:
        frame["sha256"] = hashlib.sha256(json.dumps(frame["body"]).encode()).hexdigest()
    return json.dumps(frame).encode(errors="replace")


# Calibrations


def _calibration_files() -> list[bytes]:
    calibration = calibrate("float32", tile_sizes=(32, 64))
    plain = {"format": 1, "calibration": calibration.to_plain(), "choices": {"300": 2}}
    return [json.dumps(plain).encode()]


def _load_calibration(path: Path) -> bool:
    """Look for the calibration of this machine, and choose a tile size by it."""
    entry = cache.read_entry(path, cache.this_machine("float32"))
    if entry is None:
        return False
    str(entry.calibration)
    best_tile_size(300, entry.calibration, 240)
    return True


def _seal_calibration(document: Any, _: bytes) -> bytes:
    return json.dumps(document).encode(errors="replace")


TARGETS: dict[str, Callable[[], Target]] = {
    "models": lambda: Target(_model_files(), _load_model, _parse_model, _seal_model),
    "checkpoints": lambda: Target(_checkpoint_files(), _resume, _parse_json, _seal_checkpoint),
    "calibrations": lambda: Target(
        _calibration_files(), _load_calibration, _parse_json, _seal_calibration
    ),
}
