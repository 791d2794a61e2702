"""Acquisition functions and their optimisation run unchanged, beside BoTorch's SingleTaskGP."""

import pytest
import torch
from botorch.acquisition import (
    LogExpectedImprovement,
    PosteriorMean,
    UpperConfidenceBound,
    qKnowledgeGradient,
    qLogExpectedImprovement,
    qLogNoisyExpectedImprovement,
    qSimpleRegret,
    qUpperConfidenceBound,
)
from botorch.acquisition.multi_objective import qLogExpectedHypervolumeImprovement
from botorch.generation import MaxPosteriorSampling
from botorch.models import ModelList, SingleTaskGP
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler
from botorch.utils.multi_objective.box_decompositions import FastNondominatedPartitioning

from for_botorch.pairs import D, make_data, make_ours, make_pair

UNIT_CUBE = torch.stack([torch.zeros(D), torch.ones(D)]).double()


def sampler(count=32):
    return SobolQMCNormalSampler(torch.Size([count]), seed=7)


ANALYTIC = {
    "LogEI": lambda model, X, best: LogExpectedImprovement(model, best),
    "UCB": lambda model, X, best: UpperConfidenceBound(model, beta=2.0),
    "mean": lambda model, X, best: PosteriorMean(model),
}
JOINT = {
    "qLogEI": lambda model, X, best: qLogExpectedImprovement(model, best, sampler()),
    "qLogEI, pending": lambda model, X, best: qLogExpectedImprovement(
        model, best, sampler(), X_pending=X[:2] + 0.01
    ),
    "qUCB": lambda model, X, best: qUpperConfidenceBound(model, beta=2.0, sampler=sampler()),
    "qLogNEI": lambda model, X, best: qLogNoisyExpectedImprovement(
        model, X[:8], sampler(), prune_baseline=True
    ),
    "qSimpleRegret": lambda model, X, best: qSimpleRegret(model, sampler()),
    "qKG": lambda model, X, best: qKnowledgeGradient(model, num_fantasies=3, sampler=sampler(3)),
}


def value_and_gradient(acquisition, points):
    points = points.clone().requires_grad_()
    values = acquisition(points)
    return values.detach(), torch.autograd.grad(values.sum(), points)[0]


@pytest.mark.parametrize("kernel", ["RBF", "Matern"])
@pytest.mark.parametrize("name", [*ANALYTIC, *JOINT])
def test_values_and_gradients_are_those_of_botorch(rng, name, kernel):
    X, Y = make_data(rng)
    pair = make_pair(X, Y, kernel=kernel)
    # Of qKG, a group is q points and those that the fantasies' optima are sought at.
    q = 1 if name in ANALYTIC else 5 if name == "qKG" else 3
    points = torch.tensor(rng.random((4, q, D)))
    found = []
    for model in pair:
        torch.manual_seed(5)  # of what is sampled to leave out points that are no use
        acquisition = {**ANALYTIC, **JOINT}[name](model, X, Y.max())
        found.append(value_and_gradient(acquisition, points))
    for one, other in zip(*found, strict=True):
        scale = float(other.abs().max())
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8 * max(scale, 1.0))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize(("name", "q"), [("LogEI", 1), ("qLogEI", 3), ("qUCB", 2)])
def test_optimize_acqf_finds_better_points(rng, name, q, dtype):
    """A candidate is inside the bounds, and no worse than the best of many points at random."""
    X, Y = make_data(rng, dtype=dtype)
    acquisition = {**ANALYTIC, **JOINT}[name](make_ours(X, Y), X, Y.max())
    bounds = UNIT_CUBE.to(dtype)
    torch.manual_seed(3)
    candidate, value = optimize_acqf(acquisition, bounds, q=q, num_restarts=3, raw_samples=32)
    assert candidate.shape == (q, D)
    assert candidate.dtype == dtype
    assert ((candidate >= bounds[0]) & (candidate <= bounds[1])).all()
    others = acquisition(torch.tensor(rng.random((64, q, D)), dtype=dtype))
    # In single precision a search ends where rounding hides what is left to gain.
    slack = 0.0 if dtype == torch.float64 else 1e-2 * float(others.max() - others.min())
    assert value >= others.max() - slack


def test_optimize_acqf_agrees_with_botorch(rng):
    """From the same starts, both models lead to candidates of the same value."""
    X, Y = make_data(rng)
    found = []
    for model in make_pair(X, Y):
        acquisition = qLogExpectedImprovement(model, Y.max(), sampler())
        torch.manual_seed(3)
        _, value = optimize_acqf(acquisition, UNIT_CUBE, q=2, num_restarts=3, raw_samples=32)
        found.append(float(value))
    assert found[0] == pytest.approx(found[1], abs=1e-3)


def test_candidates_one_after_the_other_are_pending(rng):
    """In a sequence, each candidate becomes a pending point of the next."""
    X, Y = make_data(rng)
    acquisition = qLogExpectedImprovement(make_ours(X, Y), Y.max(), sampler())
    torch.manual_seed(3)
    candidates, _ = optimize_acqf(
        acquisition, UNIT_CUBE, q=3, num_restarts=2, raw_samples=16, sequential=True
    )
    assert candidates.shape == (3, D)
    assert torch.pdist(candidates).min() > 1e-3


def test_several_objectives(rng):
    """A list of models, one of them BoTorch's, is one model of several objectives."""
    X, Y = make_data(rng, k=2)
    theirs = SingleTaskGP(X, Y[:, 1:])
    points = torch.tensor(rng.random((2, 3, D)))
    reference = Y.min(dim=0).values
    partition = FastNondominatedPartitioning(reference, Y)
    for model in (make_ours(X, Y), ModelList(make_ours(X, Y[:, :1]), theirs)):
        acquisition = qLogExpectedHypervolumeImprovement(model, reference, partition)
        value, gradient = value_and_gradient(acquisition, points)
        assert value.isfinite().all()
        assert (gradient != 0).any(dim=-1).all()


def test_thompson_sampling(rng):
    X, Y = make_data(rng)
    choices = torch.tensor(rng.random((100, D)))
    chosen = MaxPosteriorSampling(make_ours(X, Y), replacement=False)(choices, num_samples=3)
    assert chosen.shape == (3, D)
    assert all((row == choices).all(dim=-1).any() for row in chosen)
