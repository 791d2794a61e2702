"""Files with a digest that fits but contents that don't are refused."""

import json

import numpy as np
import pytest

import gprat
from saved_models import N, assert_same_model, refused, round_trip


def test_forgery_of_nothing_is_loaded(forgery, gp):
    forgery.write()
    assert_same_model(gprat.load(forgery.path), gp)


def test_newer_versions_say_what_is_needed(forgery):
    forgery.document |= {"version": 7, "gprat": "9.8.7", "more": {}}
    forgery.table["X"] = {"dtype": "F128"}
    forgery.write()
    refused(
        forgery.path,
        f"has format version 7, written by gprat 9.8.7; this is gprat {gprat.__version__}, which "
        "reads up to version 1. Install a newer gprat",
    )


@pytest.mark.parametrize("version", [0, -1, 1.0, True, "1", None, [1]])
def test_versions_that_make_no_sense(forgery, version):
    forgery.document["version"] = version
    forgery.write()
    refused(forgery.path, "is damaged: its format version is")


@pytest.mark.parametrize(
    "document",
    [
        "",
        "[]",
        "3",
        '{"format": "gprat model"',
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1, "a": 2}',
        '{"a": {"b": 1, "b": 1}}',
        '{"a": ' + "9" * 5000 + "}",
        '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"a": ' * 100_000,
    ],
    ids=lambda document: document[:20],
)
def test_descriptions_that_are_no_json(forgery, document):
    forgery.write(document=document)
    refused(forgery.path, "is damaged: its description is no JSON")


@pytest.mark.parametrize(
    "edit",
    [
        lambda header: header[:-1],
        lambda header: header + "}",
        lambda header: header[:-1] + ', "X": 1}',
        lambda header: header[:-1] + ', "Z": NaN}',
        lambda header: header[:-1] + ', "Z": ' + "[" * 100_000 + "]" * 100_000 + "}",
        lambda header: header.encode().replace(b"padding", b"p\xffdding"),
        lambda header: header.encode("utf-16"),
    ],
)
def test_headers_that_are_no_json(forgery, edit):
    forgery.write(header=edit(json.dumps(forgery.table)))
    refused(forgery.path, "is damaged: its header is no JSON|is no file of gprat")


def change(table, name, **entries):
    table[name] = {**table[name], **entries}


def swap_names(table):
    table["X"], table["y"] = table["y"], table["X"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda t: t["__metadata__"].update(more="text"),
        lambda t: t.update(Z=1),
        lambda t: t.update(Z=[]),
        lambda t: t.update(Z={"dtype": "F64", "shape": [0]}),
        lambda t: change(t, "X", more=1),
        lambda t: change(t, "X", dtype="F16"),
        lambda t: change(t, "X", dtype="F32"),
        lambda t: change(t, "X", dtype=["F64"]),
        lambda t: change(t, "X", shape=[N]),
        lambda t: change(t, "X", shape=[N, -2]),
        lambda t: change(t, "X", shape=[-N, -2]),
        lambda t: change(t, "X", shape=[N, 2.0]),
        lambda t: change(t, "X", shape=[N, True, 2]),
        lambda t: change(t, "X", shape=[N, 2, *[1] * 9]),
        lambda t: change(t, "X", shape=[10**30, 0]),
        lambda t: change(t, "X", data_offsets=[0]),
        lambda t: change(t, "X", data_offsets=[0, 8 * N * 2, 3]),
        lambda t: change(t, "X", data_offsets=[-8, 8 * N * 2 - 8]),
        lambda t: change(t, "X", data_offsets=[8, 8 * N * 2 + 8]),
        lambda t: change(t, "X", data_offsets=[0, 1 << 63]),
        lambda t: change(t, "y", data_offsets=[0, 8 * N]),
        lambda t: change(t, "y", data_offsets=[1 << 40, (1 << 40) + 8 * N]),
        lambda t: t.pop("y"),
        lambda t: t.update(Z={"dtype": "F64", "shape": [1], "data_offsets": [0, 8]}),
        lambda t: t.update(Z={"dtype": "F64", "shape": [1 << 50], "data_offsets": [0, 1 << 53]}),
    ],
    ids=range(25),
)
def test_tables_of_arrays_that_do_not_fit(forgery, edit):
    edit(forgery.table)
    forgery.write()
    refused(forgery.path, "is damaged|is cut short")


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (swap_names, "its array 'X' must have dtype float64 and shape \\(any, any\\)"),
        (lambda t: change(t, "X", shape=[2 * N]), "its array 'X' must have"),
        (lambda t: change(t, "X", shape=[2 * N, 1]), "its array 'y' must have .*shape .74."),
        (lambda t: change(t, "X", dtype="I64"), "its array 'X' must have dtype float64"),
        (lambda t: change(t, "y", dtype="I64"), "its array 'y' must have dtype float64"),
        (lambda t: change(t, "noise/groups", dtype="F64"), "its array 'groups' must have dtype"),
        (lambda t: t.update(x=t.pop("X")), "it has no array 'X'"),
        (lambda t: t.update(x=t.pop("noise/known")), "it has no array 'known'"),
        (
            lambda t: t.update(Z={"dtype": "F64", "shape": [0], "data_offsets": [0, 0]}),
            "it has entries that belong to no model: Z",
        ),
    ],
)
def test_arrays_that_do_not_fit_the_model(forgery, edit, message):
    edit(forgery.table)
    forgery.write()
    refused(forgery.path, f"holds no valid model: {message}")


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ["X", "y", "noise/known"])
def test_numbers_that_are_none(forgery, name, value):
    forgery.array(name)[3] = value
    forgery.write()
    refused(forgery.path, "holds no valid model: .*finite.* row")


def test_row_groups_that_do_not_fit(forgery):
    for value in (-1, 2, 1 << 62, -(1 << 63)):
        forgery.array("noise/groups", np.int64)[3] = value
        forgery.write()
        refused(forgery.path, "its noise groups don't fit their labels")


def test_group_without_rows_is_kept(forgery):
    """As it is left by deleting rows."""
    forgery.array("noise/groups", np.int64)[:] = 0
    forgery.write()
    loaded = gprat.load(forgery.path)
    assert loaded.parameter_names[-2:] == ("noise_variance[north]", "noise_variance[south]")
    assert np.array_equal(loaded.noise_variance, [0.1, 0.2])
    assert_same_model(round_trip(loaded, forgery.path), loaded)


def kernel(name="RBF", **arguments):
    return {"kernel": name, "arguments": arguments}


DESCRIPTIONS = [
    ("kernel", kernel("os.system"), "'os.system', a kernel that this gprat doesn't know"),
    ("kernel", kernel(length_scale="text"), "numeric"),
    ("kernel", kernel(length_scale=None), "numeric"),
    ("kernel", kernel(length_scale=-1.0), "must be positive"),
    ("kernel", kernel(length_scale=[1.0] * 3), "3"),
    ("kernel", kernel(scale=1.0), "RBF takes the arguments"),
    ("kernel", kernel("Sum", k1=kernel(), k2=kernel()), "priors names"),
    ("kernel", kernel(length_scale_bounds="fixed"), "hyperparameters don't fit|prior"),
    ("kernel", kernel("PairwiseKernel", gamma="x"), ""),
    ("kernel", kernel("PairwiseKernel"), ""),
    ("kernel", kernel("CompoundKernel", kernels=[kernel(), kernel()]), "CompoundKernel of 2"),
    ("kernel", kernel("ActiveDims", kernel=kernel(), dims={"slice": [0, 10**15, None]}), ""),
    ("kernel", [], "its entry 'kernel' must be a dict"),
    ("parameters", None, "no list of floats"),
    ("parameters", [], "don't fit"),
    ("parameters", [1.0, 1.0, 1.0], "don't fit"),
    ("parameters", [1.0, "1"], "no list of floats"),
    ("parameters", [1.0, -1.0], "don't fit"),
    ("parameters", [1.0, 0.0], "don't fit"),
    ("parameters", [1.0, 10**400], "no list of floats"),
    ("mean", "cubic", "none of gprat's"),
    ("mean", ["zero"], "its entry 'mean' must be a str or dict"),
    ("mean", {"intercept": 1.0}, "none of gprat's"),
    ("mean", {"intercept": 1.0, "coefficients": ["x", 1.0]}, "FixedLinear"),
    ("mean", {"intercept": 1.0, "coefficients": [1.0]}, "1 coefficients"),
    ("mean", {"function": "os.system"}, "none of gprat's"),
    ("objective", "accuracy", "unknown objective"),
    ("objective", 3, "its entry 'objective' must be a str"),
    ("dtype", "float16", "its dtype is 'float16'"),
    ("dtype", "float32", "its array 'X' must have dtype float32"),
    ("dtype", "object", "its dtype is 'object'"),
    ("tile_size", 0, "tile_size must be at least 1"),
    ("tile_size", "auto", "its entry 'tile_size' must be a int"),
    ("tile_size", True, "its entry 'tile_size' must be a int"),
    ("tile_size_is_automatic", 1, "must be a bool"),
    ("threads", 0, "threads must be at least 1"),
    ("threads", -3, "threads must be at least 1"),
    ("threads", 1 << 40, "its number of threads is 1099511627776"),
    ("threads", 1.5, "its entry 'threads' must be a int or NoneType"),
    ("has_factor", True, "it has no array 'factor'"),
    ("has_factor", 0, "must be a bool"),
    ("more", 1, "belong to no model: more"),
    ("noise", {}, "no entry 'learned'"),
    ("priors", {}, "its entry 'priors' must be a list"),
    ("priors", [3], "prior that is no distribution of scipy.stats"),
    ("priors", [{"name": "length_scale"}], "prior that is no distribution of scipy.stats"),
]


@pytest.mark.parametrize(
    ("entry", "value", "message"), DESCRIPTIONS, ids=[f"{e}={v!r:.30}" for e, v, _ in DESCRIPTIONS]
)
def test_descriptions_that_do_not_fit(forgery, entry, value, message):
    forgery.document["model"][entry] = value
    forgery.write()
    refused(forgery.path, f"holds no valid model: .*{message}")


def test_every_entry_is_needed(forgery):
    model = forgery.document["model"]
    for entries in (forgery.document, model, model["noise"]):
        for name in set(entries) - {"sha256", "format", "version"}:
            value = entries.pop(name)
            forgery.write()
            refused(forgery.path, f"it has no entry '{name}'")
            entries[name] = value
    forgery.document["format"] = "other"
    forgery.write()
    refused(forgery.path, "is no model of gprat")


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("learned", [], "it has 0 noise variances"),
        ("learned", [0.1], "it has 1 noise variances"),
        ("learned", [0.1, 2], "no floats"),
        ("learned", [0.1, -0.2], "positive"),
        ("labels", None, "belong to no model: groups"),
        ("labels", [], "neither text nor numbers"),
        ("labels", ["south", "north"], "not sorted"),
        ("labels", ["north", "north"], "not sorted|don't fit"),
        ("labels", ["north", "south", "west"], "it has 2 noise variances"),
        ("labels", ["north"], "don't fit"),
        ("labels", ["north", None], "neither text nor numbers"),
        ("labels", ["north", 3], ""),
        ("log_bounds", {"tuple": [1.0]}, "its noise has the bounds"),
        ("log_bounds", {"tuple": [1.0, "x"]}, "its noise has the bounds"),
        ("log_bounds", {"tuple": [2.0, 1.0]}, "its noise has the bounds"),
        ("log_bounds", {"tuple": [{"float": "nan"}, 1.0]}, "its noise has the bounds"),
        ("log_bounds", {"tuple": [{"float": "-inf"}, 1.0]}, "its noise has the bounds"),
        ("has_known", False, "belong to no model: known"),
    ],
)
def test_noise_that_does_not_fit(forgery, entry, value, message):
    forgery.document["model"]["noise"][entry] = value
    forgery.write()
    refused(forgery.path, f"holds no valid model: .*{message}")


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("name", "no_such_parameter"),
        ("name", 3),
        ("distribution", "rv_frozen"),
        ("distribution", "rv_continuous"),
        ("distribution", "poisson"),
        ("distribution", "__builtins__"),
        ("distribution", "multivariate_normal"),
        ("arguments", ["1"]),
        ("arguments", [[1.0]]),
        ("arguments", [1.0, 2.0, 3.0, 4.0, 5.0]),
        ("arguments", []),
        ("arguments", [-1.0]),
        ("keywords", {"scale": "1"}),
        ("keywords", {"size": 1}),
        ("keywords", {"loc": 1e300}),
        ("more", 1),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_priors_that_do_not_fit(forgery, entry, value):
    forgery.document["model"]["priors"][0][entry] = value
    forgery.write()
    refused(forgery.path, "holds no valid model")


@pytest.mark.parametrize("same", [{"X": "Z"}, {"Z": "X"}, {"X": ["y"]}, {"X": "y"}, []])
def test_repeated_arrays_that_do_not_fit(forgery, same):
    forgery.document["same"] = same
    forgery.write()
    refused(forgery.path, "holds no valid model")


def test_kinds_that_are_not_known(forgery):
    forgery.document["kind"] = "os.system"
    forgery.write()
    refused(forgery.path, "it holds a 'os.system'; this gprat knows GP")
