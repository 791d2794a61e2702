"""Calls of compiled code from JAX programs: what they return, what fails, what has no derivative.

On the CPU by JAX's `buffer_callback`, which lends the memory of arrays: 10 µs a call, and nothing
to wait for. `jax.pure_callback` takes 170 µs, and waits for copies of large arrays that a thread of
JAX's makes; where JAX has a single thread, which is the one that waits, it waits for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from gprat.differentiation import Gradients, Wanted
from gprat.exceptions import (
    InvalidInputError,
    NotPositiveDefiniteError,
    RankDeficientTrendError,
    ResultOverflowError,
    SecondDerivativeError,
)
from gprat.jax._arguments import Arguments, OnFailure

__all__ = ["HostCall", "call", "chosen", "given", "like", "perturbed", "wanted_flags"]

# What depends on the values of arrays. Lack of memory, say, is no property of the model.
_FAILURES = (
    InvalidInputError,
    NotPositiveDefiniteError,
    RankDeficientTrendError,
    ResultOverflowError,
)


def _find_buffer_callback() -> Any:
    """Return None where JAX has ended what it calls an experiment."""
    try:
        from jax.experimental.buffer_callback import buffer_callback
    except ImportError:
        return None
    return buffer_callback


buffer_callback = _find_buffer_callback()


@dataclass(frozen=True)
class HostCall:
    """A function of NumPy arrays, and what to make of its failures.

    JAX compiles once for equal calls, which must therefore have a hash.

    Parameters
    ----------
    function : callable
        Takes arrays, and returns arrays like `result`.
    result : tuple or ShapeDtypeStruct
        Nested tuples of `jax.ShapeDtypeStruct`.
    on_failure : {"raise", "nan"}
        Whether an error that comes from the values of arguments is raised, or makes all results
        NaN.
    """

    function: Callable[..., Any]
    result: Any
    on_failure: OnFailure

    def __call__(self, *arguments: Any) -> Any:
        """Call the function. Arrays are views of JAX's memory, valid until this returns."""
        arrays = jax.tree.map(np.asarray, arguments)
        try:
            return self.function(*arrays)
        except _FAILURES:
            if self.on_failure == "raise":
                raise
            return jax.tree.map(lambda part: np.full(part.shape, np.nan, part.dtype), self.result)


@dataclass(frozen=True)
class _InPlace:
    """The same for `buffer_callback`: results are written into memory that JAX has made."""

    host_call: HostCall

    def __call__(self, context: Any, results: Any, *arguments: Any) -> None:
        def write(target: Any, values: Any) -> None:
            np.asarray(target)[...] = values

        jax.tree.map(write, results, self.host_call(*arguments))


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _call(host_call: HostCall, arguments: tuple[Any, ...]) -> Any:
    if buffer_callback is None or jax.default_backend() != "cpu":
        return jax.pure_callback(host_call, host_call.result, *arguments, vmap_method="sequential")
    in_place = _InPlace(host_call)
    return buffer_callback(in_place, host_call.result, vmap_method="sequential")(*arguments)


@_call.defjvp
def _refuse(host_call: HostCall, primals: Any, tangents: Any) -> Any:
    """Say why, where JAX would only say that a callback has no derivative."""
    raise SecondDerivativeError(
        "second derivatives through gprat are not available: its gradients come from a reverse "
        "pass over tiles in the compiled core, which records nothing that could be differentiated "
        "again. Leave out jax.hessian or the outer jax.grad, use an optimiser of first order, or "
        "take finite differences of gradients for a Hessian."
    )


def call(host_call: HostCall, *arguments: Any) -> Any:
    """Call a function of NumPy arrays from a JAX program; under `jax.vmap` once for each member.

    Raises
    ------
    SecondDerivativeError
        If JAX differentiates the call, as it does where a gradient is differentiated again.
    """
    return _call(host_call, arguments)


def like(array: jax.Array) -> jax.ShapeDtypeStruct:
    """Return the shape and the dtype of an array."""
    return jax.ShapeDtypeStruct(array.shape, array.dtype)


def perturbed(primals: Any) -> tuple[Arguments, tuple[str, ...]]:
    """Return the arguments of a forward rule, and the names of those to differentiate by."""
    arguments = {name: primal.value for name, primal in primals.items()}
    return arguments, tuple(name for name, primal in primals.items() if primal.perturbed)


def given(cotangent: Any) -> jax.Array | None:
    """Return a cotangent; None where JAX knows that it is zero."""
    is_zero = isinstance(cotangent, jax.custom_derivatives.SymbolicZero)
    return None if is_zero else cotangent


def wanted_flags(names: tuple[str, ...]) -> Wanted:
    """Return what stands for the arguments of these names."""
    wanted = Wanted.NOTHING
    for name in names:
        wanted |= Wanted[name.upper()]
    return wanted


def chosen(gradients: Gradients, names: tuple[str, ...]) -> tuple[Any, ...]:
    """Return the derivatives by the arguments of these names."""
    return tuple(getattr(gradients, name) for name in names)
