"""What a campaign found, kept as JSON beside the machine, the versions and the commit."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["RESULTS", "read_result", "write_result"]

RESULTS = Path(__file__).parent / "results"

_PACKAGES = ("gprat", "numpy", "scipy", "scikit-learn", "tbb")


def write_result(name: str, figures: dict[str, Any], folder: Path = RESULTS) -> Path:
    """Write figures to ``campaigns/results/NAME.json`` and return that path.

    Parameters
    ----------
    name : str
        Of the campaign; that of its module and its target of make.
    figures : dict
        What was counted and measured, as JSON takes it.
    folder : path, default=RESULTS
        Where to write instead.
    """
    record = {
        "campaign": name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": _commit(),
        "machine": _machine(),
        "versions": _versions(),
        **figures,
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def read_result(name: str, folder: Path = RESULTS) -> dict[str, Any]:
    """Return what a campaign recorded of the commit that is checked out; nothing of another."""
    try:
        record: dict[str, Any] = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    is_of_this = record["commit"].removesuffix("-dirty") == _commit().removesuffix("-dirty")
    return record if is_of_this else {}


def _machine() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0)),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _processor() -> str:
    """Return the name of the processor; its architecture where the system doesn't tell."""
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.M)
    except OSError:
        found = None
    return found.group(1).strip() if found else platform.machine()


def _versions() -> dict[str, str]:
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def _commit() -> str:
    """Return the commit that is checked out, marked where files differ from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return described.stdout.strip() or "unknown"
