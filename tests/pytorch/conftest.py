"""Random problems as tensors."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from gprat.kernels import RBF, ConstantKernel
from oracles import random_problem

N, D = 14, 2


@dataclass
class Problem:
    """Training data, test points alone and in batches, and hyperparameters, all of one dtype."""

    kernel: object
    X: torch.Tensor
    y: torch.Tensor
    Y: torch.Tensor
    Xs: torch.Tensor
    batches: torch.Tensor
    theta: torch.Tensor
    noise: torch.Tensor
    row_noise: torch.Tensor

    def all_requiring_grad(self):
        """Return X, y, theta and noise as leaves that require grad."""
        return [
            tensor.clone().requires_grad_() for tensor in (self.X, self.y, self.theta, self.noise)
        ]


def draw(rng, dtype=torch.float64, kernel=None, n=N, d=D):
    """Draw a problem."""
    kernel = kernel or ConstantKernel(1.3) * RBF([0.8] * d)
    X, Y, Xs = random_problem(rng, n, 3 * 2, d, 2)

    def tensor(values):
        return torch.tensor(np.asarray(values), dtype=dtype)

    return Problem(
        kernel,
        tensor(X),
        tensor(Y[:, 0]),
        tensor(Y),
        tensor(Xs),
        tensor(Xs).reshape(3, 2, d),
        tensor(kernel.theta + 0.1 * rng.standard_normal(len(kernel.theta))),
        tensor(0.2 + 0.1 * rng.random()),
        tensor(0.2 + 0.1 * rng.random(n)),
    )


@pytest.fixture(scope="session", autouse=True)
def one_thread():
    """Keep PyTorch to one thread: on tensors this small, more would only wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def seed():
    """Draw a seed, which a failure prints."""
    drawn = int(np.random.SeedSequence().generate_state(1)[0])
    print(f"seed {drawn}")
    return drawn


@pytest.fixture
def fresh(seed):
    """Random numbers that differ from run to run."""
    return np.random.default_rng(seed)


@pytest.fixture
def make_problem(fresh):
    """Return a function that draws problems; what isn't given is small, and in float64."""
    return lambda rng=fresh, **options: draw(rng, **options)


@pytest.fixture
def problem(make_problem):
    """Draw a problem in float64."""
    return make_problem()
