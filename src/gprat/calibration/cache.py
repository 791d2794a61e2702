"""Where calibrations are kept between processes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import threading
import warnings
from functools import lru_cache
from pathlib import Path
from typing import Any

from gprat import runtime
from gprat._core import calibration as _core
from gprat._files import read_regular, write_atomically
from gprat._json import parse_json
from gprat.calibration.table import Calibration, DamagedError, Identity
from gprat.exceptions import CacheWarning

__all__ = ["Entry", "default_folder", "find", "is_automatic", "path_for", "this_machine"]

FORMAT = 1

_FOLDER_VARIABLE = "GPRAT_CACHE_DIR"
_SWITCH_VARIABLE = "GPRAT_CALIBRATE"

# What reading a file raises that does not hold a calibration.
_DAMAGES = (ValueError, KeyError, TypeError, AttributeError, OverflowError)
# Choices for a hundred thousand sizes take less.
_LARGEST_FILE = 1 << 22


class Entry:
    """A calibration, and the tile sizes that were chosen by it. May be used by several threads.

    Parameters
    ----------
    calibration : Calibration
        What was measured.
    choices : dict of int to int, default=None
        Tile sizes by number of training points.
    """

    def __init__(self, calibration: Calibration, choices: dict[int, int] | None = None) -> None:
        self.calibration = calibration
        self._choices = choices or {}
        self._lock = threading.Lock()

    def choice(self, n: int) -> int | None:
        """Return the tile size that was chosen for n training points, if one was."""
        return self._choices.get(n)

    def add_choice(self, n: int, tile_size: int) -> None:
        """Keep a choice, in the file too unless another process has tuned since."""
        with self._lock:
            self._choices[n] = tile_size
            identity = self.calibration.identity
            with contextlib.suppress(OSError, *_DAMAGES):
                kept = _load(path_for(identity), identity)
                if kept is not None and kept.calibration.to_plain() != self.calibration.to_plain():
                    return
                self._choices = {**({} if kept is None else kept._choices), **self._choices}
            self.store()

    def store(self) -> None:
        """Write the file. A folder that cannot be written to is left alone: nothing is lost."""
        path = path_for(self.calibration.identity)
        plain = {
            "format": FORMAT,
            "calibration": self.calibration.to_plain(),
            "choices": {str(n): size for n, size in sorted(self._choices.items())},
        }
        text = json.dumps(plain, indent=1)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, lambda file: file.write(text.encode()))


# What this process knows, by file. None: there was nothing to read.
_entries: dict[Path, Entry | None] = {}


def default_folder() -> Path:
    """Return the folder of the calibrations.

    Returns
    -------
    Path
        The environment variable GPRAT_CACHE_DIR; or else ``gprat`` in XDG_CACHE_HOME, or in
        ``~/.cache``.
    """
    if own := os.environ.get(_FOLDER_VARIABLE):
        return Path(own)
    if common := os.environ.get("XDG_CACHE_HOME"):
        return Path(common) / "gprat"
    return Path(os.path.expanduser("~")) / ".cache" / "gprat"


def is_automatic() -> bool:
    """Tell whether calibrations may be measured and used unasked.

    Returns
    -------
    bool
        False where the environment variable GPRAT_CALIBRATE is 0.
    """
    return os.environ.get(_SWITCH_VARIABLE, "").strip() != "0"


def find(dtype: str) -> Calibration | None:
    """Return the calibration of this machine that this process or an earlier one measured.

    Parameters
    ----------
    dtype : {"float64", "float32"}
        Precision.

    Returns
    -------
    Calibration or None
        None if there is none.
    """
    entry = find_entry(this_machine(dtype))
    return None if entry is None else entry.calibration


def find_entry(identity: Identity) -> Entry | None:
    """Return what is kept for a machine: from memory, or else from the file."""
    path = path_for(identity)
    if path not in _entries:
        _entries[path] = read_entry(path, identity)
    return _entries[path]


def keep(calibration: Calibration) -> Entry:
    """Replace what is kept for the machine of a calibration, in memory and in the file."""
    entry = Entry(calibration)
    _entries[path_for(calibration.identity)] = entry
    entry.store()
    return entry


def path_for(identity: Identity) -> Path:
    """Return the file for the calibration of a machine."""
    parts = (str(FORMAT), identity.processor, str(identity.processors), identity.blas)
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return default_folder() / f"calibration-{digest}-{identity.dtype}.json"


def this_machine(dtype: str) -> Identity:
    """Return what a calibration that is measured here and now is valid for."""
    return Identity(_processor(), runtime.processors(), _blas(), dtype)


def read_entry(path: Path, identity: Identity) -> Entry | None:
    """Return what a file holds; None if it is damaged, of another machine, or not there."""
    try:
        return _load(path, identity)
    except OSError:
        return None
    except _DAMAGES:
        warnings.warn(
            f"{path} is damaged and is not used; the next calibration replaces it, such as that "
            "of gprat.tune().",
            CacheWarning,
            stacklevel=2,
        )
        return None


def _load(path: Path, identity: Identity) -> Entry | None:
    """Return what a file holds, None if another version of gprat wrote it."""
    plain = parse_json(read_regular(path, _LARGEST_FILE))
    if plain["format"] != FORMAT:
        return None
    calibration = Calibration.from_plain(plain["calibration"])
    if calibration.identity != identity:
        raise DamagedError("another machine's")
    return Entry(calibration, _check_choices(plain["choices"]))


def _check_choices(plain: Any) -> dict[int, int]:
    choices = {int(n): int(size) for n, size in plain.items()}
    if any(not 1 <= size <= n for n, size in choices.items()):
        raise DamagedError("impossible tile sizes")
    return choices


@lru_cache(maxsize=1)
def _processor() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split("\n"):
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


@lru_cache(maxsize=1)
def _blas() -> str:
    return _core.blas_name()
