"""What is predicted: a mean, a variance or covariance, and samples that depend on them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from gprat._validation import FloatArray, check_positive_integer
from gprat.exceptions import InvalidInputError, JitterWarning
from gprat.gp.prediction import JITTERS
from gprat.jax._arguments import OnFailure
from gprat.jax._host import HostCall, call, like

__all__ = ["Posterior"]


@dataclass(frozen=True, eq=False)
class Posterior:
    """A normal distribution of function values at test points, differentiable in all parts.

    A pytree, so that functions under `jax.jit` and `jax.vmap` may return it.

    Attributes
    ----------
    mean : array of shape (m,) or (..., q); for targets of two dimensions (m, k) or (..., q, k)
        Expected values of the latent function.
    variance : array of shape (m,) or (..., q)
        Variances, never negative; the same for all outputs.
    covariance : array of shape (m, m) or (..., q, q), or None
        Covariances of the points of each batch, where they were asked for by ``joint=True``.

    Examples
    --------
    >>> import jax
    >>> import numpy as np
    >>> from gprat.jax import posterior
    >>> from gprat.kernels import RBF
    >>> jax.config.update("jax_enable_x64", True)
    >>> X, far = jax.numpy.zeros((1, 1)), jax.numpy.array([[50.0], [51.0]])
    >>> prediction = posterior(X, jax.numpy.ones(1), far, RBF(1.0), joint=True)
    >>> np.asarray(prediction.covariance).round(3)
    array([[1.   , 0.607],
           [0.607, 1.   ]])
    >>> prediction.sample(jax.random.key(0), 3).shape
    (3, 2)
    """

    mean: jax.Array
    variance: jax.Array
    covariance: jax.Array | None
    _prior_scale: jax.Array | None
    _on_failure: OnFailure

    def with_noise(self, noise: ArrayLike) -> Posterior:
        """Return the distribution of observations: with noise variances added.

        Parameters
        ----------
        noise : float or array
            One variance for all points, or one each, of a shape that can be broadcast to that of
            `variance`.

        Returns
        -------
        Posterior
            With the same mean.

        Raises
        ------
        InvalidInputError
            If they have another shape.

        Examples
        --------
        >>> import jax
        >>> import numpy as np
        >>> from gprat.jax import posterior
        >>> from gprat.kernels import RBF
        >>> jax.config.update("jax_enable_x64", True)
        >>> latent = posterior(np.zeros((1, 1)), np.zeros(1), [[50.0]], RBF(1.0))
        >>> np.asarray(latent.with_noise(0.5).variance)
        array([1.5])
        """
        added = self._as_variances(noise)
        variance = self.variance + added
        if self.covariance is None:
            return replace(self, variance=variance)
        identity = jnp.eye(added.shape[-1], dtype=added.dtype)
        return replace(
            self, variance=variance, covariance=self.covariance + added[..., None] * identity
        )

    def sample(
        self,
        key: jax.Array | None = None,
        n_samples: int = 1,
        *,
        base_samples: ArrayLike | None = None,
    ) -> jax.Array:
        """Draw functions by reparametrisation: mean + L·base_samples, LLᵀ being the covariance.

        So gradients flow through samples. Where rounding has left a covariance matrix without a
        Cholesky factor, the smallest sufficient multiple of the identity among 10ε, 100ε, … times
        the largest prior variance is added to it, and a `JitterWarning` says how much.

        Parameters
        ----------
        key : PRNG key, default=None
            As `jax.random.normal` takes it; not read if there are base samples.
        n_samples : int, default=1
            Number of functions, at least 1; not read if there are base samples.
        base_samples : array of shape (s,) + mean.shape, default=None
            Standard normal numbers, for samples that vary smoothly with the test points.

        Returns
        -------
        array of shape (s,) + mean.shape
            s functions at the points of each batch.

        Raises
        ------
        InvalidInputError
            If the prediction was not joint, there is neither a key nor base samples, or these have
            another shape.
        jax.errors.JaxRuntimeError or ValueError
            If a covariance matrix has no Cholesky factor, for all jitter. NaN instead, where the
            posterior was computed with ``on_failure="nan"``.
        """
        if self.covariance is None:
            raise InvalidInputError(
                "samples need the covariance between points, and only variances were predicted. "
                "Pass joint=True to posterior."
            )
        white = self._white(key, n_samples, base_samples)
        has_outputs = self.mean.ndim > self.variance.ndim
        factor = self._factor(self.covariance)
        samples = factor @ (white if has_outputs else white[..., None])
        return self.mean + (samples if has_outputs else samples[..., 0])

    def _as_variances(self, noise: ArrayLike) -> jax.Array:
        """Return one noise variance for each point."""
        values, shape = jnp.asarray(noise, self.mean.dtype), self.variance.shape
        try:
            return jnp.broadcast_to(values, shape)
        except ValueError as error:
            raise InvalidInputError(
                f"noise must be one variance or have shape {shape}, one for each point, got shape "
                f"{values.shape}."
            ) from error

    def _white(
        self, key: jax.Array | None, n_samples: int, base_samples: ArrayLike | None
    ) -> jax.Array:
        if base_samples is None:
            if key is None:
                raise InvalidInputError(
                    "samples need random numbers. Pass a key, such as jax.random.key(0), or "
                    "base_samples."
                )
            remedy = "Pass how many samples to draw."
            count = check_positive_integer(n_samples, "n_samples", remedy)
            return jax.random.normal(key, (count, *self.mean.shape), self.mean.dtype)
        white = jnp.asarray(base_samples, self.mean.dtype)
        if white.shape[1:] != self.mean.shape or white.ndim == self.mean.ndim:
            expected = ", ".join(map(str, self.mean.shape))
            raise InvalidInputError(
                f"base_samples must have shape (s, {expected}) for s samples, got shape "
                f"{white.shape}."
            )
        return white

    def _factor(self, covariance: jax.Array) -> jax.Array:
        """Return Cholesky factors, of each matrix with the least jitter that it needs."""
        if 0 in covariance.shape:
            return covariance
        scale = jnp.asarray(self._prior_scale)
        jitter = _needed_jitter(*map(jax.lax.stop_gradient, (covariance, scale)))
        jitter = call(HostCall(_report, like(jitter), self._on_failure), jitter)
        factor: jax.Array = jnp.linalg.cholesky(_with_jitter(covariance, jitter))
        return factor


jax.tree_util.register_dataclass(
    Posterior,
    data_fields=["mean", "variance", "covariance", "_prior_scale"],
    meta_fields=["_on_failure"],
)


@jax.jit
def _needed_jitter(covariance: jax.Array, prior_scale: jax.Array) -> jax.Array:
    """Return what has to be added to the diagonal of each matrix; NaN where nothing helps."""
    unit = prior_scale * float(np.finfo(covariance.dtype).eps)
    steps = jnp.asarray(JITTERS, covariance.dtype) * unit
    last = len(JITTERS) - 1

    def fails(step: jax.Array) -> jax.Array:
        factor = jnp.linalg.cholesky(_with_jitter(covariance, steps[step]))
        return jnp.isnan(factor).any(axis=(-2, -1))

    def is_open(state: tuple[jax.Array, jax.Array]) -> jax.Array:
        step, failed = state
        return (failed & (step < last)).any()

    def advance(state: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        step, failed = state
        step = jnp.where(failed & (step < last), step + 1, step)
        return step, fails(step)

    first = jnp.zeros(covariance.shape[:-2], dtype=jnp.int32)
    step, failed = jax.lax.while_loop(is_open, advance, (first, fails(first)))
    return jnp.where(failed, jnp.nan, steps[step])


def _with_jitter(covariance: jax.Array, jitter: jax.Array) -> jax.Array:
    identity = jnp.eye(covariance.shape[-1], dtype=covariance.dtype)
    return covariance + jitter[..., None, None] * identity


def _report(jitter: FloatArray) -> FloatArray:
    """Tell of jitter that was needed, and of matrices that none has helped."""
    if np.isnan(jitter).any():
        raise InvalidInputError(
            "a covariance matrix of samples has no Cholesky factor, for all jitter up to "
            f"{JITTERS[-1]:.0g} ε of the prior variance. Noise must not be negative, nor NaN."
        )
    if jitter.any():
        warnings.warn(
            "rounding left the covariance matrix of the samples without a Cholesky factor; "
            f"{jitter.max():.2g} was added to its diagonal.",
            JitterWarning,
            stacklevel=2,
        )
    return jitter
