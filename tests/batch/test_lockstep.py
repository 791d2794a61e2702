"""Many minimisations in step, on functions whose minima are known or that SciPy minimises too."""

import itertools

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

from gprat.batch.lockstep import Lockstep, Settings, Status


def settings(p, **options):
    return Settings(longest_step=np.full(p, np.inf), **options)


def run(evaluate, starts, bounds, **options):
    search = Lockstep(evaluate, starts, bounds, settings(starts.shape[1], **options))
    search.run(lambda minima: None)
    return search.minima


def random_quadratics(rng, r, p):
    """Convex functions ½xᵀAx − bᵀx with condition numbers up to 10⁴."""
    Q = np.linalg.qr(rng.standard_normal((r, p, p)))[0]
    A = np.einsum("rij,rj,rkj->rik", Q, 10.0 ** rng.uniform(-2.0, 2.0, (r, p)), Q)
    b = rng.standard_normal((r, p))

    def evaluate(rows, x):
        Ax = np.einsum("rij,rj->ri", A[rows], x)
        return 0.5 * np.einsum("ri,ri->r", x, Ax) - (b[rows] * x).sum(axis=1), Ax - b[rows]

    return evaluate


@pytest.mark.parametrize("p", [1, 2, 5])
def test_bounded_quadratics_end_where_their_gradients_point_out(rng, p):
    evaluate = random_quadratics(rng, 50, p)
    bounds = np.sort(rng.uniform(-3.0, 3.0, (p, 2)), axis=1)
    minima = run(evaluate, rng.uniform(-5.0, 5.0, (50, p)), bounds, tolerance=1e-15)
    x, (lower, upper) = minima.theta, bounds.T
    assert (minima.status == Status.CONVERGED).all()
    assert ((lower <= x) & (x <= upper)).all()
    loss, gradient = evaluate(np.arange(50), x)
    assert loss.tolist() == minima.loss.tolist()
    assert gradient.tolist() == minima.gradient.tolist()
    assert np.abs(x - np.clip(x - gradient, lower, upper)).max() < 1e-4


def test_rosenbrock_within_bounds_as_scipy(rng):
    starts, bounds = rng.uniform(-2.0, 2.0, (15, 4)), np.array([[-2.0, 0.8]] * 2 + [[-2, 2]] * 2)

    def evaluate(rows, x):
        return rosen(x.T), rosen_der(x.T).T

    minima = run(evaluate, starts, bounds)
    for start, loss in zip(starts, minima.loss, strict=True):
        peer = minimize(rosen, start, jac=rosen_der, method="L-BFGS-B", bounds=bounds)
        # There are other minima, which either may find; none is worse than this one.
        assert loss <= peer.fun + 1e-5 or loss < 4.0
    assert (minima.status == Status.CONVERGED).mean() > 0.9


def test_where_there_is_no_loss_steps_are_shortened(rng):
    def evaluate(rows, x):
        exists = x[:, 0] > 0.5
        with np.errstate(invalid="ignore", divide="ignore"):
            loss = np.where(exists, -np.log(x[:, 0] - 0.5) + 2.0 * x[:, 0], np.nan)
            gradient = np.where(exists, -1.0 / (x[:, 0] - 0.5) + 2.0, np.nan)
        return loss, gradient[:, None]

    starts = np.append(rng.uniform(0.51, 50.0, 30), 0.0)[:, None]
    minima = run(evaluate, starts, np.array([[-100.0, 100.0]]))
    assert minima.status.tolist() == [Status.CONVERGED] * 30 + [Status.FAILED]
    np.testing.assert_allclose(minima.theta[:30], 1.0, atol=1e-3)
    assert minima.theta[30] == 0.0
    assert minima.loss[30] == np.inf


def test_negative_curvature_is_left_behind(rng):
    def evaluate(rows, x):  # flat like a bell far from its centre
        bell = np.exp(-0.5 * (x**2).sum(axis=1))
        return -bell, bell[:, None] * x

    starts = rng.uniform(1.5, 2.5, (30, 2)) * rng.choice([-1.0, 1.0], (30, 2))
    minima = run(evaluate, starts, np.array([[-5.0, 5.0]] * 2))
    np.testing.assert_allclose(minima.loss, -1.0, atol=1e-6)


def test_each_goes_its_own_way(rng):
    evaluate = random_quadratics(rng, 20, 3)
    starts, bounds = rng.uniform(-1.0, 1.0, (20, 3)), np.array([[-1.0, 1.0]] * 3)
    together = run(evaluate, starts, bounds)
    for row in range(20):
        alone = run(lambda _, x, row=row: evaluate(np.array([row]), x), starts[[row]], bounds)
        np.testing.assert_allclose(alone.theta[0], together.theta[row], rtol=1e-12, atol=1e-12)
        assert alone.n_evaluations[0] == together.n_evaluations[row]


def test_losses_never_rise_and_every_state_is_one_that_was_reached(rng):
    evaluate = random_quadratics(rng, 30, 3)
    search = Lockstep(evaluate, rng.uniform(-9, 9, (30, 3)), np.array([[-9, 9]] * 3), settings(3))
    states = [search.minima]
    search.run(states.append)
    for before, after in itertools.pairwise(states):
        assert (after.loss <= before.loss).all()
        loss, gradient = evaluate(np.arange(30), after.theta)
        assert (loss == after.loss).all()
        assert (gradient == after.gradient).all()


def test_most_iterations_and_stopping(rng):
    evaluate = random_quadratics(rng, 10, 4)
    starts, bounds = rng.uniform(-9, 9, (10, 4)), np.array([[-np.inf, np.inf]] * 4)
    minima = run(evaluate, starts, bounds, max_iter=2)
    assert (minima.status == Status.MAX_ITER).all()
    assert (minima.n_iterations == 2).all()
    search = Lockstep(evaluate, starts, bounds, settings(4))
    search.run(lambda minima: True)
    assert (search.minima.status == Status.RUNNING).any()


def test_no_step_is_longer_than_allowed(rng):
    seen = []

    def evaluate(rows, x):
        seen.append(x.copy())
        return 1e6 * x[:, 0], np.full((len(x), 1), 1e6)

    limits = Settings(longest_step=np.array([0.5]), max_iter=5)
    search = Lockstep(evaluate, np.array([[0.0]]), np.array([[-10.0, 10.0]]), limits)
    search.run(lambda minima: None)
    steps = np.diff(np.concatenate(seen)[:, 0])
    assert np.abs(steps).max() <= 0.5 + 1e-12
    assert search.minima.theta[0, 0] < -1.0


def test_without_variables_it_has_converged():
    minima = run(lambda rows, x: (np.ones(len(x)), x), np.empty((3, 0)), np.empty((0, 2)))
    assert (minima.status == Status.CONVERGED).all()
