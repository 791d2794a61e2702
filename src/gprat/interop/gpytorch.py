"""Take over exact models of GPyTorch."""

from __future__ import annotations

import warnings
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from gprat._validation import Float64Array
from gprat.exceptions import InvalidInputError, UnsupportedKernelError, UnsupportedTypeError
from gprat.gp import GP
from gprat.interop._gpytorch_kernels import KernelReader
from gprat.interop._gpytorch_parameters import Parameter, ParameterReader, as_float64, kind
from gprat.means import FixedLinear, MeanLike

__all__ = ["from_gpytorch"]

_NOISE_BOUNDS = (1e-10, 1e5)
# Rows at which a model's own `forward` is compared with its mean and its kernel.
_COMPARED_ROWS = 32


def from_gpytorch(
    model: Any,
    likelihood: Any = None,
    *,
    dtype: npt.DTypeLike | None = None,
    tile_size: int | Literal["auto"] = "auto",
    threads: int | None = None,
) -> GP:
    """Make a `gprat.GP` of an exact model of GPyTorch: same data, kernel, mean and noise.

    It makes the same predictions, but always exactly. Parameters are read in double precision.
    Where they have constraints with finite ends, these become bounds for training; a parameter
    that does not require a gradient is fixed. Constant and linear means become fixed ones.

    Parameters
    ----------
    model : gpytorch.models.ExactGP
        With training data, and one mean and one kernel, in train or in eval mode. It is read,
        never changed; the training inputs are shared with it, not copied, where they are
        contiguous and on the CPU.
    likelihood : gpytorch.likelihoods.Likelihood, default=None
        A `GaussianLikelihood` or `FixedNoiseGaussianLikelihood`; None for the model's own.
    dtype : numpy.float64 or numpy.float32, default=None
        Precision of the computation; None for that of the training inputs.
    tile_size : int or "auto", default="auto"
        See `gprat.GP`.
    threads : int, default=None
        See `gprat.GP`.

    Returns
    -------
    GP
        Ready to predict or to be trained further.

    Raises
    ------
    UnsupportedKernelError
        If a kernel has no exact counterpart in `gprat.kernels`.
    UnsupportedTypeError
        If the model is no `ExactGP`, or a part of it is of a class that gprat cannot take over,
        such as an input transform.
    InvalidInputError
        If the model has no training data, or a parameter or a shape makes no sense.

    Warns
    -----
    UserWarning
        If a prior has no counterpart in `scipy.stats` and is left out, or two kernels share a
        parameter. Neither changes predictions.

    Notes
    -----
    Priors become those of `scipy.stats`. GPyTorch adds the logarithm of their density to the
    likelihood as it stands; gprat's training maximises the posterior density of ``theta``, which
    has the Jacobian in it, so that the two find somewhat different maxima.

    Examples
    --------
    >>> import gprat
    >>> gp = gprat.from_gpytorch(model)  # doctest: +SKIP
    >>> mean, variance = gp.predict_with_uncertainty(X)  # doctest: +SKIP
    """
    parts = _split(model, likelihood)
    X, targets = _training_data(model)
    parameters = ParameterReader()
    kernel, priors = KernelReader(parameters).read(*parts.kernel, X.shape[1])
    mean = _mean(parameters, *parts.mean)
    noise, noise_prior = _noise(parameters, *parts.likelihood, len(X))
    _check_forward(model, parts)

    for module, path in parts:
        parameters.note_unused_priors(module, path)
    if parameters.remarks:
        remarks = "; ".join(parameters.remarks)
        warnings.warn(f"from_gpytorch: {remarks}. Predictions are the same.", stacklevel=2)
    return GP(
        X,
        targets,
        kernel,
        mean=mean,
        priors={**priors, **noise_prior} or None,
        tile_size=tile_size,
        threads=threads,
        dtype=dtype,
        **noise,
    )


class _Part(NamedTuple):
    """A module of a model, and its name there."""

    module: Any
    path: str


class _Parts(NamedTuple):
    """What an exact model consists of."""

    mean: _Part
    kernel: _Part
    likelihood: _Part


def _split(model: Any, likelihood: Any) -> _Parts:
    """Find the parts of a model by what they are, whatever they are called."""
    if not _is_a(model, "ExactGP"):
        raise UnsupportedTypeError(
            f"model must be a gpytorch.models.ExactGP, got {_class_of(model)}. Approximate models "
            "have no exact counterpart; train an ExactGP with the same kernel."
        )
    means, kernels, others = [], [], []
    for path, module in model.named_children():
        part = _Part(module, path)
        if _is_a(module, "Mean"):
            means.append(part)
        elif _is_a(module, "Kernel"):
            kernels.append(part)
        elif module is not model.likelihood:
            others.append(part)
    if others:
        listed = ", ".join(f"{part.path} ({type(part.module).__name__})" for part in others)
        raise UnsupportedTypeError(
            f"the model has parts that gprat does not: {listed}. If they transform inputs or "
            "targets, apply them to the data, and make a model of the result."
        )
    if len(means) != 1 or len(kernels) != 1:
        found = ", ".join(part.path for part in (*means, *kernels)) or "none"
        raise UnsupportedTypeError(
            f"the model must have one mean and one kernel as attributes, got {found}. Add or "
            "multiply kernels into one, and use gpytorch.means.ZeroMean for no mean."
        )
    chosen = model.likelihood if likelihood is None else likelihood
    return _Parts(means[0], kernels[0], _Part(chosen, "likelihood"))


def _training_data(model: Any) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return inputs of shape (n, d) and targets of shape (n,)."""
    inputs, targets = model.train_inputs, model.train_targets
    if inputs is None or targets is None:
        raise InvalidInputError(
            "the model has no training data. Set them by model.set_train_data(X, y, strict=False)."
        )
    if len(inputs) != 1:
        raise UnsupportedTypeError(
            f"the model has {len(inputs)} tensors of training inputs; gprat takes one. Put their "
            "columns side by side."
        )
    X = inputs[0]
    if X.ndim != 2 or tuple(targets.shape) != (X.shape[0],):
        raise InvalidInputError(
            "the training inputs must have shape (n, d) and the targets (n,), got "
            f"{tuple(X.shape)} and {tuple(targets.shape)}: gprat takes over neither batches nor "
            "multitask models. Make a model of each output."
        )
    return _as_array(X), _as_array(targets)


def _as_array(tensor: Any) -> npt.NDArray[Any]:
    """Return a tensor's numbers, without a copy if that can be."""
    if str(tensor.dtype) not in ("torch.float32", "torch.float64"):
        return as_float64(tensor)
    array: npt.NDArray[Any] = tensor.detach().cpu().numpy()
    return array


def _mean(parameters: ParameterReader, module: Any, path: str) -> MeanLike:
    name = kind(module)
    if name == "ZeroMean":
        return "zero"
    if name == "ConstantMean":
        return FixedLinear(_single(parameters.value(module, "constant"), f"{path}.constant"))
    if name == "LinearMean":
        intercept = 0.0
        if module.bias is not None:
            intercept = _single(parameters.value(module, "bias"), f"{path}.bias")
        weights = parameters.value(module, "weights")
        if weights.ndim != 2:
            raise _batch_error(f"{path}.weights", weights.shape[:-2])
        return FixedLinear(intercept, tuple(weights[:, 0].tolist()))
    raise UnsupportedTypeError(
        f"{path} is a {type(module).__name__}; gprat takes over ZeroMean, ConstantMean and "
        "LinearMean (no subclasses). Make a gprat.GP with the mean as a function."
    )


def _noise(
    parameters: ParameterReader, likelihood: Any, path: str, n: int
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a model's arguments for its noise, and the prior of the noise by name."""
    name = kind(likelihood)
    covariance: Any = getattr(likelihood, "noise_covar", None)
    if name == "GaussianLikelihood" and kind(covariance) == "HomoskedasticNoise":
        return _learned(parameters, covariance, f"{path}.noise_covar")
    if name == "FixedNoiseGaussianLikelihood" and kind(covariance) == "FixedGaussianNoise":
        known = as_float64(covariance.noise)
        if known.shape != (n,):
            raise InvalidInputError(
                f"{path}.noise_covar.noise must have one variance for each of the {n} training "
                f"rows, got shape {known.shape}."
            )
        if likelihood.second_noise_covar is None:
            return {"noise": known}, {}
        second = likelihood.second_noise_covar
        arguments, prior = _learned(parameters, second, f"{path}.second_noise_covar")
        return arguments | {"known_noise": known}, prior
    raise UnsupportedTypeError(
        f"{path} is a {_class_of(likelihood)}; gprat takes over GaussianLikelihood and "
        "FixedNoiseGaussianLikelihood (no subclasses)."
    )


def _learned(
    parameters: ParameterReader, module: Any, path: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    noise: Parameter = parameters.parameter(module, path, "noise", default_bounds=_NOISE_BOUNDS)
    value = _single(noise.values, f"{path}.noise")
    prior = {} if noise.priors[0] is None else {"noise_variance": noise.priors[0]}
    return {"noise": value, "noise_bounds": noise.bounds}, prior


def _check_forward(model: Any, parts: _Parts) -> None:
    """Check that a model computes nothing but its mean and its kernel.

    Its `forward` is the user's: it may transform inputs or add terms. At some training points it
    must give what the two parts give, in the precision of the model.
    """
    X = model.train_inputs[0].detach()
    rows = np.unique(np.linspace(0, len(X) - 1, _COMPARED_ROWS).astype(int)).tolist()
    points = X[rows]
    try:
        output = model.forward(points)
        expected = (parts.mean.module(points), parts.kernel.module(points).to_dense())
    except Exception as error:  # whatever the user's code raises
        raise InvalidInputError(
            f"the model cannot be evaluated at its own training inputs: {error}"
        ) from error
    if kind(output) != "MultivariateNormal":
        raise UnsupportedTypeError(
            "model.forward must return a gpytorch.distributions.MultivariateNormal, got "
            f"{_class_of(output)}."
        )
    found = (output.mean, output.lazy_covariance_matrix.to_dense())
    for theirs, ours, part in zip(found, expected, (parts.mean, parts.kernel), strict=True):
        if not _agree(as_float64(theirs), as_float64(ours)):
            raise UnsupportedKernelError(
                f"model.forward returns something else than {part.path} of its argument, so that "
                "gprat cannot tell what the model is. If it transforms the inputs, apply that to "
                "the data, and make a model whose forward uses them as they are."
            )


def _agree(one: Float64Array, other: Float64Array) -> bool:
    """Whether two results of the same formula agree, which may have rounded differently."""
    scale = np.abs(other).max(initial=0.0)
    return one.shape == other.shape and bool(np.abs(one - other).max(initial=0.0) <= 1e-4 * scale)


def _single(values: Float64Array, name: str) -> float:
    if values.size != 1:
        raise _batch_error(name, values.shape)
    return float(values.ravel()[0])


def _batch_error(name: str, shape: tuple[int, ...]) -> UnsupportedTypeError:
    return UnsupportedTypeError(
        f"{name} is a batch of shape {shape}; gprat has one model at a time. Make a model of each "
        "member of the batch."
    )


def _is_a(module: Any, name: str) -> bool:
    """Whether a class of GPyTorch with this name is among the bases of an object."""
    return any(
        base.__name__ == name and base.__module__.startswith("gpytorch.")
        for base in type(module).__mro__
    )


def _class_of(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__name__}"
