"""Losses with priors, both objectives, and what learning leaves behind."""

import warnings

import numpy as np
from hypothesis import assume
from hypothesis import strategies as st

from fuzz.journal import documented, fuzzed
from fuzz.strategies_models import priors_by_kind, recipes
from gprat.exceptions import GpratError

OBJECTIVES = st.sampled_from(["log_marginal_likelihood", "leave_one_out"])


def _model(recipe, objective, priors, **changes):
    names = recipe.model().parameter_names
    chosen = dict(zip(names[::2], priors, strict=False))
    return recipe.model(objective=objective, priors=chosen, **changes)


@fuzzed(recipe=recipes(), objective=OBJECTIVES, priors=st.lists(priors_by_kind, max_size=4))
def test_gradients_of_losses_are_their_slopes(recipe, objective, priors):
    recipe.arguments["dtype"] = "float64"
    with documented():
        gp = _model(recipe, objective, priors)
        loss, gradient = gp.loss(eval_gradient=True)
        assert np.isclose(gp.loss(), loss, rtol=1e-8, atol=1e-8)
        # A prior may have no density here.
        assume(gp.condition_number() < 1e6 and np.isfinite(loss))
        theta, step = gp.theta, 1e-5
        slopes = []
        for p in range(len(theta)):
            move = step * np.eye(len(theta))[p]
            slopes.append((gp.loss(theta + move) - gp.loss(theta - move)) / (2 * step))
        assume(np.abs(gradient).max(initial=0.0) < 1e6)
        scale = 1.0 + abs(loss) + np.abs(gradient).max(initial=0.0)
        np.testing.assert_allclose(gradient, slopes, rtol=1e-3, atol=1e-4 * scale)


@fuzzed(
    weight=0.5,
    recipe=recipes(),
    objective=OBJECTIVES,
    priors=st.lists(priors_by_kind, max_size=2),
    how=st.fixed_dictionaries(
        {"optimizer": st.sampled_from(["l-bfgs-b", "adam"])},
        optional={
            "n_restarts": st.integers(0, 2),
            "warm_start": st.sampled_from([None, "auto", (2,), (3, 5), (5, 3), (100,)]),
            "fixed": st.sampled_from([(), "noise_variance", ("nothing",)]),
        },
    ),
)
def test_learning_leaves_a_model_that_answers(recipe, objective, priors, how):
    gp = _model(recipe, objective, priors)
    before = gp.theta
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = gp.optimize(max_iter=3, random_state=0, **how)
        except GpratError:
            np.testing.assert_array_equal(gp.theta, before)
            return
    if not how.get("fixed"):
        np.testing.assert_allclose(result.x, gp.theta, rtol=1e-12, atol=1e-12)
    assert str(gp.training_)
    with documented():
        loss = gp.loss()
        unit = float(np.finfo(gp.dtype).eps) * gp.condition_number()
        assert abs(loss - result.fun) <= 100 * len(recipe.X) * unit * (1 + abs(loss))


@fuzzed(weight=0.5, recipe=recipes(), rates=st.lists(st.floats(1e-3, 1.0), max_size=4))
def test_steps_stay_within_the_bounds(recipe, rates):
    gp = recipe.model()
    with documented():
        for rate in rates:
            loss = gp.optimize_step(rate)
            assert np.isfinite(loss)
        low, high = gp.bounds.T
        assert not rates or ((low <= gp.theta) & (gp.theta <= high)).all()
