"""Predictions in the units of the targets: means, deviations, covariances, samples."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import NotFittedError
from sklearn.gaussian_process.kernels import RBF, ConstantKernel
from sklearn.utils.validation import validate_data

from gprat._validation import Float64Array, check_random_state
from gprat.engines.registry import get_engine
from gprat.estimator.state import EstimatorState
from gprat.gp.certificate import Certificate
from gprat.gp.prediction import color_matrix
from gprat.means import as_mean

__all__ = ["Prediction"]


class Prediction(EstimatorState):
    """The part of `gprat.GaussianProcessRegressor` that predicts."""

    def predict(
        self,
        X: Any,
        return_std: bool = False,
        return_cov: bool = False,
        *,
        include_noise: bool | npt.ArrayLike = False,
    ) -> Any:
        """Predict the mean and, if asked, the standard deviation or the covariance.

        Before `fit` they are those of the prior. The mean alone never does the variance's work.

        Parameters
        ----------
        X : array-like of shape (m, d) or list of object
            Test inputs.
        return_std : bool, default=False
            Whether to return standard deviations too, in memory that does not grow with m·n.
        return_cov : bool, default=False
            Whether to return the covariance between all test points too; not with `return_std`
            (`gp_.predict_with_full_cov` has both).
        include_noise : bool or array-like of shape (m,), default=False
            Whether deviations and covariances are those of observations, with `alpha` and the
            learned `noise`; or the noise variance at each test point, in the units of `alpha`. A
            `WhiteKernel` counts always, as in scikit-learn.

        Returns
        -------
        y_mean : ndarray of shape (m,) or (m, k)
            Means.
        y_std : ndarray of shape (m,) or (m, k)
            Only if `return_std`: standard deviations, each output's own.
        y_cov : ndarray of shape (m, m) or (m, m, k)
            Only if `return_cov`: covariances, each output's own.

        Raises
        ------
        RuntimeError
            If both are asked for.
        ValueError
            If X does not fit the training data.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GaussianProcessRegressor
        >>> from gprat.kernels import RBF
        >>> X = np.linspace(0.0, 6.0, 30).reshape(-1, 1)
        >>> model = GaussianProcessRegressor(RBF(1.0), alpha=1e-4).fit(X, np.sin(X[:, 0]))
        >>> mean, std = model.predict([[np.pi / 2], [50.0]], return_std=True)
        >>> mean.round(2), std.round(2)
        (array([1., 0.]), array([0., 1.]))
        """
        if return_std and return_cov:
            raise RuntimeError("At most one of return_std or return_cov can be requested.")
        if not hasattr(self, "gps_"):
            return self._predict_prior(X, return_std, return_cov)
        with self._points(X) as points:
            if not (return_std or return_cov):
                means = [gp.predict(points) for gp in self.gps_]
                return self._squeeze(self._scale.restore(self._gather(means)), 1)
            predict = "predict_with_uncertainty" if return_std else "predict_with_full_cov"
            results = [getattr(gp, predict)(points, include_noise) for gp in self.gps_]
        mean = self._scale.restore(self._gather([mean for mean, _ in results]))
        spread = self._spread([values for _, values in results])
        if return_std:
            spread = np.sqrt(spread, out=spread)
        return self._squeeze(mean, 1), self._squeeze(spread, -1)

    def sample_y(
        self,
        X: Any,
        n_samples: int = 1,
        random_state: int | np.random.RandomState | np.random.Generator | None = 0,
    ) -> Float64Array:
        """Draw functions from the posterior, before `fit` from the prior, at the test points.

        Parameters
        ----------
        X : array-like of shape (m, d) or list of object
            Test inputs.
        n_samples : int, default=1
            Number of functions.
        random_state : int, RandomState, Generator or None, default=0
            Seed.

        Returns
        -------
        ndarray of shape (m, n_samples) or (m, k, n_samples)
            One column a function.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GaussianProcessRegressor
        >>> X = np.linspace(0.0, 6.0, 30).reshape(-1, 1)
        >>> model = GaussianProcessRegressor(alpha=1e-4).fit(X, np.sin(X[:, 0]))
        >>> model.sample_y([[1.0], [2.0]], n_samples=5).shape
        (2, 5)
        """
        if not hasattr(self, "gps_"):
            return self._sample_prior(X, n_samples, random_state)
        with self._points(X) as points:
            # One stream for all models, so that their outputs are independent.
            state = check_random_state(random_state)
            samples = self._gather([gp.sample(points, n_samples, state) for gp in self.gps_])
        mean, std = self._scale.mean, self._scale.std
        if samples.ndim == 3:
            mean, std = mean[:, np.newaxis], std[:, np.newaxis]
        return np.asarray(self._squeeze(samples * std + mean, 1))

    def predict_gradient(self, X: Any) -> tuple[Any, Any]:
        """Return the derivatives of mean and variance by the test inputs.

        Parameters
        ----------
        X : array-like of shape (m, d)
            Test inputs.

        Returns
        -------
        mean_gradient : ndarray of shape (m, d) or (m, d, k)
            Derivatives of the predicted mean.
        variance_gradient : ndarray of shape (m, d) or (m, d, k)
            Derivatives of the square of the standard deviation.

        Raises
        ------
        UnsupportedKernelError
            If the kernel is evaluated in Python.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GaussianProcessRegressor
        >>> X = np.linspace(0.0, 6.0, 40).reshape(-1, 1)
        >>> model = GaussianProcessRegressor(alpha=1e-6).fit(X, np.sin(X[:, 0]))
        >>> mean_gradient, variance_gradient = model.predict_gradient([[0.0], [np.pi]])
        >>> mean_gradient.round(2)
        array([[ 1.],
               [-1.]])
        """
        self._check_fitted()
        with self._points(X) as points:
            results = [gp.predict_gradient(points) for gp in self.gps_]
        by_mean = self._gather([mean for mean, _ in results], axis=2) * self._scale.std
        by_variance = self._spread([variance for _, variance in results])
        return self._squeeze(by_mean, -1), self._squeeze(by_variance, -1)

    def certificate(self) -> Certificate:
        """Say how exact the fitted model is: what rounding may have done to likelihood and means.

        See `gprat.GP.certificate`. Likelihood and determinant are those of `y_train_`; the largest
        mean, without the mean of y that `normalize_y` takes off, and its error are in the units of
        the targets, of the output that varies most.

        Returns
        -------
        Certificate
            Prints as a table.

        Raises
        ------
        InvalidInputError
            If outputs with missing targets need several models: ask each of `gps_`.

        Examples
        --------
        >>> import numpy as np
        >>> from gprat import GaussianProcessRegressor
        >>> X = np.linspace(0.0, 6.0, 30).reshape(-1, 1)
        >>> model = GaussianProcessRegressor(alpha=1e-2).fit(X, np.sin(X[:, 0]))
        >>> model.certificate().mean_digits >= 9
        True
        """
        certificate = self.gp_.certificate()
        unit = float(np.max(self._scale.std))
        return replace(
            certificate,
            largest_mean=unit * certificate.largest_mean,
            mean_error=unit * certificate.mean_error,
        )

    def _predict_prior(self, X: Any, return_std: bool, return_cov: bool) -> Any:
        kernel = ConstantKernel() * RBF() if self.kernel is None else self.kernel
        takes_vectors = kernel.requires_vector_input
        X = validate_data(
            self,
            X,
            ensure_2d=takes_vectors,
            dtype="numeric" if takes_vectors else None,
            reset=False,
        )
        n_targets = self.n_targets or 1
        mean = self._prior_mean(X, n_targets)
        if not (return_std or return_cov):
            return mean
        spread = np.sqrt(kernel.diag(X)) if return_std else kernel(X)
        if n_targets > 1:
            spread = np.repeat(spread[..., np.newaxis], n_targets, axis=-1)
        return mean, spread

    def _prior_mean(self, X: Any, n_targets: int) -> Float64Array:
        shape = (len(X),) if n_targets == 1 else (len(X), n_targets)
        if isinstance(self.mean, str) and self.mean == "zero":
            return np.zeros(shape)
        mean = as_mean(self.mean)
        if mean.names(X.shape[1]):
            raise NotFittedError(
                "the coefficients of the trend are not known before fit, so that there is no prior "
                'to predict from. Call fit first, or use mean="zero".'
            )
        offset = mean.offset(X, n_targets)
        assert offset is not None
        return np.array(offset).reshape(shape)

    def _sample_prior(self, X: Any, n_samples: int, random_state: Any) -> Float64Array:
        mean, covariance = self._predict_prior(X, False, True)
        m = len(mean)
        matrix = np.ascontiguousarray(covariance if mean.ndim == 1 else covariance[..., 0])
        white = check_random_state(random_state).standard_normal((m, mean.size // m * n_samples))
        samples = color_matrix(get_engine("cpu"), matrix, white, self.threads)
        return np.asarray(samples.reshape(*mean.shape, n_samples) + mean[..., np.newaxis])
