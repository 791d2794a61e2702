"""Numbers that say how good predictions are, and how honest about their uncertainty.

`diagnose` judges a model by leave-one-out or on held-out data, `diagnose_predictions` the
predictions of anything. `gprat.plotting.plot_diagnostics` draws them.
"""

from gprat.diagnostics.measures import diagnose, diagnose_leave_one_out, diagnose_predictions
from gprat.diagnostics.report import Diagnostics

__all__ = ["Diagnostics", "diagnose", "diagnose_leave_one_out", "diagnose_predictions"]
