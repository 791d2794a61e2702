"""Gradients against finite differences, by every argument that has one; second ones refused."""

import numpy as np
import pytest
import torch

from gprat.exceptions import SecondDerivativeError
from gprat.kernels import (
    RBF,
    ConstantKernel,
    DotProduct,
    Linear,
    Matern,
    Periodic,
    RationalQuadratic,
    WhiteKernel,
)
from gprat.torch import condition, log_marginal_likelihood, posterior

KERNELS = {
    "RBF": ConstantKernel(1.3) * RBF(0.8),
    "RBF a feature": ConstantKernel(1.3) * RBF([0.8, 1.4]),
    "Matern": Matern([0.8, 1.4], nu=2.5) + WhiteKernel(0.1),
    "fixed variance": ConstantKernel(1.3, "fixed") * RationalQuadratic(0.9, 0.7) + DotProduct(0.5),
    "periodic": Periodic([1.2, 2.0], [3.0, 4.5]) + Linear([0.5, 1.5], [0.3, -0.4], (1e-3, 1e3)),
}
ARGUMENTS = ("X", "y", "theta", "noise", "Xs")
COEFFICIENTS = {"constant": 1, "linear": 3, "quadratic": 6}


def leaf(tensor):
    return tensor.clone().requires_grad_()


def by_each(function, arguments):
    """Check the derivative by each argument alone, then by all of them in one call."""
    for name in arguments:
        chosen = {key: leaf(value) if key == name else value for key, value in arguments.items()}
        assert torch.autograd.gradcheck(
            lambda value, chosen=chosen, name=name: function(**(chosen | {name: value})),
            chosen[name],
        ), name
    assert torch.autograd.gradcheck(
        lambda *values: function(**dict(zip(arguments, values, strict=True))),
        [leaf(value) for value in arguments.values()],
    )


def likelihood_arguments(problem, y=None, noise=None):
    return {
        "X": problem.X,
        "y": problem.y if y is None else y,
        "theta": problem.theta,
        "noise": problem.noise if noise is None else noise,
    }


@pytest.mark.parametrize("name", KERNELS)
def test_the_likelihood_has_its_gradient(name, make_problem):
    problem = make_problem(kernel=KERNELS[name])
    by_each(
        lambda **arguments: log_marginal_likelihood(kernel=problem.kernel, **arguments),
        likelihood_arguments(problem),
    )


@pytest.mark.parametrize("outputs", ["y", "Y"])
@pytest.mark.parametrize("noise", ["noise", "row_noise", "one"])
def test_shapes_of_targets_and_noise(outputs, noise, problem):
    variances = problem.noise.reshape(1) if noise == "one" else getattr(problem, noise)
    arguments = likelihood_arguments(problem, getattr(problem, outputs), variances)
    by_each(
        lambda **arguments: log_marginal_likelihood(kernel=problem.kernel, **arguments), arguments
    )
    by_each(
        lambda **arguments: parts(posterior(kernel=problem.kernel, **arguments)),
        arguments | {"Xs": problem.Xs},
    )


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("joint", [False, True])
@pytest.mark.parametrize("points", ["Xs", "batches"])
def test_predictions_have_their_gradients(name, joint, points, make_problem):
    problem = make_problem(kernel=KERNELS[name])
    by_each(
        lambda **arguments: parts(posterior(kernel=problem.kernel, joint=joint, **arguments)),
        likelihood_arguments(problem) | {"Xs": getattr(problem, points)},
    )


@pytest.mark.parametrize("joint", [False, True])
def test_batches_of_batches(joint, problem):
    points = leaf(problem.batches.reshape(3, 1, 2, -1))
    prediction = posterior(problem.X, problem.Y, points, problem.kernel, joint=joint)
    assert prediction.mean.shape == (3, 1, 2, 2)
    assert prediction.variance.shape == (3, 1, 2)
    assert torch.autograd.gradcheck(
        lambda points: parts(posterior(problem.X, problem.Y, points, problem.kernel, joint=joint)),
        points,
    )


@pytest.mark.parametrize("mean", COEFFICIENTS)
@pytest.mark.parametrize("outputs", ["y", "Y"])
def test_trends_that_are_integrated_out(mean, outputs, problem):
    arguments = likelihood_arguments(problem, getattr(problem, outputs))
    by_each(
        lambda **arguments: log_marginal_likelihood(kernel=problem.kernel, mean=mean, **arguments),
        arguments,
    )
    by_each(
        lambda **arguments: parts(posterior(kernel=problem.kernel, mean=mean, **arguments)),
        arguments | {"Xs": problem.Xs},
    )


@pytest.mark.parametrize("mean", COEFFICIENTS)
@pytest.mark.parametrize("shape", [(), (2,)])
def test_means_with_coefficients(mean, shape, fresh, problem):
    coefficients = torch.from_numpy(fresh.standard_normal((COEFFICIENTS[mean], *shape)))
    arguments = likelihood_arguments(problem, problem.Y if shape else problem.y)
    arguments["mean_coefficients"] = coefficients
    by_each(
        lambda **arguments: log_marginal_likelihood(kernel=problem.kernel, mean=mean, **arguments),
        arguments,
    )
    by_each(
        lambda **arguments: parts(
            posterior(kernel=problem.kernel, mean=mean, joint=True, **arguments)
        ),
        arguments | {"Xs": problem.batches},
    )


def test_samples_have_gradients(fresh, problem):
    white = torch.from_numpy(fresh.standard_normal((4, 3, 2)))
    by_each(
        lambda **arguments: posterior(kernel=problem.kernel, joint=True, **arguments).sample(
            base_samples=white
        ),
        likelihood_arguments(problem) | {"Xs": problem.batches},
    )


def test_the_mean_alone_and_the_spread_alone(problem):
    # Each leaves the other's cotangent undefined.
    model = condition(problem.X, problem.y, problem.kernel, problem.theta, problem.noise)
    points = leaf(problem.Xs)
    assert torch.autograd.gradcheck(lambda points: model.posterior(points).mean, points)
    assert torch.autograd.gradcheck(lambda points: model.posterior(points).variance, points)
    assert torch.autograd.gradcheck(
        lambda points: model.posterior(points, joint=True).covariance, points
    )


def test_float32_gradients_are_those_of_float64(make_problem, seed):
    results = []
    for dtype in (torch.float64, torch.float32):
        problem = make_problem(dtype=dtype, rng=np.random.default_rng(seed))
        X, y, theta, noise = problem.all_requiring_grad()
        points = leaf(problem.batches)
        value = log_marginal_likelihood(X, y, problem.kernel, theta, noise)
        prediction = posterior(X, y, points, problem.kernel, theta, noise, joint=True)
        (value + prediction.mean.sum() + prediction.covariance.square().sum()).backward()
        gradients = [tensor.grad for tensor in (X, y, theta, noise, points)]
        assert all(gradient.dtype is dtype for gradient in gradients)
        results.append(gradients)
    for double, single in zip(*results, strict=True):
        assert torch.allclose(double, single.double(), rtol=1e-3, atol=1e-3)


def test_gradients_add_up_and_scale(problem):
    X = leaf(problem.X)
    value = log_marginal_likelihood(X, problem.y, problem.kernel)
    (once,) = torch.autograd.grad(value, X, retain_graph=True)
    (thrice,) = torch.autograd.grad(3.0 * value, X)
    assert torch.equal(3.0 * once, thrice)


@pytest.mark.parametrize("which", ["likelihood", "prediction"])
def test_second_derivatives_are_refused_with_the_reason(which, problem):
    X = leaf(problem.X)

    def function(X):
        if which == "likelihood":
            return log_marginal_likelihood(X, problem.y, problem.kernel)
        return posterior(X, problem.y, problem.Xs, problem.kernel).variance.sum()

    (gradient,) = torch.autograd.grad(function(X), X, create_graph=True)
    (plain,) = torch.autograd.grad(function(X), X)
    assert torch.equal(gradient, plain)
    with pytest.raises(SecondDerivativeError, match=r"second derivatives .* reverse pass"):
        gradient.sum().backward()
    with pytest.raises(SecondDerivativeError):
        torch.autograd.functional.hessian(function, problem.X)


def parts(prediction):
    """Return all tensors of a prediction."""
    spread = prediction.variance if prediction.covariance is None else prediction.covariance
    return prediction.mean, spread
