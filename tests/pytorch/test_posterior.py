"""Conditioned models: one factor, samples, noise, and data that change or count as constants."""

import warnings

import numpy as np
import pytest
import torch

from gprat import GP
from gprat.exceptions import InvalidInputError, JitterWarning, UnsupportedTypeError
from gprat.kernels import RBF
from gprat.torch import Conditioned, condition, posterior


def conditioned(problem):
    return condition(problem.X, problem.y, problem.kernel, problem.theta, problem.noise)


def test_the_factor_is_computed_once(problem):
    model = conditioned(problem)
    assert isinstance(model, Conditioned)
    solver = model._solver._posterior
    assert not solver.has_factor
    first = model.posterior(problem.Xs)
    factor = solver.factor().copy()
    for _ in range(2):
        again = model.posterior(problem.Xs)
        assert torch.equal(first.mean, again.mean)
        assert torch.equal(first.variance, again.variance)
    assert model._solver._posterior is solver
    assert np.array_equal(solver.factor(), factor)


def test_predictions_are_those_of_a_model(problem):
    gp = GP(
        problem.X.numpy(),
        problem.Y.numpy(),
        problem.kernel.clone_with_theta(problem.theta.numpy()),
        problem.noise.item(),
    )
    prediction = posterior(
        problem.X, problem.Y, problem.Xs, problem.kernel, problem.theta, problem.noise, joint=True
    )
    mean, covariance = gp.predict_with_full_cov(problem.Xs.numpy())
    assert np.allclose(prediction.mean, mean, rtol=1e-12, atol=1e-12)
    assert np.allclose(prediction.covariance, covariance, rtol=1e-12, atol=1e-12)
    assert torch.equal(prediction.variance, prediction.covariance.diagonal())


def test_under_no_grad_data_are_constants(problem):
    X, y, theta, noise = problem.all_requiring_grad()
    with torch.no_grad():
        model = condition(X, y, problem.kernel, theta, noise)
    assert not model.posterior(problem.Xs).mean.requires_grad
    points = problem.Xs.clone().requires_grad_()
    model.posterior(points).mean.sum().backward()
    assert points.grad is not None
    assert all(tensor.grad is None for tensor in (X, y, theta, noise))


@pytest.mark.parametrize("name", ["X", "y", "theta", "noise"])
def test_data_that_change_in_place_are_noticed(name, problem):
    model = conditioned(problem)
    model.posterior(problem.Xs)
    getattr(problem, name).add_(1.0)
    with pytest.raises(InvalidInputError, match=rf"{name} has been changed in place"):
        model.posterior(problem.Xs)


def test_points_that_change_before_the_backward_call_are_noticed(problem):
    points = problem.Xs.clone().requires_grad_()
    value = conditioned(problem).posterior(points).mean.sum()
    with torch.no_grad():
        points.add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        value.backward()


def test_inference_mode(problem):
    with torch.inference_mode():
        inside = posterior(problem.X.clone(), problem.y, problem.Xs, problem.kernel)
    outside = posterior(problem.X, problem.y, problem.Xs, problem.kernel)
    assert torch.equal(inside.mean, outside.mean)


def test_samples_have_the_mean_and_the_covariance(make_problem, seed):
    problem = make_problem(n=6)
    prediction = posterior(
        problem.X, problem.Y, problem.batches, problem.kernel, noise=problem.noise, joint=True
    )
    count = 20_000
    samples = prediction.sample(count, generator=torch.Generator().manual_seed(seed))
    assert samples.shape == (count, 3, 2, 2)
    deviation = prediction.variance.sqrt()[..., None]
    # Six standard errors.
    assert ((samples.mean(dim=0) - prediction.mean).abs() <= 6 * deviation / count**0.5).all()
    centred = (samples - prediction.mean).movedim(3, 0)
    for output in centred:
        covariance = torch.einsum("sbi,sbj->bij", output, output) / count
        scale = deviation * deviation.mT
        error = (covariance - prediction.covariance).abs()
        assert (error <= 6 * 1.5 * scale / count**0.5).all()


def test_base_samples_decide_the_samples(fresh, problem):
    prediction = conditioned(problem).posterior(problem.batches, joint=True)
    white = torch.from_numpy(fresh.standard_normal((5, 3, 2)))
    expected = prediction.mean + (
        torch.linalg.cholesky(prediction.covariance) @ white[..., None]
    ).squeeze(-1)
    assert torch.equal(prediction.sample(base_samples=white), expected)
    seeded = [prediction.sample(2, generator=torch.Generator().manual_seed(1)) for _ in range(2)]
    assert torch.equal(*seeded)


def test_samples_of_nothing(problem):
    prediction = conditioned(problem).posterior(problem.Xs[:0], joint=True)
    assert prediction.mean.shape == (0,)
    assert prediction.sample(4).shape == (4, 0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_jitter_where_it_is_needed_and_nowhere_else(dtype):
    X = torch.linspace(0, 6, 25, dtype=dtype).reshape(-1, 1)
    apart = torch.tensor([[10.0], [20.0], [30.0]], dtype=dtype)
    close = torch.tensor([[2.0], [2.0], [2.0]], dtype=dtype)
    batches = torch.stack([apart, close]).requires_grad_()
    prediction = condition(X, X[:, 0].sin(), RBF(1.0), noise=0.01).posterior(batches, joint=True)
    white = torch.ones(1, 2, 3, dtype=dtype)
    with pytest.warns(JitterWarning, match="was added to its diagonal"):
        samples = prediction.sample(base_samples=white)
    samples.sum().backward()
    assert torch.isfinite(batches.grad).all()
    alone = condition(X, X[:, 0].sin(), RBF(1.0), noise=0.01).posterior(apart, joint=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        expected = alone.sample(base_samples=white[:, 0])
    assert torch.allclose(samples[:, 0], expected, rtol=1e-6, atol=1e-6)
    # Three times the same point: three times nearly the same value.
    spread = samples[:, 1].max() - samples[:, 1].min()
    assert spread < 100 * torch.finfo(dtype).eps ** 0.5


def test_samples_that_cannot_be_drawn(problem):
    model = conditioned(problem)
    with pytest.raises(InvalidInputError, match="joint=True"):
        model.posterior(problem.Xs).sample()
    joint = model.posterior(problem.Xs, joint=True)
    for count in (0, 1.5, True):
        with pytest.raises(InvalidInputError, match="n_samples must be a whole number"):
            joint.sample(count)
    with pytest.raises(InvalidInputError, match=r"base_samples must have shape \(s, 6\)"):
        joint.sample(base_samples=torch.zeros(2, 5, dtype=torch.float64))
    with pytest.raises(UnsupportedTypeError, match="base_samples is of dtype"):
        joint.sample(base_samples=torch.zeros(2, 6))


@pytest.mark.parametrize("joint", [False, True])
def test_noise_is_added_to_variances(joint, problem):
    latent = conditioned(problem).posterior(problem.batches, joint=joint)
    noise = problem.noise.clone().requires_grad_()
    observed = latent.with_noise(noise)
    assert torch.equal(observed.mean, latent.mean)
    assert torch.allclose(observed.variance, latent.variance + noise)
    if joint:
        assert torch.allclose(
            observed.covariance, latent.covariance + noise * torch.eye(2, dtype=torch.float64)
        )
    observed.variance.sum().backward()
    assert noise.grad == pytest.approx(6.0)


@pytest.mark.parametrize(
    ("noise", "error", "message"),
    [
        (-0.1, InvalidInputError, "not negative, got -0.1"),
        (float("nan"), InvalidInputError, "finite .* got nan"),
        (
            torch.full((3, 2), torch.inf, dtype=torch.float64),
            InvalidInputError,
            "finite .* got inf",
        ),
        (
            torch.ones(4, dtype=torch.float64),
            InvalidInputError,
            r"shape \(3, 2\).*got shape \(4,\)",
        ),
        (torch.ones(5, 3, 2, dtype=torch.float64), InvalidInputError, r"got shape \(5, 3, 2\)"),
        (torch.ones(2), UnsupportedTypeError, "noise is of dtype"),
        ([0.1], UnsupportedTypeError, r"noise must be a torch\.Tensor, got list"),
    ],
)
def test_noise_that_cannot_be_added(noise, error, message, problem):
    latent = conditioned(problem).posterior(problem.batches)
    with pytest.raises(error, match=message):
        latent.with_noise(noise)


def test_base_samples_are_numbers(problem):
    prediction = posterior(problem.X, problem.y, problem.Xs, problem.kernel, joint=True)
    with pytest.raises(InvalidInputError, match="finite"):
        prediction.sample(base_samples=torch.full((1, 6), torch.nan, dtype=torch.float64))
