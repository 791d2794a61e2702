"""Kernels nested at random, and hyperparameters from tame to absurd."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st
from sklearn.gaussian_process.kernels import PairwiseKernel

from gprat.kernels import (
    RBF,
    ActiveDims,
    ArcCosine,
    ChangePoint,
    CompoundKernel,
    ConstantKernel,
    Cosine,
    DotProduct,
    Exponentiation,
    ExpSineSquared,
    Linear,
    Matern,
    Periodic,
    Polynomial,
    RationalQuadratic,
    SpectralMixture,
    WhiteKernel,
)

tame_values = st.floats(0.375, 2.5, width=32)
"""Hyperparameters of order one, which suit points of order one."""

absurd_values = st.one_of(
    tame_values,
    st.sampled_from(
        [5e-324, 1e-310, 1e-300, 1e-160, 1e-20, 1e-8, 1e8, 1e20, 1e160, 1e300, 1.7e308]
    ),
    st.floats(min_value=5e-324, allow_nan=False, allow_infinity=False),
)
"""All positive numbers, the ends of the range above all."""


class Wavy(RBF):
    """A kernel of one's own: a subclass, which is called and never compiled."""


tame_bounds = st.sampled_from(["fixed", (1e-3, 1e3), (0.1, 10.0), [[1e-2, 1e2]]])


@st.composite
def leaves(draw: Any, d: int, values: Any = tame_values, python: bool = True) -> Any:
    """One kernel without kernels inside."""

    def value() -> float:
        return draw(values)

    def each() -> Any:
        return np.array([value() for _ in range(d)]) if draw(st.booleans()) else value()

    def bounds() -> Any:
        return draw(tame_bounds)

    def place() -> float:
        return draw(st.sampled_from([-1.0, 1.0])) * value()

    def linear() -> Any:
        centre = np.array([place() for _ in range(d)]) if draw(st.booleans()) else place()
        return Linear(each(), centre, bounds(), draw(st.sampled_from(["fixed", (-9.0, 9.0)])))

    def mixture() -> Any:
        q = draw(st.integers(1, 3))
        shape = (q, d) if draw(st.booleans()) else (q,)

        def matrix() -> Any:
            return np.reshape([value() for _ in range(int(np.prod(shape)))], shape)

        weights = np.array([value() for _ in range(q)])
        means, scales = (np.maximum(0.25 * matrix(), 5e-324) for _ in range(2))
        return SpectralMixture(weights, means, scales, bounds(), bounds(), bounds())

    makers = {
        "constant": lambda: ConstantKernel(value(), bounds()),
        "white": lambda: WhiteKernel(value(), bounds()),
        "rbf": lambda: RBF(each(), bounds()),
        "matern": lambda: Matern(
            each(), bounds(), nu=draw(st.sampled_from([0.5, 1.5, 2.5, np.inf]))
        ),
        "any matern": lambda: Matern(each(), "fixed", nu=draw(st.sampled_from([0.8, 2.0, 3.5]))),
        "rational": lambda: RationalQuadratic(each(), value(), bounds(), bounds()),
        "dot": lambda: DotProduct(value(), bounds()),
        "periodic": lambda: Periodic(each(), each(), bounds(), bounds()),
        "linear": linear,
        "polynomial": lambda: Polynomial(
            draw(st.integers(1, 3)), each(), value(), bounds(), bounds()
        ),
        "cosine": lambda: Cosine(each(), bounds()),
        "mixture": mixture,
        "arc": lambda: ArcCosine(draw(st.integers(0, 2)), each(), value(), bounds(), bounds()),
    }
    if d == 1:
        makers["sine"] = lambda: ExpSineSquared(value(), 2.0 * value(), bounds(), bounds())
    if python:
        makers["python"] = lambda: PairwiseKernel(value(), bounds(), metric="laplacian")
        makers["own"] = lambda: Wavy(each(), bounds())
    return makers[draw(st.sampled_from(sorted(makers)))]()


@st.composite
def kernels(
    draw: Any, d: int, depth: int = 2, values: Any = tame_values, python: bool = True
) -> Any:
    """A positive semidefinite kernel of d features, nested up to `depth` deep."""
    operators = ["leaf", "sum", "product", "power", "dims", "change", "alone"]
    operator = draw(st.sampled_from(operators if depth else operators[:1]))
    inside = kernels(d, depth - 1, values, python)
    if operator == "leaf":
        return draw(leaves(d, values, python))
    if operator == "alone":
        return CompoundKernel([draw(inside)])
    if operator == "power":
        # Integer powers of covariance functions are covariance functions.
        return Exponentiation(draw(inside), float(draw(st.integers(1, 3))))
    if operator == "dims":
        dims = draw(st.lists(st.integers(0, d - 1), min_size=1, max_size=d, unique=True))
        return ActiveDims(draw(kernels(len(dims), depth - 1, values, python)), dims)
    k1, k2 = draw(inside), draw(inside)
    if operator == "change":
        location = draw(st.sampled_from([-1.0, 1.0])) * draw(values)
        feature = draw(st.integers(0, d - 1))
        place_bounds = draw(st.sampled_from(["fixed", (-9.0, 9.0)]))
        return ChangePoint(k1, k2, location, draw(values), feature, place_bounds, draw(tame_bounds))
    return k1 + k2 if operator == "sum" else k1 * k2
