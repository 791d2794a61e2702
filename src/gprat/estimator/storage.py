"""An estimator in a file: its parameters, and what was fitted."""

from __future__ import annotations

import os
from numbers import Integral
from typing import Any, Self

import numpy as np

from gprat import persistence
from gprat.estimator.state import EstimatorState
from gprat.estimator.targets import Pattern, TargetScale
from gprat.exceptions import ModelFileError, UnsupportedTypeError
from gprat.gp import GP
from gprat.kernels.description import (
    kernel_from_plain,
    kernel_to_plain,
    value_from_plain,
    value_to_plain,
)
from gprat.persistence.archive import Archive
from gprat.persistence.parts import (
    mean_from_plain,
    mean_to_plain,
    priors_from_plain,
    priors_to_plain,
)

__all__ = ["Storage"]

# Parameters that JSON or arrays hold as they are; the others are described by their own functions.
_PLAIN = (
    "optimizer",
    "n_restarts_optimizer",
    "normalize_y",
    "copy_X_train",
    "n_targets",
    "random_state",
    "noise",
    "noise_bounds",
    "objective",
    "warm_start",
    "nan_policy",
    "tile_size",
    "threads",
    "progress",
    "memory_limit",
)


class Storage(EstimatorState):
    """The part of `gprat.GaussianProcessRegressor` that goes to a file and comes back."""

    def save(self, path: str | os.PathLike[str], *, include_factor: bool = False) -> None:
        """Save the fitted estimator to a file, for `gprat.load`; see `gprat.GP.save`.

        Parameters and all that was fitted are saved, but not the report of the training.

        Parameters
        ----------
        path : path
            The file, in a folder that exists.
        include_factor : bool, default=False
            Whether to save the Cholesky factor too, n²/2 numbers.

        Raises
        ------
        UnsupportedKernelError, UnsupportedTypeError
            If a parameter is code (a kernel, a mean, an optimiser of your own), which files don't
            hold.
        OSError
            If the file cannot be written. What was there stays.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import gprat
        >>> model = gprat.GaussianProcessRegressor(alpha=0.1).fit([[0.0], [1.0]], [1.0, 2.0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(Path(folder) / "model.gprat")
        ...     loaded = gprat.load(Path(folder) / "model.gprat")
        >>> bool((loaded.predict([[0.5]]) == model.predict([[0.5]])).all())
        True
        """
        self._check_fitted()
        persistence.save(self, path, include_factor=include_factor)

    def _to_archive(self, include_factor: bool) -> Archive:
        names = getattr(self, "feature_names_in_", None)
        archive = Archive(
            {
                "feature_names": None if names is None else list(map(str, names)),
                "target_names": self.target_names_,
                "log_marginal_likelihood": float(self.log_marginal_likelihood_value_),
                "patterns": len(self._patterns),
            },
            {
                "X": self.X_train_,
                "y": self.y_train_,
                "alpha": np.asarray(self._alpha, dtype=np.float64).reshape(-1),
                "scale": np.stack([np.ravel(self._scale.mean), np.ravel(self._scale.std)]),
            },
        )
        archive.put("parameters", self._parameters_to_archive())
        for number, (pattern, gp) in enumerate(zip(self._patterns, self.gps_, strict=True)):
            archive.put(f"pattern {number}", _pattern_to_archive(pattern))
            archive.put(f"model {number}", gp._to_archive(include_factor))
        return archive

    def _parameters_to_archive(self) -> Archive:
        archive = Archive(
            {
                "kernel": None if self.kernel is None else kernel_to_plain(self.kernel),
                "mean": mean_to_plain(self.mean),
                "priors": priors_to_plain(self.priors),
                "dtype": None if self.dtype is None else np.dtype(self.dtype).name,
                "has_alpha_by_row": np.ndim(self.alpha) > 0,
            },
            {"alpha": np.asarray(self.alpha, dtype=np.float64).reshape(-1)},
        )
        for name in _PLAIN:
            archive.description[name] = _parameter_to_plain(name, getattr(self, name))
        return archive

    @classmethod
    def _from_archive(cls, archive: Archive) -> Self:
        n_models = archive.take_entry("patterns", int)
        gps, patterns = [], []
        for number in range(n_models):
            gps.append(GP._from_archive(archive.take(f"model {number}")))
            patterns.append(_pattern_from_archive(archive.take(f"pattern {number}")))
        if not gps:
            raise ModelFileError("it has no model")
        model = cls(**_parameters_from_archive(archive.take("parameters"), gps[0]))
        model.gps_, model._patterns = gps, patterns
        model._restore(archive)
        archive.check_empty()
        return model

    def _restore(self, archive: Archive) -> None:
        gp = self.gps_[0]
        self.X_train_ = archive.take_array("X", gp.dtype, (None, gp.n_features))
        n = len(self.X_train_)
        targets = archive.arrays.get("y")
        one_dimensional = targets is not None and targets.ndim == 1
        self.y_train_ = archive.take_array("y", "float64", (n,) if one_dimensional else (n, None))
        scale = archive.take_array("scale", "float64", (2, None)).copy()
        if scale.shape[1] != self._n_outputs or not (
            np.isfinite(scale).all() and scale[1].min() > 0
        ):
            raise ModelFileError("the scale of its targets does not fit them")
        mean, std = (row.reshape(self.y_train_.shape[1:]) for row in scale)
        self._scale = TargetScale(mean, std)
        self._y_train_mean, self._y_train_std = mean, std
        alpha = archive.take_array("alpha", "float64", (None,))
        self._alpha = float(alpha[0]) if alpha.size == 1 else alpha
        self.n_features_in_ = gp.n_features
        self._check_patterns(n)
        self._registry, self._kernel, self.training_ = None, None, None
        for model in self.gps_:
            model.memory_limit = self.memory_limit
        value = archive.take_entry("log_marginal_likelihood", float)
        self.log_marginal_likelihood_value_ = np.float64(value)
        features = _names(archive.take_entry("feature_names", list, type(None)), gp.n_features)
        if features is not None:
            self.feature_names_in_ = np.array(features, dtype=object)
        self.target_names_ = _names(
            archive.take_entry("target_names", list, type(None)), self._n_outputs
        )

    def _check_patterns(self, n: int) -> None:
        """Check that models, rows, outputs and noise belong together."""
        outputs = np.concatenate([pattern.columns for pattern in self._patterns])
        fits = np.array_equal(np.sort(outputs), np.arange(self._n_outputs)) and np.size(
            self._alpha
        ) in (1, n)
        for pattern, gp in zip(self._patterns, self.gps_, strict=True):
            rows = np.arange(n) if pattern.rows is None else pattern.rows
            in_order = bool((np.diff(rows) > 0).all()) and rows[0] >= 0 and rows[-1] < n
            columns = (pattern.columns.size,) if self.y_train_.ndim > 1 else ()
            fits &= gp.y.shape == (len(rows), *columns) and in_order
            fits &= (gp.n_features, gp.dtype) == (self.n_features_in_, self.gps_[0].dtype)
        if not fits:
            raise ModelFileError("its models don't fit its data")


def _pattern_to_archive(pattern: Pattern) -> Archive:
    archive = Archive(
        {"has_rows": pattern.rows is not None}, {"columns": pattern.columns.astype(np.int64)}
    )
    if pattern.rows is not None:
        archive.arrays["rows"] = pattern.rows.astype(np.int64)
    return archive


def _pattern_from_archive(archive: Archive) -> Pattern:
    columns = archive.take_array("columns", "int64", (None,)).astype(np.intp)
    rows = None
    if archive.take_entry("has_rows", bool):
        rows = archive.take_array("rows", "int64", (None,)).astype(np.intp)
    archive.check_empty()
    if columns.size == 0 or (rows is not None and rows.size == 0):
        raise ModelFileError("one of its models has no data")
    return Pattern(columns, rows)


def _parameter_to_plain(name: str, value: Any) -> Any:
    if isinstance(value, Integral) and not isinstance(value, bool):
        return int(value)
    if name in ("optimizer", "random_state") and not isinstance(value, str | type(None)):
        raise UnsupportedTypeError(
            f"{name} is {value!r:.80}, which cannot be saved: files hold no code and no state. It "
            f"plays no part in predictions; call set_params({name}=None) first."
        )
    if isinstance(value, np.generic):
        value = value.item()
    return value_to_plain(tuple(value) if isinstance(value, list) else value, name)


def _parameters_from_archive(archive: Archive, gp: GP) -> dict[str, Any]:
    """Return the arguments of the constructor, which `fit` checks."""
    plain_kernel = archive.take_entry("kernel", dict, type(None))
    kernel = None if plain_kernel is None else kernel_from_plain(plain_kernel)
    # Fails for numbers that are none: the estimator must print, whatever `fit` would say.
    repr(kernel)
    alpha = archive.take_array("alpha", "float64", (None,))
    n, d = gp.X.shape
    arguments: dict[str, Any] = {
        "kernel": kernel,
        "mean": mean_from_plain(archive.take_entry("mean", str, dict), d, n),
        "priors": priors_from_plain(archive.take_entry("priors", list, type(None))),
        "alpha": alpha if archive.take_entry("has_alpha_by_row", bool) else float(alpha[0]),
    }
    dtype = archive.take_entry("dtype", str, type(None))
    if dtype not in (None, "float32", "float64"):
        raise ModelFileError(f"its dtype is {dtype!r:.40}")
    arguments["dtype"] = None if dtype is None else np.dtype(dtype).type
    for name in _PLAIN:
        plain = archive.take_entry(name, str, int, float, bool, dict, list, type(None))
        arguments[name] = value_from_plain(plain, name)
    archive.check_empty()
    return arguments


def _names(names: list[Any] | None, count: int) -> list[str] | None:
    if names is not None and (len(names) != count or not all(type(n) is str for n in names)):
        raise ModelFileError("the names of its columns don't fit its data")
    return names
