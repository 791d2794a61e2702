"""What a model's operations cost, before they start."""

from __future__ import annotations

from gprat import planning, runtime
from gprat.gp.state import ModelState
from gprat.simulation.tasks import OperationName

__all__ = ["Planning"]


class Planning(ModelState):
    """Costs of a model's own size; a part of `gprat.GP`."""

    def plan(
        self, what: OperationName = "fit", m: int = 0, *, calibrate: bool | None = None
    ) -> planning.Plan:
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
            Python.

        Returns
        -------
        gprat.planning.Plan
            Memory, operations, tasks and time. Prints as a table.

        Raises
        ------
        InvalidInputError
            If `what` is unknown, or test points are missing.
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
        allowed = runtime.threads()
        # Rates are those of compiled kernels.
        is_compiled = self._hyperparameters.program.is_compiled
        return planning.plan(
            n,
            d,
            m,
            what=what,
            n_outputs=self._Y.shape[1],
            n_hyperparameters=max(1, len(self.theta)),
            threads=min(self._threads or allowed, allowed),
            dtype=self._dtype,
            tile_size=self.tile_size,
            calibrate=calibrate if is_compiled else False,
        )
