"""How much memory this process may take."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["available_memory"]

_KIB = 1024
# What a cgroup without a limit says: version 2 in words, version 1 with a number near 2⁶³.
_NO_LIMIT = 1 << 60


def available_memory(root: str | os.PathLike[str] = "/") -> int:
    """Return how many bytes this process could take now without making the machine swap.

    Parameters
    ----------
    root : path, default="/"
        Where ``proc`` and ``sys`` are.

    Returns
    -------
    int
        The least of the kernel's estimate of free and reclaimable memory, what the limits of this
        process's cgroups (version 1 or 2, and all of their parents) leave, and what a limit of its
        address space (``ulimit -v``) leaves. Where the system
        tells neither, the physical memory; 0 if that is unknown too.

    Examples
    --------
    >>> available_memory() > 0
    True
    """
    base = Path(root)
    limits = (_of_machine(base), *_of_cgroups(base), _of_address_space(base))
    rooms = [room for room in limits if room is not None]
    return max(0, min(rooms)) if rooms else _physical_memory()


def _of_machine(root: Path) -> int | None:
    for line in _lines(root / "proc/meminfo"):
        key, _, value = line.partition(":")
        if key == "MemAvailable":
            return _number(value.split()[0]) * _KIB
    return None


def _of_address_space(root: Path) -> int | None:
    try:
        import resource
    except ImportError:  # not a Unix
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    used = "".join(_lines(root / "proc/self/statm")).split()
    if not used or not 0 <= limit < _NO_LIMIT:
        return None
    return limit - _number(used[0]) * os.sysconf("SC_PAGE_SIZE")


def _of_cgroups(root: Path) -> Iterator[int]:
    """Yield what each cgroup that this process is in leaves, if it has a limit."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", maxsplit=2)
        if controllers == "":
            mount, names = root / "sys/fs/cgroup", ("memory.max", "memory.current", "")
        elif "memory" in controllers.split(","):
            mount = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_")
        else:
            continue
        # A limit of a parent binds too. In a container the path is often none of its own.
        group = mount / path.strip("/")
        for folder in (group, *group.parents):
            room = _of_cgroup(folder, *names)
            if room is not None:
                yield room
            if folder == mount:
                break


def _of_cgroup(folder: Path, limit_name: str, usage_name: str, prefix: str) -> int | None:
    limit = _number("".join(_lines(folder / limit_name)), _NO_LIMIT)
    if limit >= _NO_LIMIT:
        return None
    usage = _number("".join(_lines(folder / usage_name)))
    # Pages of files that nobody used lately go before anything else does.
    for line in _lines(folder / "memory.stat"):
        key, _, value = line.partition(" ")
        if key == f"{prefix}inactive_file":
            usage -= _number(value)
    return limit - max(0, usage)


def _physical_memory() -> int:
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 0


def _lines(path: Path) -> list[str]:
    """Return the lines of a file, none if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _number(text: str, otherwise: int = 0) -> int:
    return int(text) if text.strip().isdigit() else otherwise
