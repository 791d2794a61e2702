"""Values and first derivatives agree with those of the same formulas in JAX alone, to 1e-8."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gprat.jax import log_marginal_likelihood, posterior
from with_jax.agreement import assert_agree


def test_likelihood_and_its_gradient_by_everything(problem):
    def ours(arrays):
        return log_marginal_likelihood(**arrays, **problem.settings)

    def dense(arrays):
        return problem.dense.log_marginal_likelihood(**arrays)

    value, gradient = jax.value_and_grad(ours)(problem.arrays)
    assert_agree((value, gradient), jax.jit(jax.value_and_grad(dense))(problem.arrays))
    assert_agree(ours(problem.arrays), value, 1e-13)


def prediction(problem, joint):
    """Both predictions as functions of all arrays: a mean and a spread."""

    def ours(arrays):
        found = posterior(**arrays, **problem.settings, joint=joint)
        return found.mean, found.covariance if joint else found.variance

    def dense(arrays):
        mean, covariance = problem.dense.predict(**arrays)
        return mean, covariance if joint else jnp.diag(covariance)

    return ours, dense


def weighted_by(weights, function):
    """Return a scalar function of a prediction."""

    def scalar(arrays):
        mean, spread = function(arrays)
        return jnp.sum(weights[0] * jnp.sin(mean)) + jnp.sum(weights[1] * spread**2)

    return scalar


@pytest.mark.parametrize("joint", [False, True])
def test_posterior_and_its_gradient_by_everything(problem, joint, rng):
    ours, dense = prediction(problem, joint)
    arrays = problem.arrays | {"Xs": problem.Xs}
    expected = jax.jit(dense)(arrays)
    assert_agree(ours(arrays), expected)
    # Not symmetric: a function may read one half of the covariance only.
    weights = [rng.normal(size=part.shape) for part in expected]
    assert_agree(*(jax.jit(jax.grad(weighted_by(weights, f)))(arrays) for f in (ours, dense)))


@pytest.mark.parametrize("part", [0, 1])
def test_gradient_of_a_part_alone(problem, part):
    ours, dense = prediction(problem, True)
    arrays = problem.arrays | {"Xs": problem.Xs}
    found, expected = (
        jax.jit(jax.grad(lambda a, f=f: f(a)[part].sum()))(arrays) for f in (ours, dense)
    )
    assert_agree(found, expected)


def test_batches_of_points_are_independent(problem, rng):
    batches = jnp.asarray(rng.normal(size=(3, 2, 4, problem.Xs.shape[1])))

    def ours(batches):
        found = posterior(**problem.arrays, Xs=batches, **problem.settings, joint=True)
        return found.mean, found.covariance

    @jax.jit
    def dense(batches):
        return jax.vmap(jax.vmap(lambda Xs: problem.dense.predict(**problem.arrays, Xs=Xs)))(
            batches
        )

    assert_agree(ours(batches), dense(batches))
    weights = [rng.normal(size=part.shape) for part in dense(batches)]
    assert_agree(*(jax.jit(jax.grad(weighted_by(weights, f)))(batches) for f in (ours, dense)))


def test_samples_and_their_gradient(problem, rng):
    arrays = problem.arrays | {"Xs": problem.Xs}
    shape = (3, len(problem.Xs), *arrays["y"].shape[1:])
    white = jnp.asarray(rng.normal(size=shape))

    def ours(arrays):
        found = posterior(**arrays, **problem.settings, joint=True)
        return found.sample(base_samples=white)

    def dense(arrays):
        mean, covariance = problem.dense.predict(**arrays)
        L = jnp.linalg.cholesky(covariance)
        return mean + jnp.einsum("ij,sj...->si...", L, white)

    found, expected = (
        jax.jit(jax.value_and_grad(lambda a, f=f: jnp.sum(jnp.sin(f(a)))))(arrays)
        for f in (ours, dense)
    )
    # The factor of a covariance is as sensitive to rounding as the covariance is ill conditioned.
    condition = np.linalg.cond(posterior(**arrays, **problem.settings, joint=True).covariance)
    assert_agree(found, expected, 1e-8 + 1e-13 * condition)


def test_samples_have_mean_and_covariance(problem):
    found = posterior(**problem.arrays, Xs=problem.Xs, **problem.settings, joint=True)
    count = 4000
    samples = found.with_noise(0.3).sample(jax.random.key(1), count)
    assert samples.shape == (count, *found.mean.shape)
    deviation = np.sqrt(np.asarray(found.variance) + 0.3)
    columns = deviation if found.mean.ndim == 1 else deviation[:, None]
    assert np.all(np.abs(samples.mean(axis=0) - found.mean) < 6 * columns / np.sqrt(count))
    first = np.asarray(samples).reshape(count, len(deviation), -1)[..., 0]
    error = np.cov(first.T) - (found.covariance + 0.3 * np.eye(len(deviation)))
    assert np.all(np.abs(error) < 6 * np.sqrt(2 / count) * np.outer(deviation, deviation))


def test_noise_is_added_to_variances(problem):
    for joint in (False, True):
        found = posterior(**problem.arrays, Xs=problem.Xs, **problem.settings, joint=joint)
        noise = jnp.arange(1.0, 1.0 + len(problem.Xs))
        observed = found.with_noise(noise)
        assert_agree(observed.variance, found.variance + noise)
        if joint:
            assert_agree(observed.covariance, found.covariance + jnp.diag(noise))
