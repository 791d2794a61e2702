"""gprat's own kernels: plain formulas, exact gradients, and scikit-learn's contract."""

import copy
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process import kernels as sk

from gprat.exceptions import GpratError
from gprat.kernels import (
    RBF,
    ActiveDims,
    ArcCosine,
    ChangePoint,
    ConstantKernel,
    Cosine,
    Linear,
    Periodic,
    Polynomial,
    RationalQuadratic,
    SpectralMixture,
    WhiteKernel,
    compile,
)
from oracles import random_kernel, random_problem

W, C = np.array([0.7, 1.6]), np.array([0.3, -0.5])
MEANS, SCALES = np.array([[0.4, 0.2], [1.1, 0.6]]), np.array([[0.2, 0.3], [0.1, 0.5]])


def logistic(t):
    return 1 / (1 + np.exp(-t))


def arc_cosine(order):
    """Cho & Saul (2009), eqs. 3 to 6, with weight variances W and bias variance 0.4."""

    def k(x, z):
        x, z = np.append(np.sqrt(W) * x, np.sqrt(0.4)), np.append(np.sqrt(W) * z, np.sqrt(0.4))
        norms = np.linalg.norm(x) * np.linalg.norm(z)
        # Rounding may take the cosine of equal points beyond 1.
        t = np.arccos(np.clip(x @ z / norms, -1, 1))
        J = [
            np.pi - t,
            np.sin(t) + (np.pi - t) * np.cos(t),
            3 * np.sin(t) * np.cos(t) + (np.pi - t) * (1 + 2 * np.cos(t) ** 2),
        ]
        return norms**order * J[order] / np.pi

    return k


def spectral_mixture(x, z):
    components = zip([0.6, 1.5], MEANS, SCALES, strict=True)
    return sum(
        w
        * np.exp(-2 * np.pi**2 * np.sum((x - z) ** 2 * s**2))
        * np.cos(2 * np.pi * np.sum((x - z) * m))
        for w, m, s in components
    )


def change_point(x, z):
    s, t = logistic((x[1] + 0.2) / 0.4), logistic((z[1] + 0.2) / 0.4)
    r2 = np.sum((x - z) ** 2)
    return (1 - s) * np.exp(-r2 / 2 / 0.25) * (1 - t) + s * np.exp(-r2 / 2 / 4) * t


FORMULAS = [
    (
        RationalQuadratic(W, 1.4),
        lambda x, z: (1 + np.sum(((x - z) / W) ** 2) / (2 * 1.4)) ** -1.4,
    ),
    (
        Periodic(W, 1.7),
        lambda x, z: np.exp(-2 * np.sum((np.sin(np.pi * (x - z) / 1.7) / W) ** 2)),
    ),
    (
        Periodic(0.8, [1.2, 1.7]),
        lambda x, z: np.exp(-2 * np.sum(np.sin(np.pi * (x - z) / [1.2, 1.7]) ** 2) / 0.8**2),
    ),
    (Linear(W, C), lambda x, z: np.sum(W * (x - C) * (z - C))),
    (Linear(0.7, 0.2), lambda x, z: 0.7 * np.sum((x - 0.2) * (z - 0.2))),
    (Polynomial(3, W, 0.6), lambda x, z: (np.sum(W * x * z) + 0.6) ** 3),
    (Polynomial(1, 2.0, 0.6), lambda x, z: 2.0 * np.sum(x * z) + 0.6),
    (Cosine(W), lambda x, z: np.cos(2 * np.pi * np.sum((x - z) / W))),
    (SpectralMixture([0.6, 1.5], MEANS, SCALES), spectral_mixture),
    (ActiveDims(RBF(0.7), [1]), lambda x, z: np.exp(-((x[1] - z[1]) ** 2) / 2 / 0.7**2)),
    (ChangePoint(RBF(0.5), RBF(2.0), -0.2, 0.4, 1), change_point),
    *((ArcCosine(order, W, 0.4), arc_cosine(order)) for order in (0, 1, 2)),
]

# Every hyperparameter free: with one value a feature, and with one value for all.
FREE = (-3.0, 3.0)
DIFFERENTIABLE = [
    *(kernel for kernel, _ in FORMULAS),
    RationalQuadratic(0.7, 1.4),
    Periodic(0.8, 1.3),
    Linear(W, C, centre_bounds=FREE),
    Linear(W, 0.2, centre_bounds=FREE),
    Linear(0.8, C, "fixed", FREE),
    Polynomial(2, 0.7, 0.6),
    Polynomial(2, W, 0.0, offset_bounds="fixed"),
    Cosine(0.8),
    SpectralMixture([0.6, 1.5], [0.4, 1.1], SCALES),
    SpectralMixture([0.6, 1.5], MEANS, [[0.2], [0.4]], scales_bounds="fixed"),
    *(ArcCosine(order, 0.7, 0.4) for order in (0, 1, 2)),
    *(ArcCosine(order, W, 0.0, bias_variance_bounds="fixed") for order in (0, 1, 2)),
    ActiveDims(Linear(0.8, C[::-1], centre_bounds=FREE) * Periodic(W), [1, 0]),
    ChangePoint(Linear(1.0, 0.3, centre_bounds=FREE), WhiteKernel() * Cosine(), 0.1, 0.3, 1),
    ChangePoint(RBF(), RBF(W), 0.1, 0.3, 0, "fixed"),
    ChangePoint(RBF(), RBF(W), 0.1, 0.3, 0, width_bounds="fixed"),
    (Linear(W, C, centre_bounds=FREE) + 0.5 * Cosine()) ** 2 + WhiteKernel(0.2),
]
RANDOM = [
    random_kernel(np.random.default_rng(seed), 2, depth) for seed in range(15) for depth in (1, 3)
]
ALL = DIFFERENTIABLE + RANDOM


@pytest.fixture
def points():
    X, _, Z = random_problem(np.random.default_rng(1), n=7, m=5, d=2, k=1)
    return X, Z


def matrix(k, X, Z):
    return np.array([[k(x, z) for z in Z] for x in X])


@pytest.mark.parametrize(("kernel", "k"), FORMULAS, ids=[repr(kernel) for kernel, _ in FORMULAS])
def test_formula(kernel, k, points):
    X, Z = points
    np.testing.assert_allclose(kernel(X, Z), matrix(k, X, Z), rtol=1e-12, atol=1e-14)
    off_diagonal = ~np.eye(len(X), dtype=bool)
    np.testing.assert_allclose(
        kernel(X)[off_diagonal], matrix(k, X, X)[off_diagonal], rtol=1e-12, atol=1e-14
    )


@pytest.mark.parametrize("kernel", ALL, ids=repr)
def test_gradient_is_that_of_central_differences(kernel, points):
    X, _ = points
    # scikit-learn differentiates a Matern kernel of another smoothness by crude differences.
    K, gradient = kernel(X, eval_gradient=True)
    np.testing.assert_array_equal(K, kernel(X))
    assert gradient.shape == (*K.shape, kernel.n_dims)
    step = 1e-5
    for i, unit in enumerate(np.eye(kernel.n_dims)):
        above = kernel.clone_with_theta(kernel.theta + step * unit)(X)
        below = kernel.clone_with_theta(kernel.theta - step * unit)(X)
        expected = (above - below) / (2 * step)
        scale = 1 + np.abs(K).max()
        np.testing.assert_allclose(gradient[..., i], expected, rtol=1e-6, atol=1e-8 * scale)


@pytest.mark.parametrize("kernel", ALL, ids=repr)
def test_diagonal_is_that_of_the_matrix(kernel, points):
    X, _ = points
    np.testing.assert_allclose(kernel.diag(X), np.diag(kernel(X)), rtol=1e-9)


@pytest.mark.parametrize("kernel", ALL, ids=repr)
def test_matrix_is_positive_semidefinite(kernel):
    X = np.random.default_rng(3).normal(scale=2, size=(40, 2))
    K = kernel(X)
    np.testing.assert_allclose(K, K.T, rtol=1e-12, atol=1e-12)
    assert np.linalg.eigvalsh(K).min() >= -1e-10 * np.trace(K)


@pytest.mark.parametrize("kernel", ALL, ids=repr)
def test_stationary_kernels_do_not_see_shifts(kernel, points):
    X, Z = points
    if kernel.is_stationary():
        shift = np.array([3.0, -2.0])
        shifted = kernel(X + shift, Z + shift)
        np.testing.assert_allclose(kernel(X, Z), shifted, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    "kernel", [Linear(), Polynomial(), ArcCosine(), ChangePoint(RBF(), RBF()), ArcCosine() + RBF()]
)
def test_other_kernels_say_so(kernel):
    assert not kernel.is_stationary()


@pytest.mark.parametrize("kernel", ALL, ids=repr)
@pytest.mark.parametrize(
    "duplicate",
    [clone, copy.deepcopy, lambda kernel: pickle.loads(pickle.dumps(kernel))],
    ids=["clone", "deepcopy", "pickle"],
)
def test_duplicates_are_equal_and_apart(kernel, duplicate, points):
    twin = duplicate(kernel)
    assert twin is not kernel
    assert twin == kernel
    np.testing.assert_array_equal(twin(*points), kernel(*points))
    if kernel.n_dims:
        before = kernel.theta.copy()
        twin.theta = twin.theta + 0.25
        assert twin != kernel
        np.testing.assert_array_equal(kernel.theta, before)


@pytest.mark.parametrize("kernel", ALL, ids=repr)
def test_theta_round_trip(kernel, points):
    theta = kernel.theta + np.random.default_rng(4).uniform(-0.3, 0.3, kernel.n_dims)
    moved = kernel.clone_with_theta(theta)
    np.testing.assert_allclose(moved.theta, theta, rtol=1e-14, atol=1e-14)
    assert kernel.bounds.size == 2 * kernel.n_dims
    # theta must not change the shapes of arguments, nor what is fixed. (scikit-learn's own kernels
    # make a number of a vector with one element.)
    for name, value in kernel.get_params().items():
        if not isinstance(value, sk.Kernel):
            assert np.squeeze(moved.get_params()[name]).shape == np.squeeze(value).shape
    for hyperparameter in kernel.hyperparameters:
        if hyperparameter.fixed:
            values = (k.get_params()[hyperparameter.name] for k in (kernel, moved))
            np.testing.assert_array_equal(*values)


@pytest.mark.parametrize("kernel", DIFFERENTIABLE, ids=repr)
def test_gaussian_process_of_scikit_learn_trains_it(kernel):
    X, Y, Xs = random_problem(np.random.default_rng(6), n=25, m=4, d=2, k=1)
    start = GaussianProcessRegressor(kernel, alpha=0.1, optimizer=None).fit(X, Y[:, 0])
    optimizer = lambda f, theta, bounds: _few_steps(f, theta, bounds)  # noqa: E731
    model = GaussianProcessRegressor(kernel, alpha=0.1, optimizer=optimizer).fit(X, Y[:, 0])
    gain = model.log_marginal_likelihood_value_ - start.log_marginal_likelihood_value_
    assert gain >= 0
    assert kernel.n_dims == 0 or gain > 0
    assert np.isfinite(model.predict(Xs, return_std=True)).all()
    repr(model.kernel_)


def _few_steps(f, theta, bounds):
    """Minimise by backtracking along the gradient, in steps too short to reach a bound."""
    value, gradient = f(theta)
    for _ in range(3 if theta.size else 0):
        for step in 0.2 / np.linalg.norm(gradient) * 0.5 ** np.arange(30):
            trial = np.clip(theta - step * gradient, bounds[:, 0], bounds[:, 1])
            if f(trial)[0] < value:
                theta, (value, gradient) = trial, f(trial)
                break
    return theta, value


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_gaussian_process_of_scikit_learn_restarts_between_real_bounds():
    x = np.linspace(-1, 3, 40)[:, np.newaxis]
    y = np.where(x[:, 0] < 1.2, 0.0, np.sin(8 * x[:, 0]))
    kernel = ChangePoint(ConstantKernel(0.1), RBF(0.2), 0.2, 0.1, location_bounds=(-1, 3))
    model = GaussianProcessRegressor(kernel, alpha=1e-3, n_restarts_optimizer=1, random_state=0)
    assert abs(model.fit(x, y).kernel_.location - 1.2) < 0.1


def test_rational_quadratic_is_that_of_scikit_learn(points):
    X, Z = points
    ours, theirs = RationalQuadratic(0.7, 1.4), sk.RationalQuadratic(0.7, 1.4)
    assert isinstance(ours, sk.RationalQuadratic)
    assert repr(ours) == repr(theirs)
    np.testing.assert_allclose(ours(X, Z), theirs(X, Z), rtol=1e-13)
    for mine, yours in zip(ours(X, eval_gradient=True), theirs(X, eval_gradient=True), strict=True):
        np.testing.assert_allclose(mine, yours, rtol=1e-12, atol=1e-14)
    assert ours.get_params() == theirs.get_params()
    np.testing.assert_array_equal(ours.theta, theirs.theta)
    np.testing.assert_array_equal(ours.bounds, theirs.bounds)


def test_periodic_is_that_of_scikit_learn_for_one_feature():
    X = np.linspace(-2, 2, 9)[:, np.newaxis]
    expected = sk.ExpSineSquared(0.8, 1.3)(X)
    np.testing.assert_allclose(Periodic(0.8, 1.3)(X), expected, rtol=1e-12)


@pytest.mark.parametrize(("order", "degree"), [(0, 0), (1, 1), (2, 2)])
def test_arc_cosine_is_the_mean_over_random_units(order, degree):
    """Cho & Saul (2009), eq. 1: twice the mean of the products of units."""
    x, z = np.array([0.8, -0.3]), np.array([0.1, 0.9])
    weights = np.random.default_rng(0).normal(size=(400_000, 3))
    outputs = [np.maximum(weights @ np.append(p, 1.0), 0) ** degree for p in (x, z)]
    if order == 0:
        outputs = [weights @ np.append(p, 1.0) > 0 for p in (x, z)]
    expected = 2 * np.mean(outputs[0] * outputs[1])
    value = ArcCosine(order)(x[np.newaxis], z[np.newaxis])[0, 0]
    np.testing.assert_allclose(value, expected, rtol=0.02)


def test_arc_cosine_is_exact_for_nearly_parallel_points():
    X = np.array([[1.0], [1.0 + 1e-9], [-1.0]])
    K, gradient = ArcCosine(0, 1.0, 1.0)(X, eval_gradient=True)
    # Angle 2·10⁻⁹/4: the derivative of arctan at 1 is 1/2.
    np.testing.assert_allclose(1 - K[0, 1], 0.5e-9 / np.pi, rtol=1e-6)
    assert np.abs(gradient[0, 1]).max() < 1e-9
    K, gradient = ArcCosine(0, 1.0, 0.0, bias_variance_bounds="fixed")(X, eval_gradient=True)
    np.testing.assert_allclose(K, [[1, 1, 0], [1, 1, 0], [0, 0, 1]], atol=1e-15)
    np.testing.assert_allclose(gradient, 0, atol=1e-15)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_arc_cosine_is_finite_and_semidefinite_at_the_origin_without_bias(order):
    X = np.vstack([np.zeros((2, 2)), np.random.default_rng(2).normal(size=(20, 2))])
    kernel = ArcCosine(order, 1.0, 0.0, bias_variance_bounds="fixed")
    K, gradient = kernel(X, eval_gradient=True)
    assert np.isfinite(gradient).all()
    assert np.linalg.eigvalsh(K).min() > -1e-12
    np.testing.assert_allclose(np.diag(K), kernel.diag(X), rtol=1e-12, atol=1e-15)


def test_change_point_is_either_kernel_far_away_and_never_overflows():
    X = np.array([[-1e308, 0.0], [-1e6, 1.0], [1e6, 0.0], [1e308, 1.0]])
    early, late = ActiveDims(RBF(), [1]), ConstantKernel(3.0)
    K, gradient = ChangePoint(early, late, width=1e-3)(X, eval_gradient=True)
    expected = np.zeros((4, 4))
    expected[:2, :2] = early(X[:2])
    expected[2:, 2:] = 3.0
    np.testing.assert_array_equal(K, expected)
    assert np.isfinite(gradient).all()


def test_active_dims_take_slices_and_order(points):
    X, Z = points
    np.testing.assert_array_equal(
        ActiveDims(RBF(W), slice(None, None, -1))(X, Z), RBF(W[::-1])(X, Z)
    )
    assert ActiveDims(RBF(), slice(2)) != ActiveDims(RBF(), slice(1))
    assert ActiveDims(RBF(), [0]) != ActiveDims(RBF(), [0, 1])
    assert ActiveDims(RBF(), np.array([0])) != ActiveDims(RBF(), np.array([0, 1]))


def test_names_of_what_is_inside():
    kernel = 2.0 * ActiveDims(ChangePoint(RBF(), Linear()), [1, 0])
    kernel.set_params(k2__kernel__location=0.5, k2__kernel__k2__variance=[1.0, 2.0])
    names = [h.name for h in kernel.hyperparameters]
    assert names == [
        "k1__constant_value",
        "k2__kernel__k1__length_scale",
        "k2__kernel__k2__centre",
        "k2__kernel__k2__variance",
        "k2__kernel__location",
        "k2__kernel__width",
    ]
    assert kernel.get_params()["k2__kernel__location"] == 0.5
    assert compile(kernel, 2).names[3:5] == (
        "k2__kernel__k2__variance[0]",
        "k2__kernel__k2__variance[1]",
    )
    with pytest.raises(ValueError, match="Invalid parameter"):
        kernel.set_params(k2__kernel__place=1.0)


@pytest.mark.parametrize(
    ("kernel", "text"),
    [
        (Linear(W, 0.2), "Linear(centre=0.2, variance=[0.7, 1.6])"),
        (Periodic(2.0) + Cosine(), "Periodic(length_scale=2, periodicity=1) + Cosine(period=1)"),
        (Polynomial(3), "Polynomial(degree=3, offset=1, variance=1)"),
        (ArcCosine(0), "ArcCosine(order=0, bias_variance=1, weight_variance=1)"),
        (
            SpectralMixture([1], [[2, 3]], [4]),
            "SpectralMixture(means=[[2, 3]], scales=[4], weights=[1])",
        ),
        (ActiveDims(RBF(), [0, 2]), "ActiveDims(RBF(length_scale=1), [0, 2])"),
        (
            ChangePoint(RBF(), Cosine(), 0.123456),
            "ChangePoint(RBF(length_scale=1), "
            "Cosine(period=1), location=0.123, width=1, feature=0)",
        ),
    ],
)
def test_repr(kernel, text):
    assert repr(kernel) == text


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (Periodic([1.0, 2.0, 3.0]), "length_scale of Periodic has 3 values but .* 2 features"),
        (Linear(1.0, [1.0, 2.0, 3.0]), "centre of Linear has 3 values"),
        (SpectralMixture([1.0], np.ones((1, 3)), [1.0]), r"means of .* \(1,\) or \(1, 2\)"),
        (
            SpectralMixture([1.0, 1.0], [1.0], [1.0, 1.0]),
            "means of SpectralMixture must have shape",
        ),
        (ActiveDims(RBF(), [2]), "dims of ActiveDims must be columns from 0 to 1"),
        (
            ChangePoint(RBF(), RBF(), feature=5),
            "feature of ChangePoint must be columns from 0 to 1",
        ),
        (Polynomial(-1), "degree of Polynomial must be at least 1"),
        (ArcCosine(1.5), "order of ArcCosine must be 0, 1 or 2"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_name(kernel, message, points):
    for call in (kernel, lambda X: kernel(X, eval_gradient=True)):
        with pytest.raises(ValueError, match=message) as caught:
            call(points[0])
        assert isinstance(caught.value, GpratError)


@pytest.mark.parametrize("kernel", [Cosine(), ChangePoint(RBF(), RBF()), RationalQuadratic()])
def test_gradient_between_two_sets_is_refused(kernel, points):
    with pytest.raises(ValueError, match="only be evaluated when Y is None"):
        kernel(*points, eval_gradient=True)


@pytest.mark.parametrize("kernel", [Linear(W), ChangePoint(RBF(), RBF()), ActiveDims(RBF(), [0])])
def test_theta_of_another_length_is_refused(kernel):
    with pytest.raises(ValueError, match=r"must have shape|array|theta"):
        kernel.theta = np.zeros(kernel.n_dims + 1)


def test_kernels_are_evaluated_without_an_array_of_pairs_times_features():
    import tracemalloc

    X = np.random.default_rng(0).normal(size=(200, 100))
    kernels = [Periodic(), Linear(), Cosine(), ArcCosine(), RationalQuadratic(np.ones(100))]
    for kernel in kernels:
        tracemalloc.start()
        kernel(X)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 12 * 8 * len(X) ** 2
