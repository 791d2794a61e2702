"""Files that are cut short, changed or none are refused; loading takes no more than they hold."""

import contextlib
import copy
import os
import struct
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import safetensors
import safetensors.numpy

import gprat
from gprat.exceptions import (
    DataWarning,
    GpratError,
)
from gprat.kernels import RBF
from gprat.persistence import container
from saved_models import (
    Forgery,
    assert_same_model,
    bits,
    refused,
)


def test_files_that_are_no_files(tmp_path):
    with pytest.raises(FileNotFoundError):
        gprat.load(tmp_path / "missing")
    refused(tmp_path, "is no regular file")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "is no regular file")
    refused("/dev/zero", "is no regular file")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0",
        b"\0" * 1000,
        b"\xff" * 1000,
        b"a,b\n1,2\n" * 100,
        b"\x80\x05\x95.",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 1 << 63) + b"{}",
    ],
    ids=repr,
)
def test_other_files(content, path):
    path.write_bytes(content)
    refused(path, "is no file of gprat")


def test_safetensors_of_others(path):
    safetensors.numpy.save_file({"X": np.zeros(3)}, path)
    refused(path, "is no file of gprat")
    safetensors.numpy.save_file({"X": np.zeros(3)}, path, metadata={"gprat": "{}"})
    refused(path, "is no ")


def test_files_cut_short(path, gp):
    gp.save(path)
    content = path.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    lengths = {*range(40), *range(40, len(content), 97), header - 1, header, len(content) - 1}
    for length in lengths:
        path.write_bytes(content[:length])
        refused(path, "cut short")
    path.write_bytes(content + b"\0")
    refused(path, "is damaged: its arrays take")


def test_every_changed_byte_is_noticed(path, gp, rng):
    gp.save(path)
    content = path.read_bytes()
    places = {*range(130), *rng.integers(len(content), size=400).tolist()}
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        refused(path, "")
    path.write_bytes(content)
    assert_same_model(gprat.load(path), gp)


def test_many_features_do_not_take_more_memory_than_the_file(path):
    gp = gprat.GP(np.zeros((1, 200_000)), [0.0])
    gp.save(path)
    forgery = Forgery(path)
    forgery.document["model"]["mean"] = "quadratic"
    forgery.write()
    refused(path, "its mean has more coefficients than the 1 rows")


def test_random_changes_to_the_description_are_refused_or_harmless(forgery, rng):
    """With a fitting digest, as from somebody who means harm."""
    values = [None, True, -1, 0.5, 1e308, "", "RBF", [], {}, [[]], {"float": "nan"}, 10**30]
    original = copy.deepcopy(forgery.document)
    for _ in range(150):
        forgery.document = copy.deepcopy(original)
        entries = forgery.document["model"]
        for _ in range(rng.integers(1, 5)):
            keys = list(entries) if isinstance(entries, dict) else list(range(len(entries)))
            if not keys:
                break
            key = keys[rng.integers(len(keys))]
            if not isinstance(entries[key], dict | list) or rng.random() < 0.3:
                entries[key] = values[rng.integers(len(values))]
                break
            entries = entries[key]
        forgery.write()
        with contextlib.suppress(GpratError):
            gprat.load(forgery.path).predict([[0.0, 0.0]])


@pytest.mark.parametrize(
    ("X_shape", "y_shape"),
    [([1 << 40, 0], [1 << 40, 0]), ([0, 1 << 40], [0]), ([0, 0], [0]), ([0, 2], [0, 1 << 40])],
)
def test_arrays_of_nothing_with_endless_shapes(X_shape, y_shape, path):
    gprat.GP([[0.0]], [1.0]).save(path)
    forgery = Forgery(path)
    forgery.data = bytearray()
    forgery.table = {
        "__metadata__": forgery.table["__metadata__"],
        "X": {"dtype": "F64", "shape": X_shape, "data_offsets": [0, 0]},
        "y": {"dtype": "F64", "shape": y_shape, "data_offsets": [0, 0]},
    }
    forgery.write()
    refused(path, "holds no valid model")


@pytest.mark.parametrize(
    "document",
    [
        '{"a": [' + "[]," * 300_000 + "0]}",
        '{"a": [' + '{"b":{}},' * 100_000 + "0]}",
        "{" + "".join(f'"{i:x}":0,' for i in range(100_000)) + '"a":0}',
        '{"a": ' + "[" * 900 + "]" * 900 + ', "b": "' + "x" * 1_000_000 + '"}',
    ],
    ids=["lists", "objects", "names", "text"],
)
def test_loading_takes_memory_in_proportion_to_the_file(document, forgery):
    forgery.write(document=document)
    tracemalloc.start()
    try:
        refused(forgery.path, "")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100 * forgery.path.stat().st_size


AUDIT = """
import random, sys, tempfile, warnings
import gprat
from campaigns.loader_targets import TARGETS, mutate

warnings.simplefilter("ignore")
target = TARGETS["models"]()
for seed in target.seeds:
    target.test(seed)
mine, seen, watching = str(target._path), set(), False
BAD = ("os.", "subprocess.", "socket.", "shutil.", "pickle.", "marshal.", "ctypes.", "import")

def hook(event, arguments):
    if watching and (event.startswith(BAD) or (event == "open" and str(arguments[0]) != mine)):
        if not str(arguments[0]).startswith(("/proc/", "/sys/")):  # how much memory there is
            seen.add((event, str(arguments[0])))

sys.addaudithook(hook)
for number in range(400):
    rng = random.Random(f"{sys.argv[1]} {number}")
    content = mutate(target, rng.choice(target.seeds), rng)
    watching = True
    target.test(content)
    watching = False
print(seen)
"""


def test_loading_opens_no_other_file_and_runs_nothing():
    seed = str(np.random.default_rng().integers(1 << 30))
    command = [sys.executable, "-c", AUDIT, seed]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"seed {seed}: {result.stderr}"
    assert result.stdout.strip() == "set()", f"seed {seed}"


def test_files_that_become_shorter_while_they_are_read(path, gp, monkeypatch):
    gp.save(path)
    check = container._check_digest

    def check_and_cut(*arguments):
        check(*arguments)
        os.truncate(path, 1000)

    monkeypatch.setattr(container, "_check_digest", check_and_cut)
    refused(path, "became shorter while it was read")


def test_models_of_an_estimator_that_do_not_fit(path, X, y):
    """Targets of another number of dimensions than the estimator's."""
    Y = np.stack([y, np.where(y > 0, np.nan, y)], axis=1)
    model = gprat.GaussianProcessRegressor(noise=0.1, nan_policy="omit", optimizer=None)
    with pytest.warns(DataWarning):
        model.fit(X, Y)
    model.save(path)
    forgery = Forgery(path)
    for number in range(2):
        entry = forgery.table[f"model {number}/y"]
        rows, columns = entry["shape"]
        entry["shape"] = [rows * columns]
        forgery.write()
        refused(path, "its models don't fit its data")
        entry["shape"] = [rows, columns]
    forgery.write()
    assert bits(gprat.load(path).predict(X)) == bits(model.predict(X))


def test_kernel_of_an_estimator_that_cannot_be_printed(path, X, y):
    model = gprat.GaussianProcessRegressor(RBF(1.0), alpha=0.1, optimizer=None).fit(X, y)
    model.save(path)
    forgery = Forgery(path)
    forgery.document["model"]["parameters"]["kernel"]["arguments"]["length_scale"] = None
    forgery.write()
    refused(path, "holds no valid model")
