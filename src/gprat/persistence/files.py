"""Save and load models of the classes that say how."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy.typing as npt

from gprat.exceptions import (
    GpratError,
    InvalidInputError,
    ModelFileError,
    RuntimeSuspendedError,
    UnsupportedTypeError,
)
from gprat.persistence.archive import Archive
from gprat.persistence.container import read_container, write_container

__all__ = ["load", "save", "saveable"]

_CLASSES: dict[str, Any] = {}


class _Saveable(Protocol):
    """A class that a file can hold."""

    def _to_archive(self, include_factor: bool) -> Archive:
        """Return what to save, with the Cholesky factor on request."""

    @classmethod
    def _from_archive(cls, archive: Archive) -> Any:
        """Return the model, having taken everything out of the archive."""


_Class = TypeVar("_Class", bound=type[_Saveable])


def saveable(kind: str) -> Callable[[_Class], _Class]:
    """Make a class saveable, under the name `kind` in files: a decorator.

    The class has the method ``_to_archive(include_factor)`` and the class method
    ``_from_archive(archive)``; see `Archive`.
    """

    def register(cls: _Class) -> _Class:
        _CLASSES[kind] = cls
        return cls

    return register


def save(model: Any, path: str | os.PathLike[str], *, include_factor: bool = False) -> None:
    """Save a model to a file that `gprat.load` reads; what is there is replaced as a whole.

    Parameters
    ----------
    model : GP or GaussianProcessRegressor
        What to save.
    path : path
        The file, in a folder that exists.
    include_factor : bool, default=False
        Whether to save the Cholesky factor too, n²/2 numbers for n training points, so that the
        loaded model predicts without factorising.

    Raises
    ------
    UnsupportedKernelError, UnsupportedTypeError
        If a part of the model is code (a kernel, a mean or a prior of your own), which files don't
        hold. Also a ``ValueError``, a ``TypeError``.
    NotPositiveDefiniteError
        If the factor is wanted, and there is none.
    OSError
        If the file cannot be written. What was there stays.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import gprat
    >>> from gprat.persistence import load, save
    >>> gp = gprat.GP([[0.0], [1.0]], [1.0, 2.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(gp, Path(folder) / "model.gprat")
    ...     loaded = load(Path(folder) / "model.gprat")
    >>> bool((loaded.predict([[0.5]]) == gp.predict([[0.5]])).all())
    True
    """
    kinds = [kind for kind, cls in _CLASSES.items() if type(model) is cls]
    if not kinds:
        names = " or ".join(cls.__name__ for cls in _CLASSES.values())
        raise UnsupportedTypeError(
            f"expected a {names} to save, got {model!r:.80} of type {type(model).__name__}. "
            "Subclasses are not saved, since the file could not say what they change."
        )
    target = _as_path(path)
    archive = model._to_archive(bool(include_factor))
    arrays, same = _without_repetition(archive.arrays)
    document = {"kind": kinds[0], "model": archive.description, "same": same}
    try:
        # The file that a link leads to, so that the link stays.
        write_container(Path(os.path.realpath(target)), arrays, document)
    except OSError as error:
        # From the number follows the class, such as PermissionError.
        reason = error.strerror or str(error)
        raise OSError(
            error.errno,
            f"the model cannot be saved: {reason}. Nothing was changed. Choose a folder that "
            "exists, has room and may be written to",
            str(target),
        ) from error


def load(path: str | os.PathLike[str]) -> Any:
    """Load a model that was saved.

    Predictions are bitwise those of the saved model on the same kind of processor. The file's
    arrays are mapped, not copied: X, y and the factor, if it is there, stay in the file until they
    are used. The file may be replaced or removed while the model lives, but not be changed in
    place.

    Nothing in a file is ever run, whatever it holds, so that files of others may be loaded. It
    is read once in full, to compare its SHA-256 digest, which tells damage, not its author.

    Parameters
    ----------
    path : path
        A file that a model's ``save`` wrote.

    Returns
    -------
    GP or GaussianProcessRegressor
        A model like the one that was saved, but for its training report.

    Raises
    ------
    ModelFileError
        If the file is none of gprat's, is damaged, or needs a newer gprat. Also a ``ValueError``.
    OSError
        If the file cannot be opened or read.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import gprat
    >>> gp = gprat.GP([[0.0], [1.0]], [1.0, 2.0])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     gp.save(Path(folder) / "model.gprat")
    ...     gprat.load(Path(folder) / "model.gprat")
    GP(n=2, d=1, kernel=1**2 * RBF(length_scale=1), noise=0.1, float64)
    """
    target = _as_path(path)
    document, arrays = read_container(target)
    archive = Archive(document)
    try:
        archive.take_entry("gprat", str)
        kind = archive.take_entry("kind", str)
        if kind not in _CLASSES:
            raise ModelFileError(
                f"it holds a {kind!r:.80}; this gprat knows {', '.join(sorted(_CLASSES))}"
            )
        for name, original in archive.take_entry("same", dict).items():
            arrays[name] = arrays[original]
        content = Archive(archive.take_entry("model", dict), arrays)
        model = _CLASSES[kind]._from_archive(content)
        content.check_empty()
        archive.check_empty()
    except RuntimeSuspendedError:  # not the file's fault
        raise
    # Only a file that was made with intent gets here with a matching digest, and then any
    # argument of any part may be nonsense.
    except (
        ArithmeticError,
        AttributeError,
        GpratError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        reason = str(error) if isinstance(error, GpratError) else repr(error)
        raise ModelFileError(f"{path} holds no valid model: {reason:.1000}") from None
    return model


def _without_repetition(
    arrays: Mapping[str, npt.NDArray[Any]],
) -> tuple[dict[str, npt.NDArray[Any]], dict[str, str]]:
    """Return each array once, and names of others that are the very same memory."""
    first: dict[tuple[Any, ...], str] = {}
    same: dict[str, str] = {}
    for name, array in arrays.items():
        interface = array.__array_interface__
        place = (interface["data"][0], array.shape, array.strides, array.dtype)
        original = first.setdefault(place, name)
        if original != name:
            same[name] = original
    return {name: array for name, array in arrays.items() if name not in same}, same


def _as_path(path: Any) -> Path:
    if not isinstance(path, str | os.PathLike) or isinstance(os.fspath(path), bytes):
        raise UnsupportedTypeError(
            f"path must be the path of a file, got {path!r:.80} of type {type(path).__name__}."
        )
    if "\0" in os.fspath(path):
        raise InvalidInputError(f"{path!r:.80} has a zero byte in it, which no path may have.")
    return Path(path)
