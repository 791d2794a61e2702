"""What a model is on its way to a file and back: a description and arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gprat.exceptions import ModelFileError

__all__ = ["Archive"]


class Archive:
    """A description that JSON can hold, and arrays by name; archives nest.

    A model that is saved fills one. A model that is loaded takes everything out of one, by the
    methods here, which check what they give; what is left over at the end is an error.

    Parameters
    ----------
    description : dict, default=None
        What JSON can hold; no NaN, no infinity. None for an empty one.
    arrays : dict from str to ndarray, default=None
        Of float64, float32, int64 or uint8. None for none.

    Examples
    --------
    >>> import numpy as np
    >>> from gprat.persistence import Archive
    >>> part = Archive({"name": "inner"}, {"y": np.zeros(2)})
    >>> whole = Archive({"name": "outer"})
    >>> whole.put("part", part)
    >>> sorted(whole.arrays)
    ['part/y']
    >>> whole.take("part").take_array("y", "float64", (2,))
    array([0., 0.])
    """

    def __init__(
        self,
        description: dict[str, Any] | None = None,
        arrays: dict[str, npt.NDArray[Any]] | None = None,
    ) -> None:
        self.description = {} if description is None else description
        self.arrays = {} if arrays is None else arrays
        # Arrays by the archive that they are in, once the first one is taken.
        self._parts: dict[str, dict[str, npt.NDArray[Any]]] | None = None

    def put(self, name: str, part: Archive) -> None:
        """Put an archive into this one, its arrays under ``name/``."""
        self.description[name] = part.description
        self.arrays |= {f"{name}/{key}": array for key, array in part.arrays.items()}

    def take(self, name: str) -> Archive:
        """Take out the archive that was put in under this name."""
        description = self.take_entry(name, dict)
        if self._parts is None:
            self._parts = self._split()
        return Archive(description, self._parts.pop(name, None))

    def _split(self) -> dict[str, dict[str, npt.NDArray[Any]]]:
        """Move arrays out that belong to other archives: all at once, as both may be many."""
        parts: dict[str, dict[str, npt.NDArray[Any]]] = {}
        for key in [key for key in self.arrays if "/" in key]:
            part, _, name = key.partition("/")
            parts.setdefault(part, {})[name] = self.arrays.pop(key)
        return parts

    def take_entry(self, name: str, *kinds: type) -> Any:
        """Take an entry out of the description, which must be of one of these types exactly.

        Raises
        ------
        ModelFileError
            If there is none, or it has another type.
        """
        if name not in self.description:
            raise ModelFileError(f"it has no entry {name!r}")
        value = self.description.pop(name)
        if type(value) not in kinds:
            expected = " or ".join(kind.__name__ for kind in kinds)
            raise ModelFileError(f"its entry {name!r} must be a {expected}, got {value!r:.80}")
        return value

    def take_array(
        self, name: str, dtype: npt.DTypeLike, shape: Sequence[int | None]
    ) -> npt.NDArray[Any]:
        """Take an array, read-only; None in `shape` is for any length.

        Raises
        ------
        ModelFileError
            If there is none, or it has another dtype or shape.
        """
        if name not in self.arrays:
            raise ModelFileError(f"it has no array {name!r}")
        array = self.arrays.pop(name)
        fits = len(array.shape) == len(shape) and all(
            expected in (None, length) for expected, length in zip(shape, array.shape, strict=True)
        )
        if not fits or array.dtype != dtype:
            expected = ", ".join("any" if length is None else str(length) for length in shape)
            raise ModelFileError(
                f"its array {name!r} must have dtype {np.dtype(dtype)} and shape ({expected}), got "
                f"dtype {array.dtype} and shape {array.shape}"
            )
        return array

    def check_empty(self) -> None:
        """Check that everything was taken.

        Raises
        ------
        ModelFileError
            If something is left.
        """
        left = [*self.description, *self.arrays, *(self._parts or ())]
        if left:
            raise ModelFileError(f"it has entries that belong to no model: {', '.join(left):.200}")
