"""Many small, independent Gaussian processes at once.

`rows` reads the data of members, however they come, `checks` what else a batch is made with, and
`hyperparameters` holds theirs; `state` is what a batch knows, `training` and `prediction` what it
does; `fitting` is one training, and `lockstep` how it minimises many losses at once; `model` is the
class that users see.
"""

from gprat.batch.fitting import BatchIteration
from gprat.batch.model import GPBatch
from gprat.batch.report import BatchReport

__all__ = ["BatchIteration", "BatchReport", "GPBatch"]
