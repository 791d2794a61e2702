"""Kernels nested at random: compiled, called, written as text and read again they stay the same."""

import numpy as np
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone

from fuzz.journal import documented, fuzzed
from fuzz.strategies_arrays import tables
from fuzz.strategies_kernels import absurd_values, kernels
from fuzz.strategies_text import WORDS
from gprat import GP
from gprat.kernels import (
    ConstantKernel,
    Exponentiation,
    Program,
    compile,
    parse_kernel,
    plain_clone,
)
from gprat.kernels.description import kernel_from_plain, kernel_to_plain
from oracles import evaluate_program


@st.composite
def cases(draw, depth, **options):
    """A kernel and two sets of points."""
    d = draw(st.integers(1, 3))
    return draw(kernels(d, depth, **options)), draw(tables(5, d)), draw(tables(3, d))


@fuzzed(weight=2.0, case=cases(depth=3))
def test_programs_compute_the_kernel(case):
    kernel, X, Z = case
    d = X.shape[1]
    program = compile(kernel, d)
    assert len(program.theta) == len(plain_clone(kernel).theta)
    # An entry's rounding is relative to the largest that were multiplied and added up in it.
    kernel = plain_clone(kernel)
    K = kernel(X)
    scale = np.abs(K).max() + kernel.diag(Z).max()
    if isinstance(program, Program):
        assert_allclose(evaluate_program(program, X), K, rtol=1e-9, atol=1e-9 * scale)
        assert_allclose(evaluate_program(program, X, Z), kernel(X, Z), rtol=1e-9, atol=1e-9 * scale)
    else:
        assert_allclose(program.covariance(X, Z), kernel(X, Z), rtol=1e-12)
    assert_allclose(kernel.diag(X), np.diag(K), rtol=1e-9, atol=1e-9 * scale)
    moved = program.with_theta(program.theta)
    assert_allclose(moved.theta, program.theta, rtol=1e-14, atol=1e-14)


@fuzzed(case=cases(depth=2))
def test_gradients_of_kernels_are_their_slopes(case):
    kernel, X, _ = case
    kernel = plain_clone(kernel)
    K, gradient = kernel(X, eval_gradient=True)
    theta, step = kernel.theta, 1e-5
    assert gradient.shape == (len(X), len(X), len(theta))
    scale = 1.0 + np.abs(K).max()
    for p in range(len(theta)):
        move = np.eye(len(theta))[p] * step
        slope = kernel.clone_with_theta(theta + move)(X) - kernel.clone_with_theta(theta - move)(X)
        assert_allclose(gradient[:, :, p], slope / (2 * step), rtol=1e-4, atol=1e-6 * scale**2)


@fuzzed(case=cases(depth=3, values=absurd_values, python=False))
def test_kernels_survive_description_and_cloning(case):
    kernel, d = case[0], case[1].shape[1]
    with documented():
        again = kernel_from_plain(kernel_to_plain(kernel))
        assert repr(again) == repr(kernel)
        first, second = compile(kernel, d), compile(again, d)
        assert_array_equal(first.parameters, second.parameters)
        assert first.instructions == second.instructions
        assert first.names == second.names
        assert_array_equal(first.bounds, second.bounds)
        assert repr(clone(kernel)) == repr(kernel)


@fuzzed(
    weight=3.0, words=st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=3)), max_size=14)
)
def test_any_text_is_a_kernel_or_an_error(words):
    with documented():
        kernel = parse_kernel(" ".join(words))
        compile(kernel, 2)


@fuzzed(exponent=st.floats(), value=absurd_values)
def test_any_power_is_numbers_or_an_error(exponent, value):
    with documented():
        gp = GP([[0.0], [1.0]], [1.0, 2.0], Exponentiation(ConstantKernel(value), exponent))
        assert np.isfinite(gp.log_marginal_likelihood(eval_gradient=True)[1]).all()
        assert np.isfinite(gp.predict([[0.5]])).all()
