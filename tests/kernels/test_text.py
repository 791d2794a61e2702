"""Kernels as text and as plain data: what comes back is what was meant, and nothing is run."""

import contextlib
import json

import numpy as np
import pytest
from sklearn.gaussian_process import kernels as sk

import gprat.kernels
from gprat import exceptions
from gprat.exceptions import InvalidInputError, UnsupportedKernelError, UnsupportedTypeError
from gprat.kernels import (
    RBF,
    ActiveDims,
    ChangePoint,
    CompoundKernel,
    ConstantKernel,
    DotProduct,
    Kernel,
    Linear,
    Matern,
    RationalQuadratic,
    SpectralMixture,
    WhiteKernel,
    compile,
    parse_kernel,
)
from gprat.kernels.description import KERNELS, kernel_from_plain, kernel_to_plain
from oracles import random_kernel


def assert_same(value, other):
    """Assert that two values have the same types and bits, kernels by their arguments.

    Scalars of NumPy count as the plain numbers that they are.
    """
    value, other = (v.item() if isinstance(v, np.generic) else v for v in (value, other))
    assert type(value) is type(other)
    if isinstance(value, Kernel):
        value, other = vars(value), vars(other)
    if isinstance(value, dict):
        assert list(value) == list(other)
        value, other = list(value.values()), list(other.values())
    if isinstance(value, np.ndarray):
        assert (value.dtype, value.shape) == (other.dtype, other.shape)
        assert value.tobytes() == other.tobytes()
    elif isinstance(value, list | tuple):
        assert len(value) == len(other)
        for entry, its_other in zip(value, other, strict=True):
            assert_same(entry, its_other)
    elif isinstance(value, float):
        assert np.float64(value).tobytes() == np.float64(other).tobytes()
    else:
        assert value == other


def round_trip(kernel):
    return kernel_from_plain(json.loads(json.dumps(kernel_to_plain(kernel), allow_nan=False)))


# Text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "ConstantKernel(1.0) * Matern(length_scale=[1, 2], nu=2.5) + WhiteKernel(0.1)",
            ConstantKernel(1.0) * Matern([1, 2], nu=2.5) + WhiteKernel(0.1),
        ),
        ('2.0 * RBF(length_scale_bounds="fixed")', 2.0 * RBF(length_scale_bounds="fixed")),
        ("RBF() ** 2", RBF() ** 2),
        ("RBF ** 2 + 1", RBF() ** 2 + 1),
        ("ActiveDims(RBF(1.0), [0, 2])", ActiveDims(RBF(1.0), [0, 2])),
        ("ActiveDims(RBF, slice(1, None))", ActiveDims(RBF(), slice(1, None))),
        (
            "ChangePoint(RBF(), Matern(), location=-3.0)",
            ChangePoint(RBF(), Matern(), location=-3.0),
        ),
        ("Matern(nu=inf)", Matern(nu=np.inf)),
        (
            "Linear(1, 0.0, centre_bounds=(-inf, +inf))",
            Linear(1, 0.0, centre_bounds=(-np.inf, np.inf)),
        ),
        (
            "SpectralMixture([1.0], [[0.5, 2]], [[.1, 1e-3]], means_bounds=[(1e-5, 3)])",
            SpectralMixture([1.0], [[0.5, 2]], [[0.1, 1e-3]], means_bounds=[(1e-5, 3)]),
        ),
        (" (RBF() +\n  WhiteKernel()) * 3.5\n", (RBF() + WhiteKernel()) * 3.5),
        ("1.41**2 * RBF(length_scale=1)", 1.41**2 * RBF(1)),
        ("Sum(RBF(), k2=DotProduct())", RBF() + DotProduct()),
        ("CompoundKernel([RBF(), DotProduct()])", CompoundKernel([RBF(), DotProduct()])),
        ("RationalQuadratic(alpha=2)", RationalQuadratic(alpha=2)),
    ],
)
def test_text_is_what_python_makes_of_it(text, expected):
    assert_same(parse_kernel(text), expected)


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_every_kernel_can_be_written_alone_or_says_what_it_needs(name):
    try:
        expected = KERNELS[name]()
    except TypeError:
        with pytest.raises(InvalidInputError, match=f"'{name}' at column 1 .* argument"):
            parse_kernel(name)
    else:
        assert_same(parse_kernel(name), expected)
        assert_same(parse_kernel(f"{name}()"), expected)


def test_all_kernels_of_the_package_are_known():
    exported = (getattr(gprat.kernels, name) for name in gprat.kernels.__all__)
    kinds = {kind for kind in exported if isinstance(kind, type) and issubclass(kind, Kernel)}
    assert set(KERNELS.values()) == kinds - {Kernel}


@pytest.mark.parametrize(
    "text",
    [
        "RBF(length_scale=[0.5, 2])",
        "Matern(length_scale=0.8, nu=1.5) + WhiteKernel(noise_level=0.3)",
        "1.5**2 * RBF(length_scale=1)",
        "ActiveDims(RBF(length_scale=1), [0, 2])",
    ],
)
def test_what_kernels_print_can_be_read(text):
    assert repr(parse_kernel(text)) == text


HOSTILE = [
    ("__import__('os').system('true')", "__import__.*at column 1 is no kernel"),
    ("eval('1')", "'eval' at column 1 is no kernel"),
    ("RBF() + open('x')", "'open' at column 9 is no kernel"),
    ("RBF().__class__", "'RBF\\(\\).__class__' at column 1 is an attribute"),
    ("RBF(np.inf)", "'np.inf' at column 5 is an attribute"),
    ("RBF.mro()", "'RBF.mro' at column 1 is no kernel"),
    ("RBF([1, 2][0])", "'\\[1, 2\\]\\[0\\]' at column 5 is an index"),
    ("RBF([x for x in (1, 2)])", "at column 5 is a comprehension"),
    ("RBF({x for x in (1, 2)})", "is a comprehension"),
    ("RBF(x for x in (1, 2))", "is a comprehension"),
    ("lambda: RBF()", "'lambda: RBF\\(\\)' at column 1 is a function"),
    ("(a := RBF())", "at column 2 is an assignment"),
    ("RBF(f'{1}')", "is an f-string"),
    ("RBF(*[1, 2])", "is an unpacked argument"),
    ("RBF(**{'length_scale': 1})", "is an unpacked argument"),
    ("RBF({'a': 1})", "is a dictionary"),
    ("RBF() if 1 else RBF()", "is a condition"),
    ("RBF() == RBF()", "is a comparison"),
    ("RBF() and RBF()", "is a logical operator"),
    ("RBF() - RBF()", "at column 1 has an operator other than"),
    ("RBF() @ RBF()", "has an operator other than"),
    ("RBF(1/3)", "'1/3' at column 5 has an operator other than"),
    ("-RBF()", "is an operator on one value"),
    ("~1 * RBF()", "is an operator on one value"),
    ("not RBF()", "is an operator on one value"),
    ("RBF() ** RBF()", "has an exponent that is no number"),
    ("2 ** RBF()", "has an exponent that is no number"),
    ("RBF() + 'x'", "applies \\+ to something other than kernels"),
    ("RBF() * [1]", "applies \\* to something"),
    ("RBF() + None", "applies \\+ to something"),
    ("9**9**9 * RBF()", "is no finite number"),
    ("(-8) ** 0.5 * RBF()", "is no finite number"),
    ("0 ** -1 * RBF()", "is no finite number"),
    ("RBF(" + "9" * 30 + ")", "at column 5 is too large a number"),
    ("RBF(" + "9" * 5000 + ")", "is no kernel: Exceeds the limit"),
    ("RBF(0x" + "f" * 9000 + ")", "is too large a number"),
    ("RBF(1e999)", "is too large a number"),
    ("RBF(1j)", "is neither a number nor text"),
    ("RBF(True)", "is neither a number nor text"),
    ("RBF(b'x')", "is neither a number nor text"),
    ("RBF(...)", "is neither a number nor text"),
    ("RBF(lenght_scale=1)", "length_scale_bounds: got an unexpected keyword .*lenght_scale"),
    ("RBF(1, 2, 3)", "too many positional arguments"),
    ("RBF(1, length_scale=2)", "multiple values"),
    ("RBF(length_scale=1, length_scale=2)", "'2' at column 34 is length_scale for the second time"),
    ("ActiveDims(RBF())", "missing a required argument: 'dims'"),
    ("ActiveDims([0], RBF())", "kernel of ActiveDims must be a kernel, got \\[0\\]"),
    ("RBF(RBF())", "length_scale of RBF must be no kernel"),
    ("CompoundKernel([1])", "kernels of CompoundKernel must be kernels"),
    ("ActiveDims(RBF(), slice())", "needs one to three whole numbers"),
    ("ActiveDims(RBF(), slice(1.5))", "needs one to three whole numbers"),
    ("Kernel()", "'Kernel' at column 1 is no kernel"),
    ("Program()", "'Program' at column 1 is no kernel"),
    ("PairwiseKernel()", "is no kernel"),
    ("3.0", "'3.0' is no kernel but 3.0"),
    ("'RBF()'", "is no kernel but"),
    ("", "is no kernel: .*syntax"),
    ("   ", "is no kernel: .*syntax"),
    ("RBF(", "is no kernel: .* at column"),
    ("RBF() RBF()", "is no kernel: .*syntax.* at column"),
    ("RBF()\nRBF()", "is no kernel: .*syntax"),
    ("import os", "is no kernel: .*syntax"),
    ("RBF()\0", "null bytes"),
    ("RBF('\ud800')", "surrogates|syntax"),
    ("é + RBF(ñ)", "'é' at column 1 is no kernel"),
    ("RBF('é', ñ)", "'ñ' at column 10 is no kernel"),
    ("RBF() + (\nfoo)", "'foo' at line 2, column 1 is no kernel"),
    ("(" * 5000 + "RBF()" + ")" * 5000, "nested"),
    ("[" * 150 + "]" * 150, "nested more than"),
    ("-" * 50_000 + "1", "nested"),
    ("-" * 500 + "1", "nested"),
    ("RBF() + " * 1000 + "RBF()", "nested"),
    ("RBF()" + " + RBF()" * 10_000, "nested"),
    ("RBF() ** 1" + " ** 1" * 5000, "nested"),
    ("ActiveDims(" * 500 + "RBF()" + ", [0])" * 500, "nested"),
    ("RBF() " + " " * 1_000_000 + "+ RBF()", "has 1000013 characters, more than 100000"),
    ("#" * 99_000, "is no kernel: .*syntax"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), HOSTILE, ids=[f"{t!r:.30}" for t, _ in HOSTILE])
def test_anything_else_is_refused_with_its_place(text, message):
    with pytest.raises(InvalidInputError, match=f"(?s){message}") as raised:
        parse_kernel(text)
    assert len(str(raised.value)) < 1200
    if len(text) <= 100_000:
        assert "ActiveDims, ArcCosine, ChangePoint" in str(raised.value)


@pytest.mark.parametrize("text", [None, 3, b"RBF()", RBF()])
def test_what_is_no_text_is_refused(text):
    with pytest.raises(UnsupportedTypeError, match="must be a str"):
        parse_kernel(text)


def test_random_characters_give_a_kernel_or_an_error(rng):
    pieces = ["RBF", "(", ")", "[", "]", ",", " ", "+", "*", "**", "-", "1", ".5", "'fixed'", "="]
    pieces += ["WhiteKernel()", "length_scale", "inf", ":", "@", "{", "lambda ", "\n", "\\", "é"]
    for _ in range(300):
        text = "".join(rng.choice(pieces, rng.integers(1, 12)))
        with contextlib.suppress(exceptions.GpratError):
            assert isinstance(parse_kernel(text), Kernel)


def test_deepest_kernel_that_is_read_compiles_and_is_stored():
    kernel = parse_kernel("RBF()" + " + RBF()" * 80)
    assert compile(kernel).n_free == 81
    assert_same(round_trip(kernel), kernel)


# Plain data

NEEDED = {
    "ActiveDims": (RBF(), [0]),
    "ChangePoint": (RBF(), DotProduct()),
    "CompoundKernel": ([RBF()],),
    "Exponentiation": (RBF(), 2),
    "Product": (RBF(), DotProduct()),
    "SpectralMixture": ([1.0], [0.5], [0.1]),
    "Sum": (RBF(), DotProduct()),
}


@pytest.mark.parametrize("name", sorted(KERNELS))
def test_every_class_of_kernels_round_trips(name):
    kernel = KERNELS[name](*NEEDED.get(name, ()))
    assert_same(round_trip(kernel), kernel)


def test_table_of_kernels_round_trip(kernel):
    assert_same(round_trip(kernel), kernel)


@pytest.mark.parametrize("seed", range(20))
def test_random_kernels_round_trip(seed):
    kernel = random_kernel(np.random.default_rng(seed), 3, 3)
    assert_same(round_trip(kernel), kernel)


@pytest.mark.parametrize(
    "kernel",
    [
        RBF(0.1 + 0.2, (1e-5, np.inf)),
        RBF(np.float64(1 / 3)).set_params(length_scale=1 / 3),
        RBF(-0.0, (-np.inf, np.nan)),
        RBF(5e-324, [1e-308, 1.7976931348623157e308]),
        RBF(np.array([0.1, 0.7]), np.array([[0.0, np.inf], [1e-3, 2.0]])),
        RBF(np.array([1.1, 2.3], dtype=np.float32), "fixed"),
        RBF([1, 2.5], [(1, 2), [3, 4.0]]),
        RBF(np.array(3), ((1e-5, 1e5),)),
        Matern((0.5, 1), nu=np.inf),
        ActiveDims(RBF(), np.array([2, 0])),
        ActiveDims(RBF(), slice(None, -1, 2)),
        ActiveDims(RBF(), (0,)),
        sk.RationalQuadratic(0.3, 2.0),
        RationalQuadratic([0.3, 1.0], 2.0),
        sk.RationalQuadratic() + RationalQuadratic(),
        CompoundKernel([RBF(), 2.0 * DotProduct()]),
        RBF() ** np.pi,
        sk.PairwiseKernel(0.3, metric="laplacian"),
        sk.PairwiseKernel(metric="poly", pairwise_kernels_kwargs={"degree": 2}) * 0.5,
        SpectralMixture(np.ones(2), np.ones((2, 3)), np.ones((2, 1)), means_bounds=np.ones((6, 2))),
    ],
    ids=repr,
)
def test_bits_types_and_shapes_survive(kernel):
    assert_same(round_trip(kernel), kernel)


def test_scalars_of_numpy_become_equal_numbers():
    kernel = round_trip(RBF(np.float32(0.1), (np.int64(1), np.float64(2))))
    assert kernel.length_scale == float(np.float32(0.1))
    assert kernel.length_scale_bounds == (1, 2.0)


class Own(RBF):
    """A kernel of a user's own."""


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (Own(), "kernel is a Own, which cannot be saved: files hold no code.*RBF.*by yourself"),
        (2.0 * (RBF() + Own()), "kernel.k2.k2 is a Own"),
        (CompoundKernel([RBF(), Own()]), "kernel.kernels\\[1\\] is a Own"),
        (sk.PairwiseKernel(metric=np.dot), "metric of PairwiseKernel is <.*only metrics by name"),
        (RBF(length_scale={1, 2}), "kernel.length_scale is {1, 2} of type set"),
        (RBF(np.array([None])), "kernel.length_scale is .*ndarray"),
        (RBF(1j), "kernel.length_scale is 1j"),
        (RBF(10**400), "kernel.length_scale is 1000"),
    ],
)
def test_code_and_objects_are_not_stored(kernel, message):
    with pytest.raises(UnsupportedKernelError, match=f"(?s){message}"):
        kernel_to_plain(kernel)


def test_what_is_no_kernel_is_not_stored():
    with pytest.raises(UnsupportedTypeError, match="expected a kernel, got 'RBF'"):
        kernel_to_plain("RBF")


def test_kernel_that_holds_itself_is_not_stored():
    kernel = ActiveDims(RBF(), [0])
    kernel.kernel = kernel
    with pytest.raises(InvalidInputError, match="nested more than 100 deep"):
        kernel_to_plain(kernel)


def rbf(**arguments):
    return {"kernel": "RBF", "arguments": arguments}


def nested(depth):
    plain = rbf()
    for _ in range(depth):
        plain = {"kernel": "ActiveDims", "arguments": {"kernel": plain, "dims": [0]}}
    return plain


@pytest.mark.parametrize(
    ("plain", "message"),
    [
        (None, "expected the description of a kernel, got None"),
        ([], "expected the description"),
        ({"tuple": []}, "expected the description"),
        ({}, "kernel is no value"),
        ({"kernel": "RBF"}, "kernel is no value"),
        ({**rbf(), "more": 1}, "kernel is no value"),
        ({"kernel": ["RBF"], "arguments": {}}, "kernel is no value"),
        ({"kernel": "os.system", "arguments": {}}, "'os.system', a kernel that this gprat doesn't"),
        ({"kernel": "Kernel", "arguments": {}}, "'Kernel', a kernel that this gprat doesn't"),
        (rbf(scale=1), "RBF takes the arguments length_scale, length_scale_bounds"),
        (rbf(length_scale=rbf()), "length_scale of RBF must be no kernel"),
        (
            {"kernel": "ActiveDims", "arguments": {"kernel": 1, "dims": [0]}},
            "kernel of ActiveDims must be a kernel",
        ),
        ({"kernel": "Sum", "arguments": {"k1": rbf()}}, "missing a required argument: 'k2'"),
        ({"kernel": "CompoundKernel", "arguments": {"kernels": 3}}, "must be kernels"),
        (
            {"kernel": "PairwiseKernel", "arguments": {"metric": "system"}},
            "metric of PairwiseKernel must be one of",
        ),
        (
            {"kernel": "PairwiseKernel", "arguments": {"pairwise_kernels_kwargs": [1]}},
            "pairwise_kernels_kwargs of PairwiseKernel must be a dict or None",
        ),
        (rbf(length_scale={"float": "1.0"}), "length_scale is no value"),
        (rbf(length_scale={"float": "nan", "b": 1}), "length_scale is no value"),
        (rbf(length_scale={"code": "1"}), "length_scale is no value"),
        (rbf(length_scale={"slice": [1]}), "length_scale is no value"),
        (
            rbf(length_scale={"array": [1.0], "dtype": "float64", "shape": [1 << 60]}),
            "has 1 entries for dtype 'float64' and shape",
        ),
        (
            rbf(length_scale={"array": [1.0], "dtype": "float64", "shape": [True]}),
            "has 1 entries",
        ),
        (rbf(length_scale={"array": [1.0], "dtype": "object", "shape": [1]}), "has 1 entries"),
        (rbf(length_scale={"array": [[]], "dtype": "float64", "shape": [1]}), "are no numbers"),
        (rbf(length_scale={"array": ["1"], "dtype": "float64", "shape": [1]}), "are no numbers"),
        (rbf(length_scale={"array": [300], "dtype": "int8", "shape": [1]}), "does not fit"),
        (rbf(length_scale={"array": [10**99], "dtype": "int64", "shape": [1]}), "does not fit"),
        (nested(150), "nested more than 100 deep"),
        (rbf(length_scale=json.loads("[" * 150 + "]" * 150)), "nested more than 100 deep"),
    ],
)
def test_descriptions_that_make_no_sense_are_refused(plain, message):
    with pytest.raises((InvalidInputError, UnsupportedKernelError), match=message):
        kernel_from_plain(plain)
