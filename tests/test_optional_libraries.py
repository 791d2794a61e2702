"""Optional libraries are asked for by those who use them, and by nobody else."""

import subprocess
import sys

import pytest

LIBRARIES = [
    "botorch", "dask", "distributed", "gpytorch", "jax", "matplotlib", "pandas", "pyarrow",
    "statsmodels", "torch", "typer",
]  # fmt: skip

# As if none of them were installed.
ABSENT = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {LIBRARIES}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""

MAIN_JOB = """
import numpy as np
import gprat

X = np.linspace(0.0, 1.0, 30).reshape(-1, 1)
model = gprat.GaussianProcessRegressor().fit(X, np.sin(6.0 * X[:, 0]))
mean, deviation = model.predict(X, return_std=True)
assert np.all(np.isfinite(mean)) and np.all(deviation >= 0.0)
gprat.GPBatch(np.stack([X, X]), np.zeros((2, 30)), gprat.kernels.RBF(), 0.1).optimize()
assert gprat.plan(100).fits
assert gprat.plan(2000, workers=2, calibrate=False).workers == 2
assert gprat.simulation.simulate_cluster(2000, workers=2).efficiency > 0.0
"""


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_gprat_imports_none_of_them():
    # What scikit-learn imports it imports for itself.
    before = "import sys, sklearn.gaussian_process; before = set(sys.modules)\n"
    new = f"import gprat; print(({set(LIBRARIES)} & set(sys.modules)) - before)"
    completed = run(before + new)
    assert completed.stdout == "set()\n", completed.stderr


def test_the_main_job_needs_none_of_them():
    completed = run(ABSENT + MAIN_JOB)
    assert completed.returncode == 0, completed.stderr


@pytest.mark.parametrize(
    ("code", "named"),
    [
        ("import gprat.torch", "pip install 'gprat[torch]'"),
        ("import gprat.botorch", "pip install 'gprat[botorch]'"),
        ("import gprat.jax", "pip install 'gprat[jax]'"),
        ("import gprat; gprat.GP([[0.0]], [1.0], engine='cluster')", 'pip install "gprat[cluster]'),
        ("import gprat; gprat.simulation.scaling(100).plot()", "pip install 'gprat[plot]'"),
        ("from gprat.cli import main; main()", "pip install 'gprat[cli]'"),
    ],
)
def test_errors_name_the_extra(code, named):
    completed = run(ABSENT + code)
    assert completed.returncode != 0
    assert named in completed.stderr
