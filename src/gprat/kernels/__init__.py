"""Covariance functions: scikit-learn's kernels, and the programs that engines run.

The kernels are scikit-learn's own classes, with their operators, bounds, ``theta``, cloning and
repr. `compile` turns any nesting of them into a `Program`, the one description of a kernel that
every engine evaluates and differentiates.

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
    RationalQuadratic,
    Sum,
    WhiteKernel,
)

from gprat.kernels.compile import KernelProgram, compile
from gprat.kernels.program import Instruction, Opcode, Program
from gprat.kernels.python_program import PythonProgram, plain_clone

__all__ = [
    "RBF",
    "CompoundKernel",
    "ConstantKernel",
    "DotProduct",
    "ExpSineSquared",
    "Exponentiation",
    "Hyperparameter",
    "Instruction",
    "Kernel",
    "KernelProgram",
    "Matern",
    "Opcode",
    "Product",
    "Program",
    "PythonProgram",
    "RationalQuadratic",
    "Sum",
    "WhiteKernel",
    "compile",
    "plain_clone",
]
