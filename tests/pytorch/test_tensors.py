"""What goes in and comes out: shared memory, dtypes, and errors that tell the remedy."""

import numpy as np
import pytest
import torch
from sklearn.gaussian_process import kernels

from gprat.differentiation import Conditioned, Regression, Wanted
from gprat.exceptions import (
    InvalidInputError,
    NotPositiveDefiniteError,
    UnsupportedKernelError,
    UnsupportedTypeError,
)
from gprat.kernels import RBF, ConstantKernel
from gprat.means import FixedMean
from gprat.torch import condition, log_marginal_likelihood, posterior


class PythonRBF(kernels.RBF):
    """A kernel that gprat doesn't know, and calls."""


def address(array):
    return array.__array_interface__["data"][0]


@pytest.fixture
def calls(monkeypatch):
    """The arguments and results of all calls below the surface, as they pass."""
    seen = []

    def watch(cls, name):
        original = getattr(cls, name)

        def watched(self, *arguments, **options):
            result = original(self, *arguments, **options)
            seen.append((name, arguments, options, result))
            return result

        monkeypatch.setattr(cls, name, watched)

    watch(Regression, "log_marginal_likelihood")
    watch(Regression, "condition")
    watch(Conditioned, "predict")
    watch(Conditioned, "pull_back")
    return seen


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_tensors_share_their_memory(dtype, calls, make_problem):
    problem = make_problem(dtype=dtype)
    X, y, theta, noise = problem.all_requiring_grad()
    log_marginal_likelihood(X, y, problem.kernel, theta, noise)
    (_, arguments, _, (_, gradients)) = calls.pop()
    for tensor, array in zip((X, y, theta, noise), arguments[:4], strict=True):
        assert address(array) == tensor.data_ptr()
    assert gradients.X.shape == X.shape

    points = problem.Xs.requires_grad_()
    prediction = posterior(X, y, points, problem.kernel, theta, noise)
    (name, arguments, _, solver), (_, at, _, (mean, variance)) = calls
    assert name == "condition"
    assert address(arguments[0]) == X.data_ptr()
    assert address(at[0]) == points.data_ptr()
    assert prediction.mean.data_ptr() == address(mean)
    assert prediction.variance.data_ptr() == address(variance)
    # Down to what the engine reads.
    problem_of_engine = solver._posterior.problem
    assert address(problem_of_engine.X) == X.data_ptr()
    assert address(problem_of_engine.Y) == y.data_ptr()

    (gradient,) = torch.autograd.grad(prediction.mean.sum(), points)
    assert gradient.data_ptr() == address(calls[-1][3].Xs)


def test_layouts_make_no_difference(problem):
    X = problem.X.repeat_interleave(2, dim=0)[::2]
    assert not X.is_contiguous()
    transposed = problem.X.T.contiguous().T
    expected = log_marginal_likelihood(problem.X, problem.y, problem.kernel)
    for layout in (X, transposed):
        assert log_marginal_likelihood(layout, problem.y, problem.kernel) == expected
    # The negative of an imaginary part is a view that is to be negated when it is read.
    conjugate = torch.complex(problem.y, -problem.y).conj().imag
    assert conjugate.is_neg()
    assert log_marginal_likelihood(problem.X, conjugate, problem.kernel) == expected


def test_inputs_are_left_alone(problem):
    tensors = [*problem.all_requiring_grad(), problem.batches.clone().requires_grad_()]
    before = [tensor.detach().clone() for tensor in tensors]
    X, y, theta, noise, points = tensors
    prediction = posterior(X, y, points, problem.kernel, theta, noise, joint=True)
    (prediction.sample(3).sum() + log_marginal_likelihood(X, y, problem.kernel, theta)).backward()
    assert all(torch.equal(tensor, old) for tensor, old in zip(tensors, before, strict=True))


def test_value_and_gradient_come_from_one_pass(calls, problem):
    X, y, theta, noise = problem.all_requiring_grad()
    value = log_marginal_likelihood(X, y, problem.kernel, theta, noise)
    (call,) = calls
    assert call[1][-1] == Wanted.X | Wanted.Y | Wanted.THETA | Wanted.NOISE
    value.backward()
    assert len(calls) == 1
    with torch.no_grad():
        log_marginal_likelihood(X, y, problem.kernel, theta, noise)
    assert calls[-1][1][-1] == Wanted.NOTHING


def test_only_what_requires_grad_is_differentiated(calls, problem):
    model = condition(problem.X, problem.y, problem.kernel, problem.theta, problem.noise)
    points = problem.batches.requires_grad_()
    model.posterior(points).variance.sum().backward()
    assert calls[-1][0] == "pull_back"
    assert calls[-1][1][3] == Wanted.XS


def test_other_devices_are_refused(problem):
    elsewhere = problem.X.to("meta")
    with pytest.raises(UnsupportedTypeError, match=r"X is on the device meta.*X\.cpu\(\)"):
        log_marginal_likelihood(elsewhere, problem.y, problem.kernel)
    model = condition(problem.X, problem.y, problem.kernel)
    with pytest.raises(UnsupportedTypeError, match=r"Xs is on the device meta"):
        model.posterior(problem.Xs.to("meta"))


@pytest.mark.parametrize("name", ["y", "theta", "noise", "mean_coefficients", "Xs"])
def test_mixed_dtypes_are_refused(name, problem):
    arguments = {
        "y": problem.y,
        "theta": problem.theta,
        "noise": problem.noise,
        "mean_coefficients": torch.ones(1, dtype=torch.float64),
        "Xs": problem.Xs,
    }
    arguments[name] = arguments[name].float()
    with pytest.raises(UnsupportedTypeError, match=rf"{name} is of dtype torch.float32 and X of"):
        posterior(problem.X, kernel=problem.kernel, mean="constant", **arguments)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (np.zeros((3, 1)), r"X must be a torch\.Tensor, got ndarray"),
        (None, r"X must be a torch\.Tensor, got NoneType"),
        (torch.zeros(3, 1, dtype=torch.int64), r"float64 or torch\.float32, got torch\.int64"),
        (torch.zeros(3, 1, dtype=torch.float16), r"got torch\.float16"),
        (torch.zeros(3, 1, dtype=torch.complex128), r"got torch\.complex128"),
        (torch.zeros(3, 1, dtype=torch.float64).to_sparse(), r"sparse.*to_dense"),
        (torch.zeros(3, dtype=torch.float64), r"two-dimensional"),
        (torch.full((3, 1), torch.nan, dtype=torch.float64), r"finite, got NaN"),
    ],
)
def test_tensors_that_cannot_be_used(value, message):
    y = torch.arange(3.0, dtype=torch.float64)
    with pytest.raises((UnsupportedTypeError, InvalidInputError), match=message):
        log_marginal_likelihood(value, y, RBF())
    with pytest.raises((UnsupportedTypeError, InvalidInputError), match=message):
        condition(value, y, RBF()).posterior(value)


def test_noise_is_a_number_or_a_tensor(problem):
    expected = log_marginal_likelihood(problem.X, problem.y, problem.kernel, noise=problem.noise)
    number = problem.noise.item()
    assert log_marginal_likelihood(problem.X, problem.y, problem.kernel, noise=number) == expected
    with pytest.raises(UnsupportedTypeError, match=r"noise must be a torch\.Tensor, got list"):
        log_marginal_likelihood(problem.X, problem.y, problem.kernel, noise=[number])


def test_shapes_that_do_not_fit(problem):
    with pytest.raises(InvalidInputError, match="y must have one row for each"):
        log_marginal_likelihood(problem.X, problem.y[:-1], problem.kernel)
    with pytest.raises(InvalidInputError, match="theta must have shape"):
        log_marginal_likelihood(problem.X, problem.y, problem.kernel, problem.theta[:-1])
    model = condition(problem.X, problem.y, problem.kernel)
    with pytest.raises(InvalidInputError, match="features"):
        model.posterior(problem.Xs[:, :1])
    with pytest.raises(InvalidInputError, match="Xs must have shape"):
        model.posterior(problem.Xs[0])


@pytest.mark.parametrize("name", ["X", "Xs"])
def test_kernels_in_python_have_no_derivatives_by_points(name, problem):
    tensors = {"X": problem.X, "Xs": problem.Xs}
    tensors[name].requires_grad_()
    # Refused on the way forward, where the mistake was made.
    with pytest.raises(UnsupportedKernelError):
        posterior(y=problem.y, kernel=PythonRBF(0.9), **tensors)
    if name == "X":
        with pytest.raises(UnsupportedKernelError):
            log_marginal_likelihood(problem.X, problem.y, PythonRBF(0.9))


def test_kernels_in_python_have_derivatives_by_the_rest(problem):
    theta = problem.theta[:1].clone()
    assert torch.autograd.gradcheck(
        lambda y, theta, noise: log_marginal_likelihood(problem.X, y, PythonRBF(0.9), theta, noise),
        [tensor.clone().requires_grad_() for tensor in (problem.y, theta, problem.noise)],
    )


def test_means_without_gradients_have_no_derivatives_by_points(problem):
    mean = FixedMean(lambda X: X[:, 0])
    points = problem.Xs.requires_grad_()
    with pytest.raises(InvalidInputError, match="derivative of the mean"):
        posterior(problem.X, problem.y, points, problem.kernel, mean=mean)


def test_matrices_without_a_factor(problem):
    X = torch.cat([problem.X, problem.X[:1]])
    y = torch.cat([problem.y, problem.y[:1]])
    constant = ConstantKernel(1.0)
    for requires_grad in (False, True):
        X.requires_grad_(requires_grad)
        with pytest.raises(NotPositiveDefiniteError, match="row"):
            log_marginal_likelihood(X, y, constant, noise=0.0)
        with pytest.raises(NotPositiveDefiniteError, match="row"):
            posterior(X, y, problem.Xs, constant, noise=0.0)


@pytest.mark.parametrize("transform", [torch.func.grad, torch.func.vmap, torch.func.jacrev])
def test_transformations_of_functions_are_refused(transform, problem):
    """Their tensors have no memory; autograd is the way."""

    def likelihood(theta):
        return log_marginal_likelihood(problem.X, problem.y, problem.kernel, theta)

    theta = problem.theta if transform is not torch.func.vmap else problem.theta.repeat(2, 1)
    with pytest.raises(UnsupportedTypeError, match=r"has no memory.*torch\.autograd\.grad"):
        transform(likelihood)(theta)

    def mean(Xs):
        return posterior(problem.X, problem.y, Xs, problem.kernel).mean.sum()

    points = problem.Xs if transform is not torch.func.vmap else problem.batches
    with pytest.raises(UnsupportedTypeError, match="has no memory"):
        transform(mean)(points)
