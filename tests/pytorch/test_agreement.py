"""Values and gradients as GPyTorch has them, exactly, in double precision."""

import contextlib

import pytest
import torch

from gprat.kernels import RBF, ConstantKernel, Matern, Periodic, RationalQuadratic
from gprat.torch import ExactGP, condition, log_marginal_likelihood, posterior
from oracles import Dense

gpytorch = pytest.importorskip("gpytorch")

TOLERANCE = 1e-8
SCALES, PERIODS, VARIANCE = [0.7, 1.3], [3.0, 4.0], 1.5


def peer_kernel(name):
    """Our kernel, and GPyTorch's of the same covariance as a function of our theta."""
    k = gpytorch.kernels
    ours = {
        "RBF": RBF(SCALES),
        "Matern 3/2": Matern(SCALES, nu=1.5),
        "Matern 5/2": Matern(SCALES, nu=2.5),
        "RationalQuadratic": RationalQuadratic(SCALES, 0.8),
        "Periodic": Periodic(SCALES, PERIODS),
    }[name]
    base = {
        "RBF": lambda: k.RBFKernel(ard_num_dims=2),
        "Matern 3/2": lambda: k.MaternKernel(1.5, ard_num_dims=2),
        "Matern 5/2": lambda: k.MaternKernel(2.5, ard_num_dims=2),
        "RationalQuadratic": lambda: k.RQKernel(ard_num_dims=2),
        "Periodic": lambda: k.PeriodicKernel(ard_num_dims=2),
    }[name]()
    return ConstantKernel(VARIANCE) * ours, k.ScaleKernel(base).double()


def set_parameters(name, kernel, theta):
    """Make the peer's parameters functions of ours, so that gradients flow back to theta."""
    values = theta.exp()
    assign(kernel, "outputscale", values[0])
    base, rest = kernel.base_kernel, values[1:]
    if name == "RationalQuadratic":
        assign(base, "alpha", rest[:1])
        rest = rest[1:]
    # The peer has exp(−2 Σ sin²/l): its l is the square of ours.
    scales = rest[:2].square() if name == "Periodic" else rest[:2]
    assign(base, "lengthscale", scales.reshape(1, 2))
    if name == "Periodic":
        assign(base, "period_length", rest[2:].reshape(1, 2))


def assign(module, name, value):
    """Replace a parameter by a tensor that depends on others."""
    constraint = getattr(module, f"raw_{name}_constraint")
    del module._parameters[f"raw_{name}"]
    setattr(module, f"raw_{name}", constraint.inverse_transform(value))


class Peer(gpytorch.models.ExactGP):
    """The same model in GPyTorch."""

    def __init__(self, X, y, kernel, noise):
        likelihood = gpytorch.likelihoods.FixedNoiseGaussianLikelihood(noise.expand(len(y)))
        super().__init__(X, y, likelihood)
        self.mean_module = gpytorch.means.ZeroMean()
        self.covar_module = kernel

    def forward(self, X):
        return gpytorch.distributions.MultivariateNormal(self.mean_module(X), self.covar_module(X))


def exact():
    """Return a context in which GPyTorch approximates nothing, and adds nothing."""
    stack = contextlib.ExitStack()
    settings = gpytorch.settings
    stack.enter_context(settings.max_cholesky_size(10**9))
    stack.enter_context(settings.cholesky_jitter(float_value=0.0, double_value=0.0))
    stack.enter_context(settings.detach_test_caches(False))
    stack.enter_context(
        settings.fast_computations(covar_root_decomposition=False, log_prob=False, solves=False)
    )
    return stack


def assert_same(ours, theirs):
    for one, other in zip(ours, theirs, strict=True):
        scale = max(1.0, other.abs().max().item())
        assert (one - other).abs().max().item() <= TOLERANCE * scale


NAMES = ("RBF", "Matern 3/2", "Matern 5/2", "RationalQuadratic", "Periodic")


@pytest.mark.parametrize("name", NAMES)
def test_likelihoods_and_gradients_agree(name, make_problem):
    ours, theirs = peer_kernel(name)
    problem = make_problem(kernel=ours, n=60)
    X, y, theta, noise = problem.all_requiring_grad()
    value = log_marginal_likelihood(X, y, ours, theta, noise)
    value.backward()

    peers = problem.all_requiring_grad()
    set_parameters(name, theirs, peers[2])
    model = Peer(peers[0], peers[1], theirs, peers[3])
    with exact():
        expected = model.likelihood(model(peers[0])).log_prob(peers[1])
        expected.backward()
    assert_same([value.detach()], [expected.detach()])
    assert_same([t.grad for t in (X, y, theta, noise)], [t.grad for t in peers])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("joint", [False, True])
def test_predictions_and_gradients_agree(name, joint, make_problem, fresh):
    ours, theirs = peer_kernel(name)
    problem = make_problem(kernel=ours, n=60)
    leaves = [*problem.all_requiring_grad(), problem.Xs.clone().requires_grad_()]
    X, y, theta, noise, Xs = leaves
    prediction = posterior(X, y, Xs, ours, theta, noise, joint=joint)

    peers = [*problem.all_requiring_grad(), problem.Xs.clone().requires_grad_()]
    set_parameters(name, theirs, peers[2])
    model = Peer(peers[0], peers[1], theirs, peers[3]).eval()
    with exact():
        expected = model(peers[4])
        spread = expected.covariance_matrix if joint else expected.variance
    ours_spread = prediction.covariance if joint else prediction.variance
    assert_same(
        [prediction.mean.detach(), ours_spread.detach()],
        [expected.mean.detach(), spread.detach()],
    )
    weights = [torch.from_numpy(fresh.standard_normal(t.shape)) for t in (expected.mean, spread)]
    (weights[0] * prediction.mean).sum().add((weights[1] * ours_spread).sum()).backward()
    with exact():
        (weights[0] * expected.mean).sum().add((weights[1] * spread).sum()).backward()
    assert_same([t.grad for t in leaves], [t.grad for t in peers])


def test_a_deep_kernel_agrees(make_problem):
    ours, theirs = peer_kernel("RBF")
    problem = make_problem(kernel=ours, n=60, d=3)
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Linear(3, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2)
    ).double()
    layer = ExactGP(ours, 0.3, features=net, dtype=torch.float64)
    value = layer(problem.X, problem.y)
    value.backward()
    ours_gradient = [parameter.grad.clone() for parameter in net.parameters()]
    net.zero_grad()

    set_parameters("RBF", theirs, layer.theta.detach())
    features = net(problem.X)
    model = Peer(features, problem.y, theirs, layer.noise.detach())
    with exact():
        expected = model.likelihood(model(features)).log_prob(problem.y)
        expected.backward()
    assert_same([value.detach()], [expected.detach()])
    assert_same(ours_gradient, [parameter.grad for parameter in net.parameters()])


@pytest.mark.parametrize("mean", ["zero", "constant", "linear", "quadratic"])
def test_values_are_those_of_the_dense_reference(mean, make_problem):
    problem = make_problem(n=40)
    kernel = problem.kernel.clone_with_theta(problem.theta.numpy())
    X, Y, Xs = (tensor.numpy() for tensor in (problem.X, problem.Y, problem.Xs))
    basis = {
        "zero": lambda P: P[:, :0],
        "constant": lambda P: P[:, :1] ** 0,
        "linear": lambda P: torch.cat([P[:, :1] ** 0, P], dim=1),
        "quadratic": lambda P: torch.cat([P[:, :1] ** 0, P, P[:, :1] * P, P[:, 1:] ** 2], dim=1),
    }[mean]
    dense = Dense(kernel, X, Y, problem.row_noise.numpy(), basis(problem.X).numpy())
    arguments = (problem.kernel, problem.theta, problem.row_noise)
    value = log_marginal_likelihood(problem.X, problem.Y, *arguments, mean=mean)
    model = condition(problem.X, problem.Y, *arguments, mean=mean)
    expected_mean, variance, covariance = map(
        torch.from_numpy, dense.predict(Xs, basis(problem.Xs).numpy())
    )
    assert_same([value], [torch.tensor(dense.log_marginal_likelihood())])
    alone, together = model.posterior(problem.Xs), model.posterior(problem.Xs, joint=True)
    assert_same([alone.mean, alone.variance], [expected_mean, variance])
    assert_same(
        [together.mean, together.variance, together.covariance],
        [expected_mean, variance, covariance],
    )
    batches = model.posterior(problem.batches, joint=True)
    for b in range(3):
        rows = slice(2 * b, 2 * b + 2)
        assert_same(
            [batches.mean[b], batches.covariance[b]], [expected_mean[rows], covariance[rows, rows]]
        )
