"""Outputs that are jointly Gaussian at a group of points: noise, conditioning, posteriors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from botorch.posteriors.gpytorch import GPyTorchPosterior
from gpytorch.distributions import MultitaskMultivariateNormal, MultivariateNormal
from linear_operator.operators import DenseLinearOperator
from linear_operator.utils.cholesky import psd_safe_cholesky

from gprat.botorch._tensors import Tensor

__all__ = ["Joint"]


@dataclass(frozen=True, slots=True, eq=False)
class Joint:
    """Independent outputs, each jointly Gaussian at the q points of a group.

    Groups may come in batches of any shape; the batches of mean and covariance are broadcast
    against each other.

    Parameters
    ----------
    mean : Tensor of shape (..., k, q)
        One row an output.
    covariance : Tensor of shape (..., k, q, q) or (..., 1, q, q)
        That of each output, or one for all of them.
    """

    mean: Tensor
    covariance: Tensor

    def select(self, outputs: Sequence[int]) -> Joint:
        """Return some of the outputs."""
        shared = self.covariance.shape[-3] == 1
        covariance = self.covariance if shared else self.covariance[..., outputs, :, :]
        return Joint(self.mean[..., outputs, :], covariance)

    def with_noise(self, variances: Tensor) -> Joint:
        """Return the outputs with independent noise, of variances that broadcast to (..., k, q)."""
        shape = np.broadcast_shapes(variances.shape, (1, self.mean.shape[-1]))
        return Joint(self.mean, self.covariance + torch.diag_embed(variances.expand(shape)))

    def rescale(self, offset: Tensor, factor: Tensor) -> Joint:
        """Return offset + factor · output, both of shape (1, k)."""
        mean = offset.mT + factor.mT * self.mean
        return Joint(mean, factor.square().mT.unsqueeze(-1) * self.covariance)

    def condition(self, observed: Tensor, noise: Tensor) -> Joint:
        """Return the outputs at the other points, given those at the first r (R&W A.6).

        Parameters
        ----------
        observed : Tensor of shape (..., k, r)
            Values at the first r points.
        noise : Tensor
            Variances of their noise, which broadcast to (..., k, r).

        Returns
        -------
        Joint
            At the q − r other points. All is differentiable, by the observed values too.
        """
        r = observed.shape[-1]
        first = Joint(self.mean[..., :r], self.covariance[..., :r, :r]).with_noise(noise)
        L = psd_safe_cholesky(first.covariance)
        A = torch.linalg.solve_triangular(L, self.covariance[..., :r, r:], upper=False)
        residual = (observed - first.mean).unsqueeze(-1)
        white = torch.linalg.solve_triangular(L, residual, upper=False)
        mean = self.mean[..., r:] + (A.mT @ white).squeeze(-1)
        return Joint(mean, self.covariance[..., r:, r:] - A.mT @ A)

    def as_posterior(self) -> GPyTorchPosterior:
        """Return BoTorch's posterior of it: single-output for one output, else multi-output."""
        *batch, k, q = self.mean.shape
        if self.covariance.shape[:-3] != self.mean.shape[:-2]:
            batch = np.broadcast_shapes(batch, self.covariance.shape[:-3])
        mean = self.mean.expand(*batch, k, q)
        covariance = self.covariance.expand(*batch, k, q, q)
        outputs = [
            MultivariateNormal(mean[..., i, :], DenseLinearOperator(covariance[..., i, :, :]))
            for i in range(k)
        ]
        if k == 1:
            return GPyTorchPosterior(outputs[0])
        return GPyTorchPosterior(MultitaskMultivariateNormal.from_independent_mvns(outputs))
