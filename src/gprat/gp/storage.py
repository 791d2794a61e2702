"""A model in a file: what is saved of it, and how it is made again, bit by bit."""

from __future__ import annotations

import dataclasses
import os
from typing import Any, Self

import numpy as np

from gprat import persistence
from gprat._hyperparameters import Hyperparameters
from gprat.engines.base import Objective
from gprat.exceptions import ModelFileError
from gprat.gp.state import OBJECTIVES, ModelState
from gprat.kernels import KernelProgram, Program
from gprat.kernels.description import kernel_from_plain, kernel_to_plain
from gprat.persistence.archive import Archive
from gprat.persistence.noise import noise_from_archive, noise_to_archive
from gprat.persistence.parts import (
    mean_from_plain,
    mean_to_plain,
    priors_from_plain,
    priors_to_plain,
)

__all__ = ["Storage"]


class Storage(ModelState):
    """The part of `gprat.GP` that goes to a file and comes back."""

    def save(self, path: str | os.PathLike[str], *, include_factor: bool = False) -> None:
        """Save the model to a file, for `gprat.load`; what is there is replaced as a whole.

        All that makes predictions and training is saved: data, kernel, noise, mean, priors, and the
        current hyperparameters; not the report of the last training. The format is safetensors.

        Parameters
        ----------
        path : path
            The file, in a folder that exists.
        include_factor : bool, default=False
            Whether to save the Cholesky factor too, n²/2 numbers, so that the loaded model predicts
            without factorising. It is computed now if it isn't there.

        Raises
        ------
        UnsupportedKernelError, UnsupportedTypeError
            If a part of the model is code (a kernel, a mean or a prior of your own), which files
            don't hold. Also a ``ValueError``, a ``TypeError``.
        NotPositiveDefiniteError
            If the factor is wanted, and there is none.
        OSError
            If the file cannot be written. What was there stays.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> import gprat
        >>> gp = gprat.GP([[0.0], [1.0]], [1.0, 2.0])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     gp.save(Path(folder) / "model.gprat")
        ...     loaded = gprat.load(Path(folder) / "model.gprat")
        >>> bool((loaded.predict([[0.5]]) == gp.predict([[0.5]])).all())
        True
        """
        persistence.save(self, path, include_factor=include_factor)

    def _to_archive(self, include_factor: bool) -> Archive:
        with self._state_lock:
            hyperparameters, priors = self._hyperparameters, self._priors_by_name
            posterior = self._factor(hyperparameters) if include_factor else None
        program = hyperparameters.program
        kernel, parameters = self._kernel, None
        if isinstance(program, Program):
            parameters = program.parameters.tolist()
        else:
            kernel = program.kernel
        archive = Archive(
            {
                "kernel": kernel_to_plain(kernel),
                # A kernel that is called holds its hyperparameters by itself.
                "parameters": parameters,
                "mean": mean_to_plain(self._mean_as_given),
                "priors": priors_to_plain(priors),
                "objective": _name_of(self._objective),
                "tile_size": self._tile_size,
                "tile_size_is_automatic": self._tile_size_is_automatic,
                "threads": self._threads,
                "dtype": self._dtype.name,
                "has_factor": include_factor,
            }
        )
        if posterior is not None:
            archive.arrays["factor"] = posterior.factor()
        archive.arrays |= {"X": self._X, "y": self._as_targets(self._Y)}
        archive.put("noise", noise_to_archive(hyperparameters.noise, self._log_noise_bounds))
        return archive

    @classmethod
    def _from_archive(cls, archive: Archive) -> Self:
        dtype = archive.take_entry("dtype", str)
        if dtype not in ("float64", "float32"):
            raise ModelFileError(f"its dtype is {dtype!r:.40}")
        X = archive.take_array("X", dtype, (None, None))
        n, d = X.shape
        targets = archive.arrays.get("y")
        shape = (n,) if targets is None or targets.ndim < 2 else (n, None)
        model = cls(
            X,
            archive.take_array("y", dtype, shape),
            kernel_from_plain(archive.take_entry("kernel", dict)),
            # Noise and priors are set below.
            noise=1.0,
            noise_bounds="fixed",
            known_noise=None,
            noise_groups=None,
            priors=None,
            mean=mean_from_plain(archive.take_entry("mean", str, dict), d, n),
            objective=archive.take_entry("objective", str),
            tile_size=archive.take_entry("tile_size", int),
            threads=_check_threads(archive.take_entry("threads", int, type(None))),
            dtype=dtype,
        )
        model._restore(archive)
        archive.check_empty()
        return model

    def _restore(self, archive: Archive) -> None:
        """Set what the constructor cannot, to the last bit, and the factor if there is one."""
        n = self._X.shape[0]
        noise, self._log_noise_bounds = noise_from_archive(archive.take("noise"), n)
        values = archive.take_entry("parameters", list, type(None))
        program = _with_parameters(self._hyperparameters.program, values)
        hyperparameters = Hyperparameters(program, noise)
        self._priors_by_name = priors_from_plain(archive.take_entry("priors", list, type(None)))
        self._priors = self._make_priors(hyperparameters)
        self._adopt(hyperparameters)
        self._tile_size_is_automatic = archive.take_entry("tile_size_is_automatic", bool)
        if archive.take_entry("has_factor", bool):
            factor = archive.take_array("factor", self._dtype, (None,))
            problem = self._problem(self._hyperparameters)
            self._posterior = self._engine.restore(problem, factor)


def _check_threads(threads: int | None) -> int | None:
    if threads is not None and threads >= 1 << 31:
        raise ModelFileError(f"its number of threads is {threads!s:.80}")
    return threads


def _name_of(objective: Objective) -> str:
    return next(name for name, value in OBJECTIVES.items() if value is objective)


def _with_parameters(program: KernelProgram, values: list[Any] | None) -> KernelProgram:
    """Return the program with exactly these hyperparameters on their natural scale."""
    if not isinstance(program, Program):
        if values is not None:
            raise ModelFileError("it has hyperparameters beside those of its kernel")
        return program
    if values is None or not all(type(value) is float for value in values):
        raise ModelFileError("its hyperparameters are no list of floats")
    parameters = np.array(values, dtype=np.float64)
    is_fixed = ~program.is_free
    if (
        parameters.shape != program.parameters.shape
        or not np.isfinite(parameters).all()
        or (parameters[program.is_free & program.is_log] <= 0.0).any()
        or (parameters[is_fixed] != program.parameters[is_fixed]).any()
    ):
        raise ModelFileError("its hyperparameters don't fit its kernel")
    return dataclasses.replace(program, parameters=parameters)
