"""Exact Gaussian process regression: one class, put together from what it does.

`state` holds data, hyperparameters and the factor; `likelihood` judges hyperparameters, `training`
improves them, `prediction` says what follows, `certifying` how exact it all is; `model` is the
class that users see.
"""

from gprat.gp.certificate import Certificate
from gprat.gp.likelihood import LeaveOneOut
from gprat.gp.model import GP

__all__ = ["GP", "Certificate", "LeaveOneOut"]
