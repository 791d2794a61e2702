"""The log marginal likelihood as a function of JAX arrays."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import numpy as np
from jax.typing import ArrayLike

from gprat._validation import FloatArray
from gprat.differentiation import Regression
from gprat.jax._arguments import (
    Arguments,
    OnFailure,
    check_on_failure,
    check_shapes,
    read_arguments,
)
from gprat.jax._host import HostCall, call, chosen, given, like, perturbed, wanted_flags
from gprat.jax._regressions import regression_for
from gprat.kernels import Kernel
from gprat.means import MeanLike

__all__ = ["log_marginal_likelihood"]


def log_marginal_likelihood(
    X: ArrayLike,
    y: ArrayLike,
    kernel: Kernel,
    theta: ArrayLike | None = None,
    noise: ArrayLike = 0.1,
    *,
    mean: MeanLike = "zero",
    mean_coefficients: ArrayLike | None = None,
    tile_size: int | Literal["auto"] = "auto",
    threads: int | None = None,
    memory_limit: int | None = None,
    on_failure: OnFailure = "raise",
) -> jax.Array:
    """Return the log marginal likelihood of targets, differentiable by all arrays (R&W 2.30).

    Under `jax.grad` value and gradient come from one pass over the tiles: n³ operations and n²/2
    numbers, which are freed at its end. Derivatives are computed by those arrays alone that JAX
    differentiates by, in reverse mode, and once: no `jax.jvp`, no `jax.hessian`.

    Parameters
    ----------
    X : array of shape (n, d)
        Training inputs. All arrays are converted to the dtype that JAX promotes them to: float32,
        or float64 after ``jax.config.update("jax_enable_x64", True)``.
    y : array of shape (n,) or (n, k)
        Training targets; the likelihoods of several outputs are summed.
    kernel : gprat.kernels.Kernel
        The covariance function, made of plain numbers. A part whose bounds are "fixed" is no part
        of `theta`.
    theta : array of shape (p,), default=None
        The kernel's free hyperparameters in the order and on the scale of ``kernel.theta``:
        logarithms. None for those of the kernel.
    noise : float or array of shape (), (1,) or (n,), default=0.1
        Noise variance of the targets, one for all rows or one each; not a logarithm.
    mean : {"zero", "constant", "linear", "quadratic"}, callable or list, default="zero"
        The mean function, as in `gprat.GP`; its functions take NumPy arrays.
    mean_coefficients : array of shape (q,) or (q, k), default=None
        Coefficients of the mean's basis functions. None to integrate them out, as `gprat.GP` does.
    tile_size, threads, memory_limit
        As in `gprat.GP`.
    on_failure : {"raise", "nan"}, default="raise"
        What to do where values have no likelihood: the covariance matrix has no Cholesky factor,
        `theta` or `noise` is out of range, an array is not finite. "raise" for an error; "nan" for
        NaN, and NaN for all derivatives, which samplers reject.

    Returns
    -------
    array of shape ()
        In nats.

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
    >>> from gprat.jax import log_marginal_likelihood
    >>> from gprat.kernels import RBF
    >>> jax.config.update("jax_enable_x64", True)
    >>> X, y = jax.numpy.array([[0.0], [1.0]]), jax.numpy.array([1.0, -1.0])
    >>> gradient = jax.grad(log_marginal_likelihood)(X, y, RBF(1.0), noise=0.5)
    >>> np.asarray(gradient).round(3)  # apart, the two targets would be more probable
    array([[-0.564],
           [ 0.564]])
    """
    arguments = read_arguments(
        X=X, y=y, theta=theta, noise=noise, mean_coefficients=mean_coefficients
    )
    regression = regression_for(
        kernel, mean=mean, tile_size=tile_size, threads=threads, memory_limit=memory_limit
    )
    check_shapes(regression, arguments)
    return _likelihood(_Model(regression, check_on_failure(on_failure)), arguments)


@dataclass(frozen=True)
class _Model:
    """What is no array."""

    regression: Regression
    on_failure: OnFailure

    def evaluate(
        self, arguments: Arguments, wanted: tuple[str, ...]
    ) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        """Return the likelihood and its derivatives by the arguments of these names."""
        value = jax.ShapeDtypeStruct((), arguments["X"].dtype)
        result = (value, tuple(like(arguments[name]) for name in wanted))
        function = _Evaluation(self.regression, wanted)
        value, gradients = call(HostCall(function, result, self.on_failure), arguments)
        return value, gradients


@dataclass(frozen=True)
class _Evaluation:
    """The function that JAX calls."""

    regression: Regression
    wanted: tuple[str, ...]

    def __call__(self, arguments: dict[str, FloatArray]) -> tuple[FloatArray, tuple[Any, ...]]:
        value, gradients = self.regression.log_marginal_likelihood(
            **arguments, wanted=wanted_flags(self.wanted)
        )
        return np.asarray(value, arguments["X"].dtype), chosen(gradients, self.wanted)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _likelihood(model: _Model, arguments: Arguments) -> jax.Array:
    return model.evaluate(arguments, ())[0]


def _forward(model: _Model, primals: Any) -> tuple[jax.Array, dict[str, jax.Array | None]]:
    """Compute the gradient along with the value: the way back only scales it."""
    arguments, wanted = perturbed(primals)
    value, gradients = model.evaluate(arguments, wanted)
    nothing: dict[str, jax.Array | None] = dict.fromkeys(arguments)
    return value, nothing | dict(zip(wanted, gradients, strict=True))


def _backward(
    model: _Model, gradients: dict[str, jax.Array | None], cotangent: Any
) -> tuple[dict[str, jax.Array | None]]:
    scale = given(cotangent)
    return (
        {
            name: None if gradient is None or scale is None else scale * gradient
            for name, gradient in gradients.items()
        },
    )


_likelihood.defvjp(_forward, _backward, symbolic_zeros=True)
