"""The drop-in for scikit-learn's `GaussianProcessRegressor`, over `gprat.GP`.

`regressor` is the class that users see, put together from what it does: `fitting`, `prediction`,
`updating`, `pictures` and `storage`. `targets` scales the targets and sorts out missing ones,
`structured` lets kernels work on objects that are no vectors, `checks` says what is odd about the
data.
"""

from gprat.estimator.regressor import GaussianProcessRegressor

__all__ = ["GaussianProcessRegressor"]
