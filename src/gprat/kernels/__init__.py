"""Covariance functions: scikit-learn's kernels, more of their kind, and programs of them.

The kernels are scikit-learn's own classes and subclasses of its `Kernel`, with its operators,
bounds, ``theta``, cloning and repr. `compile` turns any nesting of them into a `Program`, the one
description of a kernel that every engine evaluates and differentiates; a kernel with a part of some
other class becomes a `PythonProgram`, which is called instead.

Examples
--------
>>> from gprat.kernels import ConstantKernel, RBF, WhiteKernel, compile
>>> program = compile(ConstantKernel(2.0) * RBF([0.5, 1.0]) + WhiteKernel(0.1))
>>> program.names
('k1__k1__constant_value', 'k1__k2__length_scale[0]', 'k1__k2__length_scale[1]', 'k2__noise_level')
"""

from sklearn.gaussian_process.kernels import (
    RBF,
    CompoundKernel,
    ConstantKernel,
    DotProduct,
    Exponentiation,
    ExpSineSquared,
    Hyperparameter,
    Kernel,
    Matern,
    Product,
    Sum,
    WhiteKernel,
)

from gprat.kernels.active_dims import ActiveDims
from gprat.kernels.arc_cosine import ArcCosine
from gprat.kernels.change_point import ChangePoint
from gprat.kernels.compile import KernelProgram, compile
from gprat.kernels.cosine import Cosine
from gprat.kernels.linear import Linear, Polynomial
from gprat.kernels.periodic import Periodic
from gprat.kernels.program import Instruction, Opcode, Program
from gprat.kernels.python_program import PythonProgram, plain_clone
from gprat.kernels.rational_quadratic import RationalQuadratic
from gprat.kernels.spectral_mixture import SpectralMixture
from gprat.kernels.text import parse_kernel

__all__ = [
    "RBF",
    "ActiveDims",
    "ArcCosine",
    "ChangePoint",
    "CompoundKernel",
    "ConstantKernel",
    "Cosine",
    "DotProduct",
    "ExpSineSquared",
    "Exponentiation",
    "Hyperparameter",
    "Instruction",
    "Kernel",
    "KernelProgram",
    "Linear",
    "Matern",
    "Opcode",
    "Periodic",
    "Polynomial",
    "Product",
    "Program",
    "PythonProgram",
    "RationalQuadratic",
    "SpectralMixture",
    "Sum",
    "WhiteKernel",
    "compile",
    "parse_kernel",
    "plain_clone",
]
