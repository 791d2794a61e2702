"""What a cluster would make of the tasks of the engine on Dask.

The tasks are written down by the functions that would give them to Dask. A `Machine` says how long
tiles take on a worker, a `Network` what travelling and scheduling cost, and a simulation, event by
event, when each block would be computed and sent.
"""

from gprat.simulation.cluster.network import Network
from gprat.simulation.cluster.result import ClusterSimulation
from gprat.simulation.cluster.scaling import ClusterScaling, cluster_scaling
from gprat.simulation.cluster.simulate import simulate_cluster

__all__ = [
    "ClusterScaling",
    "ClusterSimulation",
    "Network",
    "cluster_scaling",
    "simulate_cluster",
]
