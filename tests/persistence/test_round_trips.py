"""What is loaded is what was saved, bit by bit."""

import json
import subprocess
import sys
import threading

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from sklearn.gaussian_process.kernels import PairwiseKernel

import gprat
from gprat.exceptions import (
    NotPositiveDefiniteError,
)
from gprat.kernels import RBF, ActiveDims, ConstantKernel, Linear, Matern, WhiteKernel
from gprat.persistence.container import read_container, write_container
from oracles import random_kernel
from saved_models import MEANS, NOISES, PRIORS, N, assert_same_model, bits, refused, round_trip


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


def test_additive_kernel_with_white_noise(path, X, y):
    kernel = ActiveDims(RBF(0.4), [0]) + ActiveDims(Linear(0.3), [1]) + WhiteKernel(0.1)
    gp = gprat.GP(X, y, kernel)
    gp.optimize(max_iter=3)
    assert_same_model(round_trip(gp, path), gp)
