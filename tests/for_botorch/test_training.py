"""Training from within BoTorch: defaults and priors are those of SingleTaskGP."""

import pytest
import torch
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.utils.datasets import SupervisedDataset
from gpytorch.means import ZeroMean
from gpytorch.mlls import ExactMarginalLogLikelihood
from scipy.stats import lognorm

from for_botorch.pairs import N, make_data
from gprat.botorch import GPratModel
from gprat.kernels import Matern


def test_the_defaults_train_to_the_optimum_of_botorch(rng):
    """Without a mean, which is a constant of theirs and integrated out here."""
    X, Y = make_data(rng)
    ours = GPratModel(X, Y, mean="zero").fit()
    theirs = SingleTaskGP(X, Y, mean_module=ZeroMean())
    fit_gpytorch_mll(ExactMarginalLogLikelihood(theirs.likelihood, theirs))
    scales = theirs.covar_module.lengthscale.detach().numpy().ravel()
    at_theirs = GPratModel(X, Y, mean="zero")
    at_theirs.gp.theta = [*(torch.tensor(scales).log()), theirs.likelihood.noise.log().item()]
    # Both are within what their optimisers stop at, of one and the same maximum.
    assert ours.gp.loss() <= at_theirs.gp.loss() + 1e-3
    assert at_theirs.gp.loss() <= ours.gp.loss() + 1e-1
    assert ours.gp.kernel.length_scale == pytest.approx(scales, rel=0.1)


def test_the_start_is_that_of_botorch(rng):
    X, Y = make_data(rng)
    ours, theirs = GPratModel(X, Y), SingleTaskGP(X, Y)
    scales = theirs.covar_module.lengthscale.detach().numpy().ravel()
    assert ours.gp.kernel.length_scale == pytest.approx(scales, rel=1e-6)
    assert ours.gp.noise_variance == pytest.approx(theirs.likelihood.noise.item(), rel=1e-6)


def test_training_improves_and_reports(rng):
    X, Y = make_data(rng)
    model = GPratModel(X, Y, kernel=Matern([1.0, 1.0, 1.0], nu=2.5), noise=0.1)
    before = model.gp.loss()
    assert model.fit(n_restarts=1, random_state=0) is model
    assert model.gp.loss() < before
    assert len(model.gp.training_.starts) == 2


def test_priors_are_added_to_the_defaults(rng):
    X, Y = make_data(rng)
    narrow = lognorm(0.01, scale=0.5)
    free = GPratModel(X, Y).fit()
    bound = GPratModel(X, Y, priors={"length_scale[1]": narrow}).fit()
    assert bound.gp.kernel.length_scale[1] == pytest.approx(0.5, rel=0.1)
    assert free.gp.kernel.length_scale[1] != pytest.approx(0.5, rel=0.1)


def test_noise_may_be_fixed(rng):
    X, Y = make_data(rng)
    model = GPratModel(X, Y, noise=1e-3, noise_bounds="fixed").fit()
    assert model.gp.noise_variance == 1e-3


def test_models_come_from_data_sets(rng):
    X, Y = make_data(rng)
    data = SupervisedDataset(X, Y, feature_names=["a", "b", "c"], outcome_names=["y"])
    model = GPratModel(**GPratModel.construct_inputs(data))
    assert model.gp.X.shape == (N, 3)


def test_hyperparameters_are_part_of_the_state(rng, tmp_path):
    X, Y = make_data(rng)
    trained = GPratModel(X, Y).fit()
    torch.save(trained.state_dict(), tmp_path / "model.pt")
    model = GPratModel(X, Y)
    assert not (model.gp.theta == trained.gp.theta).all()
    model.load_state_dict(torch.load(tmp_path / "model.pt"))
    assert (model.gp.theta == trained.gp.theta).all()
