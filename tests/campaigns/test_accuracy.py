"""The accuracy campaign on a few seeds, the reference it relies on, and that it can fail."""

import json

import numpy as np
import pytest
from campaigns.accuracy import __main__ as campaign
from campaigns.accuracy import matrices
from campaigns.accuracy.reference import Covariance, Factor, Model, is_long
from campaigns.accuracy.tally import Setting, Tally

from campaigns import record

needs_long = pytest.mark.skipif(not is_long(), reason="long double is no longer than double")


@needs_long
def test_residuals_and_certificates():
    tallies = campaign.run(seed=1000, count=12, seconds=15.0, most=60)[:3]
    assert [failure for tally in tallies for failure in tally.failures] == []
    of_matrices, of_models, of_certificates = tallies
    assert set(of_matrices.kinds) == set(matrices.KINDS)
    assert of_models.quantities == ["likelihood", "gradient", "mean", "variance"]
    # Matrices that rounding leaves without a factor are refused, and others are not.
    assert set(of_matrices.refused) <= {
        kind for kind, (_, may_fail) in matrices.KINDS.items() if may_fail
    }
    # A bound that is a million times the error would tell nothing.
    for ratios in of_certificates.all_ratios.values():
        assert np.median(ratios) > 1e-5


@needs_long
def test_reference_knows_an_inverse_and_a_determinant():
    n = 50
    K = np.minimum.outer(np.arange(1, n + 1), np.arange(1, n + 1))
    factor = Factor(K)
    exact = 2 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)
    exact[-1, -1] = 1
    assert np.array_equal(factor.inverse, exact)
    assert factor.log_determinant == 0


@needs_long
@pytest.mark.parametrize("name", ["rbf", "matern12", "matern32", "matern52"])
def test_gradient_of_the_reference(name):
    rng = np.random.default_rng(3)
    X, y = rng.uniform(size=(12, 2)), rng.standard_normal(12)
    H = np.column_stack([np.ones(12), X])
    theta = np.array([0.3, -0.2, 0.4, -3.0], dtype=np.longdouble)

    def model(theta):
        variance, *length_scale, noise = np.exp(theta)
        covariance = Covariance(name, variance, np.array(length_scale))
        return Model(covariance, X, y, H, np.full(12, noise))

    step = np.longdouble(1e-6)
    for i, derivative in enumerate(model(theta).gradient()):
        shift = step * (np.arange(4) == i)
        values = [model(theta + sign * shift).log_marginal_likelihood for sign in (1, -1)]
        assert float((values[0] - values[1]) / (2 * step)) == pytest.approx(float(derivative), 1e-8)


def test_a_wrong_factor_is_found():
    setting = Setting("plain", 0, "float64", 6, 2, 1)
    rng = np.random.default_rng(0)
    A = rng.standard_normal((6, 6))
    K = A @ A.T + np.eye(6)
    L = np.linalg.cholesky(K)
    tally = Tally("", 4.0)
    matrices._check_factor(K, L, 6 * 2.2e-16, setting, tally)
    assert tally.failures == []
    L[4, 2] *= 1 + 1e-12
    matrices._check_factor(K, L, 6 * 2.2e-16, setting, tally)
    assert len(tally.failures) == 2
    assert "--seed 0" in tally.failures[0]
    tally.add(setting, "nothing", np.nan, 1.0)
    assert len(tally.failures) == 3


def test_results_are_recorded(tmp_path):
    path = record.write_result("accuracy", {"failures": 0}, tmp_path)
    written = json.loads(path.read_text(encoding="utf-8"))
    assert written["failures"] == 0
    assert {"commit", "date", "machine", "versions"} <= set(written)
