"""What other machines would make of the same tasks: a simulation of the scheduler.

The tasks of an operation are written down by the very loops that would run them, each with the
tasks that it waits for. A `Machine` says how long each takes, and a simulation of the scheduler,
event by event, when and on which thread it would run.
"""

from gprat.simulation.cluster import (
    ClusterScaling,
    ClusterSimulation,
    Network,
    cluster_scaling,
    simulate_cluster,
)
from gprat.simulation.machine import Machine, ModelMachine
from gprat.simulation.scaling import Scaling, scaling
from gprat.simulation.simulate import Simulation, run, simulate
from gprat.simulation.tasks import TaskList, record_tasks

__all__ = [
    "ClusterScaling",
    "ClusterSimulation",
    "Machine",
    "ModelMachine",
    "Network",
    "Scaling",
    "Simulation",
    "TaskList",
    "cluster_scaling",
    "record_tasks",
    "run",
    "scaling",
    "simulate",
    "simulate_cluster",
]
