"""The module: it trains with any optimiser, keeps its state, and predicts."""

import copy
import io
import warnings

import numpy as np
import pytest
import torch

import gprat
from gprat.exceptions import InvalidInputError, UnsupportedTypeError
from gprat.kernels import RBF, ConstantKernel
from gprat.torch import ExactGP, log_marginal_likelihood, posterior

KERNEL = ConstantKernel(1.3) * RBF([0.8, 1.4])


def network(d=2, dtype=torch.float64):
    torch.manual_seed(0)
    # A stationary kernel doesn't see a shift of its features: there is no last bias to learn.
    last = torch.nn.Linear(8, 2, bias=False)
    return torch.nn.Sequential(torch.nn.Linear(d, 8), torch.nn.Tanh(), last).to(dtype)


def test_it_computes_what_the_functions_compute(problem):
    net = network()
    layer = ExactGP(KERNEL, 0.3, features=net, dtype=torch.float64)
    features = net(problem.X)
    theta = torch.from_numpy(KERNEL.theta)
    expected = log_marginal_likelihood(features, problem.y, KERNEL, theta, layer.noise)
    assert layer.noise.item() == pytest.approx(0.3, rel=1e-14)
    assert torch.allclose(layer(problem.X, problem.y), expected, rtol=1e-13)
    prediction = layer.predict(problem.X, problem.y, problem.batches, joint=True)
    expected = posterior(
        features, problem.y, net(problem.batches), KERNEL, theta, layer.noise, joint=True
    )
    assert torch.allclose(prediction.mean, expected.mean, rtol=1e-12)
    assert torch.allclose(prediction.covariance, expected.covariance, rtol=1e-10, atol=1e-12)
    observed = layer.predict(problem.X, problem.y, problem.batches, joint=True, include_noise=True)
    assert torch.allclose(observed.variance, prediction.variance + 0.3)


def test_without_features_it_is_a_model(problem):
    layer = ExactGP(KERNEL, 0.3, dtype=torch.float64)
    gp = gprat.GP(problem.X.numpy(), problem.y.numpy(), KERNEL, 0.3)
    value = layer(problem.X, problem.y).item()
    assert value == pytest.approx(gp.log_marginal_likelihood(), rel=1e-12)
    assert np.allclose(layer.kernel.theta, KERNEL.theta, rtol=1e-14)
    assert layer.kernel is not KERNEL


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("SGD", {"lr": 1e-4}),
        ("Adam", {"lr": 1e-3}),
        ("AdamW", {"lr": 1e-3}),
        ("RMSprop", {"lr": 1e-3}),
        ("LBFGS", {"max_iter": 3, "line_search_fn": "strong_wolfe"}),
    ],
)
def test_any_optimiser_trains_it(name, options, make_problem, rng):
    # The same data each time: on one in some hundred, a line search looks too far away.
    problem = make_problem(rng, n=40)
    layer = ExactGP(KERNEL, 0.3, features=network(), dtype=torch.float64)
    optimiser = getattr(torch.optim, name)(layer.parameters(), **options)

    def loss():
        optimiser.zero_grad()
        value = -layer(problem.X, problem.y)
        value.backward()
        return value

    before = [parameter.detach().clone() for parameter in layer.parameters()]
    first = loss().item()
    for _ in range(5):
        optimiser.step(loss)
    assert loss().item() < first
    for parameter, old in zip(layer.parameters(), before, strict=True):
        assert not torch.equal(parameter, old)


def test_gradients_by_all_parameters(problem):
    layer = ExactGP(
        KERNEL,
        0.3,
        features=network(),
        mean="linear",
        mean_coefficients=[0.1, 0.2, -0.3],
        dtype=torch.float64,
    )
    names = [name for name, _ in layer.named_parameters()]
    values = [parameter.detach().clone().requires_grad_() for parameter in layer.parameters()]
    assert {"theta", "log_noise", "mean_coefficients", "features.0.weight"} <= set(names)

    def value(*parameters):
        return torch.func.functional_call(
            layer, dict(zip(names, parameters, strict=True)), (problem.X, problem.y)
        )

    assert torch.autograd.gradcheck(value, values)


def test_the_state_is_kept(problem):
    layer = ExactGP(KERNEL, 0.3, features=network(), dtype=torch.float64)
    optimiser = torch.optim.Adam(layer.parameters(), lr=0.1)
    (-layer(problem.X, problem.y)).backward()
    optimiser.step()
    expected = layer(problem.X, problem.y)

    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other = ExactGP(KERNEL, 0.9, features=network(), dtype=torch.float64)
    assert other(problem.X, problem.y) != expected
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(problem.X, problem.y), expected)

    twin = copy.deepcopy(layer)
    assert torch.equal(twin(problem.X, problem.y), expected)
    with torch.no_grad():
        twin.theta.add_(0.5)
    assert torch.equal(layer(problem.X, problem.y), expected)


def test_it_moves_between_precisions(problem):
    layer = ExactGP(KERNEL, 0.3, features=network())
    assert layer.theta.dtype is torch.get_default_dtype()
    double = layer.double()(problem.X, problem.y)
    single = layer.float()(problem.X.float(), problem.y.float())
    assert single.dtype is torch.float32
    assert single.item() == pytest.approx(double.item(), rel=1e-3, abs=1e-2)
    with pytest.raises(UnsupportedTypeError, match=r"features are of dtype torch\.float64.*\.to"):
        ExactGP(KERNEL)(problem.X, problem.y)


def test_parameters_can_be_frozen(problem):
    layer = ExactGP(KERNEL, 0.3, features=network(), dtype=torch.float64)
    layer.log_noise.requires_grad_(False)
    layer.theta.requires_grad_(False)
    layer(problem.X, problem.y).backward()
    assert layer.theta.grad is None
    assert layer.log_noise.grad is None
    assert layer.features[0].weight.grad is not None


def test_a_network_alone_may_feed_it(problem):
    # The layer need not own its features.
    net, layer = network(), ExactGP(KERNEL, 0.3, dtype=torch.float64)
    layer(net(problem.X), problem.y).backward()
    inside = ExactGP(KERNEL, 0.3, features=network(), dtype=torch.float64)
    inside(problem.X, problem.y).backward()
    for one, other in zip(net.parameters(), inside.features.parameters(), strict=True):
        assert torch.equal(one.grad, other.grad)


def test_acquisition_functions_see_through_the_features(problem):
    layer = ExactGP(KERNEL, 0.3, features=network(), dtype=torch.float64)
    with torch.no_grad():
        model = layer.condition(problem.X, problem.y)
    points = problem.batches.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda points: model.posterior(points, joint=True).covariance, points
    )
    assert all(parameter.grad is None for parameter in layer.parameters())
    layer.condition(problem.X, problem.y).posterior(points).mean.sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


def test_weights_that_change_after_conditioning_are_noticed(problem):
    layer = ExactGP(KERNEL, 0.3, features=network(), dtype=torch.float64)
    with torch.no_grad():
        model = layer.condition(problem.X, problem.y)
        layer.features[0].weight.add_(0.1)
    with pytest.raises(InvalidInputError, match=r"features\.0\.weight has been changed in place"):
        model.posterior(problem.Xs)


def test_it_prints_what_it_is():
    text = repr(ExactGP(KERNEL, 0.3, features=network()))
    assert "RBF(" in text
    assert "noise=0.3" in text
    assert "Linear(in_features=2" in text


def test_the_trained_kernel_goes_into_a_model(problem):
    layer = ExactGP(KERNEL, 0.3, dtype=torch.float64)
    with torch.no_grad():
        layer.theta.add_(0.25)
    gp = gprat.GP(problem.X.numpy(), problem.y.numpy(), layer.kernel, layer.noise.item())
    assert np.allclose(
        gp.predict(problem.Xs.numpy()),
        layer.predict(problem.X, problem.y, problem.Xs).mean.detach(),
        rtol=1e-10,
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"noise": 0.0}, InvalidInputError, "noise must be positive"),
        ({"noise": 1e-6}, InvalidInputError, "noise must be above noise_floor"),
        ({"noise_floor": -1.0}, InvalidInputError, "noise_floor must be positive"),
        ({"noise": "much"}, UnsupportedTypeError, "noise must be a positive number"),
        ({"features": len}, UnsupportedTypeError, r"features must be a torch\.nn\.Module"),
        ({"mean": "cubic"}, InvalidInputError, "unknown mean"),
        ({"dtype": torch.int64}, UnsupportedTypeError, r"dtype must be torch\.float64"),
        ({"dtype": "float64"}, UnsupportedTypeError, r"dtype must be torch\.float64"),
    ],
)
def test_arguments_that_make_no_sense(options, error, message):
    with pytest.raises(error, match=message):
        ExactGP(KERNEL, **options)


def test_programs_around_it_are_compiled(problem):
    """torch.compile takes what is PyTorch's, and calls the core as ever."""
    layer = ExactGP(KERNEL, 0.3, features=network(), dtype=torch.float64)

    def program(X, Xs):
        prediction = layer.predict(X, problem.y, Xs.cos())
        value = log_marginal_likelihood(X.sin(), problem.y, KERNEL)
        points = posterior(X, problem.y, Xs.sin(), KERNEL)
        return layer(X, problem.y) + value + prediction.mean.sum() + points.variance.sum()

    results = []
    for function in (program, torch.compile(program, backend="eager")):
        layer.zero_grad()
        X, Xs = problem.X.clone().requires_grad_(), problem.Xs.clone().requires_grad_()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the compiler, which looks at all tensors
            value = function(X, Xs)
        value.backward()
        gradients = [parameter.grad for parameter in layer.parameters()]
        results.append([value.detach(), X.grad, Xs.grad, *gradients])
    for plain, compiled in zip(*results, strict=True):
        assert torch.allclose(plain, compiled, rtol=1e-12, atol=1e-12)


def test_it_prints_on_other_devices():
    layer = ExactGP(KERNEL, 0.3).to("meta")
    assert "device meta" in repr(layer)
