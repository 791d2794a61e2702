"""Files that are replaced as a whole, so that nobody ever finds a half-written one."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

__all__ = ["temporary_beside", "write_atomically"]


@contextlib.contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """Give the name of a new file in the same folder, which is gone afterwards."""
    temporary = path.parent / f".gprat-{secrets.token_hex(8)}.tmp"
    try:
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a new file, bring it to the disk, and put it in the place of `path`.

    Whatever fails, the old file stays as it was. Programs that have it open or mapped keep it.

    Raises
    ------
    OSError
        If the folder cannot be written to, the disk is full, and so on.
    """
    with temporary_beside(path) as temporary:
        with temporary.open("xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    # The new name is in the folder, which some file systems don't let us bring to the disk.
    with contextlib.suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
