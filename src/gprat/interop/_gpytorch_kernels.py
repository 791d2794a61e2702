"""Kernels of GPyTorch as kernels of gprat that compute the same numbers."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

from gprat.exceptions import InvalidInputError, UnsupportedKernelError
from gprat.interop._gpytorch_parameters import Parameter, ParameterReader, kind
from gprat.kernels import (
    RBF,
    ActiveDims,
    ConstantKernel,
    Cosine,
    Kernel,
    Linear,
    Matern,
    Periodic,
    Polynomial,
    RationalQuadratic,
    SpectralMixture,
)
from gprat.kernels._reading import element_names
from gprat.priors import Distribution

__all__ = ["KernelReader", "ReadKernel"]


class ReadKernel(NamedTuple):
    """A kernel, and priors by the names of its hyperparameters."""

    kernel: Kernel
    priors: dict[str, Distribution]

    def inside(self, part: str) -> dict[str, Distribution]:
        """Return the priors as they are named when the kernel is a part of another one."""
        return {f"{part}__{name}": prior for name, prior in self.priors.items()}

    def __add__(self, other: ReadKernel) -> ReadKernel:  # type: ignore[override]
        return ReadKernel(self.kernel + other.kernel, self.inside("k1") | other.inside("k2"))

    def __mul__(self, other: ReadKernel) -> ReadKernel:  # type: ignore[override]
        return ReadKernel(self.kernel * other.kernel, self.inside("k1") | other.inside("k2"))


class _Theirs(NamedTuple):
    """A hyperparameter of gprat as factor·attribute^power of GPyTorch's kernel."""

    attribute: str
    factor: float = 1.0
    power: float = 1.0


class _Leaf(NamedTuple):
    """How a kernel without kernels inside is built."""

    kernel: Callable[..., Kernel]
    hyperparameters: dict[str, _Theirs]
    options: Callable[[Any, str, int], dict[str, Any]] = lambda module, path, width: {}


class KernelReader:
    """Turns kernels of GPyTorch into those of gprat.

    Parameters
    ----------
    parameters : ParameterReader
        Reads the parameters of each kernel.
    """

    def __init__(self, parameters: ParameterReader) -> None:
        self._parameters = parameters

    def read(self, module: Any, path: str, width: int) -> ReadKernel:
        """Return a kernel as it is called.

        Parameters
        ----------
        module : gpytorch.kernels.Kernel
            The kernel.
        path : str
            Its name in the model.
        width : int
            Number of features that it is given.

        Returns
        -------
        ReadKernel

        Raises
        ------
        UnsupportedKernelError
            If gprat has no such kernel.
        InvalidInputError
            If a parameter is not positive, or does not fit the features.
        """
        dims = _active_dims(module, path, width)
        read = self._read_selected(module, path, width if dims is None else len(dims))
        if dims is None:
            return read
        return ReadKernel(ActiveDims(read.kernel, dims), read.inside("kernel"))

    def _read_selected(self, module: Any, path: str, width: int) -> ReadKernel:
        """Return a kernel of features that are selected already."""
        name = kind(module)
        if name in _LEAVES:
            return self._leaf(module, path, width, _LEAVES[name])
        if name == "ScaleKernel":
            _refuse_batches(module, path)
            scale = self._leaf(module, path, width, _SCALE)
            # It calls `forward` of the kernel inside, which then does not select its features.
            return scale * self._read_selected(module.base_kernel, f"{path}.base_kernel", width)
        if name in _OPERATORS and len(module.kernels) > 0:
            parts = (
                self.read(part, f"{path}.kernels.{i}", width)
                for i, part in enumerate(module.kernels)
            )
            return reduce(_OPERATORS[name], parts)
        if name == "SpectralMixtureKernel":
            return self._spectral_mixture(module, path, width)
        supported = sorted([*_LEAVES, *_OPERATORS, "ScaleKernel", "SpectralMixtureKernel"])
        raise UnsupportedKernelError(
            f"{path} is a {type(module).__name__}, which gprat cannot take over: it has exact "
            f"counterparts of {', '.join(supported)} (no subclasses). Train a model of those, or "
            "write the kernel with scikit-learn's interface and make a gprat.GP."
        )

    def _leaf(self, module: Any, path: str, width: int, leaf: _Leaf) -> ReadKernel:
        _refuse_batches(module, path)
        options = leaf.options(module, path, width)
        found = {
            name: self._parameter(module, path, width, *theirs)
            for name, theirs in leaf.hyperparameters.items()
        }
        return _build(leaf.kernel, found, options)

    def _parameter(
        self, module: Any, path: str, width: int, attribute: str, factor: float, power: float
    ) -> Parameter:
        found = self._parameters.parameter(module, path, attribute, factor=factor, power=power)
        _check_count(found.values.size, f"{path}.{attribute}", width)
        return found

    def _spectral_mixture(self, module: Any, path: str, width: int) -> ReadKernel:
        """Return the product over features of a spectral mixture each, with the same weights."""
        _refuse_batches(module, path)
        weights, means, scales = (
            self._parameters.parameter(module, path, f"mixture_{name}")
            for name in ("weights", "means", "scales")
        )
        count = weights.values.size
        if means.values.size != count * width:
            raise InvalidInputError(
                f"{path}.mixture_means has ard_num_dims={means.values.size // count}, but the "
                f"kernel is given {width} features. Make them agree."
            )
        if width == 1:
            return _mixture(weights, means, scales)
        if weights.limits is not None:
            self._parameters.remarks.append(
                f"{path}.mixture_weights serve all {width} features, but will be trained apart for "
                "each"
            )
        mixtures = (
            _mixture(weights, means.every(width, f), scales.every(width, f)) for f in range(width)
        )
        return reduce(
            operator.mul,
            (
                ReadKernel(ActiveDims(mixture.kernel, [f]), mixture.inside("kernel"))
                for f, mixture in enumerate(mixtures)
            ),
        )


def _mixture(weights: Parameter, means: Parameter, scales: Parameter) -> ReadKernel:
    """Return a spectral mixture of one feature."""
    found = {"weights": weights, "means": means, "scales": scales}
    return _build(SpectralMixture, found, {}, as_vectors=True)


def _build(
    kernel: Callable[..., Kernel],
    hyperparameters: dict[str, Parameter],
    options: dict[str, Any],
    *,
    as_vectors: bool = False,
) -> ReadKernel:
    """Make a kernel from its hyperparameters and other arguments."""
    arguments, priors = dict(options), {}
    for name, parameter in hyperparameters.items():
        arguments[name] = parameter.values if as_vectors else parameter.value
        arguments[f"{name}_bounds"] = parameter.bounds
        elements = element_names(name, parameter.values.shape)
        for element, prior in zip(elements, parameter.priors, strict=True):
            if prior is not None:
                priors[element] = prior
    return ReadKernel(kernel(**arguments), priors)


def _active_dims(module: Any, path: str, width: int) -> list[int] | None:
    """Return the features that a kernel selects; None for all, in their order."""
    if module.active_dims is None:
        return None
    dims: list[int] = module.active_dims.tolist()
    if not dims or len(set(dims)) < len(dims) or not all(0 <= dim < width for dim in dims):
        raise UnsupportedKernelError(
            f"{path}.active_dims must be distinct columns from 0 to {width - 1}, got {dims}. "
            "Select each column once."
        )
    return None if dims == list(range(width)) else dims


def _refuse_batches(module: Any, path: str) -> None:
    shape = tuple(module.batch_shape)
    if shape:
        raise UnsupportedKernelError(
            f"{path} is a {type(module).__name__} of batch_shape {shape}; gprat has one model at a "
            "time. Make a model of each member of the batch."
        )


def _check_count(count: int, name: str, width: int) -> None:
    if count not in (1, width):
        raise InvalidInputError(
            f"{name} has {count} values, but the kernel is given {width} features. Set "
            f"ard_num_dims={width}, or select {count} features by active_dims."
        )


def _matern_options(module: Any, path: str, width: int) -> dict[str, Any]:
    return {"nu": module.nu}


def _cosine_options(module: Any, path: str, width: int) -> dict[str, Any]:
    if width != 1:
        raise UnsupportedKernelError(
            f"{path} is a CosineKernel of {width} features: the cosine of a Euclidean distance, "
            "which is not positive semidefinite for more than one. Select one by active_dims."
        )
    return {}


def _polynomial_options(module: Any, path: str, width: int) -> dict[str, Any]:
    power = float(module.power)
    if not (power.is_integer() and power >= 1.0):
        raise UnsupportedKernelError(
            f"{path}.power of PolynomialKernel must be a whole number of at least 1, got {power}: "
            "other powers give no covariance function."
        )
    return {"degree": int(power), "variance": 1.0, "variance_bounds": "fixed"}


_SCALE = _Leaf(ConstantKernel, {"constant_value": _Theirs("outputscale")})
_OPERATORS = {"AdditiveKernel": operator.add, "ProductKernel": operator.mul}
_LENGTH = {"length_scale": _Theirs("lengthscale")}
_LEAVES = {
    "ConstantKernel": _Leaf(ConstantKernel, {"constant_value": _Theirs("constant")}),
    "RBFKernel": _Leaf(RBF, _LENGTH),
    "MaternKernel": _Leaf(Matern, _LENGTH, _matern_options),
    "RQKernel": _Leaf(RationalQuadratic, _LENGTH | {"alpha": _Theirs("alpha")}),
    # exp(-2 Σ sin²/l): this l is the square of ours.
    "PeriodicKernel": _Leaf(
        Periodic,
        {
            "length_scale": _Theirs("lengthscale", power=0.5),
            "periodicity": _Theirs("period_length"),
        },
    ),
    "LinearKernel": _Leaf(Linear, {"variance": _Theirs("variance")}),
    "PolynomialKernel": _Leaf(Polynomial, {"offset": _Theirs("offset")}, _polynomial_options),
    # cos(π r/p): p is half a period.
    "CosineKernel": _Leaf(
        Cosine, {"period": _Theirs("period_length", factor=2.0)}, _cosine_options
    ),
}
