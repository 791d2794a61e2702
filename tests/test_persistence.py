"""Models in files: what is loaded is what was saved, bit by bit, and nothing else is loaded."""

import contextlib
import copy
import errno
import hashlib
import json
import os
import struct
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from scipy import stats
from sklearn.gaussian_process.kernels import PairwiseKernel

import gprat
from gprat.exceptions import (
    DataWarning,
    GpratError,
    InvalidInputError,
    ModelFileError,
    NotPositiveDefiniteError,
    UnsupportedKernelError,
    UnsupportedTypeError,
)
from gprat.kernels import RBF, ActiveDims, ConstantKernel, Linear, Matern, WhiteKernel
from gprat.means import BasisFunction, FixedLinear, FixedMean
from gprat.persistence import Archive, container, save
from gprat.persistence.container import read_container, write_container
from oracles import random_kernel

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


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.gprat"


@pytest.fixture
def X(rng):
    return rng.uniform(-2.0, 2.0, size=(N, 2))


@pytest.fixture
def y(X, rng):
    return np.sin(2.0 * X[:, 0]) + 0.3 * X[:, 1] + 0.1 * rng.standard_normal(N)


@pytest.fixture
def gp(X, y):
    """A model with a part of every kind."""
    labels = np.array(["north", "south"] * N)[:N]
    return gprat.GP(
        X, y, Matern([0.5, 2.0], nu=2.5), [0.1, 0.2], noise_groups=labels, mean="constant",
        priors={"length_scale": stats.lognorm(1.0)}, known_noise=np.full(N, 0.01), tile_size=10,
    )  # fmt: skip


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


# Round trips


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_kernel(kernel, dtype, path, X, y):
    gp = gprat.GP(X, y, kernel, 0.5, dtype=dtype, tile_size=16)
    assert_same_model(round_trip(gp, path), gp)


@pytest.mark.parametrize("seed", range(12))
def test_random_kernels_at_other_hyperparameters(seed, path, X, y):
    rng = np.random.default_rng(seed)
    gp = gprat.GP(X, y, random_kernel(rng, 2, 3), 0.5)
    gp.theta = gp.theta + 0.1 * rng.uniform(-1.0, 1.0, gp.theta.size)
    assert_same_model(round_trip(gp, path), gp)


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
@pytest.mark.parametrize("mean", MEANS, ids=str)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_noise_and_mean(noise, mean, dtype, path, X, y):
    gp = gprat.GP(X, y, Matern([0.5, 2.0]), mean=mean, dtype=dtype, **noise)
    if "noise_bounds" not in noise:
        gp.theta = gp.theta * (1 + 1e-3)
    loaded = round_trip(gp, path)
    assert_same_model(loaded, gp)
    # A second trip changes nothing either, and neither does giving the noise anew.
    loaded.noise_variance = gp.noise_variance = np.float64(0.7)
    assert_same_model(round_trip(loaded, path), gp)


@pytest.mark.parametrize("priors", PRIORS, ids=range(len(PRIORS)))
@pytest.mark.parametrize("objective", ["log_marginal_likelihood", "leave_one_out"])
def test_every_prior_and_objective(priors, objective, path, X, y):
    gp = gprat.GP(X, y, RBF([0.5, 2.0]), priors=priors, objective=objective, threads=1)
    loaded = round_trip(gp, path)
    assert_same_model(loaded, gp)
    results = [model.optimize(n_restarts=1, random_state=3, max_iter=5) for model in (loaded, gp)]
    assert bits(results[0].x) == bits(results[1].x)
    assert_same_model(round_trip(gp, path), gp)


def test_several_outputs_and_automatic_tiles(path, X, rng):
    gp = gprat.GP(X, rng.standard_normal((N, 3)), threads=2)
    loaded = round_trip(gp, path)
    assert_same_model(loaded, gp)
    assert (loaded._tile_size_is_automatic, loaded.y.shape) == (True, (N, 3))
    assert not round_trip(gprat.GP(X, X, tile_size=7), path)._tile_size_is_automatic


def test_one_point(path):
    gp = gprat.GP([[2.0]], [[3.0]], noise=[0.5])
    assert_same_model(round_trip(gp, path), gp)


def test_kernel_in_python_keeps_its_bits(path, X, y):
    gp = gprat.GP(X, y, ConstantKernel(1.0) * PairwiseKernel(0.7, metric="laplacian"))
    gp.optimize(max_iter=3)
    assert_same_model(round_trip(gp, path), gp)


def test_order_and_dtype_of_the_data_do_not_matter(path, X, y):
    gp = gprat.GP(np.asfortranarray(X.astype(">f8")), y[::-1].astype(">f4"))
    assert_same_model(round_trip(gp, path), gp)


def test_loaded_model_can_be_saved_over_its_own_file(path, gp, X):
    loaded = round_trip(gp, path)
    loaded.save(path)
    assert_same_model(loaded, gp)
    assert_same_model(gprat.load(path), gp)


def test_model_outlives_its_file(path, gp):
    loaded = round_trip(gp, path)
    gprat.GP([[0.0]], [1.0]).save(path)
    path.unlink()
    assert_same_model(loaded, gp)


def test_names_and_links(tmp_path, gp, monkeypatch):
    (tmp_path / "folder").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "folder" / "model")
    gp.save(str(link))
    assert link.is_symlink()
    monkeypatch.chdir(tmp_path)
    assert_same_model(gprat.load("folder/model"), gp)


def test_what_is_mapped_is_not_copied(path, gp):
    loaded = round_trip(gp, path)
    for array in (loaded._X, loaded._Y):
        assert not array.flags.owndata
        assert not array.flags.writeable
        assert array.ctypes.data % 64 == 0
    mapped = loaded._X
    while isinstance(mapped, np.ndarray):
        mapped = mapped.base
    assert type(getattr(mapped, "obj", mapped)).__name__ == "mmap"


def test_other_programs_can_read_the_arrays(path, gp):
    gp.save(path)
    tensors = safetensors.numpy.load_file(path)
    assert bits(tensors["X"]) == bits(gp.X)
    assert bits(tensors["y"]) == bits(gp.y)
    padding = [tensors[name] for name in tensors if name.startswith("padding/")]
    assert padding
    assert not np.concatenate(padding).any()
    with safetensors.safe_open(path, "np") as file:
        assert json.loads(file.metadata()["gprat"])["gprat"] == gprat.__version__


def test_saving_while_training(path, X, y):
    gp = gprat.GP(X, y, RBF([1.0, 1.0]))
    done = threading.Event()

    def train():
        gp.optimize("adam", max_iter=60)
        done.set()

    thread = threading.Thread(target=train)
    thread.start()
    while not done.is_set():
        assert round_trip(gp, path).theta.shape == (3,)
    thread.join()
    assert_same_model(round_trip(gp, path), gp)


def test_another_process_loads_the_same_predictions(path, gp):
    gp.save(path)
    program = (
        "import sys, gprat; gp = gprat.load(sys.argv[1]);"
        "sys.stdout.buffer.write(gp.predict(gp.X[:5] + 0.25).tobytes());"
        "assert 'pickle' not in str(type(gp))"
    )
    result = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True)
    assert result.stderr == b""
    assert result.stdout == gp.predict(gp.X[:5] + 0.25).tobytes()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("tile_size", [1, 10, 64])
def test_factor_is_mapped_and_used(path, X, y, dtype, tile_size, monkeypatch):
    gp = gprat.GP(X, y, mean="linear", dtype=dtype, tile_size=tile_size)
    gp.save(path, include_factor=True)
    loaded = gprat.load(path)
    expected = gp.predict_with_full_cov(X[:4] + 0.3)

    def factorise(*_):
        raise AssertionError("the factor is in the file")

    monkeypatch.setattr(type(loaded._engine), "factorise", factorise)
    for mine, yours in zip(loaded.predict_with_full_cov(X[:4] + 0.3), expected, strict=True):
        assert bits(mine) == bits(yours)
    assert bits(loaded.cholesky()) == bits(gp.cholesky())
    monkeypatch.undo()
    assert_same_model(loaded, gp)
    assert_same_model(round_trip(loaded, path, include_factor=True), gp)


def test_factor_of_another_size_is_refused(path, gp):
    gp.save(path, include_factor=True)
    document, arrays = read_container(path)
    for factor in (arrays["factor"][:-1], np.append(arrays["factor"], 1.0), np.zeros(3)):
        write_container(path, {**arrays, "factor": factor}, document)
        refused(path, "holds no valid model")


@pytest.mark.parametrize("include_factor", [False, True])
def test_model_whose_rows_changed(include_factor, path, gp, X, y):
    gp.append(X[:3] + 0.1, y[:3], known_noise=[0.1, 0.0, 0.2], noise_groups=["north"] * 3)
    gp.delete(np.arange(1, N, 2))  # all of the south
    loaded = round_trip(gp, path, include_factor=include_factor)
    assert bits(loaded.X) == bits(gp.X)
    assert loaded.parameter_names == gp.parameter_names
    assert bits(loaded.noise_variance) == bits(gp.noise_variance)
    # Without its factor it is computed anew, which rounds in another way.
    compare = np.array_equal if include_factor else np.allclose
    assert compare(loaded.predict(X), gp.predict(X))
    more = (X[:2], y[:2])
    for model in (loaded, gp):
        model.append(*more, known_noise=0.1, noise_groups=["south", "north"])
    assert compare(loaded.predict(X), gp.predict(X))


def test_model_without_factor_says_so(path):
    gp = gprat.GP([[0.0], [0.0]], [1.0, 1.0], noise=1e-30, noise_bounds="fixed")
    gp.save(path)
    with pytest.raises(NotPositiveDefiniteError):
        gp.save(path, include_factor=True)
    assert gprat.load(path).X.shape == (2, 1)


# What cannot be saved


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


# Writing that fails


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


# Files that are refused


def refused(path, message):
    with pytest.raises(ModelFileError, match=f"(?s){message}") as raised:
        gprat.load(path)
    assert isinstance(raised.value, GpratError)
    assert isinstance(raised.value, ValueError)
    assert str(path) in str(raised.value)
    assert len(str(raised.value)) < 2000


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


@pytest.fixture
def forgery(path, gp):
    gp.save(path)
    return Forgery(path)


def test_forgery_of_nothing_is_loaded(forgery, gp):
    forgery.write()
    assert_same_model(gprat.load(forgery.path), gp)


def test_newer_versions_say_what_is_needed(forgery):
    forgery.document |= {"version": 7, "gprat": "9.8.7", "more": {}}
    forgery.table["X"] = {"dtype": "F128"}
    forgery.write()
    refused(
        forgery.path,
        f"has format version 7, written by gprat 9.8.7; this is gprat {gprat.__version__}, which "
        "reads up to version 1. Install a newer gprat",
    )


@pytest.mark.parametrize("version", [0, -1, 1.0, True, "1", None, [1]])
def test_versions_that_make_no_sense(forgery, version):
    forgery.document["version"] = version
    forgery.write()
    refused(forgery.path, "is damaged: its format version is")


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "3",
        '{"format": "gprat model"',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1, "a": 2}',
        '{"a": {"b": 1, "b": 1}}',
        '{"a": ' + "9" * 5000 + "}",
        '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a": ' * 100_000,
    ],
    ids=lambda document: document[:20],
)
def test_descriptions_that_are_no_json(forgery, document):
    forgery.write(document=document)
    refused(forgery.path, "is damaged: its description is no JSON")


@pytest.mark.parametrize(
    "edit",
    [
        lambda header: header[:-1],
        lambda header: header + "}",
        lambda header: header[:-1] + ', "X": 1}',
        lambda header: header[:-1] + ', "Z": NaN}',
        lambda header: header[:-1] + ', "Z": ' + "[" * 100_000 + "]" * 100_000 + "}",
        lambda header: header.encode().replace(b"padding", b"p\xffdding"),
        lambda header: header.encode("utf-16"),
    ],
)
def test_headers_that_are_no_json(forgery, edit):
    forgery.write(header=edit(json.dumps(forgery.table)))
    refused(forgery.path, "is damaged: its header is no JSON|is no file of gprat")


def change(table, name, **entries):
    table[name] = {**table[name], **entries}


def swap_names(table):
    table["X"], table["y"] = table["y"], table["X"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda t: t["__metadata__"].update(more="text"),
        lambda t: t.update(Z=1),
        lambda t: t.update(Z=[]),
        lambda t: t.update(Z={"dtype": "F64", "shape": [0]}),
        lambda t: change(t, "X", more=1),
        lambda t: change(t, "X", dtype="F16"),
        lambda t: change(t, "X", dtype="F32"),
        lambda t: change(t, "X", dtype=["F64"]),
        lambda t: change(t, "X", shape=[N]),
        lambda t: change(t, "X", shape=[N, -2]),
        lambda t: change(t, "X", shape=[-N, -2]),
        lambda t: change(t, "X", shape=[N, 2.0]),
        lambda t: change(t, "X", shape=[N, True, 2]),
        lambda t: change(t, "X", shape=[N, 2, *[1] * 9]),
        lambda t: change(t, "X", shape=[10**30, 0]),
        lambda t: change(t, "X", data_offsets=[0]),
        lambda t: change(t, "X", data_offsets=[0, 8 * N * 2, 3]),
        lambda t: change(t, "X", data_offsets=[-8, 8 * N * 2 - 8]),
        lambda t: change(t, "X", data_offsets=[8, 8 * N * 2 + 8]),
        lambda t: change(t, "X", data_offsets=[0, 1 << 63]),
        lambda t: change(t, "y", data_offsets=[0, 8 * N]),
        lambda t: change(t, "y", data_offsets=[1 << 40, (1 << 40) + 8 * N]),
        lambda t: t.pop("y"),
        lambda t: t.update(Z={"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}),
        lambda t: t.update(Z={"dtype": "F64", "shape": [1 << 50], "data_offsets": [0, 1 << 53]}),
    ],
    ids=range(25),
)
def test_tables_of_arrays_that_do_not_fit(forgery, edit):
    edit(forgery.table)
    forgery.write()
    refused(forgery.path, "is damaged|is cut short")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (swap_names, "its array 'X' must have dtype float64 and shape \\(any, any\\)"),
        (lambda t: change(t, "X", shape=[2 * N]), "its array 'X' must have"),
        (lambda t: change(t, "X", shape=[2 * N, 1]), "its array 'y' must have .*shape .74."),
        (lambda t: change(t, "X", dtype="I64"), "its array 'X' must have dtype float64"),
        (lambda t: change(t, "y", dtype="I64"), "its array 'y' must have dtype float64"),
        (lambda t: change(t, "noise/groups", dtype="F64"), "its array 'groups' must have dtype"),
        (lambda t: t.update(x=t.pop("X")), "it has no array 'X'"),
        (lambda t: t.update(x=t.pop("noise/known")), "it has no array 'known'"),
        (
            lambda t: t.update(Z={"dtype": "F64", "shape": [0], "data_offsets": [0, 0]}),
            "it has entries that belong to no model: Z",
        ),
    ],
)
def test_arrays_that_do_not_fit_the_model(forgery, edit, message):
    edit(forgery.table)
    forgery.write()
    refused(forgery.path, f"holds no valid model: {message}")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["X", "y", "noise/known"])
def test_numbers_that_are_none(forgery, name, value):
    forgery.array(name)[3] = value
    forgery.write()
    refused(forgery.path, "holds no valid model: .*finite.* row")


def test_row_groups_that_do_not_fit(forgery):
    for value in (-1, 2, 1 << 62, -(1 << 63)):
        forgery.array("noise/groups", np.int64)[3] = value
        forgery.write()
        refused(forgery.path, "its noise groups don't fit their labels")


def test_group_without_rows_is_kept(forgery):
    """As it is left by deleting rows."""
    forgery.array("noise/groups", np.int64)[:] = 0
    forgery.write()
    loaded = gprat.load(forgery.path)
    assert loaded.parameter_names[-2:] == ("noise_variance[north]", "noise_variance[south]")
    assert np.array_equal(loaded.noise_variance, [0.1, 0.2])
    assert_same_model(round_trip(loaded, forgery.path), loaded)


def kernel(name="RBF", **arguments):
    return {"kernel": name, "arguments": arguments}


DESCRIPTIONS = [
    ("kernel", kernel("os.system"), "'os.system', a kernel that this gprat doesn't know"),
    ("kernel", kernel(length_scale="text"), "numeric"),
    ("kernel", kernel(length_scale=None), "numeric"),
    ("kernel", kernel(length_scale=-1.0), "must be positive"),
    ("kernel", kernel(length_scale=[1.0] * 3), "3"),
    ("kernel", kernel(scale=1.0), "RBF takes the arguments"),
    ("kernel", kernel("Sum", k1=kernel(), k2=kernel()), "priors names"),
    ("kernel", kernel(length_scale_bounds="fixed"), "hyperparameters don't fit|prior"),
    ("kernel", kernel("PairwiseKernel", gamma="x"), ""),
    ("kernel", kernel("PairwiseKernel"), ""),
    ("kernel", kernel("CompoundKernel", kernels=[kernel(), kernel()]), "CompoundKernel of 2"),
    ("kernel", kernel("ActiveDims", kernel=kernel(), dims={"slice": [0, 10**15, None]}), ""),
    ("kernel", [], "its entry 'kernel' must be a dict"),
    ("parameters", None, "no list of floats"),
    ("parameters", [], "don't fit"),
    ("parameters", [1.0, 1.0, 1.0], "don't fit"),
    ("parameters", [1.0, "1"], "no list of floats"),
    ("parameters", [1.0, -1.0], "don't fit"),
    ("parameters", [1.0, 0.0], "don't fit"),
    ("parameters", [1.0, 10**400], "no list of floats"),
    ("mean", "cubic", "none of gprat's"),
    ("mean", ["zero"], "its entry 'mean' must be a str or dict"),
    ("mean", {"intercept": 1.0}, "none of gprat's"),
    ("mean", {"intercept": 1.0, "coefficients": ["x", 1.0]}, "FixedLinear"),
    ("mean", {"intercept": 1.0, "coefficients": [1.0]}, "1 coefficients"),
    ("mean", {"function": "os.system"}, "none of gprat's"),
    ("objective", "accuracy", "unknown objective"),
    ("objective", 3, "its entry 'objective' must be a str"),
    ("dtype", "float16", "its dtype is 'float16'"),
    ("dtype", "float32", "its array 'X' must have dtype float32"),
    ("dtype", "object", "its dtype is 'object'"),
    ("tile_size", 0, "tile_size must be at least 1"),
    ("tile_size", "auto", "its entry 'tile_size' must be a int"),
    ("tile_size", True, "its entry 'tile_size' must be a int"),
    ("tile_size_is_automatic", 1, "must be a bool"),
    ("threads", 0, "threads must be at least 1"),
    ("threads", -3, "threads must be at least 1"),
    ("threads", 1 << 40, "its number of threads is 1099511627776"),
    ("threads", 1.5, "its entry 'threads' must be a int or NoneType"),
    ("has_factor", True, "it has no array 'factor'"),
    ("has_factor", 0, "must be a bool"),
    ("more", 1, "belong to no model: more"),
    ("noise", {}, "no entry 'learned'"),
    ("priors", {}, "its entry 'priors' must be a list"),
    ("priors", [3], "prior that is no distribution of scipy.stats"),
    ("priors", [{"name": "length_scale"}], "prior that is no distribution of scipy.stats"),
]


@pytest.mark.parametrize(
    ("entry", "value", "message"), DESCRIPTIONS, ids=[f"{e}={v!r:.30}" for e, v, _ in DESCRIPTIONS]
)
def test_descriptions_that_do_not_fit(forgery, entry, value, message):
    forgery.document["model"][entry] = value
    forgery.write()
    refused(forgery.path, f"holds no valid model: .*{message}")


def test_every_entry_is_needed(forgery):
    model = forgery.document["model"]
    for entries in (forgery.document, model, model["noise"]):
        for name in set(entries) - {"sha256", "format", "version"}:
            value = entries.pop(name)
            forgery.write()
            refused(forgery.path, f"it has no entry '{name}'")
            entries[name] = value
    forgery.document["format"] = "other"
    forgery.write()
    refused(forgery.path, "is no model of gprat")


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("learned", [], "it has 0 noise variances"),
        ("learned", [0.1], "it has 1 noise variances"),
        ("learned", [0.1, 2], "no floats"),
        ("learned", [0.1, -0.2], "positive"),
        ("labels", None, "belong to no model: groups"),
        ("labels", [], "neither text nor numbers"),
        ("labels", ["south", "north"], "not sorted"),
        ("labels", ["north", "north"], "not sorted|don't fit"),
        ("labels", ["north", "south", "west"], "it has 2 noise variances"),
        ("labels", ["north"], "don't fit"),
        ("labels", ["north", None], "neither text nor numbers"),
        ("labels", ["north", 3], ""),
        ("log_bounds", {"tuple": [1.0]}, "its noise has the bounds"),
        ("log_bounds", {"tuple": [1.0, "x"]}, "its noise has the bounds"),
        ("log_bounds", {"tuple": [2.0, 1.0]}, "its noise has the bounds"),
        ("log_bounds", {"tuple": [{"float": "nan"}, 1.0]}, "its noise has the bounds"),
        ("log_bounds", {"tuple": [{"float": "-inf"}, 1.0]}, "its noise has the bounds"),
        ("has_known", False, "belong to no model: known"),
    ],
)
def test_noise_that_does_not_fit(forgery, entry, value, message):
    forgery.document["model"]["noise"][entry] = value
    forgery.write()
    refused(forgery.path, f"holds no valid model: .*{message}")


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("name", "no_such_parameter"),
        ("name", 3),
        ("distribution", "rv_frozen"),
        ("distribution", "rv_continuous"),
        ("distribution", "poisson"),
        ("distribution", "__builtins__"),
        ("distribution", "multivariate_normal"),
        ("arguments", ["1"]),
        ("arguments", [[1.0]]),
        ("arguments", [1.0, 2.0, 3.0, 4.0, 5.0]),
        ("arguments", []),
        ("arguments", [-1.0]),
        ("keywords", {"scale": "1"}),
        ("keywords", {"size": 1}),
        ("keywords", {"loc": 1e300}),
        ("more", 1),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_priors_that_do_not_fit(forgery, entry, value):
    forgery.document["model"]["priors"][0][entry] = value
    forgery.write()
    refused(forgery.path, "holds no valid model")


@pytest.mark.parametrize("same", [{"X": "Z"}, {"Z": "X"}, {"X": ["y"]}, {"X": "y"}, []])
def test_repeated_arrays_that_do_not_fit(forgery, same):
    forgery.document["same"] = same
    forgery.write()
    refused(forgery.path, "holds no valid model")


def test_kinds_that_are_not_known(forgery):
    forgery.document["kind"] = "os.system"
    forgery.write()
    refused(forgery.path, "it holds a 'os.system'; this gprat knows GP")


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


# The interface for other classes


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


def test_additive_kernel_with_white_noise(path, X, y):
    kernel = ActiveDims(RBF(0.4), [0]) + ActiveDims(Linear(0.3), [1]) + WhiteKernel(0.1)
    gp = gprat.GP(X, y, kernel)
    gp.optimize(max_iter=3)
    assert_same_model(round_trip(gp, path), gp)
