"""Predictions as functions of JAX arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import numpy as np
from jax.typing import ArrayLike

from gprat._validation import FloatArray
from gprat.differentiation import Regression
from gprat.jax import _kept
from gprat.jax._arguments import (
    Arguments,
    OnFailure,
    check_on_failure,
    check_shapes,
    read_arguments,
)
from gprat.jax._host import HostCall, call, chosen, given, like, perturbed, wanted_flags
from gprat.jax._regressions import regression_for
from gprat.jax.prediction import Posterior
from gprat.kernels import Kernel
from gprat.means import MeanLike

__all__ = ["posterior"]


def posterior(
    X: ArrayLike,
    y: ArrayLike,
    Xs: ArrayLike,
    kernel: Kernel,
    theta: ArrayLike | None = None,
    noise: ArrayLike = 0.1,
    *,
    joint: bool = False,
    mean: MeanLike = "zero",
    mean_coefficients: ArrayLike | None = None,
    tile_size: int | Literal["auto"] = "auto",
    threads: int | None = None,
    memory_limit: int | None = None,
    on_failure: OnFailure = "raise",
) -> Posterior:
    """Predict the latent function at test points, differentiable by all arrays.

    The factor of the covariance matrix is kept, n²/2 numbers, until another model takes its place
    or `forget` is called: its gradients, and predictions at other points from the same numbers,
    then need no other factorisation. `jax.vmap` over models factorises anew for each gradient.

    Parameters
    ----------
    X : array of shape (n, d)
        Training inputs. All arrays are converted to the dtype that JAX promotes them to: float32,
        or float64 after ``jax.config.update("jax_enable_x64", True)``.
    y : array of shape (n,) or (n, k)
        Training targets; k outputs share kernel and noise.
    Xs : array of shape (m, d) or (..., q, d)
        Test points, or batches of q test points that are predicted jointly.
    kernel, theta, noise
        As in `log_marginal_likelihood`.
    joint : bool, default=False
        Whether to predict the covariance between the points of each batch, and not the variances
        alone.
    mean, mean_coefficients, tile_size, threads, memory_limit, on_failure
        As in `log_marginal_likelihood`.

    Returns
    -------
    Posterior
        Its mean and its variance or covariance, without the noise of observations.

    Raises
    ------
    InvalidInputError
        If a shape or an option makes no sense.
    UnsupportedTypeError
        If an argument is no array of real numbers, or the dtype is neither float32 nor float64.
    SecondDerivativeError
        If a gradient is differentiated again.
    jax.errors.JaxRuntimeError or ValueError
        If the computation fails, when it runs: what JAX makes of errors in compiled code. The
        message ends with that of gprat's error.

    Examples
    --------
    >>> import jax
    >>> import numpy as np
    >>> from gprat.jax import posterior
    >>> from gprat.kernels import RBF
    >>> jax.config.update("jax_enable_x64", True)
    >>> X = jax.numpy.linspace(0, 6, 40).reshape(-1, 1)
    >>> def total(Xs):
    ...     return posterior(X, jax.numpy.sin(X[:, 0]), Xs, RBF(1.0), noise=1e-6).mean.sum()
    >>> np.asarray(jax.grad(total)(np.array([[0.0], [np.pi]]))).round(2)
    array([[ 1.],
           [-1.]])
    """
    arguments = read_arguments(
        X=X, y=y, theta=theta, noise=noise, mean_coefficients=mean_coefficients, Xs=Xs
    )
    regression = regression_for(
        kernel, mean=mean, tile_size=tile_size, threads=threads, memory_limit=memory_limit
    )
    check_shapes(regression, arguments)
    model = _Model(regression, bool(joint), check_on_failure(on_failure))
    expected, spread, scale = _predict(model, arguments)
    if not joint:
        return Posterior(expected, spread, None, None, model.on_failure)
    variance = jax.numpy.diagonal(spread, axis1=-2, axis2=-1)
    return Posterior(expected, variance, spread, jax.lax.stop_gradient(scale), model.on_failure)


_Prediction = tuple[jax.Array, jax.Array, jax.Array]
"""Means, variances or covariances, and the largest variance before the data were known."""


@dataclass(frozen=True)
class _Model:
    """What is no array."""

    regression: Regression
    joint: bool
    on_failure: OnFailure

    def predict(self, arguments: Arguments) -> _Prediction:
        """Return means, spreads, and the scale of spreads."""
        points, targets = arguments["Xs"], arguments["y"]
        batch = points.shape[:-1]
        shapes = ((*batch, *targets.shape[1:]), (*batch, batch[-1]) if self.joint else batch, ())
        result = tuple(jax.ShapeDtypeStruct(shape, points.dtype) for shape in shapes)
        function = _Forward(self.regression, self.joint)
        prediction: _Prediction = call(HostCall(function, result, self.on_failure), arguments)
        return prediction

    def pull_back(
        self,
        arguments: Arguments,
        by_mean: jax.Array | None,
        by_spread: jax.Array | None,
        wanted: tuple[str, ...],
    ) -> tuple[jax.Array, ...]:
        """Return derivatives by the arguments of these names."""
        result = tuple(like(arguments[name]) for name in wanted)
        function = _Backward(self.regression, self.joint, wanted)
        gradients: tuple[jax.Array, ...] = call(
            HostCall(function, result, self.on_failure), arguments, by_mean, by_spread
        )
        return gradients


@dataclass(frozen=True)
class _Forward:
    """The function that JAX calls to predict."""

    regression: Regression
    joint: bool

    def __call__(self, arguments: dict[str, FloatArray]) -> tuple[FloatArray, ...]:
        points = arguments.pop("Xs")
        conditioned = _kept.condition(self.regression, arguments)
        mean, spread = conditioned.predict(points, joint=self.joint)
        scale = conditioned.prior_variance(points).max(initial=0.0)
        return mean, spread, np.asarray(scale, points.dtype)


@dataclass(frozen=True)
class _Backward:
    """The function that JAX calls to differentiate a prediction."""

    regression: Regression
    joint: bool
    wanted: tuple[str, ...]

    def __call__(
        self,
        arguments: dict[str, FloatArray],
        by_mean: FloatArray | None,
        by_spread: FloatArray | None,
    ) -> tuple[Any, ...]:
        points = arguments.pop("Xs")
        conditioned = _kept.condition(self.regression, arguments)
        gradients = conditioned.pull_back(
            points, by_mean, by_spread, wanted_flags(self.wanted), joint=self.joint
        )
        return chosen(gradients, self.wanted)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _predict(model: _Model, arguments: Arguments) -> _Prediction:
    return model.predict(arguments)


def _forward(model: _Model, primals: Any) -> tuple[_Prediction, Any]:
    arguments, wanted = perturbed(primals)
    # Names without values: the tree of residuals has them, and they are known when JAX traces.
    return model.predict(arguments), (arguments, dict.fromkeys(wanted))


def _backward(model: _Model, residuals: Any, cotangents: Any) -> tuple[dict[str, jax.Array | None]]:
    arguments, wanted = residuals[0], tuple(residuals[1])
    by_mean, by_spread, _ = map(given, cotangents)
    nothing: dict[str, jax.Array | None] = dict.fromkeys(arguments)
    if by_mean is None and by_spread is None:
        return (nothing,)
    gradients = model.pull_back(arguments, by_mean, by_spread, wanted)
    return (nothing | dict(zip(wanted, gradients, strict=True)),)


_predict.defvjp(_forward, _backward, symbolic_zeros=True)
