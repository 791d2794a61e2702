"""Pictures of a fitted estimator; they need the extra ``plot``."""

from __future__ import annotations

from typing import Any

from gprat.estimator.state import EstimatorState
from gprat.exceptions import InvalidInputError

__all__ = ["Pictures"]


class Pictures(EstimatorState):
    """The part of `gprat.GaussianProcessRegressor` that draws."""

    def plot_diagnostics(self, X: Any = None, y: Any = None, **options: Any) -> Any:
        """Draw predicted against observed, residuals and calibration.

        See `gprat.plotting.plot_diagnostics`, which has the options. Without data, of leave-one-out
        predictions.
        """
        from gprat import plotting

        self._check_fitted()
        return plotting.plot_diagnostics(self, X, y, **options)

    def plot_1d(self, **options: Any) -> Any:
        """Draw mean and bands along one feature; see `gprat.plotting.plot_1d`."""
        from gprat import plotting

        self._check_fitted()
        return plotting.plot_1d(self, **options)

    def plot_2d(self, **options: Any) -> Any:
        """Draw mean and standard deviation over two features; see `gprat.plotting.plot_2d`."""
        from gprat import plotting

        self._check_fitted()
        return plotting.plot_2d(self, **options)

    def plot_training(self, **options: Any) -> Any:
        """Draw how training went; see `gprat.plotting.plot_training`."""
        from gprat import plotting

        self._check_fitted()
        if self.training_ is None:
            raise InvalidInputError(
                "nothing was trained: optimizer is None, or all hyperparameters are fixed."
            )
        return plotting.plot_training(self.training_, **options)
