"""Batches of small models: each member is what a model alone would be, whatever is passed."""

import warnings

import numpy as np
import pytest
from hypothesis import strategies as st

from fuzz.journal import documented, fuzzed
from fuzz.strategies_arrays import disguised, nasty, tables
from fuzz.strategies_kernels import absurd_values, kernels
from fuzz.test_extremes import absurd_numbers
from gprat import GPBatch
from gprat.kernels import RBF, DotProduct
from gprat.means import FixedLinear

MEANS = ("zero", "constant", FixedLinear(0.5))
FORMS = ("stacked", "shared", "list")


@st.composite
def data(draw, elements=None, forms=FORMS):
    """X, y and test points as arrays or lists of them, in some form."""
    form, b, d = draw(st.sampled_from(forms)), draw(st.integers(1, 4)), draw(st.integers(1, 3))
    own = {} if elements is None else {"elements": elements}

    def table(rows, columns=None):
        return draw(tables(rows, columns, **own))

    if form == "list":
        sizes = [draw(st.integers(1, 6)) for _ in range(b)]
        X, y = [table(n, d) for n in sizes], [table(n) for n in sizes]
        return X, y, [table(draw(st.integers(0, 3)), d) for _ in sizes]
    n, m = draw(st.integers(1, 6)), draw(st.integers(0, 3))
    y = table(b, n)
    if form == "shared":
        return table(n, d), y, table(m, d)
    X, points = table(b * n, d).reshape(b, n, d), table(b * m, d).reshape(b, m, d)
    return X, y, points


def ask(model, points):
    """All that batches and models have in common."""
    return (
        model.log_marginal_likelihood(),
        model.log_marginal_likelihood(eval_gradient=True)[1],
        model.predict(points),
        *model.predict_with_uncertainty(points, include_noise=True),
        *model.predict_with_full_cov(points),
    )


@fuzzed(
    data=data(),
    kernel=st.data(),
    mean=st.sampled_from(MEANS),
    dtype=st.sampled_from(["float64", "float32"]),
    threads=st.sampled_from([None, 1, 2]),
)
def test_members_are_models(data, kernel, mean, dtype, threads):
    X, y, points = data
    own = kernel.draw(kernels(np.shape(X[0])[-1], 2, python=False))
    options = {"noise": 0.25, "mean": mean, "dtype": dtype, "threads": threads}
    batch = GPBatch(X, y, own, **options, on_failure="nan")
    answers = ask(batch, points)
    errors = batch.errors()
    for member in range(len(batch)):
        if member in errors:
            assert all(not np.isfinite(answer[member]).any() for answer in answers)
            continue
        at = points if isinstance(points, np.ndarray) and points.ndim == 2 else points[member]
        try:
            alone = ask(batch[member], at)
        except ArithmeticError:
            continue
        for answer, expected in zip(answers, alone, strict=True):
            # Results are those of other tiles, if at all.
            scale = np.max(np.abs(expected), initial=1.0)
            difference = np.max(np.abs(answer[member] - expected), initial=0.0)
            assert difference <= 1e4 * np.finfo(dtype).eps * scale


@fuzzed(
    data=data(absurd_numbers),
    values=st.lists(absurd_values, min_size=2, max_size=2),
    noise=absurd_values,
    on_failure=st.sampled_from(["raise", "nan"]),
    dtype=st.sampled_from(["float64", "float32"]),
)
def test_absurd_batches(data, values, noise, on_failure, dtype):
    X, y, points = data
    with documented():
        kernel = values[0] * RBF(values[1])
        batch = GPBatch(X, y, kernel, noise, on_failure=on_failure, dtype=dtype)
        failed = batch.errors()
        value, gradient, *predictions = ask(batch, points)
        assert not np.isnan(value).any()
        for member in set(range(len(batch))) - set(failed):
            # What left the range of the dtype is marked, or an error.
            is_marked = np.isneginf(value[member]) or on_failure == "nan"
            assert is_marked or np.isfinite(gradient[member]).all()
            for part in predictions:
                assert np.isfinite(part[member]).all() or on_failure == "nan"
        report = batch.optimize(max_iter=3, n_restarts=1, random_state=0)
        assert not np.isnan(report.loss).any()
        assert np.isfinite(batch.theta).all()


@fuzzed(arguments=st.data(), dtype=st.sampled_from([None, "float32", "float64"]))
def test_the_container_does_not_matter_to_batches(arguments, dtype):
    b, n, d = (arguments.draw(st.integers(1, most)) for most in (3, 5, 3))
    own = [arguments.draw(disguised(arguments.draw(tables(n, d)))) for _ in range(b)]
    targets = [arguments.draw(disguised(arguments.draw(tables(n)))) for _ in range(b)]
    points = arguments.draw(disguised(arguments.draw(tables(2, d))))
    everything = [*own, *targets, points]
    before = [argument.fingerprint() for argument in everything]
    kernel = 2.0 * RBF() + DotProduct()
    X, y = ([part.argument for part in parts] for parts in (own, targets))
    batch = GPBatch(X, y, kernel, dtype=dtype)
    answers = ask(batch, points.argument)
    assert [argument.fingerprint() for argument in everything] == before
    X, y = ([part.numbers for part in parts] for parts in (own, targets))
    plain = GPBatch(X, y, kernel, dtype=batch.dtype)
    for answer, expected in zip(answers, ask(plain, points.numbers), strict=True):
        np.testing.assert_array_equal(np.asarray(answer), np.asarray(expected))


X = np.array([[0.0, 1.0], [1.0, -1.0], [0.5, 0.25]])
Y = np.array([[1.0, -1.0, 0.5], [0.0, 0.0, 2.0]])
CALLS = {
    "X": lambda value: GPBatch(value, Y),
    "y": lambda value: GPBatch(X, value),
    "a member's X": lambda value: GPBatch([X, value], list(Y)),
    "a member's y": lambda value: GPBatch([X, X], [Y[0], value]),
    "kernel": lambda value: GPBatch(X, Y, value),
    "noise": lambda value: GPBatch(X, Y, noise=value),
    "noise_bounds": lambda value: GPBatch(X, Y, noise_bounds=value),
    "mean": lambda value: GPBatch(X, Y, mean="zero" if callable(value) else value).predict(X),
    "priors": lambda value: GPBatch(X, Y, priors=value).loss(),
    "on_failure": lambda value: GPBatch(X, Y, on_failure=value),
    "dtype": lambda value: GPBatch(X, Y, dtype=value),
    "threads": lambda value: GPBatch(X, Y, threads=value).predict(X),
    "memory_limit": lambda value: GPBatch(X, Y, memory_limit=value).predict(X),
    "theta": lambda value: GPBatch(X, Y).log_marginal_likelihood(value),
    "theta of errors": lambda value: GPBatch(X, Y).errors(value),
    "points": lambda value: GPBatch(X, Y).predict(value),
    "a member's points": lambda value: GPBatch(X, Y).predict_with_full_cov([X, value]),
    "include_noise": lambda value: GPBatch(X, Y).predict_with_uncertainty(X, value),
    "fixed": lambda value: GPBatch(X, Y).optimize(max_iter=1, fixed=value),
    "max_iter": lambda value: GPBatch(X, Y).optimize(max_iter=_few(value)),
    "n_restarts": lambda value: GPBatch(X, Y).optimize(max_iter=1, n_restarts=_few(value)),
    "random_state": lambda value: GPBatch(X, Y).optimize(max_iter=1, random_state=value),
    "callback": lambda value: GPBatch(X, Y).optimize(
        max_iter=1, callback=None if callable(value) else value
    ),
    "progress": lambda value: GPBatch(X, Y).optimize(max_iter=1, progress=value),
}


def _few(value):
    return 3 if isinstance(value, int | np.integer) and value > 100 else value


@pytest.mark.parametrize("call", CALLS)
@fuzzed(weight=0.5, value=nasty)
def test_arguments_of_batches(call, value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with documented():
            CALLS[call](value)
