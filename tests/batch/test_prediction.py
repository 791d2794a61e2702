"""Predictions of all members, against the dense reference and single models."""

import pickle
import threading

import numpy as np
import pytest

from batch.members import FORMS, KERNEL, draw_data, draw_points, draw_theta, prediction_of
from gprat import GP, GPBatch
from gprat.engines.batch import Predictions
from gprat.exceptions import RoundingWarning


@pytest.mark.parametrize("test_form", FORMS)
@pytest.mark.parametrize("form", FORMS)
def test_predictions_are_those_of_the_reference(rng, form, test_form):
    X, y, pairs = draw_data(rng, form)
    Xs, points = draw_points(rng, test_form)
    batch = GPBatch(X, y, KERNEL)
    batch.theta = draw_theta(rng, batch)
    means = batch.predict(Xs)
    both = batch.predict_with_uncertainty(Xs)
    joint = batch.predict_with_full_cov(Xs)
    assert isinstance(means, list) == (test_form == "list")
    for i, (Xi, yi) in enumerate(pairs):
        mean, variance, covariance = prediction_of(KERNEL, batch.theta[i], Xi, yi, points[i])
        for got in (means[i], both[0][i], joint[0][i]):
            np.testing.assert_allclose(got, mean, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(both[1][i], variance, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(joint[1][i], covariance, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("mean", ["linear", lambda X: 2.0 - X[:, 0]])
@pytest.mark.parametrize("form", FORMS)
def test_means_and_noise_are_those_of_single_models(rng, form, mean):
    X, y, pairs = draw_data(rng, "stacked")
    Xs, points = draw_points(rng, form)
    noise = rng.uniform(0.1, 1.0, size=5)
    batch = GPBatch(X, y, KERNEL, noise, mean=mean)
    means, variances = batch.predict_with_uncertainty(Xs, include_noise=True)
    covariances = batch.predict_with_full_cov(Xs, include_noise=True)[1]
    for i, (Xi, yi) in enumerate(pairs):
        gp = GP(Xi, yi, KERNEL, noise[i], mean=mean)
        single = gp.predict_with_uncertainty(points[i], include_noise=True)
        np.testing.assert_allclose(means[i], single[0], rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(variances[i], single[1], rtol=1e-8)
        covariance = gp.predict_with_full_cov(points[i], include_noise=True)[1]
        np.testing.assert_allclose(covariances[i], covariance, rtol=1e-8, atol=1e-9)


def test_factors_follow_the_hyperparameters(rng):
    X, y, _ = draw_data(rng, "stacked")
    Xs, _ = draw_points(rng, "shared")
    batch = GPBatch(X, y, KERNEL)
    before = batch.predict(Xs)
    assert batch.predict(Xs).tolist() == before.tolist()
    batch.noise_variance = 2.0
    assert batch.noise_variance.tolist() == [2.0] * 5
    expected = GPBatch(X, y, KERNEL, 2.0).predict(Xs)
    assert batch.predict(Xs).tolist() == expected.tolist() != before.tolist()


def test_members_are_models_of_their_own(rng):
    X, y, _ = draw_data(rng, "list")
    Xs, _ = draw_points(rng, "shared")
    batch = GPBatch(X, y, KERNEL, mean="constant")
    batch.theta = draw_theta(rng, batch)
    means = batch.predict(Xs)
    assert len(batch) == len(list(batch)) == 5
    for i, gp in enumerate(batch):
        np.testing.assert_allclose(gp.theta, batch.theta[i], rtol=1e-12)
        np.testing.assert_allclose(gp.predict(Xs), means[i], rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(batch[-1].predict(Xs), means[4], rtol=1e-9, atol=1e-10)


def test_copies_predict_the_same(rng):
    X, y, _ = draw_data(rng, "list")
    Xs, _ = draw_points(rng, "shared")
    batch = GPBatch(X, y, KERNEL)
    batch.theta = draw_theta(rng, batch)
    copy = pickle.loads(pickle.dumps(batch))
    assert copy.predict(Xs).tolist() == batch.predict(Xs).tolist()


def test_several_threads_may_predict(rng):
    X, y, _ = draw_data(rng, "stacked", b=40, n=50)
    Xs, _ = draw_points(rng, "shared", m=40)
    expected = GPBatch(X, y, KERNEL).predict(Xs).tolist()
    batch, found = GPBatch(X, y, KERNEL), []
    workers = [
        threading.Thread(target=lambda: found.append(batch.predict(Xs).tolist())) for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [expected] * 4


def test_variances_without_noise_are_not_negative(rng):
    X, y, _ = draw_data(rng, "stacked")
    batch = GPBatch(X, y, KERNEL, noise=1e-14)
    _, variance = batch.predict_with_uncertainty(X)
    assert (variance >= 0.0).all()
    assert (variance <= 1e-12).all()


def test_clipping_beyond_rounding_is_told(rng):
    X, y, _ = draw_data(rng, "stacked", b=3)
    batch = GPBatch(X, y, KERNEL)
    none = np.zeros((3, 2), dtype=np.int64)
    worst = np.array([0.0, 1e-3, 1e-16])
    results = Predictions(np.zeros(3), np.zeros(3), np.array([0, 2, 1]), worst, none)
    with pytest.warns(RoundingWarning, match="of 1 members .* member 1, by 1.0e-03"):
        batch._warn_of(results, np.arange(3))
