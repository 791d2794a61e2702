"""Models of GPyTorch taken over: same predictions, bounds and priors, and refusals by name.

Skipped where GPyTorch is not installed: PyTorch is no dependency of these tests.
"""

import contextlib

import numpy as np
import pytest
import scipy.stats

from gprat.exceptions import (
    GpratError,
    InvalidInputError,
    UnsupportedKernelError,
    UnsupportedTypeError,
)
from gprat.interop import from_gpytorch
from gprat.means import FixedLinear

gpytorch = pytest.importorskip("gpytorch", reason="GPyTorch is not installed")
torch = pytest.importorskip("torch")

N, M, D = 45, 20, 3
TOLERANCE = 1e-8
k = gpytorch.kernels


def fixed_weights(kernel):
    """A spectral mixture that trains no weights, which serve several features at once."""
    kernel.raw_mixture_weights.requires_grad_(False)
    return kernel


KERNELS = {
    "RBF": lambda: k.RBFKernel(),
    "RBF a feature": lambda: k.ScaleKernel(k.RBFKernel(ard_num_dims=D)),
    "Matern 1/2": lambda: k.ScaleKernel(k.MaternKernel(0.5)),
    "Matern 3/2": lambda: k.ScaleKernel(k.MaternKernel(1.5, ard_num_dims=D)),
    "Matern 5/2": lambda: k.MaternKernel(2.5),
    "RQ": lambda: k.RQKernel(),
    "RQ a feature": lambda: k.ScaleKernel(k.RQKernel(ard_num_dims=D)),
    "Periodic": lambda: k.PeriodicKernel(),
    "Periodic a feature": lambda: k.ScaleKernel(k.PeriodicKernel(ard_num_dims=D)),
    "Linear": lambda: k.LinearKernel() + k.ConstantKernel(),
    "Linear a feature": lambda: k.ScaleKernel(k.LinearKernel(ard_num_dims=D)),
    "Polynomial 1": lambda: k.PolynomialKernel(1),
    "Polynomial 3": lambda: k.ScaleKernel(k.PolynomialKernel(3)),
    "Cosine": lambda: k.ScaleKernel(k.CosineKernel(active_dims=[1])) + k.RBFKernel(),
    "SpectralMixture": lambda: fixed_weights(k.SpectralMixtureKernel(3, ard_num_dims=D)),
    "SpectralMixture of one": lambda: k.SpectralMixtureKernel(2, active_dims=[2]),
    "sum of three": lambda: (
        k.ScaleKernel(k.RBFKernel(active_dims=[0]))
        + k.ScaleKernel(k.MaternKernel(2.5, active_dims=[2, 1], ard_num_dims=2))
        + k.LinearKernel(active_dims=[1])
    ),
    "product": lambda: k.ScaleKernel(
        k.RBFKernel(active_dims=[0]) * k.PeriodicKernel(active_dims=[1]) * k.RQKernel()
    ),
    "all features in order": lambda: k.RBFKernel(active_dims=list(range(D)), ard_num_dims=D),
    "selections inside selections": lambda: k.ScaleKernel(
        k.RBFKernel(active_dims=[0]) * k.MaternKernel(active_dims=[1]), active_dims=[2, 0]
    ),
}
NOISES = ["learned", "fixed", "fixed and learned"]
MEANS = {
    "zero": lambda: gpytorch.means.ZeroMean(),
    "constant": lambda: gpytorch.means.ConstantMean(),
    "constrained constant": lambda: gpytorch.means.ConstantMean(
        constant_constraint=gpytorch.constraints.Interval(-3.0, 3.0)
    ),
    "linear": lambda: gpytorch.means.LinearMean(D),
    "linear without bias": lambda: gpytorch.means.LinearMean(D, bias=False),
}


class Model(gpytorch.models.ExactGP):
    """The model of GPyTorch's first tutorial."""

    def __init__(self, X, y, likelihood, kernel, mean=None):
        super().__init__(X, y, likelihood)
        self.mean_module = gpytorch.means.ZeroMean() if mean is None else mean
        self.covar_module = kernel

    def forward(self, X):
        return gpytorch.distributions.MultivariateNormal(self.mean_module(X), self.covar_module(X))


@pytest.fixture
def data(rng):
    X = rng.normal(size=(N, D))
    y = np.sin(2 * X[:, 0]) + 0.3 * X[:, 1] + 0.1 * rng.normal(size=N)
    return X, y, rng.normal(size=(M, D))


def make_model(data, kernel, *, noise="learned", mean=None, rng=None, likelihood=None):
    """A model in double precision, with random parameters if `rng` is given."""
    X, y = (torch.tensor(values) for values in data[:2])
    if likelihood is None:
        likelihood = make_likelihood(noise)
    model = Model(X, y, likelihood, kernel, mean).double()
    if rng is not None:
        with torch.no_grad():
            for parameter in model.parameters():
                values = rng.normal(0.0, 0.5, size=tuple(parameter.shape))
                parameter.copy_(torch.tensor(values))
    return model


def make_likelihood(noise):
    if noise == "learned":
        return gpytorch.likelihoods.GaussianLikelihood()
    variances = torch.linspace(0.05, 0.3, N, dtype=torch.float64)
    return gpytorch.likelihoods.FixedNoiseGaussianLikelihood(
        variances, learn_additional_noise=noise == "fixed and learned"
    )


def exactly():
    """GPyTorch without approximations and without jitter."""
    stack = contextlib.ExitStack()
    stack.enter_context(gpytorch.settings.fast_computations(False, False, False))
    stack.enter_context(gpytorch.settings.cholesky_jitter(0.0, 0.0, 0.0))
    stack.enter_context(torch.no_grad())
    return stack


def assert_same_predictions(gp, model, Xs):
    model.eval()
    with exactly():
        posterior = model(torch.tensor(Xs))
        expected = posterior.mean.numpy()
        covariance = posterior.covariance_matrix.numpy()
    mean, variance = gp.predict_with_uncertainty(Xs)
    np.testing.assert_allclose(mean, expected, rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(variance, covariance.diagonal(), rtol=0, atol=TOLERANCE)
    found = gp.predict_with_full_cov(Xs)[1]
    np.testing.assert_allclose(found, covariance, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("name", KERNELS)
def test_kernels_and_noises(name, noise, data, rng):
    model = make_model(data, KERNELS[name](), noise=noise, rng=rng)
    assert_same_predictions(from_gpytorch(model), model, data[2])


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", MEANS)
def test_means(name, mode, data, rng):
    model = make_model(data, KERNELS["RBF a feature"](), mean=MEANS[name](), rng=rng)
    getattr(model, mode)()
    gp = from_gpytorch(model)
    assert model.training == (mode == "train")
    assert_same_predictions(gp, model, data[2])


def test_the_same_marginal_likelihood(data, rng):
    model = make_model(
        data, KERNELS["product"](), mean=MEANS["linear"](), noise="fixed and learned", rng=rng
    )
    gp = from_gpytorch(model)
    with exactly():
        mll = gpytorch.mlls.ExactMarginalLogLikelihood(model.likelihood, model)
        expected = mll(model(*model.train_inputs), model.train_targets).item() * N
    assert np.isclose(gp.log_marginal_likelihood(), expected, rtol=1e-10)


def test_single_precision_parameters_are_read_in_double(data, rng):
    X, y = (torch.tensor(values, dtype=torch.float32) for values in data[:2])
    kernel = k.ScaleKernel(
        k.RBFKernel(lengthscale_constraint=gpytorch.constraints.Interval(0.1, 3.3))
    )
    model = Model(X, y, gpytorch.likelihoods.GaussianLikelihood(), kernel)
    single = from_gpytorch(model)
    assert single.dtype == np.float32
    double = from_gpytorch(model, dtype=np.float64)
    assert double.dtype == np.float64
    assert_same_predictions(double, model.double(), data[2])


def test_training_inputs_are_shared(data):
    model = make_model(data, KERNELS["RBF"]())
    assert np.shares_memory(from_gpytorch(model).X, model.train_inputs[0].numpy())


def test_half_precision_inputs_become_double(data):
    X, y = (torch.tensor(values, dtype=torch.bfloat16) for values in data[:2])
    model = Model(X, y, gpytorch.likelihoods.GaussianLikelihood(), KERNELS["RBF"]())
    model.mean_module, model.covar_module = model.mean_module.bfloat16(), KERNELS["RBF"]()
    gp = from_gpytorch(model)
    assert gp.dtype == np.float64
    assert np.array_equal(gp.X, X.double().numpy())


def test_another_likelihood_and_options(data, rng):
    model = make_model(data, KERNELS["RBF"](), rng=rng)
    other = gpytorch.likelihoods.GaussianLikelihood().double()
    other.noise = 0.37
    gp = from_gpytorch(model, other, tile_size=16, threads=1)
    assert np.isclose(gp.noise_variance, 0.37)
    assert gp.tile_size == 16
    assert gp.threads == 1


def test_constraints_become_bounds(data):
    c = gpytorch.constraints
    kernel = k.ScaleKernel(
        k.RBFKernel(
            ard_num_dims=D,
            lengthscale_constraint=c.Interval(
                torch.tensor([0.1, 0.2, 0.3]), torch.tensor([2.0, 3.0, 4.0])
            ),
        ),
        outputscale_constraint=c.LessThan(5.0),
    )
    kernel.outputscale = 1.0
    likelihood = gpytorch.likelihoods.GaussianLikelihood(noise_constraint=c.GreaterThan(1e-3))
    gp = from_gpytorch(make_model(data, kernel, likelihood=likelihood))
    expected = [[1e-5, 5.0], [0.1, 2.0], [0.2, 3.0], [0.3, 4.0], [1e-3, 1e5]]
    np.testing.assert_allclose(np.exp(gp.bounds), expected, rtol=1e-6)
    assert gp.parameter_names == (
        "k1__constant_value",
        *(f"k2__length_scale[{f}]" for f in range(D)),
        "noise_variance",
    )


def test_bounds_contain_extreme_values(data):
    kernel = k.ScaleKernel(k.RBFKernel())
    kernel.outputscale, kernel.base_kernel.lengthscale = 1e-7, 3e6
    gp = from_gpytorch(make_model(data, kernel.double()))
    assert ((gp.bounds[:, 0] < gp.theta) & (gp.theta < gp.bounds[:, 1])).all()


def test_parameters_without_gradient_are_fixed(data):
    kernel = k.ScaleKernel(k.RBFKernel(lengthscale_prior=gpytorch.priors.NormalPrior(1.0, 1.0)))
    kernel.base_kernel.raw_lengthscale.requires_grad_(False)
    model = make_model(data, kernel)
    model.likelihood.noise_covar.raw_noise.requires_grad_(False)
    assert from_gpytorch(model).parameter_names == ("k1__constant_value",)


PRIORS = {
    "Normal": lambda: gpytorch.priors.NormalPrior(0.5, 0.7),
    "HalfNormal": lambda: gpytorch.priors.HalfNormalPrior(0.8),
    "HalfCauchy": lambda: gpytorch.priors.HalfCauchyPrior(0.8),
    "LogNormal": lambda: gpytorch.priors.LogNormalPrior(-0.4, 0.6),
    "Gamma": lambda: gpytorch.priors.GammaPrior(3.0, 6.0),
    "Uniform": lambda: gpytorch.priors.UniformPrior(0.01, 4.0),
}


def prior_density(gp):
    """The logarithm of the density of the priors on the natural scale, and its parts."""
    total = 0.0
    for name, theta in zip(gp.parameter_names, gp.theta, strict=True):
        prior = gp._priors.distributions[gp.parameter_names.index(name)]
        total += 0.0 if prior is None else prior.logpdf(np.exp(theta))
    return total


@pytest.mark.parametrize("name", PRIORS)
def test_priors_have_the_same_density(name, data, rng):
    make = PRIORS[name]
    kernel = k.ScaleKernel(
        k.RBFKernel(ard_num_dims=D, lengthscale_prior=make()), outputscale_prior=make()
    ) + k.CosineKernel(active_dims=[1], period_length_prior=make())
    likelihood = gpytorch.likelihoods.GaussianLikelihood(noise_prior=make())
    model = make_model(data, kernel, likelihood=likelihood, rng=rng)
    gp = from_gpytorch(model)
    expected = 0.0
    for _, module, prior, closure, _ in model.named_priors():
        expected += prior.log_prob(closure(module)).sum().item()
    # Our period is twice theirs, so that its density is half of theirs.
    assert np.isclose(prior_density(gp), expected - np.log(2.0), rtol=1e-6)
    log_posterior = gp.log_marginal_likelihood() + prior_density(gp) + gp.theta.sum()
    assert np.isclose(gp.loss(), -log_posterior), "the loss has the Jacobian of the logarithm"


@pytest.mark.parametrize("name", ["LogNormal", "Gamma"])
def test_priors_of_a_squared_length_scale(name, data, rng):
    """p(l) = p(λ)·2l for λ = l²."""
    kernel = k.PeriodicKernel(ard_num_dims=D, lengthscale_prior=PRIORS[name]())
    model = make_model(data, kernel, rng=rng)
    gp = from_gpytorch(model)
    lengths = gp.kernel.length_scale
    squares = torch.tensor(lengths**2)
    expected = PRIORS[name]().double().log_prob(squares).numpy() + np.log(2.0 * lengths)
    assert np.isclose(prior_density(gp), expected.sum(), rtol=1e-6)


def registered(name, prior, closure):
    kernel = k.RQKernel()
    kernel.register_prior(name, prior, closure, lambda module, value: None)
    return kernel


NORMAL = gpytorch.priors.NormalPrior(1.0, 1.0)


@pytest.mark.parametrize(
    ("kernel", "name"),
    [
        (
            lambda: k.RBFKernel(lengthscale_prior=gpytorch.priors.SmoothedBoxPrior(0.1, 2.0)),
            "covar_module.lengthscale_prior, SmoothedBoxPrior",
        ),
        (
            lambda: k.RBFKernel(lengthscale_prior=gpytorch.priors.HorseshoePrior(0.1)),
            "covar_module.lengthscale_prior, HorseshoePrior",
        ),
        (
            lambda: k.RBFKernel(
                lengthscale_prior=gpytorch.priors.NormalPrior(0.0, 1.0, transform=torch.log)
            ),
            "covar_module.lengthscale_prior, NormalPrior",
        ),
        (
            lambda: k.PeriodicKernel(lengthscale_prior=NORMAL),
            "covar_module.lengthscale_prior, NormalPrior",
        ),
        (
            lambda: registered("of_a_square", NORMAL, lambda module: module.lengthscale**2),
            "covar_module.of_a_square, NormalPrior",
        ),
        (
            lambda: k.ScaleKernel(registered("raw_prior", NORMAL, lambda m: m.raw_alpha)),
            "covar_module.base_kernel.raw_prior, NormalPrior",
        ),
    ],
)
def test_priors_without_counterpart_are_named(kernel, name, data):
    with pytest.warns(UserWarning, match=f"the prior {name}, is left out") as caught:
        gp = from_gpytorch(make_model(data, kernel()))
    assert len(caught) == 1
    assert not gp._priors


def test_a_prior_of_a_mean_is_named(data, rng):
    mean = gpytorch.means.ConstantMean(constant_prior=NORMAL)
    model = make_model(data, KERNELS["RBF"](), mean=mean, rng=rng)
    with pytest.warns(UserWarning, match="mean_module.mean_prior, NormalPrior, is left out"):
        gp = from_gpytorch(model)
    assert_same_predictions(gp, model, data[2])


def test_priors_are_found_by_value_whatever_their_name(data, rng):
    kernel = registered("mine", gpytorch.priors.GammaPrior(3.0, 6.0), lambda m: m.alpha)
    gp = from_gpytorch(make_model(data, kernel, rng=rng))
    expected = scipy.stats.gamma(3.0, scale=1 / 6.0).logpdf(gp.kernel.alpha)
    assert np.isclose(prior_density(gp), expected)


def test_shared_parameters_are_named(data, rng):
    part = k.RBFKernel()
    model = make_model(data, k.ScaleKernel(part) + part, rng=rng)
    with pytest.warns(UserWarning, match=r"kernels.1.lengthscale and .*base_kernel.lengthscale"):
        gp = from_gpytorch(model)
    assert_same_predictions(gp, model, data[2])


def test_weights_that_serve_several_features_are_named(data, rng):
    model = make_model(data, k.SpectralMixtureKernel(2, ard_num_dims=D), rng=rng)
    with pytest.warns(UserWarning, match="covar_module.mixture_weights serve all 3 features"):
        gp = from_gpytorch(model)
    assert_same_predictions(gp, model, data[2])


def test_training_goes_on(data, rng):
    model = make_model(data, KERNELS["RBF a feature"](), mean=MEANS["constant"](), rng=rng)
    gp = from_gpytorch(model)
    before = gp.loss()
    gp.optimize()
    assert gp.loss() < before


class MyKernel(k.RBFKernel):
    """A kernel that may compute anything."""


class DeepModel(Model):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.feature_extractor = torch.nn.Linear(D, 2)

    def forward(self, X):
        return super().forward(self.feature_extractor(X))


class ScalingModel(Model):
    def forward(self, X):
        return super().forward(2.0 * X)


class ShiftedModel(Model):
    def forward(self, X):
        output = super().forward(X)
        return gpytorch.distributions.MultivariateNormal(
            output.mean + 1.0, output.lazy_covariance_matrix
        )


class TwoKernels(Model):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.second = k.RBFKernel()


class Multitask(Model):
    def forward(self, X):
        output = super().forward(X)
        return gpytorch.distributions.MultitaskMultivariateNormal.from_independent_mvns(
            [output, output]
        )


def inducing():
    likelihood = gpytorch.likelihoods.GaussianLikelihood()
    points = torch.zeros(4, D, dtype=torch.float64)
    return k.InducingPointKernel(k.RBFKernel(), points, likelihood)


@pytest.mark.parametrize(
    ("kernel", "error", "message"),
    [
        (inducing, UnsupportedKernelError, "covar_module is a InducingPointKernel"),
        (MyKernel, UnsupportedKernelError, "covar_module is a MyKernel"),
        (
            lambda: k.ScaleKernel(k.LinearKernel() + k.PiecewisePolynomialKernel()),
            UnsupportedKernelError,
            "covar_module.base_kernel.kernels.1 is a PiecewisePolynomialKernel",
        ),
        (
            lambda: k.GridInterpolationKernel(k.RBFKernel(), grid_size=8, num_dims=D),
            UnsupportedKernelError,
            "covar_module is a GridInterpolationKernel",
        ),
        (
            lambda: k.MultitaskKernel(k.RBFKernel(), num_tasks=2),
            UnsupportedKernelError,
            "covar_module is a MultitaskKernel",
        ),
        (
            lambda: k.ArcKernel(k.MaternKernel(), ard_num_dims=D),
            UnsupportedKernelError,
            "covar_module is a ArcKernel",
        ),
        (k.AdditiveKernel, UnsupportedKernelError, "covar_module is a AdditiveKernel"),
        (k.CosineKernel, UnsupportedKernelError, "CosineKernel of 3 features"),
        (
            lambda: k.PolynomialKernel(1.5),
            UnsupportedKernelError,
            "covar_module.power of PolynomialKernel",
        ),
        (
            lambda: k.ScaleKernel(
                k.RBFKernel(batch_shape=torch.Size([2])), batch_shape=torch.Size([2])
            ),
            UnsupportedKernelError,
            r"covar_module is a ScaleKernel of batch_shape \(2,\)",
        ),
        (
            lambda: k.RBFKernel(active_dims=[0, 3]),
            UnsupportedKernelError,
            r"covar_module.active_dims must be distinct columns from 0 to 2, got \[0, 3\]",
        ),
        (
            lambda: k.RBFKernel(ard_num_dims=2),
            InvalidInputError,
            "covar_module.lengthscale has 2 values, but the kernel is given 3 features",
        ),
        (
            lambda: k.SpectralMixtureKernel(4, ard_num_dims=2),
            InvalidInputError,
            "covar_module.mixture_means has ard_num_dims=2, .* 3 features",
        ),
    ],
)
def test_kernels_without_counterpart_are_refused(kernel, error, message, data):
    with pytest.raises(error, match=message) as failure:
        from_gpytorch(make_model(data, kernel()))
    assert isinstance(failure.value, GpratError)


@pytest.mark.parametrize("value", [np.nan, np.inf, -1000.0])
def test_parameters_that_make_no_sense_are_named(value, data):
    model = make_model(data, k.ScaleKernel(k.RBFKernel()))
    model.covar_module.base_kernel.raw_lengthscale.data.fill_(value)
    message = "covar_module.base_kernel.lengthscale must be positive and finite"
    with pytest.raises(InvalidInputError, match=message):
        from_gpytorch(model)


@pytest.mark.parametrize(
    ("cls", "error", "message"),
    [
        (DeepModel, UnsupportedTypeError, r"feature_extractor \(Linear\)"),
        (ScalingModel, UnsupportedKernelError, "forward returns something else than covar_module"),
        (ShiftedModel, UnsupportedKernelError, "forward returns something else than mean_module"),
        (TwoKernels, UnsupportedTypeError, "got mean_module, covar_module, second"),
        (Multitask, UnsupportedTypeError, "MultitaskMultivariateNormal"),
    ],
)
def test_other_forwards_are_refused(cls, error, message, data):
    X, y = (torch.tensor(values) for values in data[:2])
    likelihood = gpytorch.likelihoods.GaussianLikelihood()
    model = cls(X, y, likelihood, k.RBFKernel()).double()
    with pytest.raises(error, match=message) as failure:
        from_gpytorch(model)
    assert isinstance(failure.value, GpratError)


def test_other_likelihoods_are_refused(data):
    model = make_model(data, KERNELS["RBF"]())
    student = gpytorch.likelihoods.StudentTLikelihood()
    with pytest.raises(UnsupportedTypeError, match=r"likelihood is a .*StudentTLikelihood"):
        from_gpytorch(model, student)
    other_size = gpytorch.likelihoods.FixedNoiseGaussianLikelihood(torch.ones(N + 1))
    with pytest.raises(InvalidInputError, match="one variance for each of the 45 training rows"):
        from_gpytorch(model, other_size)
    batch = gpytorch.likelihoods.GaussianLikelihood(batch_shape=torch.Size([2]))
    with pytest.raises(UnsupportedTypeError, match=r"likelihood.noise_covar.noise is a batch"):
        from_gpytorch(model, batch)


def test_other_means_are_refused(data):
    class Mine(gpytorch.means.ConstantMean):
        pass

    with pytest.raises(UnsupportedTypeError, match="mean_module is a Mine"):
        from_gpytorch(make_model(data, KERNELS["RBF"](), mean=Mine()))
    batch = gpytorch.means.ConstantMean(batch_shape=torch.Size([2]))
    with pytest.raises(UnsupportedTypeError, match=r"mean_module.constant is a batch"):
        from_gpytorch(make_model(data, KERNELS["RBF"](), mean=batch))


def test_other_data_are_refused(data):
    X, y = (torch.tensor(values) for values in data[:2])
    likelihood = gpytorch.likelihoods.GaussianLikelihood()
    with pytest.raises(
        UnsupportedTypeError, match=r"must be a gpytorch.models.ExactGP, got builtins"
    ):
        from_gpytorch(3.0)
    with pytest.raises(InvalidInputError, match="no training data"):
        from_gpytorch(Model(None, None, likelihood, k.RBFKernel()))
    with pytest.raises(UnsupportedTypeError, match="2 tensors of training inputs"):
        from_gpytorch(Model((X, X), y, likelihood, k.RBFKernel()))
    stacked = torch.stack([X, X]), torch.stack([y, y])
    with pytest.raises(InvalidInputError, match=r"got \(2, 45, 3\) and \(2, 45\)"):
        from_gpytorch(Model(*stacked, likelihood, k.RBFKernel()))
    with pytest.raises(InvalidInputError, match="cannot be evaluated at its own training inputs"):
        from_gpytorch(Model(X, y, likelihood, k.RBFKernel(), gpytorch.means.LinearMean(D + 1)))


def test_the_mean_is_one_that_can_be_saved(data, rng):
    model = make_model(data, KERNELS["RBF"](), mean=MEANS["linear"](), rng=rng)
    mean = from_gpytorch(model)._mean.mean.function
    assert isinstance(mean, FixedLinear)
    assert mean.intercept == model.mean_module.bias.item()
    assert mean.coefficients == tuple(model.mean_module.weights.flatten().tolist())
