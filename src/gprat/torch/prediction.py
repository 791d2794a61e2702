"""What is predicted: a mean, a variance or covariance, and samples that depend on them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from gprat.exceptions import InvalidInputError, JitterWarning, NotPositiveDefiniteError
from gprat.gp.prediction import JITTERS
from gprat.torch._tensors import Tensor, check_tensor

__all__ = ["Posterior"]


@dataclass(frozen=True, eq=False)
class Posterior:
    """A normal distribution of function values at test points, differentiable in all parts.

    Attributes
    ----------
    mean : Tensor of shape (m,) or (..., q); for targets of two dimensions (m, k) or (..., q, k)
        Expected values of the latent function.
    variance : Tensor of shape (m,) or (..., q)
        Variances, never negative; the same for all outputs.
    covariance : Tensor of shape (m, m) or (..., q, q), or None
        Covariances of the points of each batch, where they were asked for by ``joint=True``.

    Examples
    --------
    >>> import torch
    >>> from gprat.kernels import RBF
    >>> from gprat.torch import posterior
    >>> X = torch.zeros(1, 1, dtype=torch.float64)
    >>> far = torch.tensor([[50.0], [51.0]], dtype=torch.float64)
    >>> prediction = posterior(X, torch.ones(1, dtype=torch.float64), far, RBF(1.0), joint=True)
    >>> prediction.covariance.numpy().round(3)
    array([[1.   , 0.607],
           [0.607, 1.   ]])
    >>> prediction.sample(3).shape
    torch.Size([3, 2])
    """

    mean: Tensor
    variance: Tensor
    covariance: Tensor | None
    _prior_scale: Callable[[], float] = field(repr=False)

    def with_noise(self, noise: Tensor | float) -> Posterior:
        """Return the distribution of observations: with noise variances added.

        Parameters
        ----------
        noise : float or Tensor
            One variance for all points, or one each, of a shape that can be broadcast to that of
            `variance`; not negative.

        Returns
        -------
        Posterior
            With the same mean.

        Raises
        ------
        InvalidInputError
            If they are negative or not finite, or have another shape.
        UnsupportedTypeError
            If they are neither a number nor a tensor of the dtype of the mean.

        Examples
        --------
        >>> import torch
        >>> from gprat.kernels import RBF
        >>> from gprat.torch import posterior
        >>> X = torch.zeros(1, 1, dtype=torch.float64)
        >>> latent = posterior(X, X[:, 0], X + 50.0, RBF(1.0))
        >>> latent.with_noise(0.5).variance.numpy()
        array([1.5])
        """
        added = self._as_variances(noise)
        variance = self.variance + added
        if self.covariance is None:
            return replace(self, variance=variance)
        covariance = self.covariance + torch.diag_embed(added)
        return replace(self, variance=variance, covariance=covariance)

    def sample(
        self,
        n_samples: int = 1,
        *,
        base_samples: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw functions by reparametrisation: mean + L·base_samples, LLᵀ being the covariance.

        So gradients flow through samples. Where rounding has left a covariance matrix without a
        Cholesky factor, the smallest sufficient multiple of the identity among 10ε, 100ε, … times
        the largest prior variance is added to it, and a `JitterWarning` says how much.

        Parameters
        ----------
        n_samples : int, default=1
            Number of functions, at least 1; not read if there are base samples.
        base_samples : Tensor, default=None
            Standard normal numbers of the shape of the result, for samples that vary smoothly with
            the test points. None to draw new ones.
        generator : torch.Generator, default=None
            Where new ones come from; None for PyTorch's own.

        Returns
        -------
        Tensor of shape (s, ...)
            s functions at the points of each batch, each of the shape of `mean`.

        Raises
        ------
        InvalidInputError
            If the prediction was not joint, or base samples have another shape or are not finite.
        NotPositiveDefiniteError
            If a covariance matrix has no Cholesky factor, for all jitter.
        """
        if self.covariance is None:
            raise InvalidInputError(
                "samples need the covariance between points, and only variances were predicted. "
                "Pass joint=True to the prediction."
            )
        white = self._white(n_samples, generator) if base_samples is None else base_samples
        check_tensor(white, "base_samples", self.mean)
        if white.shape[1:] != self.mean.shape:
            expected = ", ".join(map(str, self.mean.shape))
            raise InvalidInputError(
                f"base_samples must have shape (s, {expected}) for s samples, got "
                f"{tuple(white.shape)}. Draw them by torch.randn(s, *posterior.mean.shape)."
            )
        if not white.isfinite().all():
            raise InvalidInputError("base_samples must be finite, got NaN or infinity.")
        factor = self._factor()
        has_outputs = self.mean.ndim > self.variance.ndim
        columns = white if has_outputs else white.unsqueeze(-1)
        samples = factor @ columns
        return self.mean + (samples if has_outputs else samples.squeeze(-1))

    def _as_variances(self, noise: Tensor | float) -> Tensor:
        """Return one noise variance for each point."""
        values = self.variance.new_tensor(noise) if isinstance(noise, float | int) else noise
        check_tensor(values, "noise", self.mean)
        if not bool((good := (values >= 0.0) & values.isfinite()).all()):
            raise InvalidInputError(
                "noise must be variances, which are finite and not negative, got "
                f"{values[~good].flatten()[0].item():g}."
            )
        shape = self.variance.shape
        try:
            return values.expand(shape)
        except RuntimeError as error:
            raise InvalidInputError(
                f"noise must be one variance or have shape {tuple(shape)}, one for each point, got "
                f"shape {tuple(values.shape)}."
            ) from error

    def _white(self, n_samples: int, generator: torch.Generator | None) -> Tensor:
        if isinstance(n_samples, bool) or not isinstance(n_samples, int) or n_samples < 1:
            raise InvalidInputError(
                f"n_samples must be a whole number of at least 1, got {n_samples!r}."
            )
        return torch.randn(n_samples, *self.mean.shape, dtype=self.mean.dtype, generator=generator)

    def _factor(self) -> Tensor:
        """Return Cholesky factors, of each matrix with the least jitter that it needs."""
        covariance = self.covariance
        assert covariance is not None
        if 0 in covariance.shape:
            return covariance
        needed = self._needed_jitter()
        if not needed.any():
            return torch.linalg.cholesky(covariance)
        warnings.warn(
            "rounding left the covariance matrix of the samples without a Cholesky factor; "
            f"{needed.max().item():.2g} was added to its diagonal.",
            JitterWarning,
            stacklevel=3,
        )
        identity = torch.eye(covariance.shape[-1], dtype=covariance.dtype)
        return torch.linalg.cholesky(covariance + needed[..., None, None] * identity)

    def _needed_jitter(self) -> Tensor:
        """Return what has to be added to the diagonal of each matrix; zeros where nothing has."""
        assert self.covariance is not None
        covariance = self.covariance.detach()
        jitter = covariance.new_zeros(covariance.shape[:-2])
        failed = torch.linalg.cholesky_ex(covariance).info
        if not failed.any():
            return jitter
        unit = torch.finfo(covariance.dtype).eps * self._prior_scale()
        identity = torch.eye(covariance.shape[-1], dtype=covariance.dtype)
        for multiple in JITTERS[1:]:
            jitter = jitter.where(failed == 0, multiple * unit)
            tried = covariance + jitter[..., None, None] * identity
            failed = torch.linalg.cholesky_ex(tried).info
            if not failed.any():
                return jitter
        member = int(failed.flatten().argmax())
        row = int(failed.flatten()[member]) - 1
        which = f" of member {member} of the batch" if failed.ndim else ""
        raise NotPositiveDefiniteError(
            f"the covariance matrix{which} is not positive definite at row {row}, for all jitter "
            f"up to {JITTERS[-1] * unit:.2g}. Use float64, or points that are farther apart.",
            row,
        )
