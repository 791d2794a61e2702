"""The model that users give to BoTorch's acquisition functions."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from botorch.models.transforms.input import InputTransform
from botorch.models.transforms.outcome import OutcomeTransform, Standardize
from botorch.utils.types import DEFAULT

from gprat._validation import FloatArray
from gprat.botorch._tensors import Tensor, check_training_data
from gprat.botorch.base import GaussianModel
from gprat.botorch.defaults import INITIAL_NOISE, NOISE_BOUNDS, default_kernel, default_priors
from gprat.botorch.fantasies import FantasyModel
from gprat.botorch.joint import Joint
from gprat.botorch.predicting import predict_jointly
from gprat.exceptions import InvalidInputError
from gprat.gp import GP
from gprat.gp.state import NoiseBounds
from gprat.kernels import Kernel
from gprat.means import MeanLike
from gprat.priors import Distribution

__all__ = ["GPratModel"]


class GPratModel(GaussianModel):
    """A Gaussian process for BoTorch, computed by gprat; takes the place of `SingleTaskGP`.

    Acquisition functions use it unchanged: posteriors are jointly Gaussian, differentiable by the
    points, in batches of any shape. The defaults are those of `SingleTaskGP`: standardised targets,
    a squared exponential kernel with a length scale a feature, priors of length scales and noise.
    The mean is a constant too, but it is integrated out instead of trained.

    Parameters
    ----------
    train_X : Tensor of shape (n, d)
        Training inputs, float64 or float32, on the CPU. A contiguous tensor is shared, where there
        is no input transform, and must not change while the model lives.
    train_Y : Tensor of shape (n, k)
        Training targets of the same dtype, one column an output. Outputs share the hyperparameters;
        for separate ones put a model for each into a ``botorch.models.ModelList``.
    train_Yvar : Tensor of shape (n, k), default=None
        Known noise variances of the targets, on their scale, the same for all outputs of a row.
        They take the place of `noise`.
    kernel : gprat.kernels.Kernel, default=None
        Kernel of the transformed inputs and targets; None for ``RBF`` with d length scales.
    noise : float, default=None
        Noise variance of the transformed targets, from which training starts; None for 0.0067.
    noise_bounds : tuple of float or "fixed", default=(1e-4, 1e5)
        See `gprat.GP`.
    mean : {"zero", "constant", "linear", "quadratic"} or others, default="constant"
        See `gprat.GP`; of the transformed targets.
    priors : mapping, default=None
        See `gprat.GP`. They come after the default ones, which the default kernel and noise have:
        those of Hvarfner, Hellsten and Nardi (2024), as BoTorch counts them.
    outcome_transform : botorch.models.transforms.outcome.OutcomeTransform or None
        Applied to the targets, and undone in posteriors; by default `Standardize`, None for none.
    input_transform : botorch.models.transforms.input.InputTransform, default=None
        Applied to all inputs; without parameters to learn, such as `Normalize`.
    tile_size : int or "auto", default="auto"
        See `gprat.GP`.
    threads : int, default=None
        See `gprat.GP`.
    memory_limit : int, default=None
        See `gprat.GP`.

    Attributes
    ----------
    gp : gprat.GP
        The model of the transformed data. Whatever is done to its hyperparameters counts at the
        next posterior.

    Raises
    ------
    InvalidInputError
        If a shape or a value makes no sense.
    UnsupportedTypeError
        If a tensor is not dense, not on the CPU, or of another dtype than the others.

    Examples
    --------
    >>> import torch
    >>> from botorch.acquisition import LogExpectedImprovement
    >>> from botorch.optim import optimize_acqf
    >>> from gprat.botorch import GPratModel
    >>> X = torch.linspace(0.0, 1.0, 6, dtype=torch.float64).unsqueeze(-1)
    >>> Y = torch.sin(6.0 * X)
    >>> model = GPratModel(X, Y).fit()
    >>> improvement = LogExpectedImprovement(model, best_f=Y.max())
    >>> bounds = torch.tensor([[0.0], [1.0]], dtype=torch.float64)
    >>> point, _ = optimize_acqf(improvement, bounds, q=1, num_restarts=2, raw_samples=16)
    >>> bool(abs(point.item() - torch.pi / 12) < 0.05)  # where the sine is largest
    True
    """

    def __init__(
        self,
        train_X: Tensor,
        train_Y: Tensor,
        train_Yvar: Tensor | None = None,
        *,
        kernel: Kernel | None = None,
        noise: float | None = None,
        noise_bounds: NoiseBounds = NOISE_BOUNDS,
        mean: MeanLike = "constant",
        priors: Mapping[str, Distribution] | None = None,
        outcome_transform: OutcomeTransform | None = DEFAULT,
        input_transform: InputTransform | None = None,
        tile_size: int | Literal["auto"] = "auto",
        threads: int | None = None,
        memory_limit: int | None = None,
    ) -> None:
        X, Y, Yvar = check_training_data(train_X, train_Y, train_Yvar)
        if Yvar is not None and noise is not None:
            raise InvalidInputError(
                "train_Yvar is the noise of the targets, and noise too. Pass one of them."
            )
        if outcome_transform is DEFAULT:
            outcome_transform = Standardize(m=Y.shape[-1])
        points = _transform_inputs(X, input_transform)
        with torch.no_grad():
            if outcome_transform is not None:
                Y, Yvar = outcome_transform(Y, Yvar, X=points)
        d = points.shape[-1]
        learns_noise = Yvar is None and noise_bounds != "fixed"
        has_default_noise = learns_noise and noise is None
        defaults = default_priors(d, kernel=kernel is None, noise=has_default_noise)
        variances = INITIAL_NOISE if noise is None else noise
        options: dict[str, Any] = {
            "noise_bounds": noise_bounds,
            "mean": mean,
            "priors": {**defaults, **(priors or {})} or None,
            "tile_size": tile_size,
            "threads": threads,
            "memory_limit": memory_limit,
        }
        gp = GP(
            points.numpy(),
            _as_vector(Y.numpy()),
            default_kernel(d) if kernel is None else kernel,
            variances if Yvar is None else _noise_of_rows(Yvar),
            **options,
        )
        self._assemble(gp, X, options, input_transform, outcome_transform)

    def _assemble(
        self,
        gp: GP,
        X: Tensor,
        options: dict[str, Any],
        input_transform: InputTransform | None,
        outcome_transform: OutcomeTransform | None,
    ) -> None:
        super().__init__()
        self.gp = gp
        self._train_X, self._options = X, options
        # Absent where there is none: BoTorch asks for the attributes.
        if input_transform is not None:
            self.input_transform = input_transform
        if outcome_transform is not None:
            self.outcome_transform = outcome_transform
        self.eval()

    def _with(self, gp: GP, X: Tensor, outcome_transform: OutcomeTransform | None) -> GPratModel:
        """Return a model of other data or outputs."""
        model = type(self).__new__(type(self))
        input_transform = getattr(self, "input_transform", None)
        model._assemble(gp, X, self._options, input_transform, outcome_transform)
        return model

    def fit(self, **options: Any) -> GPratModel:
        """Train the hyperparameters; `gp.training_` tells what happened.

        Parameters
        ----------
        **options
            Those of `gprat.GP.optimize`, such as ``n_restarts=4, random_state=0``.

        Returns
        -------
        GPratModel
            This model.
        """
        self.gp.optimize(**options)
        return self

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the model, and of all tensors that it takes."""
        return self._train_X.dtype

    @property
    def n_features(self) -> int:
        """Number of features of points, before the input transform."""
        return int(self._train_X.shape[-1])

    @property
    def num_outputs(self) -> int:
        """Number of outputs, k."""
        return 1 if self.gp.y.ndim == 1 else int(self.gp.y.shape[1])

    @property
    def batch_shape(self) -> torch.Size:
        """Empty: this is one model."""
        return torch.Size()

    @property
    def train_inputs(self) -> tuple[Tensor]:
        """Training inputs as they were given, shape (n, d)."""
        return (self._train_X,)

    @property
    def train_targets(self) -> Tensor:
        """Transformed training targets, shape (n,), or (k, n) of several outputs."""
        return torch.tensor(self.gp.y.T)

    def get_extra_state(self) -> Tensor:
        """Return the hyperparameters, `gp.theta`, which a ``state_dict`` has as "_extra_state"."""
        return torch.tensor(self.gp.theta)

    def set_extra_state(self, state: Tensor) -> None:
        """Take over hyperparameters from a ``state_dict``."""
        self.gp.theta = state.numpy()

    def subset_output(self, idcs: list[int]) -> GPratModel:
        """Return the model of some of the outputs, with the same hyperparameters."""
        outputs = self._check_outputs(idcs)
        targets = self.gp.y.reshape(len(self.gp.y), -1)[:, outputs]
        noise = self.gp.noise_variance
        gp = GP(self.gp.X, _as_vector(targets), self.gp.kernel, noise, **self._options)
        transform = getattr(self, "outcome_transform", None)
        subset = None if transform is None else transform.subset_output(outputs)
        return self._with(gp, self._train_X, subset)

    @property
    def _noise(self) -> Tensor:
        return torch.tensor(np.mean(self.gp.noise_variance), dtype=self.dtype)

    def _joint(self, points: Tensor) -> Joint:
        *batch, q, d = points.shape
        k = self.num_outputs
        if q == 0:
            return Joint(points.new_empty(*batch, k, 0), points.new_empty(*batch, 1, 0, 0))
        mean, covariance = predict_jointly(self.gp, points.reshape(math.prod(batch), q, d))
        means = mean.unsqueeze(-2) if k == 1 else mean.mT
        return Joint(means.reshape(*batch, k, q), covariance.reshape(*batch, 1, q, q))

    def _condition(
        self, X: Tensor, points: Tensor, targets: Tensor, noise: Tensor | None
    ) -> GaussianModel:
        variances = self._noise if noise is None else self._as_noise(noise, "noise")
        is_by_row = np.ndim(self.gp.noise_variance) > 0
        is_one_set = points.ndim == targets.ndim == 2
        if is_one_set and (noise is None or is_by_row) and not _needs_gradient(points, targets):
            rows = torch.atleast_2d(variances).mT.expand(targets.shape) if is_by_row else None
            return self._append(X, points, targets, rows)
        return FantasyModel(self, points, targets, variances)

    def _append(
        self, X: Tensor, points: Tensor, targets: Tensor, variances: Tensor | None
    ) -> GPratModel:
        """Return a model of more rows, whose factor is this one's, extended."""
        gp = copy.copy(self.gp)
        gp.append(
            points.detach().numpy(),
            _as_vector(targets.detach().numpy()),
            noise=None if variances is None else _noise_of_rows(variances),
        )
        rows = torch.cat([self._train_X, X.detach()])
        return self._with(gp, rows, getattr(self, "outcome_transform", None))


def _needs_gradient(*tensors: Tensor) -> bool:
    return torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)


def _transform_inputs(X: Tensor, transform: InputTransform | None) -> Tensor:
    """Return the training inputs as the kernel sees them; the transform learns what it must."""
    if transform is None:
        return X.contiguous()
    if any(parameter.requires_grad for parameter in transform.parameters()):
        raise InvalidInputError(
            f"input_transform {type(transform).__name__} has parameters to learn, which gprat's "
            "training doesn't. Pass one without, such as Normalize, or set requires_grad_(False)."
        )
    with torch.no_grad():
        return transform.to(X).train()(X).contiguous()


def _as_vector(Y: FloatArray) -> FloatArray:
    """Return targets of shape (n, k), as a vector for one output."""
    return Y[:, 0] if Y.shape[1] == 1 else Y


def _noise_of_rows(Yvar: Tensor) -> FloatArray:
    """Return the noise variance of each row, of all its outputs."""
    variances: FloatArray = Yvar.numpy()
    if not (variances == variances[:, :1]).all():
        raise InvalidInputError(
            "train_Yvar must have the same variance for all outputs of a row, after the outcome "
            "transform. Make a model for each output, and a botorch.models.ModelList of them."
        )
    return variances[:, 0]
