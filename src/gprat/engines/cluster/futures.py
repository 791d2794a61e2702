"""The type of results to come."""

from __future__ import annotations

from typing import Any, TypeAlias

from distributed import Future as _Future

__all__ = ["Future"]

Future: TypeAlias = _Future[Any]
