"""A model given further observations, in batches or with gradients: exact, without a new factor."""

from __future__ import annotations

import torch

from gprat.botorch._tensors import Tensor
from gprat.botorch.base import GaussianModel
from gprat.botorch.joint import Joint

__all__ = ["FantasyModel"]


class FantasyModel(GaussianModel):
    """Another model, given observations at r further points.

    It predicts by the other model's joint distribution at those points and the new ones, q + r in a
    group, conditioned on the observations (R&W A.6). For batches of observations at the same points
    that distribution is computed once.

    Parameters
    ----------
    model : GaussianModel
        What is known without the observations; its transforms hold here too.
    points : Tensor of shape (..., r, d)
        Transformed points of the observations.
    targets : Tensor of shape (..., r, k)
        The observations, transformed.
    noise : Tensor
        Variances of their noise, which broadcast to (..., k, r).
    """

    def __init__(
        self, model: GaussianModel, points: Tensor, targets: Tensor, noise: Tensor
    ) -> None:
        super().__init__()
        self.model = model
        self._points, self._targets, self._variances = points, targets, noise
        for name in ("input_transform", "outcome_transform"):
            if hasattr(model, name):
                setattr(self, name, getattr(model, name))

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the model, and of all tensors that it takes."""
        return self.model.dtype

    @property
    def n_features(self) -> int:
        """Number of features of points, before the input transform."""
        return self.model.n_features

    @property
    def num_outputs(self) -> int:
        """Number of outputs, k."""
        return int(self.model.num_outputs)

    @property
    def batch_shape(self) -> torch.Size:
        """Shape of the batch of models that this one is."""
        batches = (self.model.batch_shape, self._points.shape[:-2], self._targets.shape[:-2])
        return torch.broadcast_shapes(*batches)

    def subset_output(self, idcs: list[int]) -> FantasyModel:
        """Return the model of some of the outputs."""
        outputs = self._check_outputs(idcs)
        variances = self._variances
        if variances.ndim > 1 and variances.shape[-2] > 1:
            variances = variances[..., outputs, :]
        targets = self._targets[..., outputs]
        return FantasyModel(self.model.subset_output(idcs), self._points, targets, variances)

    @property
    def _noise(self) -> Tensor:
        return self.model._noise

    def _joint(self, points: Tensor) -> Joint:
        batch = torch.broadcast_shapes(self._points.shape[:-2], points.shape[:-2])
        groups = [p.expand(*batch, *p.shape[-2:]) for p in (self._points, points)]
        joint = self.model._joint(torch.cat(groups, dim=-2))
        return joint.condition(self._targets.mT, self._variances)

    def _condition(
        self, X: Tensor, points: Tensor, targets: Tensor, noise: Tensor | None
    ) -> FantasyModel:
        variances = self._noise if noise is None else self._as_noise(noise, "noise")
        return FantasyModel(self, points, targets, variances)
