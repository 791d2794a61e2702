"""Gradients against automatic differentiation: PyTorch on GPyTorch's kernels, in float64.

Skipped where GPyTorch is not installed: PyTorch is no dependency of these tests.
"""

import numpy as np
import pytest
import scipy.stats

from gprat import GP
from gprat.kernels import RBF, ConstantKernel, Linear, Matern, Periodic, RationalQuadratic

gpytorch = pytest.importorskip("gpytorch", reason="GPyTorch is not installed")
torch = pytest.importorskip("torch")

N, D = 50, 2
SCALES = [0.7, 1.3]
CONSTANT = 1.5
NOISE = [0.2, 0.05]
# Of the first group's noise: a prior whose logarithm is normal.
PRIOR_SCALE = 0.1


def leaf(number):
    """A hyperparameter as the peer differentiates it."""
    return torch.tensor(number, dtype=torch.float64, requires_grad=True)


def peer_pair(name):
    """A kernel of ours, the peer's with the same values, and its parameters in the order of ours.

    Each parameter comes with the power of ours that it is.
    """
    k = gpytorch.kernels
    pairs = {
        "RBF": (RBF(SCALES), k.RBFKernel(ard_num_dims=D), {"lengthscale": (SCALES, 1)}),
        "Matern 1/2": (
            Matern(SCALES, nu=0.5),
            k.MaternKernel(0.5, ard_num_dims=D),
            {"lengthscale": (SCALES, 1)},
        ),
        "Matern 5/2": (
            Matern(SCALES, nu=2.5),
            k.MaternKernel(2.5, ard_num_dims=D),
            {"lengthscale": (SCALES, 1)},
        ),
        "RationalQuadratic": (
            RationalQuadratic(SCALES, 0.8),
            k.RQKernel(ard_num_dims=D),
            {"alpha": (0.8, 1), "lengthscale": (SCALES, 1)},
        ),
        # The peer has exp(−2 Σ sin²/l): its l is the square of ours.
        "Periodic": (
            Periodic(SCALES, [3.0, 4.0]),
            k.PeriodicKernel(ard_num_dims=D),
            {"lengthscale": (SCALES, 2), "period_length": ([3.0, 4.0], 1)},
        ),
        "Linear": (Linear(0.6), k.LinearKernel(), {"variance": (0.6, 1)}),
    }
    ours, theirs, values = pairs[name]
    theirs = theirs.double()
    parameters = []
    for attribute, (value, power) in values.items():
        theirs.initialize(**{attribute: torch.tensor(value, dtype=torch.float64) ** power})
        parameters.append((attribute, power))
    return ours, theirs, parameters


KERNELS = ["RBF", "Matern 1/2", "Matern 5/2", "RationalQuadratic", "Periodic", "Linear"]


@pytest.fixture
def data(rng):
    X = rng.normal(size=(N, D))
    y = np.sin(2 * X[:, 0]) + 0.3 * X[:, 1] + 0.1 * rng.normal(size=N)
    return X, y, np.arange(N) % 2, rng.uniform(0.01, 0.1, size=N)


def peer_objective(objective, K, y, H):
    """R&W (2006): equations 2.45 and 5.11, with P = K⁻¹ − K⁻¹H(HᵀK⁻¹H)⁻¹HᵀK⁻¹."""
    inverse = torch.linalg.inv(K)
    A = H.T @ inverse @ H
    P = inverse - inverse @ H @ torch.linalg.solve(A, H.T @ inverse)
    alpha = P @ y
    if objective == "leave_one_out":
        precision = torch.diagonal(P)
        return 0.5 * torch.sum(torch.log(precision) - alpha**2 / precision - np.log(2 * np.pi))
    q = H.shape[1]
    log_determinants = torch.logdet(K) + (torch.logdet(A) if q else 0.0)
    return -0.5 * (y @ alpha + log_determinants + (len(y) - q) * np.log(2 * np.pi))


def by_logarithms(kernel, parameters):
    """The peer's gradient by the logarithms of our hyperparameters; it keeps softplus⁻¹(value)."""
    gradient = []
    for attribute, power in parameters:
        raw = getattr(kernel, f"raw_{attribute}")
        value = getattr(kernel, attribute)
        by_value = raw.grad / torch.sigmoid(raw)
        gradient.extend((power * value * by_value).detach().numpy().ravel())
    return gradient


@pytest.mark.parametrize("objective", ["log_marginal_likelihood", "leave_one_out"])
@pytest.mark.parametrize("mean", ["zero", "linear"])
@pytest.mark.parametrize("name", KERNELS)
def test_gradients_agree(name, mean, objective, data):
    """Kernel × mean × objective, with groups of noise, known noise and a prior."""
    X, y, groups, known = data
    ours, theirs, parameters = peer_pair(name)
    gp = GP(
        X,
        y,
        ConstantKernel(CONSTANT) * ours,
        NOISE,
        known_noise=known,
        noise_groups=groups,
        mean=mean,
        objective=objective,
        priors={"noise_variance[0]": scipy.stats.lognorm(0.5, scale=PRIOR_SCALE)},
        tile_size=16,
    )
    loss, gradient = gp.loss(eval_gradient=True)

    inputs, targets, constant = leaf(X), leaf(y), leaf(np.log(CONSTANT))
    noise = leaf(np.log(NOISE))
    on_diagonal = torch.exp(noise)[groups] + torch.tensor(known)
    K = torch.exp(constant) * theirs(inputs).to_dense() + torch.diag(on_diagonal)
    H = (
        torch.cat([torch.ones_like(inputs[:, :1]), inputs], 1)
        if mean == "linear"
        else inputs[:, :0]
    )
    explained = peer_objective(objective, K, targets, H)
    # The prior's density as one of theta: with the Jacobian, a normal distribution.
    prior = torch.distributions.Normal(np.log(PRIOR_SCALE), 0.5).log_prob(noise[0])
    (-explained - prior).backward()

    assert np.isclose(loss, -(explained + prior).item(), rtol=1e-8)
    expected = [constant.grad.item(), *by_logarithms(theirs, parameters), *noise.grad.numpy()]
    np.testing.assert_allclose(gradient, expected, rtol=1e-6, atol=1e-6)
    if objective == "log_marginal_likelihood":
        X_gradient, y_gradient = gp.input_gradient()
        np.testing.assert_allclose(X_gradient, -inputs.grad.numpy(), rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(y_gradient, -targets.grad.numpy(), rtol=1e-6, atol=1e-6)
