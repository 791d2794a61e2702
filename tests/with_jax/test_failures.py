"""Bad input and failing computations: clear errors, or NaN where that is asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.gaussian_process.kernels import PairwiseKernel

from gprat.exceptions import InvalidInputError, UnsupportedKernelError, UnsupportedTypeError
from gprat.jax import log_marginal_likelihood, posterior
from gprat.kernels import RBF, ConstantKernel, Matern

X = jnp.asarray([[0.0], [1.0], [2.0]])
Y = jnp.asarray([1.0, -1.0, 0.5])
KERNEL = ConstantKernel(1.5) * RBF(0.8)
TWINS = X.at[1].set(X[0])


def likelihood(noise, X=X, theta=None, **options):
    return log_marginal_likelihood(X, Y, KERNEL, theta, noise, **options)


def mean(noise, X=X, theta=None, **options):
    return jnp.sum(posterior(X, Y, X + 0.5, KERNEL, theta, noise, **options).mean)


# JAX raises ValueError instead where a compiled function has run before.
CALL_ERRORS = (jax.errors.JaxRuntimeError, ValueError)
FUNCTIONS = pytest.mark.parametrize("function", [likelihood, mean])
BROKEN = pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"noise": 0.0, "X": TWINS}, "NotPositiveDefiniteError.*row 1"),
        ({"noise": -1.0}, "InvalidInputError.*noise.*negative"),
        ({"noise": jnp.nan}, "InvalidInputError.*noise"),
        ({"noise": 0.1, "theta": jnp.asarray([0.0, jnp.nan])}, "InvalidInputError.*theta"),
        ({"noise": 0.1, "theta": jnp.asarray([0.0, 1e4])}, "InvalidInputError.*theta"),
        ({"noise": 0.1, "X": X.at[2].set(jnp.inf)}, "InvalidInputError.*row 2"),
    ],
    ids=["twins", "negative noise", "NaN noise", "NaN theta", "huge theta", "infinite X"],
)


def positional_gradient(function):
    """Return the derivative by the noise, which is passed by name."""

    def gradient(noise, **arguments):
        return jax.grad(lambda noise: function(noise, **arguments))(noise)

    return gradient


@FUNCTIONS
@BROKEN
def test_failures_say_what_is_wrong(function, arguments, message):
    for transformed in (function, jax.jit(function), positional_gradient(function)):
        with pytest.raises(CALL_ERRORS, match=f"(?s){message}"):
            jax.block_until_ready(transformed(**arguments))


@FUNCTIONS
@BROKEN
def test_failures_are_nan_where_that_is_wanted(function, arguments, message):
    def rejecting(**arguments):
        return function(**arguments, on_failure="nan")

    assert np.isnan(rejecting(**arguments))

    def of_noise(noise):
        return rejecting(**(arguments | {"noise": noise}))

    value, slope = jax.jit(jax.value_and_grad(of_noise))(jnp.asarray(arguments["noise"]))
    assert np.isnan(value)
    assert np.isnan(slope)


@FUNCTIONS
def test_a_failure_does_not_spoil_what_follows(function):
    good = function(0.1)
    with pytest.raises(CALL_ERRORS):
        jax.block_until_ready(function(0.0, X=TWINS))
    assert function(0.1) == good
    thetas = jnp.asarray([[0.0, 0.0], [jnp.nan, 0.0], [0.1, 0.2]])
    values = jax.vmap(lambda theta: function(0.1, theta=theta, on_failure="nan"))(thetas)
    assert np.isfinite(values).tolist() == [True, False, True]


@FUNCTIONS
def test_lack_of_memory_is_no_nan(function):
    with pytest.raises(CALL_ERRORS, match="InsufficientMemoryError"):
        jax.block_until_ready(function(0.1, memory_limit=1, on_failure="nan"))


def test_samples_of_a_covariance_without_a_factor():
    for on_failure in ("raise", "nan"):
        found = posterior(X, Y, X + 0.5, KERNEL, joint=True, on_failure=on_failure)
        spoiled = found.with_noise(-10.0)
        if on_failure == "nan":
            assert np.isnan(spoiled.sample(jax.random.key(0))).all()
            continue
        with pytest.raises(CALL_ERRORS, match="no Cholesky factor"):
            jax.block_until_ready(spoiled.sample(jax.random.key(0)))


def test_jitter_is_told():
    """Twice the same point: its covariance matrix is singular, up to rounding."""
    Xs = jnp.zeros((40, 1))

    def samples(noise):
        found = posterior(X, Y, Xs, KERNEL, None, noise, joint=True)
        return found.sample(base_samples=jnp.ones((1, 40)))

    with pytest.warns(UserWarning, match="added to its diagonal"):
        found = samples(0.1).block_until_ready()
    assert np.isfinite(found).all()
    assert np.ptp(found) < 1e-5
    with pytest.warns(UserWarning, match="added to its diagonal"):
        assert np.isfinite(jax.grad(lambda noise: samples(noise).sum())(0.1))


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": jnp.zeros(3)}, "X must .*shape"),
        ({"X": jnp.zeros((0, 1))}, "X must have at least one row"),
        ({"y": jnp.zeros(4)}, "y must have one row for each of the 3 rows"),
        ({"theta": jnp.zeros(3)}, r"theta must have shape \(2,\)"),
        ({"noise": jnp.ones(2)}, "noise must be one .*number or one for each of 3 rows"),
        ({"mean_coefficients": jnp.ones(2)}, "mean_coefficients must be None"),
        ({"Xs": jnp.zeros(3)}, r"Xs must have shape \(m, d\)"),
        ({"Xs": jnp.zeros((3, 2))}, "features of the training data"),
    ],
    ids=["X", "no rows", "y", "theta", "noise", "coefficients", "Xs", "features"],
)
def test_shapes_are_checked_when_jax_traces(arguments, message, compiled):
    everything = {"X": X, "y": Y, "theta": jnp.zeros(2), "noise": 0.1, "Xs": X} | arguments

    def function(arguments):
        if "Xs" in message or "features" in message:
            return posterior(**arguments, kernel=KERNEL).mean
        arguments = {name: value for name, value in arguments.items() if name != "Xs"}
        return log_marginal_likelihood(**arguments, kernel=KERNEL)

    with pytest.raises(InvalidInputError, match=message):
        (jax.jit(function) if compiled else function)(everything)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"X": "abc"}, "X must be an array of real numbers, got str"),
        ({"X": None}, "X must be an array of real numbers, got NoneType"),
        ({"X": X.astype(jnp.float16), "y": Y.astype(jnp.float16)}, "float16"),
        ({"y": Y + 1j}, "complex"),
        ({"kernel": "RBF"}, "kernel"),
    ],
    ids=["text", "None", "half", "complex", "kernel"],
)
def test_types_are_checked(arguments, message):
    everything = {"X": X, "y": Y, "kernel": KERNEL} | arguments
    with pytest.raises(UnsupportedTypeError, match=message):
        log_marginal_likelihood(**everything)


def test_options_are_checked():
    with pytest.raises(InvalidInputError, match="unknown on_failure 'ignore'"):
        likelihood(0.1, on_failure="ignore")
    with pytest.raises(InvalidInputError, match="at least 1, got 0"):
        likelihood(0.1, threads=0)
    with pytest.raises(InvalidInputError, match="unknown mean"):
        likelihood(0.1, mean="cubic")
    with pytest.raises(InvalidInputError, match=r"length_scale|features"):
        log_marginal_likelihood(X, Y, RBF([1.0, 2.0]))


def test_a_traced_hyperparameter_is_refused():
    with pytest.raises(UnsupportedTypeError, match="pass the traced ones as theta"):
        jax.grad(lambda scale: log_marginal_likelihood(X, Y, RBF(scale)))(1.0)


def test_derivatives_that_do_not_exist():
    """A kernel in Python has derivatives by theta, but none by the points."""
    kernel = ConstantKernel(1.0) * PairwiseKernel(metric="laplacian")

    def value(theta, X):
        return log_marginal_likelihood(X, Y, kernel, theta)

    assert np.isfinite(jax.grad(value)(jnp.zeros(2), X)).all()
    with pytest.raises((UnsupportedKernelError, *CALL_ERRORS), match="Python"):
        jax.block_until_ready(jax.grad(value, argnums=1)(jnp.zeros(2), X))


def test_samples_need_covariances_and_numbers():
    variances = posterior(X, Y, X, KERNEL)
    with pytest.raises(InvalidInputError, match="joint=True"):
        variances.sample(jax.random.key(0))
    covariances = posterior(X, Y, X, KERNEL, joint=True)
    with pytest.raises(InvalidInputError, match=r"jax\.random\.key"):
        covariances.sample()
    with pytest.raises(InvalidInputError, match=r"shape \(s, 3\)"):
        covariances.sample(base_samples=jnp.zeros(3))
    with pytest.raises(InvalidInputError, match="n_samples"):
        covariances.sample(jax.random.key(0), 0)


def test_noise_of_another_shape():
    for joint in (False, True):
        with pytest.raises(InvalidInputError, match=r"shape \(3,\), .*got shape \(2,\)"):
            posterior(X, Y, X, KERNEL, joint=joint).with_noise(jnp.ones(2))


def test_dtypes_promote_as_in_jax(rng):
    X, y = rng.normal(size=(9, 2)), rng.normal(size=9)
    exact = log_marginal_likelihood(X, y, Matern(0.8, nu=1.5))
    assert exact.dtype == jnp.float64
    single = [values.astype(np.float32) for values in (X, y)]
    value = log_marginal_likelihood(*single, Matern(0.8, nu=1.5))
    assert value.dtype == jnp.float32
    assert value == pytest.approx(float(exact), rel=1e-4)
    assert log_marginal_likelihood(X, single[1], Matern(0.8, nu=1.5)).dtype == jnp.float64
    assert log_marginal_likelihood(X.astype(int) + np.arange(9)[:, None], single[1], KERNEL).dtype
    gradient = jax.grad(lambda y: log_marginal_likelihood(X, y, KERNEL))(single[1])
    assert gradient.dtype == jnp.float32, "a gradient has the dtype of what it is by"
    found = posterior(*single, single[0], KERNEL, joint=True)
    assert {found.mean.dtype, found.covariance.dtype} == {np.dtype(np.float32)}
