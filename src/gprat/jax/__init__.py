"""gprat inside JAX: likelihoods and posteriors as functions that JAX differentiates and compiles.

Values and gradients come from the compiled core, which JAX calls; `jax.jit`, `jax.grad`,
`jax.value_and_grad`, `jax.vmap` and control flow work as usual. Needs the extra ``jax``.
"""

try:
    import jax as _jax  # noqa: F401
except ImportError as error:
    raise ImportError("gprat.jax needs JAX. Install it with: pip install 'gprat[jax]'") from error

from gprat.jax._kept import forget
from gprat.jax.likelihood import log_marginal_likelihood
from gprat.jax.posterior import posterior
from gprat.jax.prediction import Posterior

__all__ = ["Posterior", "forget", "log_marginal_likelihood", "posterior"]
