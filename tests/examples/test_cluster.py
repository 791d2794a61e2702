"""Examples on a cluster: the demo in small, a job of SLURM, strangers that TLS refuses."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from distributed import Client
from distributed.security import Security

from gprat import GP
from gprat.kernels import RBF

FOLDER = Path(__file__).parents[2] / "examples/cluster"


def run(script, *arguments):
    completed = subprocess.run(
        [sys.executable, FOLDER / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    return completed.stdout


def test_the_demo_agrees_with_processors(tmp_path):
    shown = run("demo.py", "--rows", 900, "--output", tmp_path)
    assert "n = 400 training points, 500 to predict" in shown
    assert "largest difference of the gradient" in shown
    assert (tmp_path / "cluster.png").stat().st_size > 30_000


def test_a_job_of_slurm_is_one_worker_a_node():
    script = run("slurm.py", "data.npz", "--cores", 24, "--interface", "lo", "--dry-run")
    assert "#SBATCH --cpus-per-task=24" in script
    assert "--nthreads 24" in script
    assert "--interface lo" in script
    assert "--nworkers" not in script


@pytest.fixture(scope="module")
def tls():
    """The example as a module."""
    specification = importlib.util.spec_from_file_location("tls_example", FOLDER / "tls.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_engine_works_over_tls_and_strangers_are_refused(tls, tmp_path):
    for name in ("ours", "others"):
        tls.make_certificates(tmp_path / name, ["127.0.0.1"], days=1)
    assert (tmp_path / "ours/authority.key").stat().st_mode & 0o077 == 0
    X = np.random.default_rng(31).normal(size=(90, 2))
    y = np.sin(X[:, 0])
    with tls.started(tmp_path / "ours", workers=2) as address:
        assert address.startswith("tls://")
        security = tls.security_of(tmp_path / "ours", "127.0.0.1")
        with Client(address, security=security, timeout=120) as client:
            client.wait_for_workers(2, timeout=120)
            assert all(worker.startswith("tls://") for worker in client.nthreads())
            gp = GP(X, y, RBF(0.8), noise=0.1, engine="cluster", client=client)
            ours = gp.log_marginal_likelihood(gp.theta, eval_gradient=True)
            strangers = {
                "tcp://": Security(),
                "tls://": tls.security_of(tmp_path / "others", "127.0.0.1"),
            }
            for scheme, stranger in strangers.items():
                with pytest.raises(OSError):  # noqa: PT011
                    Client(address.replace("tls://", scheme), security=stranger, timeout=3)
            assert np.isfinite(gp.predict(X[:3])).all()
    local = GP(X, y, RBF(0.8), noise=0.1)
    theirs = local.log_marginal_likelihood(local.theta, eval_gradient=True)
    for a, b in zip(ours, theirs, strict=True):
        assert np.allclose(a, b, rtol=1e-9)
