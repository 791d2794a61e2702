"""Learn on the nodes of a SLURM cluster, which dask-jobqueue asks for.

Run on a login node, or in a job of one processor, where it is allowed to go on for hours:

    pip install "gprat[cluster]" dask-jobqueue
    python slurm.py data.npz --nodes 8 --cores 32 --memory 180GB --interface ib0

``--dry-run`` prints the script that each job would be, and starts nothing. ``data.npz`` has arrays
X of shape (n, d), y of shape (n,) and X_test of shape (m, d); predictions go to a file beside it.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from dask_jobqueue import SLURMCluster
from distributed import Client

import gprat
from gprat.kernels import RBF, ConstantKernel


def make_cluster(arguments: argparse.Namespace) -> SLURMCluster:
    """Describe one job; none is submitted yet."""
    return SLURMCluster(
        queue=arguments.queue,
        account=arguments.account,
        walltime=arguments.walltime,
        # A job is a node. One worker has all of its processors: the threads of a worker share
        # blocks, so that they need not travel between processes of one node.
        processes=1,
        cores=arguments.cores,
        # What SLURM grants to the job, and what the worker may use of it: above 60 % of it Dask
        # writes blocks to local_directory, and from 95 % on it restarts the worker. gprat.plan(n,
        # workers=…, threads=…) says what a worker takes.
        memory=arguments.memory,
        # The fast network by name, as `ip address` on a node lists it; the default may be the slow
        # one. The scheduler runs where this program does, which may have it under another name:
        # scheduler_options={"interface": …}.
        interface=arguments.interface,
        scheduler_options={"interface": arguments.scheduler_interface or arguments.interface},
        # A disk of the node. On a shared file system, workers that write blocks to it would slow
        # down everyone.
        local_directory=arguments.local_directory,
        # The environment that has gprat, in the same version as here.
        job_script_prologue=arguments.prologue,
        # Workers end before their time is up, one after the other, so that others take over their
        # blocks; a job that SLURM ends by force costs more.
        worker_extra_args=["--lifetime", "23h", "--lifetime-stagger", "10m"],
        # On a network that others share, without TLS, whoever reaches the scheduler can run code
        # as you: see tls.py, and pass shared_temp_directory, a folder that only you may read.
        security=None,
    )


def learn(client: Client, source: Path) -> None:
    """Train, predict, and write predictions beside the data."""
    data = np.load(source)
    X, y, X_test = (data[name] for name in ("X", "y", "X_test"))
    kernel = ConstantKernel(float(np.var(y))) * RBF(X.std(axis=0))
    noise = 0.1 * float(np.var(y))
    gp = gprat.GP(X, y, kernel, noise, engine="cluster", client=client)
    # Says what it will take, and is an error if the workers have too little memory.
    print(gp.plan())
    gp.optimize(checkpoint=source.with_suffix(".training"), resume=True)
    mean, variance = gp.predict_with_uncertainty(X_test)
    np.savez(source.with_name("predictions.npz"), mean=mean, variance=variance)
    gp.save(source.with_suffix(".gprat"))


def main() -> None:
    """Parse the command line and learn."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--nodes", type=int, default=8, help="jobs, of one node each")
    parser.add_argument("--cores", type=int, default=32, help="of a node")
    parser.add_argument("--memory", default="180GB", help="of a node")
    parser.add_argument("--queue", default=None, help="SLURM's partition")
    parser.add_argument("--account", default=None)
    parser.add_argument("--walltime", default="24:00:00")
    parser.add_argument("--interface", default=None, help="network of the nodes, such as ib0")
    parser.add_argument("--scheduler-interface", default=None, help="the same network here")
    parser.add_argument("--local-directory", default="/tmp", help="a disk of each node")
    parser.add_argument(
        "--prologue", nargs="*", default=[], help='lines such as "source ~/venv/bin/activate"'
    )
    parser.add_argument("--dry-run", action="store_true", help="print the job, start nothing")
    arguments = parser.parse_args()
    with make_cluster(arguments) as cluster:
        if arguments.dry_run:
            print(cluster.job_script())
            return
        cluster.scale(jobs=arguments.nodes)
        with Client(cluster) as client:
            # Training could begin with fewer, but blocks are dealt out when a call begins.
            client.wait_for_workers(arguments.nodes)
            learn(client, arguments.data)


if __name__ == "__main__":
    main()
