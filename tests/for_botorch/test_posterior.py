"""Posteriors beside those of BoTorch's SingleTaskGP with the same hyperparameters."""

import copy
import pickle

import numpy as np
import pytest
import torch
from botorch.acquisition.objective import ScalarizedPosteriorTransform
from botorch.models.transforms import Log, Normalize, Standardize
from torch.autograd import gradcheck

from for_botorch.pairs import NOISE, D, N, make_data, make_ours, make_pair

EXACT = {"rtol": 1e-8, "atol": 1e-8}

TRANSFORMS = {
    "standardised": dict,
    "as they are": lambda: {"outcome_transform": None},
    "normalised": lambda: {"input_transform": Normalize(D), "outcome_transform": Standardize(1)},
    "logarithms": lambda: {"outcome_transform": Log()},
}


def moments(posterior):
    """Mean, variance and covariance, whatever the posterior has of them."""
    found = [posterior.mean, posterior.variance]
    if hasattr(posterior, "distribution"):
        found.append(posterior.distribution.covariance_matrix)
    return [tensor.detach() for tensor in found]


def assert_agree(ours, theirs, **tolerance):
    for one, other in zip(moments(ours), moments(theirs), strict=True):
        torch.testing.assert_close(one, other, **(tolerance or EXACT))


@pytest.mark.parametrize("kernel", ["RBF", "Matern"])
@pytest.mark.parametrize("shape", [(1,), (4,), (5, 1), (3, 4), (2, 3, 2)], ids=str)
def test_the_posterior_is_that_of_botorch(rng, kernel, shape):
    X, Y = make_data(rng)
    ours, theirs = make_pair(X, Y, kernel=kernel)
    points = torch.tensor(rng.random((*shape, D)))
    for noise in (False, True):
        assert_agree(
            ours.posterior(points, observation_noise=noise),
            theirs.posterior(points, observation_noise=noise),
        )


@pytest.mark.parametrize("transforms", TRANSFORMS.values(), ids=TRANSFORMS.keys())
def test_transforms_are_those_of_botorch(rng, transforms):
    X, Y = make_data(rng)
    ours, theirs = make_pair(X, Y.exp() if "Log" in str(transforms()) else Y, transforms=transforms)
    points = torch.tensor(rng.random((2, 3, D)))
    assert_agree(ours.posterior(points), theirs.posterior(points))


def test_known_noise_is_that_of_botorch(rng):
    X, Y = make_data(rng)
    Yvar = torch.tensor(rng.uniform(0.01, 0.1, (N, 1)))
    ours, theirs = make_pair(X, Y, Yvar)
    points = torch.tensor(rng.random((3, 2, D)))
    variances = torch.tensor(rng.uniform(0.1, 1.0, (3, 2, 1)))
    for noise in (False, True, variances):
        assert_agree(
            ours.posterior(points, observation_noise=noise),
            theirs.posterior(points, observation_noise=noise),
        )


def test_samples_are_those_of_botorch(rng):
    ours, theirs = make_pair(*make_data(rng))
    points = torch.tensor(rng.random((2, 3, D)))
    base = torch.tensor(rng.standard_normal((7, 2, 3)))
    samples = [
        model.posterior(points).rsample_from_base_samples(torch.Size([7]), base)
        for model in (ours, theirs)
    ]
    assert samples[0].shape == (7, 2, 3, 1)
    torch.testing.assert_close(*samples, rtol=1e-6, atol=1e-6)


def test_single_precision_agrees_with_double(rng):
    X, Y = make_data(rng)
    points = torch.tensor(rng.random((3, 2, D)))
    single = make_ours(X.float(), Y.float()).posterior(points.float())
    assert single.mean.dtype == torch.float32
    double = make_ours(X, Y).posterior(points)
    torch.testing.assert_close(single.mean.double(), double.mean, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(single.variance.double(), double.variance, rtol=1e-2, atol=1e-3)


def test_gradients_by_the_points_are_right(rng):
    model = make_ours(*make_data(rng))
    points = torch.tensor(rng.random((2, 3, D)), requires_grad=True)

    def predict(points):
        posterior = model.posterior(points)
        return posterior.mean, posterior.distribution.covariance_matrix

    assert gradcheck(predict, (points,), eps=1e-5, atol=1e-5, rtol=1e-4)


def test_outputs_share_hyperparameters(rng):
    """Two outputs are two models of one, with the same kernel."""
    X, Y = make_data(rng, k=2)
    both = make_ours(X, Y)
    points = torch.tensor(rng.random((2, 3, D)))
    posterior = both.posterior(points, observation_noise=True)
    assert both.num_outputs == 2
    assert posterior.mean.shape == (2, 3, 2)
    assert posterior.rsample(torch.Size([5])).shape == (5, 2, 3, 2)
    for i in range(2):
        alone = make_ours(X, Y[:, [i]]).posterior(points, observation_noise=True)
        chosen = both.posterior(points, output_indices=[i], observation_noise=True)
        subset = both.subset_output([i]).posterior(points, observation_noise=True)
        torch.testing.assert_close(posterior.mean[..., [i]], alone.mean, **EXACT)
        torch.testing.assert_close(posterior.variance[..., [i]], alone.variance, **EXACT)
        assert_agree(chosen, alone)
        assert_agree(subset, alone)


def test_noise_may_differ_between_outputs(rng):
    X, Y = make_data(rng, k=2)
    model = make_ours(X, Y, outcome_transform=None)
    points = torch.tensor(rng.random((4, D)))
    variances = torch.tensor([[0.5, 2.0]], dtype=torch.float64)
    noisy = model.posterior(points, observation_noise=variances).variance
    expected = model.posterior(points).variance + variances
    torch.testing.assert_close(noisy, expected, **EXACT)


def test_posteriors_of_several_outputs_are_transformed(rng):
    X, Y = make_data(rng, k=2)
    model = make_ours(X, Y)
    points = torch.tensor(rng.random((3, 2, D)))
    weights = torch.tensor([0.3, -1.2], dtype=torch.float64)
    posterior = model.posterior(points)
    scalar = model.posterior(points, posterior_transform=ScalarizedPosteriorTransform(weights))
    torch.testing.assert_close(scalar.mean, posterior.mean @ weights.unsqueeze(-1), **EXACT)
    expected = posterior.variance @ weights.square().unsqueeze(-1)
    torch.testing.assert_close(scalar.variance, expected, **EXACT)


def test_hyperparameters_that_change_count_at_once(rng):
    X, Y = make_data(rng)
    model = make_ours(X, Y)
    points = torch.tensor(rng.random((2, D)))
    before = model.posterior(points).variance
    model.gp.noise_variance = 100.0 * NOISE
    assert (model.posterior(points).variance > before).all()


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_predict_the_same(rng, duplicate):
    model = make_ours(*make_data(rng), input_transform=Normalize(D))
    points = torch.tensor(rng.random((2, D)))
    expected = model.posterior(points)
    assert_agree(duplicate(model).posterior(points), expected, rtol=0, atol=1e-12)


def test_modes_leave_the_data_alone(rng):
    X, Y = make_data(rng)
    model = make_ours(X, Y, input_transform=Normalize(D))
    points = torch.tensor(rng.random((2, D)))
    expected = model.posterior(points)
    model.train()
    assert torch.equal(model.train_inputs[0], X)
    assert_agree(model.posterior(points), expected, rtol=0, atol=0)
    assert torch.equal(model.train_inputs[0], X)
    assert model.train_targets.shape == (N,)


def test_training_data_are_shared_not_copied(rng):
    X, Y = make_data(rng)
    assert np.shares_memory(make_ours(X, Y).gp.X, X.numpy())


def test_joint_predictions_of_many_points(rng):
    """As Thompson sampling asks for: one group of more points than training rows."""
    ours, theirs = make_pair(*make_data(rng))
    points = torch.tensor(rng.random((3 * N, D)))
    assert_agree(ours.posterior(points), theirs.posterior(points))
