"""Training a model: restarts, warm starts, fixed parameters, checkpoints, the report."""

import json

import numpy as np
import pytest

import oracles
from gprat import GP
from gprat.exceptions import CheckpointError, InvalidInputError, NotPositiveDefiniteError
from gprat.kernels import RBF, ConstantKernel, DotProduct, Matern


@pytest.fixture
def data(rng):
    X, Y, Xs = oracles.random_problem(rng, 80, 5, 2, 1)
    return X, Y[:, 0], Xs


def kernel():
    return ConstantKernel(1.0) * RBF([1.0, 1.0])


def test_every_gradient(data, kernel):
    """Kernel × mean × noise × objective: the loss and its gradient belong together."""
    X, y, _ = data
    groups = np.arange(80) % 2
    for mean in ("zero", "linear"):
        for objective in ("log_marginal_likelihood", "leave_one_out"):
            gp = GP(X, y, kernel, noise_groups=groups, mean=mean, objective=objective, tile_size=32)
            _, gradient = gp.loss(eval_gradient=True)
            step = 1e-5 * np.sign(gradient)
            change = gp.loss(gp.theta + step) - gp.loss(gp.theta - step)
            assert np.isclose(change / 2e-5, np.abs(gradient).sum(), rtol=1e-5, atol=1e-5)


def test_restarts_do_not_depend_on_threads(data):
    X, y, _ = data
    results = []
    for threads in (1, 2):
        gp = GP(X, y, kernel(), threads=threads, tile_size=32)
        gp.optimize(n_restarts=4, random_state=3)
        results.append(gp)
    one, two = results
    assert np.array_equal(one.theta, two.theta)
    assert len(one.training_.starts) == 5
    assert [s.loss for s in one.training_.starts] == [s.loss for s in two.training_.starts]
    assert one.training_.loss == min(s.loss for s in one.training_.starts if s.loss is not None)


def test_a_bad_start_is_skipped_and_reported(data):
    X, y, _ = data
    X, y = np.vstack([X, X]), np.concatenate([y, y])
    # Duplicates have no factor without noise: the own start fails, most of the others do not.
    gp = GP(X, y, kernel(), noise=1e-30, noise_bounds=(1e-30, 1.0))
    with pytest.raises(NotPositiveDefiniteError):
        gp.optimize()
    result = gp.optimize(n_restarts=5, random_state=0)
    assert np.isfinite(result.fun)
    assert gp.training_.starts[0].failure is not None
    assert "positive definite" in gp.training_.starts[0].failure
    assert any("start" in line for line in gp.training_.advice)


def test_all_bad_starts_are_an_error(data):
    X, y, _ = data
    X, y = np.vstack([X, X]), np.concatenate([y, y])
    gp = GP(X, y, kernel(), noise=1e-30, noise_bounds=(1e-30, 1e-29))
    with pytest.raises(NotPositiveDefiniteError, match="all 4 starts"):
        gp.optimize(n_restarts=3, random_state=0)


def test_warm_start_ends_at_an_optimum_of_the_full_loss(rng):
    X, Y, _ = oracles.random_problem(rng, 900, 5, 3, 1)
    warm, cold = (GP(X, Y[:, 0], RBF([1.0, 1.0, 1.0])) for _ in range(2))
    warm.optimize(warm_start=(150, 300))
    cold.optimize(warm_start=None)
    assert [stage.rows for stage in warm.training_.stages] == [150, 300, 900]
    assert np.isclose(warm.loss(), cold.loss(), rtol=1e-4)
    _, gradient = warm.loss(eval_gradient=True)
    assert np.abs(gradient).max() < 0.3


def test_fixed_hyperparameters_stay_for_once(data):
    X, y, _ = data
    gp = GP(X, y, kernel(), noise=0.3)
    before = gp.theta
    gp.optimize(fixed=["noise_variance", "k2__length_scale"])
    assert np.array_equal(gp.theta[1:], before[1:])
    assert gp.theta[0] != before[0]
    assert gp.training_.names == ("k1__constant_value",)
    gp.optimize(fixed=["k2__length_scale[1]"])
    assert gp.theta[2] == before[2]
    assert gp.theta[1] != before[1]
    with pytest.raises(InvalidInputError, match=r"fixed names.*'noise'.*k1__constant_value, k2"):
        gp.optimize(fixed=["noise"])


@pytest.mark.parametrize("optimizer", ["l-bfgs-b", "adam"])
def test_interrupted_training_resumes_to_the_same_bits(data, tmp_path, optimizer):
    X, y, _ = data
    file = tmp_path / "training.json"
    whole = GP(X, y, kernel())
    whole.optimize(optimizer, max_iter=12)
    broken = GP(X, y, kernel())

    def stop(iteration):
        if iteration.iteration == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        broken.optimize(optimizer, max_iter=12, checkpoint=file, callback=stop)
    assert broken.training_ is not None
    assert broken.loss() < GP(X, y, kernel()).loss()
    evaluations = []
    engine = broken._engine

    class Counting:
        factorise = engine.factorise
        ensure_memory = engine.ensure_memory

        def differentiate(self, *arguments, **options):
            evaluations.append(1)
            return engine.differentiate(*arguments, **options)

    broken._engine = Counting()
    broken.optimize(optimizer, max_iter=12, checkpoint=file, resume=True)
    assert np.array_equal(broken.theta, whole.theta)
    assert 0 < len(evaluations) < whole.training_.n_evaluations


def test_checkpoints_of_others_are_left_alone(data, tmp_path):
    X, y, _ = data
    file = tmp_path / "training.json"
    GP(X, y, kernel()).optimize(max_iter=2, checkpoint=file)
    content = file.read_bytes()
    others = [
        GP(X, y + 1.0, kernel()),
        GP(X, y, ConstantKernel(1.0) * Matern([1.0, 1.0], nu=1.5)),
        GP(X, y, kernel(), known_noise=np.ones(80)),
        GP(X, y, kernel(), mean="constant"),
        GP(X, y, kernel(), objective="leave_one_out"),
    ]
    for gp in others:
        theta = gp.theta
        with pytest.raises(CheckpointError):
            gp.optimize(max_iter=2, checkpoint=file, resume=True)
        assert file.read_bytes() == content
        assert np.array_equal(gp.theta, theta)
    with pytest.raises(CheckpointError, match="resume=True"):
        GP(X, y, kernel()).optimize(max_iter=2, checkpoint=file)
    json.loads(content)
    GP(X, y, kernel()).optimize(max_iter=2, checkpoint=file, resume=True)


def test_report(data):
    X, y, _ = data
    X = np.column_stack([X, np.random.default_rng(1).normal(size=80)])
    gp = GP(X, y, ConstantKernel(1.0) * RBF([1.0] * 3, (1e-2, 1e2)))
    assert gp.training_ is None
    result = gp.optimize()
    report = gp.training_
    assert report.at_bounds["k2__length_scale[2]"] == "upper"
    assert any("feature 2 may be irrelevant" in line for line in report.advice)
    assert np.isclose(report.condition, np.linalg.cond(gp.cholesky()) ** 2, rtol=0.05)
    assert report.gradient_history.shape == (report.n_iterations, 5)
    assert np.array_equal(result.x, report.theta)
    text = str(report)
    assert "noise_variance" in text
    assert "feature 2 may be irrelevant" in text


def test_condition_number(rng):
    X = rng.normal(size=(300, 2))
    gp = GP(X, X[:, 0], RBF(0.5), noise=1e-3, tile_size=64)
    expected = np.linalg.cond(RBF(0.5)(X) + 1e-3 * np.eye(300))
    assert np.isclose(gp.condition_number(), expected, rtol=0.05)


def test_scikit_learns_optimisers(data):
    X, y, _ = data

    def optimizer(obj_func, initial_theta, bounds):
        from scipy.optimize import minimize

        found = minimize(obj_func, initial_theta, jac=True, bounds=bounds, method="L-BFGS-B")
        return found.x, found.fun

    gp, usual = GP(X, y, kernel()), GP(X, y, kernel())
    assert np.isclose(gp.optimize(optimizer).fun, usual.optimize().fun, rtol=1e-6)


def test_schedules_of_adam(data):
    X, y, _ = data
    gp = GP(X, y, kernel())
    before = gp.loss()
    gp.optimize("adam", max_iter=30, schedule="cosine")
    assert gp.loss() < before
    with pytest.raises(InvalidInputError, match="schedule"):
        gp.optimize("l-bfgs-b", schedule="cosine")


def test_progress_line(data, capsys):
    X, y, _ = data
    GP(X, y, kernel()).optimize(max_iter=3, progress=True)
    assert "iteration" in capsys.readouterr().err
    GP(X, y, kernel()).optimize(max_iter=3)
    assert capsys.readouterr().err == "", "none where standard error is no terminal"


def test_contradictory_bounds_are_refused(data):
    X, y, _ = data
    with pytest.raises(InvalidInputError, match="low <= high"):
        GP(X, y, RBF(1.0, (2.0, 1.0)))
    with pytest.raises(InvalidInputError, match="0 < lower <= upper"):
        GP(X, y, noise_bounds=(2.0, 1.0))


def test_a_float32_model_trains(data):
    X, y, _ = data
    gp, double = GP(X, y, kernel(), dtype=np.float32), GP(X, y, kernel())
    gp.optimize()
    double.optimize()
    assert np.isclose(gp.loss(), double.loss(), atol=0.05)


def test_kernels_that_are_not_stationary_train(data):
    X, y, _ = data
    gp = GP(X, y, DotProduct() ** 2 + RBF())
    assert gp.optimize(n_restarts=1, random_state=0).success


def test_starts_of_ones_own(data):
    X, y, _ = data
    gp = GP(X, y, kernel())
    starts = [gp.theta + 0.5, gp.theta - 0.5]
    gp.optimize(starts=starts)
    assert len(gp.training_.starts) == 3
    for start, given in zip(gp.training_.starts[1:], starts, strict=True):
        assert np.array_equal(start.theta, given)
    with pytest.raises(InvalidInputError, match="theta must have shape"):
        gp.optimize(starts=[[1.0]])
