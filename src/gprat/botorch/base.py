"""What this package's models share: BoTorch's interface over joint Gaussians."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from botorch.acquisition.objective import PosteriorTransform
from botorch.models.gpytorch import GPyTorchModel
from botorch.models.transforms.outcome import OutcomeTransform, Standardize
from botorch.models.utils.assorted import fantasize as fantasizing
from botorch.posteriors import Posterior
from botorch.sampling.base import MCSampler

from gprat.botorch._tensors import Tensor, check_points, check_tensor
from gprat.botorch.joint import Joint
from gprat.exceptions import InvalidInputError

__all__ = ["GaussianModel"]


class GaussianModel(GPyTorchModel):
    """A model whose outputs are independent of each other and jointly Gaussian at its points.

    Subclasses say what the outputs are at transformed points and how they are conditioned further;
    this class knows transforms, noise and fantasies. To BoTorch it is one of the models whose
    posteriors are distributions of GPyTorch, of which acquisition functions keep a factor.
    """

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Precision of the model, and of all tensors that it takes."""

    @property
    @abstractmethod
    def n_features(self) -> int:
        """Number of features of points, before the input transform."""

    @property
    @abstractmethod
    def _noise(self) -> Tensor:
        """Noise variance of a new observation, of the transformed outputs, shape ()."""

    @abstractmethod
    def _joint(self, points: Tensor) -> Joint:
        """Return the transformed outputs at transformed points of shape (..., q, d)."""

    @abstractmethod
    def _condition(
        self, X: Tensor, points: Tensor, targets: Tensor, noise: Tensor | None
    ) -> GaussianModel:
        """Return the model given transformed targets, shape (..., r, k), at X, transformed."""

    def posterior(
        self,
        X: Tensor,
        output_indices: list[int] | None = None,
        observation_noise: bool | Tensor = False,
        posterior_transform: PosteriorTransform | None = None,
    ) -> Posterior:
        """Predict the outputs jointly at groups of points; differentiable by the points.

        Parameters
        ----------
        X : Tensor of shape (..., q, d)
            Groups of q points, of the model's dtype.
        output_indices : list of int, default=None
            Which outputs; None for all.
        observation_noise : bool or Tensor of shape (..., q or 1, k), default=False
            Whether to add the noise of observations; where each training row has a noise of its
            own, their mean. A tensor gives its variances, on the scale of the transformed outputs.
        posterior_transform : PosteriorTransform, default=None
            Applied to the result.

        Returns
        -------
        botorch.posteriors.GPyTorchPosterior
            With mean and variance of shape (..., q, k), unless a transform makes another posterior
            of it.

        Raises
        ------
        UnsupportedTypeError
            If X is no dense tensor on the CPU of the model's dtype.
        InvalidInputError
            If a shape is wrong, or X has NaN or infinity in it.
        NotPositiveDefiniteError
            If the covariance matrix of the training data has no Cholesky factor.

        Examples
        --------
        >>> import torch
        >>> from gprat.botorch import GPratModel
        >>> X = torch.linspace(0.0, 1.0, 6, dtype=torch.float64).unsqueeze(-1)
        >>> model = GPratModel(X, torch.sin(6.0 * X))
        >>> model.posterior(X.reshape(3, 2, 1)).mean.shape  # three groups of two points
        torch.Size([3, 2, 1])
        """
        self.eval()
        points = self._transform_points(X)
        joint = self._joint(points)
        if observation_noise is not False:
            joint = joint.with_noise(self._as_noise(observation_noise, "observation_noise"))
        transform = getattr(self, "outcome_transform", None)
        if output_indices is not None:
            outputs = self._check_outputs(output_indices)
            joint = joint.select(outputs)
            transform = None if transform is None else transform.subset_output(outputs)
        posterior = _untransform(joint, transform, points)
        return posterior if posterior_transform is None else posterior_transform(posterior)

    def condition_on_observations(
        self, X: Tensor, Y: Tensor, noise: Tensor | None = None
    ) -> GaussianModel:
        """Return the model given more observations; hyperparameters and transforms stay.

        The factor of the training data is extended, in O(n²) operations a row, where the
        observations are one set of constants. Batches of observations, such as fantasies, and those
        that require a gradient are conditioned on when the new model predicts, together with its
        points: exact, without a factor for each, and differentiable by all of them.

        Parameters
        ----------
        X : Tensor of shape (..., r, d)
            Points, as `posterior` takes them.
        Y : Tensor of shape (..., r, k)
            Their observations. Further batch dimensions on the left are those of the new model.
        noise : Tensor, default=None
            Variances that broadcast to the shape of Y, on the scale of the transformed outputs.
            None for the model's own noise; where each training row has one, their mean.

        Returns
        -------
        GaussianModel
            A `GPratModel`, or a model of the same interface.

        Raises
        ------
        UnsupportedTypeError, InvalidInputError
            As in `posterior`.

        Examples
        --------
        >>> import torch
        >>> from gprat.botorch import GPratModel
        >>> X = torch.linspace(0.0, 1.0, 6, dtype=torch.float64).unsqueeze(-1)
        >>> model = GPratModel(X[:5], torch.sin(6.0 * X[:5]))
        >>> model.condition_on_observations(X[5:], torch.sin(6.0 * X[5:])).gp
        GP(n=6, d=1, kernel=RBF(length_scale=0.205), noise=0.00674, float64)
        """
        self.eval()
        points = self._transform_points(X)
        targets = check_tensor(Y, "Y", self.dtype)
        expected = (points.shape[-2], self.num_outputs)
        if targets.ndim < 2 or targets.shape[-2:] != expected:
            raise InvalidInputError(
                f"Y must have shape (..., {expected[0]}, {expected[1]}), one row for each of X's "
                f"and one column an output, got {tuple(targets.shape)}."
            )
        if hasattr(self, "outcome_transform"):
            targets, _ = self.outcome_transform(targets, X=points)
        return self._condition(X, points, targets, noise)

    def fantasize(
        self,
        X: Tensor,
        sampler: MCSampler,
        observation_noise: Tensor | None = None,
        propagate_grads: bool = True,
    ) -> GaussianModel:
        """Return the model given samples of what would be observed at some points.

        Parameters
        ----------
        X : Tensor of shape (..., r, d)
            Points, as `posterior` takes them.
        sampler : botorch.sampling.MCSampler
            Draws the observations.
        observation_noise : Tensor, default=None
            Variances that broadcast to (..., r, k), on the scale of the transformed outputs; None
            for the model's own noise.
        propagate_grads : bool, default=True
            Without effect: the new model is always differentiable by X.

        Returns
        -------
        GaussianModel
            Its `batch_shape` is the sampler's followed by that of X.

        Examples
        --------
        >>> import torch
        >>> from botorch.sampling import SobolQMCNormalSampler
        >>> from gprat.botorch import GPratModel
        >>> X = torch.linspace(0.0, 1.0, 6, dtype=torch.float64).unsqueeze(-1)
        >>> model = GPratModel(X, torch.sin(6.0 * X))
        >>> sampler = SobolQMCNormalSampler(torch.Size([8]), seed=0)
        >>> model.fantasize(X[:1] + 0.1, sampler).posterior(X).mean.shape
        torch.Size([8, 6, 1])
        """
        noise = self._noise if observation_noise is None else observation_noise
        with fantasizing():
            posterior = self.posterior(X, observation_noise=noise)
            shape = (*sampler.sample_shape, *posterior.mean.shape)
            # Samplers want at least one point to sample at.
            Y = sampler(posterior) if math.prod(shape) else X.new_empty(shape)
            return self.condition_on_observations(X, Y, noise=noise)

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Take over the hyperparameters and transforms of a model of the same data."""
        return torch.nn.Module.load_state_dict(self, state_dict, strict, assign)

    def train(self, mode: bool = True) -> GaussianModel:
        """Set the mode of the transforms; training data are kept transformed in either."""
        torch.nn.Module.train(self, mode)
        return self

    def eval(self) -> GaussianModel:
        """Set the transforms to what predictions need."""
        return self.train(False)

    def _transform_points(self, X: Any) -> Tensor:
        """Check points as users pass them, and transform them."""
        points = check_points(X, "X", self.dtype, self.n_features)
        try:
            np.broadcast_shapes(points.shape[:-2], self.batch_shape)
        except ValueError as error:
            raise InvalidInputError(
                f"X comes in a batch of shape {tuple(points.shape[:-2])}, which does not broadcast "
                f"to that of the models, {tuple(self.batch_shape)}. Pass X of shape "
                f"{(*self.batch_shape, *points.shape[-2:])}."
            ) from error
        return self.transform_inputs(points)

    def _as_noise(self, noise: bool | Tensor, name: str) -> Tensor:
        """Return variances that broadcast to (..., k, q)."""
        if isinstance(noise, bool):
            return self._noise
        variances = check_tensor(noise, name, self.dtype)
        if bool((variances < 0).any()):
            raise InvalidInputError(
                f"{name} must hold variances, which are not negative, got {float(variances.min())}."
            )
        return torch.atleast_2d(variances).mT

    def _check_outputs(self, indices: Sequence[int]) -> list[int]:
        k = self.num_outputs
        if len(indices) == 0 or any(not -k <= index < k for index in indices):
            raise InvalidInputError(
                f"outputs must be some of the {k} that the model has, got {list(indices)}. Pass "
                f"numbers in [0, {k})."
            )
        return [index % k for index in indices]


def _untransform(joint: Joint, transform: OutcomeTransform | None, points: Tensor) -> Posterior:
    """Return the posterior of the outputs before they were transformed."""
    if transform is None:
        return joint.as_posterior()
    if type(transform) is Standardize:
        # Here, since lazy products, as untransform_posterior makes, cost more than they save.
        return joint.rescale(transform.means, transform.stdvs).as_posterior()
    return transform.untransform_posterior(joint.as_posterior(), X=points)
