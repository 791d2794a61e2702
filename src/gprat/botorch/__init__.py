"""Models for BoTorch's acquisition functions; needs the extra ``botorch``.

`GPratModel` takes the place of BoTorch's `SingleTaskGP`: posteriors and their gradients by the
points come from gprat's engine, everything else from BoTorch.
"""

try:
    import botorch.models  # noqa: F401
except ImportError as error:
    raise ImportError(
        "gprat.botorch needs BoTorch. Install it with: pip install 'gprat[botorch]'"
    ) from error

from gprat.botorch.fantasies import FantasyModel
from gprat.botorch.model import GPratModel

__all__ = ["FantasyModel", "GPratModel"]
