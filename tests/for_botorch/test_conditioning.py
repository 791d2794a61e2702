"""Further observations: appended, or as fantasies in batches, and differentiable."""

import numpy as np
import pytest
import torch
from botorch.models import ModelList
from botorch.models.transforms import Normalize
from botorch.sampling import SobolQMCNormalSampler
from torch.autograd import gradcheck

from for_botorch.pairs import NOISE, D, make_data, make_ours, make_pair
from gprat.botorch import FantasyModel, GPratModel

EXACT = {"rtol": 1e-8, "atol": 1e-8}


def moments(model, points, **options):
    posterior = model.posterior(points, **options)
    if posterior.mean.shape[-1] > 1:
        return posterior.mean, posterior.variance
    return posterior.mean, posterior.distribution.covariance_matrix


def assert_agree(one, other, points, **options):
    pairs = zip(moments(one, points, **options), moments(other, points, **options), strict=True)
    for ours, theirs in pairs:
        torch.testing.assert_close(ours, theirs, **EXACT)


@pytest.mark.parametrize("factorised", [False, True])
@pytest.mark.parametrize("k", [1, 2])
def test_observations_are_appended(rng, k, factorised):
    """The model is that of all data, and the old one stays what it was."""
    X, Y = make_data(rng, k=k)
    points = torch.tensor(rng.random((2, 3, D)))
    first = make_ours(X[:-4], Y[:-4], outcome_transform=None)
    before = moments(first, points) if factorised else None
    model = first.condition_on_observations(X[-4:], Y[-4:])
    assert isinstance(model, GPratModel)
    assert torch.equal(model.train_inputs[0], X)
    assert_agree(model, make_ours(X, Y, outcome_transform=None), points)
    assert torch.equal(first.train_inputs[0], X[:-4])
    if factorised:
        assert all(map(torch.equal, moments(first, points), before))


def test_transforms_are_kept(rng):
    """New observations are transformed by what the first ones taught, as BoTorch does."""
    X, Y = make_data(rng)
    points = torch.tensor(rng.random((2, 3, D)))
    first = make_ours(X[:-4], Y[:-4], input_transform=Normalize(D))
    model = first.condition_on_observations(X[-4:] + 0.5, Y[-4:])
    scale = first.outcome_transform.stdvs.item(), first.outcome_transform.means.item()
    targets = (torch.cat([Y[:-4], Y[-4:]]) - scale[1]) / scale[0]
    inputs = first.input_transform(torch.cat([X[:-4], X[-4:] + 0.5]))
    plain = make_ours(inputs, targets, outcome_transform=None)
    mean, covariance = moments(plain, first.input_transform(points))
    torch.testing.assert_close(moments(model, points)[0], mean * scale[0] + scale[1], **EXACT)
    torch.testing.assert_close(moments(model, points)[1], covariance * scale[0] ** 2, **EXACT)


def test_known_noise_is_appended(rng):
    X, Y = make_data(rng)
    Yvar = torch.tensor(rng.uniform(0.01, 0.1, Y.shape))
    points = torch.tensor(rng.random((3, D)))
    first = make_ours(X[:-4], Y[:-4], Yvar[:-4], outcome_transform=None)
    model = first.condition_on_observations(X[-4:], Y[-4:], noise=Yvar[-4:])
    assert isinstance(model, GPratModel)
    assert_agree(model, make_ours(X, Y, Yvar, outcome_transform=None), points)
    without = first.condition_on_observations(X[-4:], Y[-4:])
    Yvar[-4:] = Yvar[:-4].mean()
    assert_agree(without, make_ours(X, Y, Yvar, outcome_transform=None), points)


def test_noise_of_other_size_is_conditioned_on(rng):
    """A model of one noise for all takes rows with another, exactly."""
    X, Y = make_data(rng)
    points = torch.tensor(rng.random((3, D)))
    noise = torch.full((4, 1), 0.3, dtype=torch.float64)
    first = make_ours(X[:-4], Y[:-4], outcome_transform=None)
    model = first.condition_on_observations(X[-4:], Y[-4:], noise=noise)
    assert isinstance(model, FantasyModel)
    Yvar = torch.full_like(Y, NOISE)
    Yvar[-4:] = noise
    assert_agree(model, make_ours(X, Y, Yvar, outcome_transform=None), points)


@pytest.mark.parametrize("k", [1, 2])
def test_batches_of_observations(rng, k):
    """Each member of a batch is the model of its own data."""
    X, Y = make_data(rng, k=k)
    new_X = torch.tensor(rng.random((2, 3, D)))
    new_Y = torch.tensor(rng.standard_normal((4, 2, 3, k)))
    points = torch.tensor(rng.random((2, 5, D)))
    first = make_ours(X, Y, outcome_transform=None)
    model = first.condition_on_observations(new_X, new_Y)
    assert model.batch_shape == (4, 2)
    mean, second = moments(model, points)
    assert mean.shape == (4, 2, 5, k)
    for i, j in np.ndindex(4, 2):
        rows = torch.cat([X, new_X[j]]), torch.cat([Y, new_Y[i, j]])
        expected = moments(make_ours(*rows, outcome_transform=None), points[j])
        torch.testing.assert_close(mean[i, j], expected[0], **EXACT)
        torch.testing.assert_close(second[i, j], expected[1], **EXACT)


def test_conditioning_twice_is_conditioning_once(rng):
    X, Y = make_data(rng)
    points = torch.tensor(rng.random((2, 3, D)))
    model = make_ours(X[:-6], Y[:-6], outcome_transform=None)
    for rows in (slice(-6, -3), slice(-3, None)):
        batch = X[rows].unsqueeze(0), Y[rows].unsqueeze(0)
        model = model.condition_on_observations(*batch)
    assert model.batch_shape == (1,)
    assert_agree(model, make_ours(X, Y, outcome_transform=None), points.unsqueeze(1))


def test_gradients_flow_to_observations(rng):
    X, Y = make_data(rng, n=12)
    first = make_ours(X, Y)
    new_X = torch.tensor(rng.random((2, D)), requires_grad=True)
    new_Y = torch.tensor(rng.standard_normal((2, 1)), requires_grad=True)
    points = torch.tensor(rng.random((2, D)), requires_grad=True)

    def predict(new_X, new_Y, points):
        return moments(first.condition_on_observations(new_X, new_Y), points)

    assert gradcheck(predict, (new_X, new_Y, points), eps=1e-5, atol=1e-5, rtol=1e-4)
    with torch.no_grad():  # constants after all
        model = first.condition_on_observations(new_X, new_Y)
    assert isinstance(model, GPratModel)
    for one, other in zip(moments(model, points), predict(new_X, new_Y, points), strict=True):
        torch.testing.assert_close(one, other, **EXACT)


@pytest.mark.parametrize("known", [False, True], ids=["one noise", "noise by row"])
def test_fantasies_are_those_of_botorch(rng, known):
    X, Y = make_data(rng)
    Yvar = torch.tensor(rng.uniform(0.01, 0.1, Y.shape)) if known else None
    new_X = torch.tensor(rng.random((2, 3, D)))
    points = torch.tensor(rng.random((5, 2, 4, D)))
    models = []
    for model in make_pair(X, Y, Yvar):
        model.posterior(points)  # BoTorch wants to have predicted first
        sampler = SobolQMCNormalSampler(torch.Size([5]), seed=3)
        models.append(model.fantasize(new_X, sampler))
    assert models[0].batch_shape == models[1].batch_shape == (5, 2)
    for one, other in zip(*(moments(model, points) for model in models), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-7)


def test_fantasies_at_no_points_change_nothing(rng):
    X, Y = make_data(rng)
    model = make_ours(X, Y)
    points = torch.tensor(rng.random((2, 4, D)))
    sampler = SobolQMCNormalSampler(torch.Size([3]), seed=3)
    fantasies = model.fantasize(torch.empty(2, 0, D, dtype=torch.float64), sampler)
    assert fantasies.batch_shape == (3, 2)
    for fantasy, one in zip(moments(fantasies, points), moments(model, points), strict=True):
        torch.testing.assert_close(fantasy, one.expand(fantasy.shape), **EXACT)


def test_outputs_of_fantasies(rng):
    X, Y = make_data(rng, k=2)
    new_X = torch.tensor(rng.random((1, D)))
    points = torch.tensor(rng.random((3, D)))
    sampler = SobolQMCNormalSampler(torch.Size([4]), seed=3)
    model = make_ours(X, Y).fantasize(new_X, sampler)
    posterior = model.posterior(points)
    assert posterior.mean.shape == (4, 3, 2)
    alone = model.subset_output([1]).posterior(points)
    torch.testing.assert_close(posterior.mean[..., 1:], alone.mean, **EXACT)
    torch.testing.assert_close(posterior.variance[..., 1:], alone.variance, **EXACT)


def test_lists_of_models_fantasize(rng):
    X, Y = make_data(rng, k=2)
    model = ModelList(make_ours(X, Y[:, :1]), make_ours(X, Y[:, 1:]))
    sampler = SobolQMCNormalSampler(torch.Size([4]), seed=3)
    fantasies = model.fantasize(torch.tensor(rng.random((2, 1, D))), sampler)
    assert fantasies.posterior(torch.tensor(rng.random((2, 3, D)))).mean.shape == (4, 2, 3, 2)
