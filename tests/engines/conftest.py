"""Every engine there is, for the contract; that on a cluster has three workers on this machine."""

import pytest
from distributed import Client, LocalCluster

from gprat.engines.cluster import ClusterEngine
from gprat.engines.registry import get_engine
from gprat.kernels import RBF, ConstantKernel, Matern, WhiteKernel

# Rows of a block: several of them in the small problems of these tests, and a smaller one.
BLOCK = 18

# Each call on a cluster is dozens of messages: of all cases some, which differ in kind.
_KERNELS = {
    str(kernel) for kernel in (RBF([0.5, 2.0]), ConstantKernel(2.5) * RBF(1.1) + WhiteKernel(0.3))
} | {str(Matern(0.8, nu=1.5))}
_ON_CLUSTER = {
    "kernel": lambda kernel: str(kernel) in _KERNELS,
    "tile_size": lambda size: size == 7,
    "before": lambda rows: rows != 46,
    "rows": lambda rows: len(rows) in (0, 7),
}


@pytest.fixture(scope="session")
def cluster():
    """Three workers with one thread each."""
    with LocalCluster(
        n_workers=3, threads_per_worker=1, processes=True, dashboard_address=":0"
    ) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def client(cluster):
    """A connection to the cluster."""
    with Client(cluster) as client:
        yield client


@pytest.fixture(params=["cpu", "cluster"])
def engine(request):
    """Every engine there is."""
    if request.param == "cpu":
        return get_engine("cpu")
    return ClusterEngine(request.getfixturevalue("client"), block_size=BLOCK)


def pytest_collection_modifyitems(config, items):
    """Leave out most cases of the cluster."""
    left_out = [item for item in items if not _is_wanted(item)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if _is_wanted(item)]


def _is_wanted(item):
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    if parameters.get("engine") != "cluster":
        return True
    return all(
        is_wanted(parameters[name]) for name, is_wanted in _ON_CLUSTER.items() if name in parameters
    )
