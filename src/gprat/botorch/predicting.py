"""Predictions of a `gprat.GP` as functions of PyTorch's tensors."""

from __future__ import annotations

from gprat.botorch._tensors import Tensor
from gprat.differentiation import Conditioned
from gprat.gp import GP
from gprat.torch.posterior import predict

__all__ = ["predict_jointly"]


def predict_jointly(gp: GP, points: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean and the covariance of groups of points, differentiable by them.

    The model's own factor is used, at its current hyperparameters.

    Parameters
    ----------
    gp : GP
        The model.
    points : Tensor of shape (b, q, d)
        b groups of q points.

    Returns
    -------
    mean : Tensor of shape (b, q) or (b, q, k)
        As the targets are.
    covariance : Tensor of shape (b, q, q)
        Of the latent function.
    """
    return predict(Conditioned.of(gp), points, joint=True)
