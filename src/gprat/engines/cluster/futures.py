"""Results to come."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from distributed import Future as DaskFuture

__all__ = ["Future", "Key", "Submitted"]

Submitted: TypeAlias = "DaskFuture[Any]"
# The name of a task and which of that name it is.
Key: TypeAlias = tuple[Hashable, ...]


class Future:
    """The result of a task of a `BlockGraph`.

    It lives on the cluster as long as this object does, or as tasks need it that were added.

    Parameters
    ----------
    key : tuple
        What the cluster calls it.
    submitted : distributed.Future or None, default=None
        What stands for it there; None until the graph has been submitted.
    """

    __slots__ = ("__weakref__", "key", "submitted")

    def __init__(self, key: Key, submitted: Submitted | None = None) -> None:
        self.key = key
        self.submitted = submitted
