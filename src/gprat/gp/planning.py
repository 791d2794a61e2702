"""What a model's operations cost, before they start."""

from __future__ import annotations

from typing import Any

from gprat import planning, runtime
from gprat.exceptions import InvalidInputError
from gprat.gp.state import ModelState
from gprat.simulation.tasks import OperationName

__all__ = ["Planning"]


class Planning(ModelState):
    """Costs of a model's own size; a part of `gprat.GP`."""

    def plan(
        self,
        what: OperationName = "fit",
        m: int = 0,
        *,
        calibrate: bool | None = None,
        bandwidth: float | None = None,
        latency: float | None = None,
        disk_bandwidth: float | None = None,
    ) -> planning.Plan | planning.ClusterPlan:
        """Say what an operation costs with this model's data, without doing it.

        Parameters
        ----------
        what : {"fit", "predict", "variance", "covariance"}, default="fit"
            "fit": one evaluation of the log marginal likelihood and its gradient, of which training
            takes many. The others: the factor, and predicted means; with variances; or with the
            joint covariance of all test points.
        m : int, default=0
            Number of test points; at least 1 unless `what` is "fit".
        calibrate : bool, default=None
            As for `gprat.plan`. There is no prediction of times for kernels that are evaluated in
            Python; on a cluster such kernels are taken for compiled ones.
        bandwidth, latency, disk_bandwidth : float, default=None
            Of the network and the disks of a cluster, as for `gprat.plan`; for ``engine="cluster"``
            alone. Workers, their threads and their memory are those that there are.

        Returns
        -------
        gprat.planning.Plan or gprat.planning.ClusterPlan
            Memory, operations, tasks and time; on a cluster, of its workers, with the traffic
            between them. Prints as a table.

        Raises
        ------
        InvalidInputError
            If `what` is unknown, or test points are missing; if there is no cluster, and figures of
            its network are given.
        InsufficientMemoryError
            If the workers of the cluster have too little memory.
        UnsupportedTypeError
            If `m` is not a whole number.

        See Also
        --------
        gprat.plan : The same without data.

        Examples
        --------
        >>> import numpy as np
        >>> import gprat
        >>> gp = gprat.GP(np.linspace(0.0, 1.0, 500)[:, np.newaxis], np.zeros(500))
        >>> costs = gp.plan("variance", m=100)
        >>> costs.n, costs.m, costs.fits
        (500, 100, True)
        """
        n, d = self._X.shape
        sizes: dict[str, Any] = {
            "what": what,
            "n_outputs": self._Y.shape[1],
            "n_hyperparameters": max(1, len(self.theta)),
            "dtype": self._dtype,
            # Rates are those of compiled kernels.
            "calibrate": calibrate if self._hyperparameters.program.is_compiled else False,
        }
        network: dict[str, Any] = {
            "bandwidth": bandwidth,
            "latency": latency,
            "disk_bandwidth": disk_bandwidth,
        }
        if (cluster := self._engine.cluster()) is not None:
            return planning.plan(
                n,
                d,
                m,
                workers=cluster.workers,
                threads=min(self._threads or cluster.threads, cluster.threads),
                memory=cluster.memory,
                tile_size=self.tile_size,
                block_size=cluster.block_size or "auto",
                **sizes,
                **network,
            )
        for name, value in network.items():
            if value is not None:
                raise InvalidInputError(
                    f'{name} is for engine="cluster" alone: this model computes on this machine. '
                    "Leave it out."
                )
        allowed = runtime.threads()
        threads = min(self._threads or allowed, allowed)
        costs: planning.Plan = planning.plan(
            n, d, m, threads=threads, tile_size=self.tile_size, **sizes
        )
        return costs
