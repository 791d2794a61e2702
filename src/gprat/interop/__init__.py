"""Take over fitted models of other libraries, and predict with them at once.

`from_gpytorch` and `from_sklearn` need no training: hyperparameters, data, mean and noise are read
from the model, and whatever has no exact counterpart here is refused by name. `to_sklearn` goes
the other way.
"""

from gprat.interop.gpytorch import from_gpytorch
from gprat.interop.scikit_learn import from_sklearn, to_sklearn

__all__ = ["from_gpytorch", "from_sklearn", "to_sklearn"]
