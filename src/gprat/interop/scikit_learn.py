"""Take over fitted models of scikit-learn, and give them back."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor as Original

from gprat._validation import Float64Array
from gprat.estimator import GaussianProcessRegressor
from gprat.estimator.targets import TargetScale, find_patterns
from gprat.exceptions import InvalidInputError, UnsupportedTypeError
from gprat.kernels import Kernel

__all__ = ["from_sklearn", "to_sklearn"]

_SHARED_PARAMETERS = (
    "kernel",
    "alpha",
    "optimizer",
    "n_restarts_optimizer",
    "normalize_y",
    "copy_X_train",
    "n_targets",
    "random_state",
)
_METHODS = ("fit", "predict", "sample_y", "log_marginal_likelihood")
# Rows at which a fitted model's equations are checked, and how well they must hold, relative to
# the terms that are added up.
_CHECKED_ROWS = 32
_TOLERANCE = 1e-5


def from_sklearn(
    fitted: Any,
    *,
    tile_size: int | Literal["auto"] = "auto",
    threads: int | None = None,
) -> GaussianProcessRegressor:
    """Make a fitted `gprat.GaussianProcessRegressor` of one of scikit-learn, without training.

    It has the same parameters, data, hyperparameters and names of features, and makes the same
    predictions. Training it anew by ``fit`` uses gprat's optimisers.

    Parameters
    ----------
    fitted : sklearn.gaussian_process.GaussianProcessRegressor
        After ``fit``, with any kernel. It is read, never changed. With ``copy_X_train=False`` the
        training inputs are shared with it.
    tile_size : int or "auto", default="auto"
        See `gprat.GP`.
    threads : int, default=None
        See `gprat.GP`.

    Returns
    -------
    GaussianProcessRegressor
        Fitted: the factor is computed once, n³/3 operations for n training points.

    Raises
    ------
    UnsupportedTypeError
        If it is another estimator, such as a `Pipeline`, whose regressor must be passed alone, or
        a subclass that computes something else.
    InvalidInputError
        If it is not fitted, or its data or kernel changed afterwards.
    NotPositiveDefiniteError
        If the covariance matrix has no Cholesky factor on this machine, which happens for nearly
        singular ones only.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.gaussian_process import GaussianProcessRegressor
    >>> from gprat.interop import from_sklearn
    >>> X = np.linspace(0.0, 6.0, 30).reshape(-1, 1)
    >>> theirs = GaussianProcessRegressor(alpha=1e-2).fit(X, np.sin(X[:, 0]))
    >>> ours = from_sklearn(theirs)
    >>> np.allclose(ours.predict([[1.0]]), theirs.predict([[1.0]]))
    True
    """
    _check_estimator(fitted)
    _check_equations(fitted)
    parameters = {name: getattr(fitted, name) for name in _SHARED_PARAMETERS}
    if fitted.kernel is not None:
        parameters["kernel"] = clone(fitted.kernel)
    model = GaussianProcessRegressor(**parameters, tile_size=tile_size, threads=threads)
    _copy_features(fitted, model)
    y = np.array(fitted.y_train_, dtype=np.float64)
    shape = y.shape[1:]
    scale = TargetScale(
        np.array(fitted._y_train_mean, dtype=np.float64).reshape(shape),
        np.array(fitted._y_train_std, dtype=np.float64).reshape(shape),
    )
    _condition(model, fitted.X_train_, y, clone(fitted.kernel_), scale)
    return model


def to_sklearn(model: GaussianProcessRegressor) -> Original:
    """Make a fitted regressor of scikit-learn that predicts the same without gprat.

    For tools that know scikit-learn's class only. Kernels of `gprat.kernels` that scikit-learn
    lacks still need gprat where it is loaded.

    Parameters
    ----------
    model : gprat.GaussianProcessRegressor
        After ``fit``, with ``mean="zero"`` and no missing targets.

    Returns
    -------
    sklearn.gaussian_process.GaussianProcessRegressor
        Fitted, in float64, with the dense factor: n² numbers. A learned noise variance is part of
        its `alpha`, and it trains with scikit-learn's own optimiser.

    Raises
    ------
    UnsupportedTypeError
        If it is no estimator of gprat.
    InvalidInputError
        If scikit-learn cannot express the model.
    sklearn.exceptions.NotFittedError
        If it is not fitted.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat import GaussianProcessRegressor
    >>> from gprat.interop import to_sklearn
    >>> X = np.linspace(0.0, 6.0, 30).reshape(-1, 1)
    >>> ours = GaussianProcessRegressor(alpha=1e-2).fit(X, np.sin(X[:, 0]))
    >>> np.allclose(to_sklearn(ours).predict([[1.0]]), ours.predict([[1.0]]))
    True
    """
    _check_expressible(model)
    parameters = {name: getattr(model, name) for name in _SHARED_PARAMETERS}
    noise = 0.0 if model.noise_variance_ is None else model.noise_variance_
    parameters["alpha"] = model._alpha + noise
    if isinstance(model.optimizer, str):
        parameters["optimizer"] = "fmin_l_bfgs_b"
    theirs = Original(**parameters)
    theirs.kernel_ = clone(model.kernel_)
    theirs.X_train_, theirs.y_train_ = model.X_train_, model.y_train_
    theirs._y_train_mean, theirs._y_train_std = model._scale.mean, model._scale.std
    theirs.L_ = model.L_.astype(np.float64)
    theirs.alpha_ = model.alpha_.astype(np.float64)
    theirs.log_marginal_likelihood_value_ = model.log_marginal_likelihood_value_
    _copy_features(model, theirs)
    return theirs


def _check_expressible(model: Any) -> None:
    if not isinstance(model, GaussianProcessRegressor):
        raise UnsupportedTypeError(
            "model must be a gprat.GaussianProcessRegressor, got "
            f"{type(model).__module__}.{type(model).__name__}."
        )
    model._check_fitted()
    if not (isinstance(model.mean, str) and model.mean == "zero"):
        raise InvalidInputError(
            f"scikit-learn's regressor has no mean function, but the model has mean={model.mean!r}."
            ' Fit with mean="zero", and normalize_y=True if the targets are far from zero.'
        )
    if not model._is_complete:
        raise InvalidInputError(
            "scikit-learn's regressor takes no missing targets. Drop the rows where they are NaN, "
            "and fit again."
        )


def _copy_features(source: Any, target: Any) -> None:
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(source, name):
            setattr(target, name, getattr(source, name))


def _condition(
    model: GaussianProcessRegressor, X: Any, y: Float64Array, kernel: Kernel, scale: TargetScale
) -> None:
    """Do what `fit` does, but for training: y is scaled already."""
    model._scale = scale
    model._y_train_mean, model._y_train_std = scale.mean, scale.std
    model._patterns = find_patterns(y.reshape(len(y), -1))
    model.X_train_, points = model._as_points(X)
    model._condition(points, y, kernel, model._check_alpha(len(y)))
    model.training_ = None
    model._finish()


def _check_estimator(fitted: Any) -> None:
    """Refuse what is no fitted regressor of scikit-learn, and say what to pass instead."""
    if not isinstance(fitted, Original):
        raise UnsupportedTypeError(
            "fitted must be a sklearn.gaussian_process.GaussianProcessRegressor, got "
            f"{type(fitted).__module__}.{type(fitted).__name__}. {_remedy(fitted)}"
        )
    kind = type(fitted)
    changed = [name for name in _METHODS if getattr(kind, name) is not getattr(Original, name)]
    if changed:
        raise UnsupportedTypeError(
            f"fitted is a {kind.__name__}, a subclass of scikit-learn's regressor with its own "
            f"{', '.join(changed)}, which may compute something else. Pass scikit-learn's own "
            "class."
        )
    if not hasattr(fitted, "X_train_"):
        raise InvalidInputError(
            "fitted has not been fitted yet. Call its fit first; or train here: "
            "gprat.GaussianProcessRegressor(**fitted.get_params(deep=False)).fit(X, y)."
        )


def _remedy(estimator: Any) -> str:
    """Say where in another estimator the regressor is."""
    if isinstance(estimator, type):
        return "Pass a fitted instance, not the class."
    if isinstance(estimator, GaussianProcessRegressor):
        return "It is gprat's already."
    for name, step in getattr(estimator, "steps", ()):
        if isinstance(step, Original):
            return (
                f"Take over its step {name!r} and put that back: pipeline.set_params("
                f"{name}=gprat.from_sklearn(pipeline.named_steps[{name!r}]))."
            )
    for name in ("best_estimator_", "regressor_", "estimator_"):
        if hasattr(estimator, name):
            return f"Pass its attribute {name}."
    if isinstance(getattr(estimator, "estimators_", None), list):
        return "Pass the members of its attribute estimators_, one by one."
    return "Only that regressor can be taken over."


def _check_equations(fitted: Any) -> None:
    """Check at some rows that (K + diag(alpha)) alpha_ = y (R&W 2.25), as it does after ``fit``.

    It does not if the kernel, alpha or the data changed since: then there are two different models
    in one object, and no telling which is meant.
    """
    n = len(fitted.y_train_)
    rows = np.unique(np.linspace(0, n - 1, _CHECKED_ROWS).astype(int))
    points = [fitted.X_train_[row] for row in rows]
    if isinstance(fitted.X_train_, np.ndarray):
        points = fitted.X_train_[rows]
    K = np.array(fitted.kernel_(points, fitted.X_train_), dtype=np.float64)
    # Between two arguments a `WhiteKernel` is zero, even if they hold the same points.
    diagonal: Float64Array = np.asarray(fitted.kernel_.diag(points))
    K[np.arange(len(rows)), rows] = diagonal + _by_row(fitted.alpha, n)[rows]
    weights, targets = (np.reshape(a, (n, -1)) for a in (fitted.alpha_, fitted.y_train_))
    residual = np.abs(K @ weights - targets[rows])
    scale = np.abs(K) @ np.abs(weights) + np.abs(targets[rows])
    if not (residual <= _TOLERANCE * scale).all():
        raise InvalidInputError(
            "fitted no longer solves its own equations: its kernel_, alpha or training data have "
            "changed since fit. Call its fit again."
        )


def _by_row(alpha: Any, n: int) -> npt.NDArray[Any]:
    return np.broadcast_to(np.asarray(alpha, dtype=np.float64), (n,))
