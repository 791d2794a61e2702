"""Models of every make agree with dense matrices, as far as rounding leaves the answer sure."""

import numpy as np
from hypothesis import event
from hypothesis import strategies as st

from fuzz.journal import documented, fuzzed
from fuzz.reference import Case, gradient, gradient_scale, is_safe, sure_answers
from fuzz.strategies_kernels import kernels
from fuzz.strategies_models import MEANS, Recipe, recipes
from gprat.exceptions import InvalidInputError, NotPositiveDefiniteError, RankDeficientTrendError

SEEDS = st.integers(0, 2**16)


def _case(recipe):
    Y = recipe.y.reshape(len(recipe.X), -1) - recipe.offset(recipe.X)
    kernel = recipe.model().kernel
    H, Hs = recipe.basis(recipe.X), recipe.basis(recipe.points)
    return Case(kernel, recipe.X, Y, recipe.noise, H, recipe.points, Hs)


def _unit(recipe):
    return float(np.finfo(recipe.arguments["dtype"]).eps)


def _leave_one_out(gp, recipe):
    """What is left out may be needed to tell the coefficients of the mean apart."""
    try:
        return gp.loo()
    except InvalidInputError:
        H = recipe.basis(recipe.X)
        left_out = [np.linalg.matrix_rank(np.delete(H, i, axis=0), 1e-4) for i in range(len(H))]
        assert min(left_out) < H.shape[1]
        return None


def _all_answers(gp, recipe):
    mean, variance = gp.predict_with_uncertainty(recipe.points)
    _, covariance = gp.predict_with_full_cov(recipe.points)
    np.testing.assert_array_equal(gp.predict(recipe.points).shape, mean.shape)
    loo = _leave_one_out(gp, recipe)
    return {
        "log_marginal_likelihood": gp.log_marginal_likelihood(),
        "alpha": gp.alpha,
        "mean": mean,
        "variance": variance,
        "covariance": covariance,
        **({} if loo is None else {"loo mean": loo.mean, "loo variance": loo.variance}),
    }


@fuzzed(weight=2.0, recipe=recipes(), seed=SEEDS)
def test_answers(recipe, seed):
    case, unit = _case(recipe), _unit(recipe)
    gp = recipe.model()
    try:
        found = _all_answers(gp, recipe)
    except NotPositiveDefiniteError:
        assert not is_safe(case, unit)
        return
    except RankDeficientTrendError:
        assert np.linalg.cond(case.H) > 1e-3 / unit
        return
    _check_answers(found, recipe, case, seed)


def _check_answers(found, recipe, case, seed):
    """Hold the answers against dense matrices."""
    unit = _unit(recipe)
    assert all(np.isfinite(value).all() for value in found.values()), found
    assert (found["variance"] >= 0.0).all()
    if not is_safe(case, unit):
        event("ill-conditioned")
        return
    offsets = {"mean": recipe.offset(recipe.points), "loo mean": recipe.offset(recipe.X)}
    for name, value, tolerance in sure_answers(case, np.random.default_rng(seed), unit):
        if name not in found:
            continue
        expected = np.reshape(value + offsets.get(name, 0.0), np.shape(found[name]))
        difference = np.abs(found[name] - expected)
        # Subnormal numbers are few, and flushed to zero in tasks.
        smallest = 8 * float(np.finfo(recipe.arguments["dtype"]).tiny)
        limit = tolerance + 8 * unit * np.abs(expected) + smallest
        assert (difference <= limit).all(), (name, found[name], expected, limit)


@fuzzed(recipe=recipes(means=["zero"]), seed=SEEDS)
def test_gradient(recipe, seed):
    case, unit = _case(recipe), _unit(recipe)
    gp = recipe.model()
    with documented():
        value, found = gp.log_marginal_likelihood(eval_gradient=True)
        found = found[: gp.kernel.n_dims]
        assert np.isfinite(found).all()
        assert np.isfinite(value)
        if not is_safe(case, 100 * unit):
            return
        expected = gradient(case)
        rng = np.random.default_rng(seed)
        nearby = [_nearby_gradient(case, rng, unit) for _ in range(4)]
        spread = max(np.max(np.abs(other - expected), initial=0.0) for other in nearby)
        limit = 100 * spread + 8 * unit * (1 + gradient_scale(case))
        if limit < 0.05 * np.abs(expected).max(initial=1.0):
            assert (np.abs(found - expected) <= limit).all(), (found, expected, limit)


def _nearby_gradient(case, rng, unit):
    """A gradient at nearby data: only noise is changed in the matrix, which makes it safer."""
    moved = case.nearby(rng, unit)
    inner = moved.kernel._kernel
    noise = case.noise + unit * len(case.X) * rng.uniform(-1, 1) * np.max(inner.diag(case.X))
    return gradient(Case(inner, moved.X, moved.Y, noise, case.H, moved.Xs, case.Hs))


@st.composite
def many_rows(draw):
    """Models large enough for a task graph on several threads; points are scattered by a seed."""
    n, d = draw(st.integers(250, 420)), draw(st.sampled_from([1, 2, 3, 12, 33]))
    rng = np.random.default_rng(draw(SEEDS))
    arguments = {
        "kernel": draw(kernels(d, depth=2)),
        "noise": 0.5,
        "mean": draw(st.sampled_from(MEANS)),
        "tile_size": draw(st.integers(13, 150)),
        "dtype": draw(st.sampled_from(["float64", "float32"])),
    }
    m, scale = draw(st.integers(1, 40)), d**-0.5
    X, points = scale * rng.normal(size=(n, d)), scale * rng.normal(size=(m, d))
    return Recipe(X, rng.normal(size=(n, 2)), points, arguments)


@fuzzed(weight=0.2, recipe=many_rows(), threads=st.integers(2, 4), seed=SEEDS)
def test_many_rows_on_several_threads(recipe, threads, seed):
    recipe.X, recipe.y, recipe.points = (
        np.asarray(values, dtype=recipe.arguments["dtype"]).astype(np.float64)
        for values in (recipe.X, recipe.y, recipe.points)
    )
    case, unit = _case(recipe), _unit(recipe)
    try:
        alone, together = (
            _all_answers(recipe.model(threads=count), recipe) for count in (1, threads)
        )
    except NotPositiveDefiniteError:
        assert not is_safe(case, unit)
        return
    for name, value in alone.items():
        np.testing.assert_array_equal(together[name], value, err_msg=name)
    _check_answers(alone, recipe, case, seed)
