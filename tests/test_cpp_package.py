"""The library for C++ programs: installed, moved, found by CMake, and as good as Python's."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import gprat
from gprat.kernels import RBF, ConstantKernel

ROOT = Path(__file__).parents[1]
NATIVE = ROOT / "build/native"
CMAKE = shutil.which("cmake", path=os.pathsep.join([str(Path(sys.executable).parent), os.defpath]))

pytestmark = pytest.mark.skipif(
    CMAKE is None or not (NATIVE / "CMakeCache.txt").exists(),
    reason="make native-test builds the library first",
)

N, M, FEATURES = 300, 20, 3
WITHOUT_PATHS = {k: v for k, v in os.environ.items() if k != "LD_LIBRARY_PATH"}


def cmake(*arguments):
    """Run CMake, and show what it said if it fails."""
    done = subprocess.run(
        [CMAKE, *map(str, arguments)], capture_output=True, text=True, env=WITHOUT_PATHS
    )
    assert done.returncode == 0, f"cmake {arguments}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """Where the library was installed, and then moved to."""
    folder = tmp_path_factory.mktemp("cpp")
    cmake("--build", NATIVE, "--target", "gprat")
    cmake("--install", NATIVE, "--prefix", folder / "first")
    return (folder / "first").rename(folder / "prefix")


@pytest.fixture(scope="module")
def program(prefix):
    """The example, built with nothing but what was installed."""
    build = prefix.parent / "build"
    cmake("-S", ROOT / "examples/cpp", "-B", build, f"-DCMAKE_PREFIX_PATH={prefix}")
    cmake("--build", build)
    return build / "fit"


@pytest.fixture(scope="module")
def data():
    """Rows of a smooth function with noise, new in every run."""
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    X = rng.uniform(-2.0, 2.0, size=(N, FEATURES))
    y = np.sin(X[:, 0]) * np.cos(0.5 * X[:, 1]) + 0.1 * rng.standard_normal(N)
    return X, y, rng.uniform(-2.0, 2.0, size=(M, FEATURES))


@pytest.fixture(scope="module")
def fitted(program, data, tmp_path_factory):
    """What the example prints."""
    X, y, Xs = data
    folder = tmp_path_factory.mktemp("data")
    np.savetxt(folder / "training.txt", np.column_stack([X, y]), fmt="%.17g")
    np.savetxt(folder / "test.txt", Xs, fmt="%.17g")
    output = subprocess.run(
        [program, folder / "training.txt", folder / "test.txt"],
        capture_output=True,
        text=True,
        check=True,
        env=WITHOUT_PATHS,
    ).stdout
    lines = (line.split() for line in output.splitlines())
    return {name: np.array(values, dtype=float) for name, *values in lines}


def model(data, hyperparameters, noise, tile_size):
    """The same model in Python."""
    X, y, _ = data
    kernel = ConstantKernel(hyperparameters[0]) * RBF(hyperparameters[1:])
    return gprat.GP(X, y, kernel, noise=noise, tile_size=tile_size)


def assert_same_bits(gradient, expected):
    """Same bits, except for the noise, whose derivatives by row NumPy adds in another order."""
    np.testing.assert_array_equal(gradient[:-1], expected[:-1])
    np.testing.assert_allclose(gradient[-1], expected[-1], rtol=0, atol=1e-9 * N)


def test_the_library_finds_its_own_libraries_where_it_was_moved(prefix, program):
    listed = subprocess.run(
        ["ldd", program], capture_output=True, text=True, check=True, env=WITHOUT_PATHS
    ).stdout
    for name in ("libgprat", "libtbb", "openblas"):
        (line,) = [line for line in listed.splitlines() if name in line.split("=>")[0]]
        assert line.split()[2].startswith(str(prefix)), line


def build_program(prefix, folder, source):
    """Build one source file as a user would; return the program."""
    (folder / "main.cpp").write_text(source)
    (folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.21)\n"
        "project(program LANGUAGES CXX)\n"
        "find_package(gprat 0.1 CONFIG REQUIRED)\n"
        "add_executable(program main.cpp)\n"
        "target_link_libraries(program PRIVATE gprat::gprat)\n"
    )
    cmake("-S", folder, "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={prefix}")
    cmake("--build", folder / "build")
    return folder / "build/program"


def test_the_program_in_the_documentation_climbs(prefix, tmp_path):
    page = (ROOT / "docs/cpp.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```cpp\n(.*?)```", page, re.DOTALL)
    program = build_program(prefix, tmp_path, source)
    output = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    before, after, mean, deviation = map(float, re.findall(r"-?\d+\.\d+", output))
    assert after > before
    assert mean == pytest.approx(np.sin(1.5), abs=max(5 * deviation, 5e-3))


def test_installed_headers_need_nothing_else(prefix, tmp_path):
    include = prefix / "include"
    headers = sorted(path.relative_to(include) for path in include.rglob("*.hpp"))
    includes = "".join(f'#include "{header}"\n' for header in headers)
    build_program(prefix, tmp_path, includes + "int main() {}\n")


def test_nothing_installed_names_where_it_was_built(prefix):
    for file in prefix.rglob("*.cmake"):
        assert str(ROOT) not in file.read_text(), file


def test_at_the_start_it_computes_what_python_computes(data, fitted):
    start = model(data, np.ones(1 + FEATURES), 0.1, int(fitted["tile_size"][0]))
    value, gradient = start.log_marginal_likelihood(eval_gradient=True)
    assert fitted["start_log_marginal_likelihood"][0] == value
    assert_same_bits(fitted["start_gradient"], gradient)


def test_at_the_end_it_computes_what_python_computes(data, fitted):
    end = model(
        data, fitted["hyperparameters"], fitted["noise_variance"][0], int(fitted["tile_size"][0])
    )
    assert fitted["log_marginal_likelihood"][0] == end.log_marginal_likelihood()
    assert_same_bits(fitted["gradient"], end.log_marginal_likelihood(eval_gradient=True)[1])
    mean, variance = end.predict_with_uncertainty(data[2], include_noise=False)
    np.testing.assert_array_equal(fitted["mean"], mean)
    np.testing.assert_array_equal(fitted["variance"], variance)


def test_it_learns_what_python_learns(data, fitted):
    learned = model(data, np.ones(1 + FEATURES), 0.1, "auto")
    learned.optimize()
    assert np.abs(fitted["gradient"]).max() < 1e-3
    # No worse than the other optimiser, which stops at bounds and where it gains little.
    best = learned.log_marginal_likelihood()
    assert fitted["log_marginal_likelihood"][0] >= best - 1e-3 * (1.0 + abs(best) * 1e-3)
    mean, _ = learned.predict_with_uncertainty(data[2])
    np.testing.assert_allclose(fitted["mean"], mean, atol=5e-3)


def test_bad_tables_are_refused(program, tmp_path):
    (tmp_path / "bad.txt").write_text("1 2 3\n4 5\n")
    done = subprocess.run(
        [program, tmp_path / "bad.txt", tmp_path / "bad.txt"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "row 2" in done.stderr
