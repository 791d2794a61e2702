"""``gprat info``: what is in a file with a model, without computing anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gprat.cli import showing
from gprat.exceptions import InvalidInputError
from gprat.gp import GP
from gprat.persistence import load
from gprat.persistence.container import read_container

__all__ = ["describe_file", "describe_model", "load_model", "show"]

_FACTOR = "factor"


def load_model(path: Path) -> Any:
    """Load a model.

    Raises
    ------
    ModelFileError, OSError
        If there is none in the file.
    """
    return load(path)


def describe_file(path: Path) -> dict[str, Any]:
    """Return what a file holds: the model, and with what it was saved."""
    model = load_model(path)
    document, arrays = read_container(path)
    return {
        "file": str(path),
        "bytes": path.stat().st_size,
        "gprat_version": document.get("gprat"),
        "class": type(model).__name__,
        "has_factor": any(name.rsplit("/", 1)[-1] == _FACTOR for name in arrays),
        **describe_model(model),
    }


def describe_model(model: Any) -> dict[str, Any]:
    """Return the data's shape, the parts of the model, and its hyperparameters.

    Parameters
    ----------
    model : GP or GaussianProcessRegressor
        A fitted model.
    """
    is_estimator = not isinstance(model, GP)
    if is_estimator and not hasattr(model, "gps_"):
        raise InvalidInputError("the model has not been fitted.")
    gp = model.gps_[0] if is_estimator else model
    names = getattr(model, "feature_names_in_", None)
    value = getattr(model, "log_marginal_likelihood_value_", None)
    y = model.y_train_ if is_estimator else gp.y
    return {
        "n": len(y),
        "features": None if names is None else [str(name) for name in names],
        "n_features": int(gp.n_features),
        "n_outputs": 1 if y.ndim == 1 else int(y.shape[1]),
        "targets": getattr(model, "target_names_", None),
        "kernel": str(gp.kernel),
        "mean": _name_of(getattr(model, "mean", None)),
        "normalized": bool(getattr(model, "normalize_y", False)),
        "dtype": str(gp.dtype),
        "tile_size": int(gp.tile_size),
        "hyperparameters": _hyperparameters(gp),
        "log_marginal_likelihood": None if value is None else float(value),
    }


def show(result: dict[str, Any]) -> None:
    """Print the description of a file for people."""
    factor = "with its factor" if result["has_factor"] else "without its factor"
    outputs, targets = result["n_outputs"], result["targets"]
    features = result["features"]
    value = result["log_marginal_likelihood"]
    showing.show(
        showing.pairs(
            {
                "model": f"{result['class']}, {factor}, {result['bytes'] / 2**20:.3g} MiB, "
                f"saved by gprat {result['gprat_version']}",
                "rows": f"{result['n']:,}",
                "features": showing.names(result["n_features"], features),
                "target": None if targets is None or outputs > 1 else targets[0],
                "targets": None if outputs == 1 else showing.names(outputs, targets),
                "kernel": result["kernel"],
                "mean": result["mean"],
                "targets normalised": "yes" if result["normalized"] else "no",
                "precision": f"{result['dtype']}, in tiles of side {result['tile_size']}",
                "log marginal likelihood": None if value is None else f"{value:.6g}",
            }
        ),
        showing.values(result["hyperparameters"], features),
    )


def _hyperparameters(gp: GP) -> dict[str, float]:
    hyperparameters = gp._hyperparameters
    theta = hyperparameters.theta
    natural = np.where(hyperparameters.is_log, np.exp(np.minimum(theta, 700.0)), theta)
    return {name: float(v) for name, v in zip(hyperparameters.names, natural, strict=True)}


def _name_of(mean: Any) -> str | None:
    return mean if isinstance(mean, str) or mean is None else type(mean).__name__
