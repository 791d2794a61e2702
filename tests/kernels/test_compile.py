"""Compiled programs say the same as the kernels themselves, and bad kernels are refused."""

import copy
import pickle
import re

import numpy as np
import pytest
from sklearn.gaussian_process import kernels as sk
from sklearn.gaussian_process.kernels import PairwiseKernel

from gprat.exceptions import GpratError, UnsupportedKernelError
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
    Instruction,
    Linear,
    Matern,
    Opcode,
    Periodic,
    Polynomial,
    Product,
    PythonProgram,
    RationalQuadratic,
    SpectralMixture,
    Sum,
    WhiteKernel,
    compile,
    plain_clone,
)
from gprat.kernels.python_program import copy_compiled
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
    *(Matern(ARD, nu=nu) for nu in (0.8, 2, 3.5)),
    RationalQuadratic(0.9, 1.4),
    RationalQuadratic(ARD, 1.4),
    sk.RationalQuadratic(0.9, 1.4),
    Periodic(0.9, 1.7),
    Periodic(ARD, [2.0, 1.7, 2.2], periodicity_bounds="fixed"),
    Linear(0.7, 0.3),
    Linear(ARD, [0.3, -0.2, 0.0], centre_bounds=(-2.0, 2.0)),
    Linear(ARD, -0.3, "fixed", [(-2.0, 2.0)]),
    Cosine(0.9),
    Cosine(ARD),
    SpectralMixture([0.6], [0.4], [0.2]),
    SpectralMixture([0.6, 1.1], [0.4, 0.9], [[0.2, 0.1, 0.4], [0.3, 0.2, 0.2]]),
    SpectralMixture([0.6, 1.1], np.outer([1, 2], ARD), [[0.2], [0.3]], "fixed", (0.1, 9.0)),
    *(ArcCosine(order, weight, 0.4) for order in (0, 1, 2) for weight in (0.7, ARD)),
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
    ActiveDims(RBF([0.5, 2.0]), [2, 0]) * ActiveDims(Linear(), slice(1, None)) + WhiteKernel(0.1),
    ActiveDims(ActiveDims(RBF(0.5), [1]) + Matern([1.0, 2.0]), (2, 1)) ** 2,
    ChangePoint(RBF(ARD), 0.5 * Linear(centre_bounds=(-1, 1)) + WhiteKernel(0.1), -0.2, 0.4, 2),
    ActiveDims(ChangePoint(RBF(0.5), Periodic(), 0.1, 0.4, 1, "fixed"), [0, 2]) + RBF(),
    ChangePoint(ChangePoint(RBF(), Cosine()), ArcCosine(), width_bounds="fixed", location=1.0),
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
        # Where points coincide, scikit-learn's Matern of any nu adds an epsilon to distances.
        np.testing.assert_allclose(
            evaluate_program(program, X, second), expected, rtol=1e-10, atol=1e-12
        )


def new_theta(kernel, seed=0):
    return kernel.theta + np.random.default_rng(seed).uniform(-0.5, 0.5, kernel.n_dims)


def is_real(name):
    return name.split("__")[-1].split("[")[0] in {"centre", "location"}


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
        value = np.atleast_1d(values[hyperparameter.name])
        for index in np.ndindex(value.shape):
            suffix = f"[{','.join(map(str, index))}]" if value.size > 1 else ""
            names.append(hyperparameter.name + suffix)
            parameters.append(value[index])
            is_free.append(not hyperparameter.fixed)

    # Polynomials are linear kernels with a fixed centre, which is no argument of theirs.
    hidden = [name not in names for name in program.names]
    assert not program.is_free[hidden].any()
    assert all(name.endswith("centre") for name in np.array(program.names)[hidden])
    shown = np.logical_not(hidden)
    assert np.array(program.names)[shown].tolist() == names
    assert program.parameters[shown].tolist() == parameters
    assert program.is_free[shown].tolist() == is_free
    assert program.is_log.tolist() == [not is_real(name) for name in program.names]
    assert program.parameters.dtype == np.float64
    assert program.n_parameters == len(program.names)
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
    values = program.parameters
    logarithms = np.log(np.maximum(values, 1e-300))
    entries = np.where(program.is_log, logarithms, values)
    np.testing.assert_array_equal(program.theta_gradient(entries), program.theta)


@pytest.mark.parametrize("kernel", EXAMPLES, ids=repr)
def test_instructions_are_a_well_formed_postfix_expression(kernel):
    program = compile(kernel, D)
    depth, read = 0, set()
    for opcode, parameters, features, constant, reciprocal in program.instructions:
        depth += {Opcode.SUM: -1, Opcode.PRODUCT: -1, Opcode.POWER: 0}.get(opcode, 1)
        assert depth >= 1
        assert len(parameters) == N_HYPERPARAMETERS.get(opcode, 0)
        for first, count in parameters:
            assert count in {1, len(features) or D}
            read |= set(range(first, first + count))
        assert set(features) <= set(range(D))
        assert len(set(features)) == len(features)
        assert (constant != 0.0) <= (opcode in HAS_CONSTANT)
        assert reciprocal in {0.0, 1.0, 0.5 / np.pi}
    assert depth == 1
    assert read == set(range(program.n_parameters))


N_HYPERPARAMETERS = dict.fromkeys(
    set(Opcode) - {Opcode.SUM, Opcode.PRODUCT, Opcode.POWER}, 1
) | dict.fromkeys(
    [
        Opcode.RATIONAL_QUADRATIC,
        Opcode.EXP_SINE_SQUARED,
        Opcode.PERIODIC,
        Opcode.LINEAR,
        Opcode.SIGMOID,
        Opcode.ANGULAR,
        Opcode.NORM,
    ],
    2,
)
HAS_CONSTANT = {Opcode.POWER, Opcode.MATERN, Opcode.SIGMOID, Opcode.ANGULAR, Opcode.NORM}


def test_instructions_of_an_example():
    program = compile((2.0 * RBF(ARD)) ** 1.5 + Matern(nu=0.7))
    assert program.instructions == (
        Instruction(Opcode.CONSTANT, ((0, 1),)),
        Instruction(Opcode.RBF, ((1, 3),)),
        Instruction(Opcode.PRODUCT),
        Instruction(Opcode.POWER, constant=1.5),
        Instruction(Opcode.MATERN, ((4, 1),), constant=0.7),
        Instruction(Opcode.SUM),
    )


def test_instructions_share_hyperparameters_and_read_columns():
    kernel = ActiveDims(ChangePoint(RBF([1.0, 2.0]), 3.0 * ArcCosine(), feature=1), [2, 0])
    place = ((5, 1), (6, 1))
    weights = ((4, 1), (3, 1))
    assert compile(kernel, 3).instructions == (
        Instruction(Opcode.RBF, ((0, 2),), (2, 0)),
        Instruction(Opcode.SIGMOID, place, (0,), constant=-1.0),
        Instruction(Opcode.PRODUCT),
        Instruction(Opcode.CONSTANT, ((2, 1),)),
        Instruction(Opcode.ANGULAR, weights, (2, 0), constant=1.0),
        Instruction(Opcode.NORM, weights, (2, 0), constant=1.0),
        Instruction(Opcode.PRODUCT),
        Instruction(Opcode.PRODUCT),
        Instruction(Opcode.SIGMOID, place, (0,), constant=1.0),
        Instruction(Opcode.PRODUCT),
        Instruction(Opcode.SUM),
    )


def test_instructions_of_a_spectral_mixture():
    kernel = SpectralMixture([1.0, 2.0], np.ones((2, 3)), [0.1, 0.2])
    program = compile(kernel, 3)
    assert program.instructions == (
        Instruction(Opcode.CONSTANT, ((8, 1),)),
        Instruction(Opcode.RBF, ((6, 1),), reciprocal=0.5 / np.pi),
        Instruction(Opcode.PRODUCT),
        Instruction(Opcode.COSINE, ((0, 3),), reciprocal=1.0),
        Instruction(Opcode.PRODUCT),
        Instruction(Opcode.CONSTANT, ((9, 1),)),
        Instruction(Opcode.RBF, ((7, 1),), reciprocal=0.5 / np.pi),
        Instruction(Opcode.PRODUCT),
        Instruction(Opcode.COSINE, ((3, 3),), reciprocal=1.0),
        Instruction(Opcode.PRODUCT),
        Instruction(Opcode.SUM),
    )
    assert program.names[4:8] == ("means[1,1]", "means[1,2]", "scales[0]", "scales[1]")


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
    for array in (program.parameters, program.is_free, program.is_log, program.bounds):
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


UNKNOWN = [
    (PairwiseKernel(), "kernel is a PairwiseKernel, which is none of gprat's kernels"),
    (_Doubled(), "kernel is a _Doubled, a subclass of RBF that may compute something else"),
    (1.0 * (RBF() + PairwiseKernel()), "k2__k2 is a PairwiseKernel"),
    (_Doubled() ** 2, "kernel is a _Doubled"),
    (ActiveDims(RBF() + _Doubled(), [1]), "kernel__k2 is a _Doubled"),
    (ChangePoint(PairwiseKernel(), _Doubled()), "k1 is a PairwiseKernel"),
]


@pytest.mark.parametrize(("kernel", "where"), UNKNOWN, ids=repr)
def test_unknown_kernels_are_refused_with_place_and_remedy(kernel, where):
    with pytest.raises(UnsupportedKernelError, match=re.escape(where)) as caught:
        compile(kernel, allow_python=False)
    for name in ("ConstantKernel", "Matern", "DotProduct", "Sum", "Exponentiation", "ChangePoint"):
        assert name in str(caught.value)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(("kernel", "where"), UNKNOWN, ids=repr)
def test_unknown_kernels_become_python_programs(kernel, where):
    program = compile(kernel, 2)
    assert isinstance(program, PythonProgram)
    assert not program.is_compiled
    assert program.reason.startswith(where)


def test_known_parts_of_unknown_kernels_are_checked_all_the_same():
    with pytest.raises(ValueError, match="k2__length_scale must be positive"):
        compile(PairwiseKernel() + RBF(-1.0))


def test_compound_of_one_kernel_is_that_kernel():
    kernel = 2.0 * CompoundKernel([RBF(ARD)])
    program, plain = compile(kernel), plain_clone(kernel)
    assert plain == 2.0 * RBF(ARD)
    assert program.instructions == compile(plain).instructions
    assert program.names == compile(plain).names


@pytest.mark.parametrize("kernels", [[], [RBF(), RBF()]], ids=len)
def test_compound_of_several_kernels_is_refused_with_remedy(kernels):
    with pytest.raises(UnsupportedKernelError, match=r"k2 is a CompoundKernel.*several outputs"):
        compile(RBF() + CompoundKernel(kernels))


@pytest.mark.parametrize("nu", [0.0, -0.5, np.nan, [1.5]], ids=repr)
def test_matern_smoothness_must_be_positive(nu):
    with pytest.raises(ValueError, match="k2__nu of Matern must be a positive number") as caught:
        compile(WhiteKernel() + Matern(nu=nu))
    assert isinstance(caught.value, GpratError)


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
        (
            sk.RationalQuadratic(length_scale=ARD),
            3,
            "length_scale of RationalQuadratic .* got 3",
        ),
        (RationalQuadratic(alpha=ARD), 3, "alpha of RationalQuadratic .* got 3"),
        (RationalQuadratic(ARD), 2, "length_scale has 3 values but the data has 2 features"),
        (Linear(1.0, [1.0, 2.0]), 3, "centre has 2 values but the data has 3 features"),
        (ActiveDims(RBF(ARD), [0, 1]), 3, "kernel__length_scale has 3 values but its ActiveDims"),
        (SpectralMixture([1.0], [[1.0, 2.0]], [1.0]), 3, "means has 2 values a row but the data"),
        (SpectralMixture([1.0], [1.0], [1.0, 2.0]), 3, "scales must have one row for each of the"),
        (SpectralMixture([[1.0]], [1.0], [1.0]), 3, "weights must be a number or a vector"),
        (SpectralMixture([1.0], [1.0], [[[1.0]]]), 3, "scales must be .* a matrix, got"),
        (ActiveDims(RBF(), [3]), 3, r"dims of ActiveDims must be columns from 0 to 2.*got \[3\]"),
        (ActiveDims(RBF(), [0, 0]), 3, "dims of ActiveDims must be distinct"),
        (ActiveDims(RBF(), []), 3, "must select at least one feature"),
        (ActiveDims(RBF(), slice(3, None)), 3, "must select at least one feature"),
        (ActiveDims(RBF(), slice(1)), None, "pass n_features"),
        (ActiveDims(RBF(), [-1]), 3, "each of dims of ActiveDims must be at least 0, got -1"),
        (
            ActiveDims(2.0 * ActiveDims(RBF(), [1]), [2]),
            3,
            "kernel__k2__dims .* columns from 0 to 0",
        ),
        (ChangePoint(RBF(), RBF(), feature=2), 2, "feature of ChangePoint must be columns from 0"),
        (Polynomial(0), 1, "degree of Polynomial must be at least 1, got 0"),
        (ArcCosine(3), 1, "order of ArcCosine must be 0, 1 or 2, got 3"),
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
        (lambda v, b: Periodic(1.0, [1.0, v], "fixed", b), "periodicity[1]", False),
        (lambda v, b: Linear(v, 0.0, b), "variance", False),
        (lambda v, b: Polynomial(offset=v, offset_bounds=b), "offset", True),
        (lambda v, b: Cosine(v, b), "period", False),
        (lambda v, b: SpectralMixture([1.0], [[1.0, v]], [1.0], (1, 2), b), "means[0,1]", False),
        (lambda v, b: ArcCosine(0, 1.0, v, (1, 2), b), "bias_variance", True),
        (lambda v, b: ChangePoint(RBF(), RBF(), 0.0, v, 0, (0, 1), b), "width", False),
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


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("bounds", ["fixed", (-1.0, 1.0)], ids=["fixed", "free"])
def test_real_hyperparameters_must_be_finite(value, bounds):
    with pytest.raises(ValueError, match=r"k1__centre\[1\] must be finite"):
        compile(Linear(1.0, [0.0, value], centre_bounds=bounds) + RBF())
    with pytest.raises(ValueError, match="location must be finite"):
        compile(ChangePoint(RBF(), RBF(), value, location_bounds=bounds))


@pytest.mark.parametrize("value", ["long", None, 1j, True, ["a", "b"]], ids=repr)
def test_hyperparameters_that_are_no_numbers_are_refused_by_name(value):
    with pytest.raises(TypeError, match="length_scale must be real and numeric"):
        compile(RBF(value))


@pytest.mark.parametrize("bounds", [(2.0, 1.0), (-1.0, 1.0), (0.0, 0.0), (np.nan, 1.0), (1, 2, 3)])
def test_bad_bounds_are_refused(bounds):
    with pytest.raises(ValueError, match="length_scale_bounds must"):
        compile(RBF(1.0, bounds))


@pytest.mark.parametrize("bounds", [(2.0, 1.0), (np.nan, 1.0), (np.inf, np.inf)])
def test_bad_bounds_of_real_hyperparameters_are_refused(bounds):
    with pytest.raises(ValueError, match="centre_bounds must satisfy low <= high"):
        compile(Linear(centre_bounds=bounds))


def test_theta_holds_real_hyperparameters_themselves():
    kernel = ChangePoint(RBF(2.0), RBF(3.0), location=-7.0, width=0.5)
    program = compile(kernel)
    np.testing.assert_allclose(program.theta, [np.log(2), np.log(3), -7, np.log(0.5)])
    assert program.bounds[2].tolist() == [-1e5, 1e5]
    # No logarithm, so the limit of logarithms is none of its own.
    assert program.with_theta([0.0, 0.0, -1e4, 0.0]).parameters.tolist() == [1.0, 1.0, -1e4, 1.0]
    with pytest.raises(ValueError, match="theta must be finite, got inf for location"):
        program.with_theta([0.0, 0.0, np.inf, 0.0])
    with pytest.raises(ValueError, match="location itself"):
        program.with_theta([0.0])


@pytest.mark.parametrize("bounds", ["free", None])
def test_bounds_that_are_no_numbers_are_refused(bounds):
    with pytest.raises(TypeError, match='length_scale_bounds, unless "fixed", must be real'):
        compile(RBF(1.0, bounds))


@pytest.mark.parametrize("exponent", [np.nan, np.inf, [1.0, 2.0]], ids=repr)
def test_bad_exponents_are_refused(exponent):
    with pytest.raises(ValueError, match="k1__exponent must be one finite number"):
        compile(Exponentiation(RBF(), exponent) + RBF())


@pytest.mark.parametrize("dims", ["12", 1, None, [0.5], [True, False]], ids=repr)
def test_columns_must_be_integers(dims):
    with pytest.raises(TypeError, match="dims of ActiveDims must be"):
        compile(ActiveDims(RBF(), dims), 3)


@pytest.mark.parametrize("n_features", ["3", 2.0, [3], True], ids=repr)
def test_number_of_features_must_be_an_integer(n_features):
    with pytest.raises(TypeError, match="n_features must be an integer"):
        compile(RBF(), n_features)


@pytest.mark.parametrize("seed", range(20))
def test_copies_of_compiled_kernels(seed):
    """A quick copy is equal to a clone, and shares nothing that can be changed."""
    kernel = random_kernel(np.random.default_rng(seed), 2, 3)
    duplicate = copy_compiled(kernel)
    assert duplicate == plain_clone(kernel)
    theta = duplicate.theta
    kernel.theta = kernel.theta + 1.0
    assert np.array_equal(duplicate.theta, theta)
    vector = RBF(np.array([1.0, 2.0]), [(0.1, 9.0), (0.2, 9.0)])
    duplicate = copy_compiled(2.0 * CompoundKernel([vector]))
    vector.length_scale[0] = vector.length_scale_bounds[0] = 5.0
    assert duplicate == 2.0 * RBF([1.0, 2.0], [(0.1, 9.0), (0.2, 9.0)])
