"""Kernels as plain data, for files: by the name of the class and its arguments, without pickle.

What comes back is exactly what went in: every bit of a float, arrays as arrays with their dtype,
tuples as tuples. Only classes in `KERNELS`, and a few more of scikit-learn's, can be made from
such data, and nothing in it is ever run.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.gaussian_process import kernels as sk
from sklearn.metrics.pairwise import PAIRWISE_KERNEL_FUNCTIONS

from gprat.exceptions import InvalidInputError, UnsupportedKernelError, UnsupportedTypeError
from gprat.kernels.active_dims import ActiveDims
from gprat.kernels.arc_cosine import ArcCosine
from gprat.kernels.change_point import ChangePoint
from gprat.kernels.cosine import Cosine
from gprat.kernels.linear import Linear, Polynomial
from gprat.kernels.periodic import Periodic
from gprat.kernels.rational_quadratic import RationalQuadratic
from gprat.kernels.spectral_mixture import SpectralMixture

__all__ = [
    "DEEPEST",
    "KERNELS",
    "arguments_of",
    "kernel_from_plain",
    "kernel_to_plain",
    "make_kernel",
    "value_from_plain",
    "value_to_plain",
]

KERNELS: dict[str, type[sk.Kernel]] = {
    kind.__name__: kind
    for kind in (
        ActiveDims,
        ArcCosine,
        ChangePoint,
        sk.CompoundKernel,
        sk.ConstantKernel,
        Cosine,
        sk.DotProduct,
        sk.ExpSineSquared,
        sk.Exponentiation,
        Linear,
        sk.Matern,
        Periodic,
        Polynomial,
        sk.Product,
        sk.RBF,
        RationalQuadratic,
        SpectralMixture,
        sk.Sum,
        sk.WhiteKernel,
    )
}
"""The kernels of `gprat.kernels` by name."""

# scikit-learn's kernels that `gprat.kernels` does not have, or has a better one of that name for.
_BY_NAME = {
    **KERNELS,
    "PairwiseKernel": sk.PairwiseKernel,
    "sklearn.RationalQuadratic": sk.RationalQuadratic,
}
_NAMES = {kind: name for name, kind in _BY_NAME.items()}

DEEPEST = 100
"""How deep a kernel may be nested: cloning and compiling one recurse a few calls a level."""

_KERNEL_ARGUMENTS = ("k1", "k2", "kernel")
_DTYPES = (
    *("float16", "float32", "float64", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
)
_INTEGER_LIMIT = 1 << 64
_BY_HAND = (
    "Save the data and the hyperparameters by yourself (X, y, theta), and make the model again by "
    "gprat.GP with that kernel."
)


def kernel_to_plain(kernel: sk.Kernel) -> dict[str, Any]:
    """Describe a kernel by what JSON can hold.

    Parameters
    ----------
    kernel : Kernel
        Any nesting of the kernels in `gprat.kernels` and of scikit-learn's.

    Returns
    -------
    dict
        For `kernel_from_plain`.

    Raises
    ------
    UnsupportedKernelError
        If a part is of another class, such as one of your own, or an argument is a function: only
        pickle could store that, and loading it would run code from the file.

    Examples
    --------
    >>> from gprat.kernels import RBF
    >>> from gprat.kernels.description import kernel_from_plain, kernel_to_plain
    >>> kernel_to_plain(RBF([0.1, 2.0], "fixed"))["arguments"]
    {'length_scale': [0.1, 2.0], 'length_scale_bounds': 'fixed'}
    >>> kernel_from_plain(kernel_to_plain(2.0 * RBF(0.1))) == 2.0 * RBF(0.1)
    True
    """
    if not isinstance(kernel, sk.Kernel):
        raise UnsupportedTypeError(
            f"expected a kernel, got {kernel!r:.80} of type {type(kernel).__name__}. Pass one of "
            "gprat.kernels."
        )
    return _kernel_to_plain(kernel, "kernel", 0)


def kernel_from_plain(plain: Any) -> sk.Kernel:
    """Make the kernel that `kernel_to_plain` described.

    Raises
    ------
    UnsupportedKernelError
        If it names a class that is not known.
    InvalidInputError
        If it is no description of a kernel.
    """
    kernel = _from_plain(plain, "kernel", 0)
    if not isinstance(kernel, sk.Kernel):
        raise InvalidInputError(f"expected the description of a kernel, got {plain!r:.80}")
    return kernel


def value_to_plain(value: Any, where: str) -> Any:
    """Describe an argument of a kernel, `where` in errors, by what JSON can hold."""
    return _to_plain(value, where, 0)


def value_from_plain(plain: Any, where: str) -> Any:
    """Return what `value_to_plain` described."""
    return _from_plain(plain, where, 0)


def make_kernel(name: str, arguments: tuple[Any, ...], named: Mapping[str, Any]) -> sk.Kernel:
    """Make a kernel of the class of that name, once its arguments are known to fit.

    Raises
    ------
    InvalidInputError
        If arguments are missing, given twice or unknown, or one is no kernel that should be one.
    """
    kind = _BY_NAME[name]
    try:
        bound = inspect.signature(kind).bind(*arguments, **named)
    except TypeError as error:
        raise InvalidInputError(
            f"{name} takes the arguments {', '.join(arguments_of(kind))}: {error}"
        ) from None
    for argument, value in bound.arguments.items():
        if isinstance(value, sk.Kernel) != (argument in _KERNEL_ARGUMENTS):
            expected = "a kernel" if argument in _KERNEL_ARGUMENTS else "no kernel"
            raise InvalidInputError(f"{argument} of {name} must be {expected}, got {value!r:.80}")
    if kind is sk.CompoundKernel:
        _check_kernels(bound.arguments["kernels"])
    if kind is sk.PairwiseKernel:
        _check_metric(bound.arguments.get("metric", "linear"))
        _check_options(bound.arguments.get("pairwise_kernels_kwargs"))
    return kind(*bound.args, **bound.kwargs)


def arguments_of(kind: type[sk.Kernel]) -> list[str]:
    """Return the names of the arguments of a class of kernels."""
    return list(inspect.signature(kind).parameters)


def _check_kernels(kernels: Any) -> None:
    is_list = isinstance(kernels, list | tuple)
    if not is_list or not kernels or not all(isinstance(kernel, sk.Kernel) for kernel in kernels):
        raise InvalidInputError(f"kernels of CompoundKernel must be kernels, got {kernels!r:.80}")


def _check_metric(metric: Any) -> None:
    if not isinstance(metric, str):
        raise UnsupportedKernelError(
            f"metric of PairwiseKernel is {metric!r:.80}: only metrics by name can be stored. "
            f"{_BY_HAND}"
        )
    if metric not in PAIRWISE_KERNEL_FUNCTIONS:
        known = ", ".join(sorted(PAIRWISE_KERNEL_FUNCTIONS))
        raise InvalidInputError(
            f"metric of PairwiseKernel must be one of {known}, got {metric!r:.80}"
        )


def _check_options(options: Any) -> None:
    if options is not None and not isinstance(options, dict):
        raise InvalidInputError(
            f"pairwise_kernels_kwargs of PairwiseKernel must be a dict or None, got {options!r:.80}"
        )


def _kernel_to_plain(kernel: sk.Kernel, where: str, depth: int) -> dict[str, Any]:
    name = _NAMES.get(type(kernel))
    if name is None:
        raise UnsupportedKernelError(
            f"{where} is a {type(kernel).__name__}, which cannot be saved: files hold no code, "
            f"only the names of these kernels: {', '.join(sorted(_BY_NAME))}. {_BY_HAND}"
        )
    if isinstance(kernel, sk.PairwiseKernel):
        _check_metric(kernel.metric)
    arguments = {name: getattr(kernel, name) for name in arguments_of(type(kernel))}
    return {
        "kernel": name,
        "arguments": {
            argument: _to_plain(value, f"{where}.{argument}", depth + 1)
            for argument, value in arguments.items()
        },
    }


def _to_plain(value: Any, where: str, depth: int) -> Any:
    _check_depth(where, depth)
    if isinstance(value, sk.Kernel):
        return _kernel_to_plain(value, where, depth)
    if isinstance(value, np.ndarray) and value.dtype.name in _DTYPES:
        numbers = [_to_plain(entry, where, depth + 1) for entry in value.ravel().tolist()]
        return {"array": numbers, "dtype": value.dtype.name, "shape": list(value.shape)}
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int) and abs(value) < _INTEGER_LIMIT:
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, list | tuple):
        items = [_to_plain(entry, f"{where}[{i}]", depth + 1) for i, entry in enumerate(value)]
        return items if isinstance(value, list) else {"tuple": items}
    if isinstance(value, slice):
        ends = (value.start, value.stop, value.step)
        return {"slice": [_to_plain(end, where, depth + 1) for end in ends]}
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {
            "mapping": {k: _to_plain(v, f"{where}[{k!r}]", depth + 1) for k, v in value.items()}
        }
    raise UnsupportedKernelError(
        f"{where} is {value!r:.80} of type {type(value).__name__}, which cannot be saved: files "
        f"hold numbers, arrays of numbers, text, lists and tuples of them. {_BY_HAND}"
    )


def _from_plain(plain: Any, where: str, depth: int) -> Any:
    _check_depth(where, depth)
    if plain is None or isinstance(plain, bool | int | float | str):
        return plain
    if isinstance(plain, list):
        return [_from_plain(entry, f"{where}[{i}]", depth + 1) for i, entry in enumerate(plain)]
    match plain:
        case {"kernel": str(name), "arguments": dict(arguments), **others} if not others:
            return _kernel_from_plain(name, arguments, where, depth)
        case {"array": list(entries), "dtype": str(name), "shape": list(shape), **others} if (
            not others
        ):
            return _array_from_plain(entries, name, shape, where, depth)
        case {"tuple": list(entries), **others} if not others:
            return tuple(_from_plain(entries, where, depth))
        case {"float": "inf" | "-inf" | "nan" as text, **others} if not others:
            return float(text)
        case {"slice": [_, _, _] as ends, **others} if not others:
            return slice(*_from_plain(ends, where, depth))
        case {"mapping": dict(entries), **others} if not others:
            return {k: _from_plain(v, f"{where}[{k!r:.40}]", depth + 1) for k, v in entries.items()}
    raise InvalidInputError(f"{where} is no value of a kernel's argument: {plain!r:.80}")


def _kernel_from_plain(name: str, arguments: dict[str, Any], where: str, depth: int) -> sk.Kernel:
    if name not in _BY_NAME:
        raise UnsupportedKernelError(
            f"{where} is a {name!r:.80}, a kernel that this gprat doesn't know; it knows "
            f"{', '.join(sorted(_BY_NAME))}"
        )
    values = {
        argument: _from_plain(plain, f"{where}.{argument:.40}", depth + 1)
        for argument, plain in arguments.items()
    }
    return make_kernel(name, (), values)


def _array_from_plain(
    entries: list[Any], name: str, shape: list[Any], where: str, depth: int
) -> np.ndarray[Any, Any]:
    sizes_are_whole = all(type(size) is int and size >= 0 for size in shape)
    if name not in _DTYPES or not sizes_are_whole or math.prod(shape) != len(entries):
        raise InvalidInputError(
            f"{where} has {len(entries)} entries for dtype {name!r:.40} and shape {shape!r:.80}"
        )
    values = [_from_plain(entry, where, depth + 1) for entry in entries]
    if not all(isinstance(value, bool | int | float) for value in values):
        raise InvalidInputError(f"{where} has entries that are no numbers: {values!r:.80}")
    try:
        return np.array(values, dtype=name).reshape(shape)
    except (OverflowError, ValueError) as error:
        raise InvalidInputError(f"{where} does not fit its dtype {name}: {error}") from None


def _check_depth(where: str, depth: int) -> None:
    if depth > DEEPEST:
        raise InvalidInputError(
            f"the kernel is nested more than {DEEPEST} deep, at {where:.80}…; use fewer operators"
        )
