"""gprat inside PyTorch: likelihoods and posteriors as functions that autograd differentiates.

Values and gradients come from the compiled core; tensors share their memory with it. Needs the
extra ``torch``.
"""

try:
    import torch as _torch  # noqa: F401
except ImportError as error:
    raise ImportError(
        "gprat.torch needs PyTorch. Install it with: pip install 'gprat[torch]'"
    ) from error

from gprat.torch.layer import ExactGP
from gprat.torch.likelihood import log_marginal_likelihood
from gprat.torch.posterior import Conditioned, condition, posterior
from gprat.torch.prediction import Posterior

__all__ = [
    "Conditioned",
    "ExactGP",
    "Posterior",
    "condition",
    "log_marginal_likelihood",
    "posterior",
]
