"""Compiled programs say the same as scikit-learn's kernels, and bad kernels are refused."""

import copy
import pickle
import re

import numpy as np
import pytest
from sklearn.gaussian_process.kernels import CompoundKernel, PairwiseKernel

from gprat.exceptions import GpratError, UnsupportedKernelError
from gprat.kernels import (
    RBF,
    ConstantKernel,
    DotProduct,
    Exponentiation,
    ExpSineSquared,
    Instruction,
    Matern,
    Opcode,
    Product,
    RationalQuadratic,
    Sum,
    WhiteKernel,
    compile,
)
from oracles import covariance, evaluate_program, random_kernel, random_problem

D = 3
ARD = np.array([0.7, 1.3, 2.0])

LEAVES = [
    ConstantKernel(1.7),
    ConstantKernel(0.0, "fixed"),
    WhiteKernel(0.3),
    WhiteKernel(0.0, "fixed"),
    RBF(0.8),
    RBF([0.8]),
    RBF(ARD),
    RBF(2),
    *(Matern(length_scale, nu=nu) for length_scale in (0.8, ARD) for nu in (0.5, 1.5, 2.5, np.inf)),
    RationalQuadratic(0.9, 1.4),
    ExpSineSquared(0.9, 1.7),
    DotProduct(0.6),
    DotProduct(0.0, "fixed"),
]
# Operators over operators, one kernel object used twice, all or some hyperparameters fixed.
SHARED = RBF(ARD)
NESTED = [
    Sum(SHARED, SHARED),
    ConstantKernel(2.0) * RBF(ARD, "fixed") + WhiteKernel(0.1),
    (RBF(0.5) + DotProduct(1.0)) ** 2 * Matern(ARD, nu=1.5),
    Exponentiation(Exponentiation(RationalQuadratic(), 0.5) + 1.0, 3),
    1.0 * (2.0 * (3.0 * RBF(1.0, "fixed") + WhiteKernel(1.0, "fixed")) + DotProduct(2.0)),
    RBF(1.0, "fixed") * ConstantKernel(2.0, "fixed"),
]
EXAMPLES = LEAVES + NESTED
RANDOM = [
    (random_kernel(np.random.default_rng(seed), d, depth), d)
    for seed in range(15)
    for d in (1, 4)
    for depth in (1, 2, 3)
]
ALL = [(kernel, D) for kernel in EXAMPLES] + RANDOM


@pytest.fixture
def points():
    X, _, Z = random_problem(np.random.default_rng(1), n=7, m=5, d=D, k=1)
    return X, Z


def assert_same_covariance(program, kernel, X, Z):
    for second in (None, Z, X):
        expected = covariance(kernel, X, second)
        np.testing.assert_allclose(
            evaluate_program(program, X, second), expected, rtol=1e-12, atol=1e-14
        )


def new_theta(kernel, seed=0):
    return kernel.theta + np.random.default_rng(seed).uniform(-0.5, 0.5, kernel.n_dims)


@pytest.mark.parametrize(("kernel", "d"), ALL, ids=repr)
def test_program_computes_the_kernel(kernel, d):
    X, _, Z = random_problem(np.random.default_rng(2), n=7, m=5, d=d, k=1)
    assert_same_covariance(compile(kernel, d), kernel, X, Z)


@pytest.mark.parametrize(("kernel", "d"), ALL, ids=repr)
def test_hyperparameters_are_those_of_scikit_learn_in_its_order(kernel, d):
    program = compile(kernel, d)
    values = kernel.get_params()
    names, parameters, is_free = [], [], []
    for hyperparameter in kernel.hyperparameters:
        count = hyperparameter.n_elements
        index = [f"[{i}]" for i in range(count)] if count > 1 else [""]
        names += [hyperparameter.name + i for i in index]
        parameters += np.atleast_1d(values[hyperparameter.name]).tolist()
        is_free += [not hyperparameter.fixed] * count

    assert program.names == tuple(names)
    assert program.parameters.tolist() == parameters
    assert program.parameters.dtype == np.float64
    assert program.is_free.tolist() == is_free
    assert program.n_parameters == len(names)
    assert program.n_free == kernel.n_dims
    np.testing.assert_array_equal(program.theta, kernel.theta)
    np.testing.assert_array_equal(program.bounds, np.reshape(kernel.bounds, (-1, 2)))


@pytest.mark.parametrize(("kernel", "d"), ALL, ids=repr)
def test_with_theta_is_clone_with_theta(kernel, d):
    X, _, Z = random_problem(np.random.default_rng(3), n=7, m=5, d=d, k=1)
    theta = new_theta(kernel)
    program = compile(kernel, d)
    moved = program.with_theta(theta)

    assert_same_covariance(moved, kernel.clone_with_theta(theta), X, Z)
    np.testing.assert_allclose(moved.theta, theta, rtol=1e-14, atol=1e-15)
    assert moved.instructions is program.instructions
    np.testing.assert_array_equal(
        moved.parameters[~program.is_free], program.parameters[~program.is_free]
    )
    np.testing.assert_array_equal(program.theta, kernel.theta)


@pytest.mark.parametrize(("kernel", "d"), ALL, ids=repr)
def test_theta_gradient_selects_the_free_entries(kernel, d):
    program = compile(kernel, d)
    log_parameters = np.log(np.maximum(program.parameters, 1e-300))
    np.testing.assert_array_equal(program.theta_gradient(log_parameters), program.theta)


@pytest.mark.parametrize("kernel", EXAMPLES, ids=repr)
def test_instructions_are_a_well_formed_postfix_expression(kernel):
    program = compile(kernel, D)
    depth, next_parameter = 0, 0
    for opcode, first, count, exponent in program.instructions:
        depth += {Opcode.SUM: -1, Opcode.PRODUCT: -1, Opcode.POWER: 0}.get(opcode, 1)
        assert depth >= 1
        assert (first, count) == ((next_parameter, count) if count else (-1, 0))
        assert exponent == 0.0 or opcode == Opcode.POWER
        next_parameter += count
    assert depth == 1
    assert next_parameter == program.n_parameters


def test_instructions_of_an_example():
    program = compile((2.0 * RBF(ARD)) ** 1.5 + Matern(nu=0.5))
    assert program.instructions == (
        Instruction(Opcode.CONSTANT, 0, 1),
        Instruction(Opcode.RBF, 1, 3),
        Instruction(Opcode.PRODUCT),
        Instruction(Opcode.POWER, exponent=1.5),
        Instruction(Opcode.MATERN12, 4, 1),
        Instruction(Opcode.SUM),
    )


def test_bounds_may_differ_between_the_length_scales():
    kernel = RBF(ARD, [(0.1, 1.0), (0.2, 2.0), (0.3, 3.0)])
    np.testing.assert_array_equal(compile(kernel).bounds, kernel.bounds)


def test_a_lower_bound_of_zero_is_no_bound():
    assert compile(WhiteKernel(1.0, (0, 10))).bounds.tolist() == [[-np.inf, np.log(10)]]


@pytest.mark.parametrize(
    ("kernel", "given", "expected"),
    [
        (RBF(1.0), None, None),
        (RBF(1.0), 5, 5),
        (RBF(ARD), None, 3),
        (DotProduct() + RBF(ARD) * Matern(ARD), None, 3),
        (RBF(ARD), np.int64(3), 3),
    ],
    ids=repr,
)
def test_number_of_features_comes_from_the_caller_or_the_length_scales(kernel, given, expected):
    assert compile(kernel, given).n_features == expected


def test_program_does_not_follow_the_kernel(points):
    length_scale = ARD.copy()
    kernel = RBF(length_scale)
    program = compile(kernel)
    length_scale[:] = 9.0
    kernel.length_scale = 7.0
    assert_same_covariance(program, RBF(ARD), *points)


@pytest.mark.parametrize(
    "duplicate",
    [
        lambda program: program,
        lambda program: program.with_theta(program.theta),
        copy.deepcopy,
        lambda program: pickle.loads(pickle.dumps(program)),
    ],
    ids=["compiled", "with_theta", "deepcopy", "pickle"],
)
def test_programs_are_immutable(duplicate, points):
    program = duplicate(compile(NESTED[1]))
    assert_same_covariance(program, NESTED[1], *points)
    with pytest.raises(AttributeError):
        program.parameters = np.ones(5)
    for array in (program.parameters, program.is_free, program.bounds):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1


@pytest.mark.parametrize(
    ("theta", "error", "message"),
    [
        (
            [0.0],
            ValueError,
            r"shape \(2,\).*k1__noise_level, k2__k1__length_scale.*got shape \(1,\)",
        ),
        ([[0.0, 0.0]], ValueError, r"got shape \(1, 2\)"),
        (0.0, ValueError, r"got shape \(\)"),
        ([0.0, np.nan], ValueError, "between -700 and 700.*nan"),
        ([-np.inf, 0.0], ValueError, "between -700 and 700.*-inf"),
        ([0.0, 1e4], ValueError, "set narrower bounds"),
        ("length", TypeError, "theta must be real and numeric, got 'length'"),
        ([1j, 0.0], TypeError, "real and numeric"),
        ([[0.0], [0.0, 1.0]], TypeError, "real and numeric"),
        (None, TypeError, "real and numeric, got None"),
    ],
)
def test_bad_theta_is_refused(theta, error, message):
    program = compile(WhiteKernel() + RBF() * DotProduct(1.0, "fixed"))
    with pytest.raises(error, match=message) as caught:
        program.with_theta(theta)
    assert isinstance(caught.value, GpratError)


def test_theta_of_a_fixed_kernel_is_empty():
    program = compile(RBF(2.0, "fixed"))
    assert program.theta.shape == (0,)
    assert program.bounds.shape == (0, 2)
    assert program.with_theta([]).parameters.tolist() == [2.0]
    with pytest.raises(ValueError, match="none"):
        program.with_theta([1.0])


class _Doubled(RBF):
    def __call__(self, X, Y=None, eval_gradient=False):
        return 2 * super().__call__(X, Y, eval_gradient)


@pytest.mark.parametrize(
    ("kernel", "where"),
    [
        (PairwiseKernel(), "kernel is a PairwiseKernel"),
        (CompoundKernel([RBF(), RBF()]), "kernel is a CompoundKernel"),
        (_Doubled(), "kernel is a _Doubled"),
        (1.0 * (RBF() + PairwiseKernel()), "k2__k2 is a PairwiseKernel"),
        (_Doubled() ** 2, "kernel is a _Doubled"),
    ],
    ids=repr,
)
def test_unsupported_kernels_are_refused_with_place_and_remedy(kernel, where):
    with pytest.raises(UnsupportedKernelError, match=re.escape(where)) as caught:
        compile(kernel)
    for name in ("ConstantKernel", "Matern", "DotProduct", "Sum", "Exponentiation"):
        assert name in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("nu", [1.0, 0.7, -0.5, 3.5, np.nan, [1.5]], ids=repr)
def test_other_matern_smoothness_is_refused(nu):
    with pytest.raises(UnsupportedKernelError, match=r"k2__nu of Matern must be 0\.5"):
        compile(WhiteKernel() + Matern(nu=nu))


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ("rbf", "kernel must be a kernel, such as gprat.kernels.RBF.., got 'rbf'"),
        (None, "got None"),
        (1.0, "got 1.0"),
        (RBF, "kernel is the class RBF: make an instance"),
        (Sum(RBF(), 2.0), "k2 must be a kernel.*got 2.0"),
        (Product(WhiteKernel, RBF()), "k1 is the class WhiteKernel"),
    ],
)
def test_what_is_no_kernel_is_refused(kernel, message):
    with pytest.raises(TypeError, match=message) as caught:
        compile(kernel)
    assert isinstance(caught.value, GpratError)


@pytest.mark.parametrize(
    ("kernel", "n_features", "message"),
    [
        (RBF(ARD), 4, "length_scale has 3 values but the data has 4 features"),
        (2.0 * Matern([1.0, 2.0]), 1, "k2__length_scale has 2 values but the data has 1 features"),
        (RBF([1.0, 2.0]) + RBF(ARD), None, "k2__length_scale has 3 .* k1__length_scale has 2"),
        (RBF(), 0, "n_features must be at least 1, got 0"),
        (RationalQuadratic(length_scale=ARD), 3, "length_scale of RationalQuadratic .* got 3"),
        (ExpSineSquared(periodicity=ARD), 3, "periodicity of ExpSineSquared .* got 3"),
        (RBF([]), None, r"length_scale must be a number or a vector.*shape \(0,\)"),
        (RBF([[1.0, 2.0]]), None, r"shape \(1, 2\)"),
    ],
)
def test_wrong_counts_are_refused(kernel, n_features, message):
    with pytest.raises(ValueError, match=message) as caught:
        compile(kernel, n_features)
    assert isinstance(caught.value, GpratError)


@pytest.mark.parametrize("value", [-1.0, 0.0, np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("bounds", ["fixed", (1e-3, 1e3)], ids=["fixed", "free"])
@pytest.mark.parametrize(
    ("make", "name", "may_be_zero"),
    [
        (lambda v, b: ConstantKernel(v, b) + RBF(), "k1__constant_value", True),
        (lambda v, b: RBF() * WhiteKernel(v, b), "k2__noise_level", True),
        (lambda v, b: DotProduct(v, b) ** 2, "kernel__sigma_0", True),
        (lambda v, b: RBF([1.0, v], b), "length_scale[1]", False),
        (Matern, "length_scale", False),
        (lambda v, b: RationalQuadratic(alpha=v, alpha_bounds=b), "alpha", False),
        (lambda v, b: ExpSineSquared(periodicity=v, periodicity_bounds=b), "periodicity", False),
    ],
)
def test_hyperparameters_out_of_range_are_refused_by_name(make, name, may_be_zero, bounds, value):
    kernel = make(value, bounds)
    if value == 0.0 and may_be_zero and bounds == "fixed":
        assert 0.0 in compile(kernel).parameters
        return
    with pytest.raises(ValueError, match=re.escape(f"{name} must be positive and finite")) as error:
        compile(kernel)
    assert isinstance(error.value, GpratError)
    assert ("fixed" in str(error.value)) == (value == 0.0 and may_be_zero)


@pytest.mark.parametrize("value", ["long", None, 1j, True, ["a", "b"]], ids=repr)
def test_hyperparameters_that_are_no_numbers_are_refused_by_name(value):
    with pytest.raises(TypeError, match="length_scale must be real and numeric"):
        compile(RBF(value))


@pytest.mark.parametrize("bounds", [(2.0, 1.0), (-1.0, 1.0), (0.0, 0.0), (np.nan, 1.0), (1, 2, 3)])
def test_bad_bounds_are_refused(bounds):
    with pytest.raises(ValueError, match="length_scale_bounds must"):
        compile(RBF(1.0, bounds))


@pytest.mark.parametrize("bounds", ["free", None])
def test_bounds_that_are_no_numbers_are_refused(bounds):
    with pytest.raises(TypeError, match='length_scale_bounds, unless "fixed", must be real'):
        compile(RBF(1.0, bounds))


@pytest.mark.parametrize("exponent", [np.nan, np.inf, [1.0, 2.0]], ids=repr)
def test_bad_exponents_are_refused(exponent):
    with pytest.raises(ValueError, match="k1__exponent must be one finite number"):
        compile(Exponentiation(RBF(), exponent) + RBF())


@pytest.mark.parametrize("n_features", ["3", 2.0, [3]], ids=repr)
def test_number_of_features_must_be_an_integer(n_features):
    with pytest.raises(TypeError, match="n_features must be an integer"):
        compile(RBF(), n_features)
