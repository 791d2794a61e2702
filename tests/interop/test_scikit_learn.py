"""Models of scikit-learn taken over and given back: the same numbers, and refusals."""

import numpy as np
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.gaussian_process import GaussianProcessRegressor as Original
from sklearn.gaussian_process.kernels import (
    GenericKernelMixin,
    Kernel,
    StationaryKernelMixin,
    WhiteKernel,
)
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import gprat
from gprat.exceptions import GpratError, InvalidInputError, UnsupportedTypeError
from gprat.interop import from_sklearn, to_sklearn
from gprat.kernels import RBF, ConstantKernel, Matern, Periodic

N, M, D = 40, 9, 2
ALPHA = 0.05
TOLERANCE = 1e-8


@pytest.fixture
def data(rng):
    X = rng.normal(size=(N, D))
    Y = np.column_stack([np.sin(2 * X[:, 0]) + 4.0, 30.0 * X[:, 1] - X[:, 0]])
    return X, Y + 0.1 * rng.normal(size=Y.shape), rng.normal(size=(M, D))


@pytest.fixture(params=["one number", "one a row"])
def alpha(request, rng):
    return ALPHA if request.param == "one number" else rng.uniform(0.5, 2.0, size=N) * ALPHA


@pytest.fixture(params=[None, 1, 2], ids=["vector", "column", "two outputs"])
def targets(request, data):
    """Targets of each shape."""
    Y = data[1]
    return Y[:, 0] if request.param is None else Y[:, : request.param]


def assert_same_model(ours, theirs, Xs):
    assert_close(ours.predict(Xs), theirs.predict(Xs))
    for argument in ("return_std", "return_cov"):
        found = ours.predict(Xs, **{argument: True})
        for mine, expected in zip(found, theirs.predict(Xs, **{argument: True}), strict=True):
            assert mine.shape == expected.shape
            assert_close(mine, expected)
    likelihood = theirs.log_marginal_likelihood_value_
    assert_close(ours.log_marginal_likelihood_value_, likelihood)
    if theirs.kernel_.n_dims == 0:
        return
    theta = theirs.kernel_.theta
    assert_close(ours.kernel_.theta, theta)
    value, gradient = ours.log_marginal_likelihood(theta - 0.1, eval_gradient=True)
    expected = theirs.log_marginal_likelihood(theta - 0.1, eval_gradient=True)
    assert_close(value, expected[0])
    # For a general nu, scikit-learn's gradient is a difference.
    assert_close(gradient, expected[1], 1e-4 if "nu=3.7" in str(theirs.kernel_) else TOLERANCE)


def assert_close(found, expected, tolerance=TOLERANCE):
    scale = max(1.0, np.abs(expected).max(initial=0.0))
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("normalize_y", [False, True])
def test_kernels(kernel, normalize_y, data, alpha):
    X, Y, Xs = data
    theirs = Original(kernel, alpha=alpha, optimizer=None, normalize_y=normalize_y)
    theirs.fit(X, Y[:, 0])
    assert_same_model(from_sklearn(theirs), theirs, Xs)


@pytest.mark.parametrize("normalize_y", [False, True])
def test_targets(targets, normalize_y, data, alpha):
    X, _, Xs = data
    kernel = ConstantKernel(2.0) * Matern([0.8, 1.5], nu=1.5) + WhiteKernel(0.1)
    theirs = Original(kernel, alpha=alpha, optimizer=None, normalize_y=normalize_y)
    theirs.fit(X, targets)
    ours = from_sklearn(theirs)
    assert_same_model(ours, theirs, Xs)
    assert_close(ours.y_train_, theirs.y_train_)
    assert_close(ours.alpha_, theirs.alpha_)
    assert_close(ours.score(X, targets), theirs.score(X, targets))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("kernel", [None, 2.0 * RBF(0.7), Periodic(1.2, 5.0)], ids=str)
def test_trained_models(kernel, data):
    X, Y, Xs = data
    theirs = Original(kernel, alpha=ALPHA, normalize_y=True, random_state=0).fit(X, Y)
    ours = from_sklearn(theirs, tile_size=16, threads=1)
    assert_same_model(ours, theirs, Xs)
    assert (ours.training_, ours.gp_.tile_size, ours.gp_.threads) == (None, 16, 1)
    assert ours.kernel == theirs.kernel
    assert ours.get_params(deep=False).items() >= theirs.get_params(deep=False).items()


def test_a_taken_over_model_can_be_trained_anew(data):
    X, Y, Xs = data
    options = {"kernel": 2.0 * RBF(0.7), "alpha": ALPHA, "normalize_y": True}
    ours = from_sklearn(Original(**options).fit(X[:30], Y[:30, 0]))
    again = gprat.GaussianProcessRegressor(**options).fit(X, Y[:, 0])
    assert np.array_equal(ours.fit(X, Y[:, 0]).predict(Xs), again.predict(Xs))


def test_a_taken_over_model_can_grow(data, alpha):
    """By rows whose targets keep the scale of the first ones."""
    X, Y, Xs = data
    variances = np.broadcast_to(alpha, N)
    one_a_row = np.ndim(alpha) == 1
    first = Original(RBF(0.7), alpha=variances[:30] if one_a_row else alpha, optimizer=None)
    ours = from_sklearn(first.fit(X[:30], Y[:30, 0]))
    ours.append(X[30:], Y[30:, 0], alpha=variances[30:] if one_a_row else None)
    whole = Original(RBF(0.7), alpha=alpha, optimizer=None).fit(X, Y[:, 0])
    assert_close(ours.predict(Xs), whole.predict(Xs))
    assert_close(ours.log_marginal_likelihood_value_, whole.log_marginal_likelihood_value_)


def test_the_original_is_left_alone(data):
    X, Y, Xs = data
    theirs = Original(RBF(0.7), alpha=ALPHA).fit(X, Y[:, 0])
    before = theirs.predict(Xs), theirs.kernel_.theta
    ours = from_sklearn(theirs)
    ours.fit(X + 1.0, Y[:, 1])
    ours.kernel.length_scale = 77.0
    assert np.array_equal(theirs.predict(Xs), before[0])
    assert np.array_equal(theirs.kernel_.theta, before[1])
    assert theirs.kernel.length_scale == 0.7


@pytest.mark.parametrize("copies", [True, False])
def test_inputs_are_shared_only_if_they_may_be(copies, data):
    X, Y, _ = data
    theirs = Original(RBF(0.7), alpha=ALPHA, copy_X_train=copies).fit(X, Y[:, 0])
    assert np.shares_memory(from_sklearn(theirs).X_train_, theirs.X_train_) is not copies


@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_inputs_of_other_precision(dtype, data):
    X, Y, Xs = data
    theirs = Original(RBF(0.7), alpha=1.0, optimizer=None).fit((3 * X).astype(dtype), Y[:, 0])
    ours = from_sklearn(theirs)
    assert_close(ours.predict(Xs), theirs.predict(Xs))
    assert ours.gp_.dtype == np.float64


def test_names_of_features(data):
    pandas = pytest.importorskip("pandas")
    X, Y, Xs = data
    table = pandas.DataFrame(X, columns=["depth", "age"])
    theirs = Original(RBF(0.7), alpha=ALPHA).fit(table, Y[:, 0])
    ours = from_sklearn(theirs)
    assert list(ours.feature_names_in_) == ["depth", "age"]
    assert ours.n_features_in_ == D
    with pytest.raises(ValueError, match="feature names"):
        ours.predict(pandas.DataFrame(Xs, columns=["age", "depth"]))


class Laplace(StationaryKernelMixin, Kernel):
    """A user's own kernel: exp(−‖x − z‖₁)."""

    def __init__(self):
        """scikit-learn reads the names of arguments from here."""

    def __call__(self, X, Y=None, eval_gradient=False):
        A, B = np.atleast_2d(X), np.atleast_2d(X if Y is None else Y)
        K = np.exp(-np.abs(A[:, None] - B).sum(axis=2))
        return (K, np.empty((*K.shape, 0))) if eval_gradient else K

    def diag(self, X):
        return np.ones(len(X))


class Letters(GenericKernelMixin, StationaryKernelMixin, Kernel):
    """A kernel of texts: the number of letters that they share."""

    def __init__(self):
        """scikit-learn reads the names of arguments from here."""

    def __call__(self, X, Y=None, eval_gradient=False):
        Y = X if Y is None else Y
        K = np.array([[float(len(set(a) & set(b))) for b in Y] for a in X])
        return (K, np.empty((*K.shape, 0))) if eval_gradient else K

    def diag(self, X):
        return np.array([float(len(set(a))) for a in X])


def test_a_users_own_kernel(data, alpha):
    X, Y, Xs = data
    kernel = Laplace() + WhiteKernel(0.2)
    theirs = Original(kernel, alpha=alpha, normalize_y=True, optimizer=None).fit(X, Y)
    assert_same_model(from_sklearn(theirs), theirs, Xs)


def test_a_kernel_of_objects():
    texts = ["ab", "abc", "cde", "a", "bde", "xyz"]
    theirs = Original(Letters(), alpha=0.5).fit(texts, np.arange(6.0))
    assert_same_model(from_sklearn(theirs), theirs, ["abx", "zd"])


class Doubling(Original):
    def predict(self, X, return_std=False, return_cov=False):
        return 2.0 * super().predict(X)


class Named(Original):
    """A subclass that adds what changes nothing."""

    def describe(self):
        return "a model"


def test_harmless_subclasses_are_taken_over(data):
    X, Y, Xs = data
    theirs = Named(RBF(0.7), alpha=ALPHA).fit(X, Y[:, 0])
    assert_same_model(from_sklearn(theirs), theirs, Xs)


def regressor(cls=Original):
    return cls(RBF(0.7), alpha=ALPHA, optimizer=None)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda X, Y: make_pipeline(StandardScaler(), regressor()).fit(X, Y),
            r"Pipeline\. Take over its step 'gaussianprocessregressor'",
        ),
        (
            lambda X, Y: make_pipeline(StandardScaler(), Ridge()).fit(X, Y),
            "Only that regressor can be taken over",
        ),
        (
            lambda X, Y: GridSearchCV(regressor(), {"alpha": [ALPHA]}, cv=2).fit(X, Y),
            "Pass its attribute best_estimator_",
        ),
        (
            lambda X, Y: TransformedTargetRegressor(regressor()).fit(X, Y[:, 0]),
            "Pass its attribute regressor_",
        ),
        (
            lambda X, Y: MultiOutputRegressor(regressor()).fit(X, Y),
            "members of its attribute estimators_",
        ),
        (lambda X, Y: gprat.GaussianProcessRegressor(), "It is gprat's already"),
        (lambda X, Y: Original, "Pass a fitted instance, not the class"),
        (lambda X, Y: "model", r"got builtins\.str"),
        (
            lambda X, Y: regressor(Doubling).fit(X, Y),
            "a Doubling, a subclass of scikit-learn's regressor with its own predict",
        ),
    ],
)
def test_other_estimators_are_refused(make, message, data):
    fitted = make(data[0], data[1])
    with pytest.raises(UnsupportedTypeError, match=message) as failure:
        from_sklearn(fitted)
    assert isinstance(failure.value, GpratError)


def test_the_remedy_for_a_pipeline_works(data):
    X, Y, Xs = data
    pipeline = make_pipeline(StandardScaler(), Original(RBF(0.7), alpha=ALPHA)).fit(X, Y[:, 0])
    expected = pipeline.predict(Xs)
    step = "gaussianprocessregressor"
    pipeline.set_params(**{step: from_sklearn(pipeline.named_steps[step])})
    assert isinstance(pipeline[-1], gprat.GaussianProcessRegressor)
    assert_close(pipeline.predict(Xs), expected)


def test_an_unfitted_model_is_refused():
    with pytest.raises(InvalidInputError, match="not been fitted yet"):
        from_sklearn(Original(RBF(0.7)))


@pytest.mark.parametrize("changed", ["kernel_", "alpha", "X_train_", "y_train_"])
def test_models_that_changed_since_fit_are_refused(changed, data, rng):
    X, Y, _ = data
    kernel = 2.0 * RBF(0.7)
    theirs = Original(kernel, alpha=ALPHA, copy_X_train=False, optimizer=None).fit(X, Y[:, 0])
    if changed == "kernel_":
        theirs.kernel_.theta = theirs.kernel_.theta + 0.05
    elif changed == "alpha":
        theirs.alpha = 2.0 * ALPHA
    else:
        getattr(theirs, changed)[:] = rng.permutation(getattr(theirs, changed))
    with pytest.raises(InvalidInputError, match="no longer solves its own equations"):
        from_sklearn(theirs)


@pytest.mark.filterwarnings("ignore::gprat.exceptions.DataWarning")
@pytest.mark.parametrize("normalize_y", [False, True])
@pytest.mark.parametrize("noise", [None, 0.2])
def test_back_to_scikit_learn(noise, normalize_y, targets, data, alpha):
    X, _, Xs = data
    kernel = ConstantKernel(2.0) * Matern([0.8, 1.5], nu=1.5)
    ours = gprat.GaussianProcessRegressor(
        kernel, alpha=alpha, noise=noise, normalize_y=normalize_y, optimizer=None
    ).fit(X, targets)
    theirs = to_sklearn(ours)
    assert_same_model(ours, theirs, Xs)
    assert_same_model(from_sklearn(theirs), theirs, Xs)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_back_and_trained_anew(data):
    X, Y, Xs = data
    options = {"kernel": 2.0 * RBF(0.7), "alpha": ALPHA, "normalize_y": True}
    ours = gprat.GaussianProcessRegressor(**options, optimizer="adam").fit(X, Y[:, 0])
    expected = Original(**options).fit(X, Y[:, 0])
    assert_close(to_sklearn(ours).fit(X, Y[:, 0]).predict(Xs), expected.predict(Xs))


def test_objects_back_to_scikit_learn():
    texts = ["ab", "abc", "cde", "a", "bde", "xyz"]
    ours = gprat.GaussianProcessRegressor(Letters(), alpha=0.5).fit(texts, np.arange(6.0))
    assert_same_model(ours, to_sklearn(ours), ["abx", "zd"])


@pytest.mark.filterwarnings("ignore::gprat.exceptions.DataWarning")
def test_models_that_scikit_learn_lacks_are_refused(data):
    X, Y, _ = data
    options = {"kernel": RBF(0.7), "alpha": ALPHA, "optimizer": None}
    with_mean = gprat.GaussianProcessRegressor(**options, mean="linear").fit(X, Y)
    with pytest.raises(InvalidInputError, match="has mean='linear'"):
        to_sklearn(with_mean)
    Y[3, 1] = np.nan
    missing = gprat.GaussianProcessRegressor(**options, nan_policy="omit").fit(X, Y)
    with pytest.raises(InvalidInputError, match="takes no missing targets"):
        to_sklearn(missing)
    with pytest.raises(ValueError, match="not fitted yet"):
        to_sklearn(gprat.GaussianProcessRegressor())
    with pytest.raises(UnsupportedTypeError, match="must be a gprat"):
        to_sklearn(Original())
