"""Files that are replaced as a whole, so that nobody ever finds a half-written one."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from io import FileIO
from pathlib import Path
from typing import BinaryIO

__all__ = [
    "NotRegularError",
    "open_regular",
    "read_regular",
    "temporary_beside",
    "write_atomically",
]

# How many may write to one path at a time under names that are used again.
_MOST_SLOTS = 64


class NotRegularError(ValueError):
    """Something else than a file has the name. Callers tell users in their own words."""


def open_regular(path: Path) -> BinaryIO:
    """Open a file to be read, but no pipe, which would wait, nor a device, which may have no end.

    Raises
    ------
    NotRegularError
        If this is no regular file.
    OSError
        If there is none, or it cannot be read.
    """
    # Looked at before it is opened, which may already do something to a device.
    if not stat.S_ISREG(path.stat().st_mode):
        raise NotRegularError(f"{path} is no regular file")
    file = open(path, "rb", opener=_open_without_waiting)  # noqa: SIM115 - the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise NotRegularError(f"{path} is no regular file")
    return file


def read_regular(path: Path, largest: int) -> bytes:
    """Read a regular file of no more than `largest` bytes.

    Raises
    ------
    NotRegularError
        If this is no regular file.
    ValueError
        If there is more in it.
    OSError
        If there is none, or it cannot be read.
    """
    with open_regular(path) as file:
        content = file.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"{path} has more than {largest:,} bytes")
    return content


@contextlib.contextmanager
def temporary_beside(path: Path) -> Iterator[Path]:
    """Give an empty new file in the same folder, to be put in the place of `path` or removed.

    Its name is one of a few for each path, and it is locked while it is in use. So what a killed
    process leaves behind is found and removed by the next one that writes to the path, and litter
    never adds up.
    """
    temporary, lock = _claim(path)
    with lock:
        try:
            yield temporary
        finally:
            # Once it was moved, the name may belong to somebody else.
            if _is_at(lock, temporary):
                temporary.unlink()


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a new file, bring it to the disk, and put it in the place of `path`.

    Whatever fails, the old file stays as it was. Programs that have it open or mapped keep it.

    Raises
    ------
    OSError
        If the folder cannot be written to, the disk is full, and so on.
    """
    with temporary_beside(path) as temporary:
        with temporary.open("wb") as file:
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


def _claim(path: Path) -> tuple[Path, FileIO]:
    """Make a file that nobody else uses; the second holds its lock until it is closed."""
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    for slot in range(_MOST_SLOTS):
        temporary = path.parent / f".gprat-{digest}-{slot}.tmp"
        _remove_if_abandoned(temporary)
        with contextlib.suppress(FileExistsError):
            lock = temporary.open("xb", buffering=0)
            if _try_to_lock(lock) is not False and _is_at(lock, temporary):
                return temporary, lock
            # Somebody took it for abandoned, before it was locked.
            lock.close()
    # As on file systems without locks, where nobody can tell what is abandoned.
    temporary = path.parent / f".gprat-{digest}-{secrets.token_hex(8)}.tmp"
    return temporary, temporary.open("xb", buffering=0)


def _remove_if_abandoned(temporary: Path) -> None:
    """Remove what a process left that was killed; leave what is in use, or not ours."""
    with (
        contextlib.suppress(OSError),
        open(temporary, "rb", buffering=0, opener=_open_no_link) as lock,
    ):
        if _try_to_lock(lock) and _is_at(lock, temporary):
            temporary.unlink()


def _try_to_lock(file: FileIO) -> bool | None:
    """Lock a file until it is closed; False if it is locked, None if there are no locks here."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_at(file: FileIO, path: Path) -> bool:
    """Tell whether a path still leads to an open file."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.lstat())
    except FileNotFoundError:
        return False


def _open_without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe without waiting for somebody who writes."""
    return os.open(path, flags | os.O_NONBLOCK)


def _open_no_link(path: str, flags: int) -> int:
    """Open a file without waiting, but no link."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW)
