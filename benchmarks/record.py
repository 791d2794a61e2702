"""Results as JSON, with the machine, the versions and the commit that they belong to."""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from benchmarks.yardsticks import native_yardsticks

__all__ = ["SCHEMA", "Record", "machine", "source", "versions"]

SCHEMA = 1
# Distributions whose versions decide about speed.
DISTRIBUTIONS = ("gprat", "numpy", "scipy", "scikit-learn", "tbb", "scipy-openblas32")


def now() -> str:
    """Return the time in UTC, to the minute."""
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


@dataclass
class Record:
    """One run of one study."""

    study: str
    settings: dict[str, Any]
    rows: list[dict[str, Any]]
    peers: dict[str, dict[str, Any]]
    extra: dict[str, Any]
    machine: dict[str, Any]
    versions: dict[str, str]
    source: dict[str, Any]
    seconds: float
    date: str = field(default_factory=now)
    schema: int = SCHEMA

    def write(self, path: Path) -> None:
        """Write as JSON; numbers that are not finite are refused."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Record:
        """Read what `write` wrote."""
        content = json.loads(path.read_text())
        names = {entry.name for entry in fields(cls)}
        if content.get("schema") != SCHEMA or set(content) != names:
            raise ValueError(
                f"{path} is not a record of this suite (schema {SCHEMA}): run the study again."
            )
        return cls(**content)

    def check_update(self, peers: list[str], threads: int) -> None:
        """Refuse a run that could not stand in one table with this one, before it is made."""
        missing = sorted(set(peers) - set(self.settings["peers"]))
        if missing or threads != self.settings["threads"]:
            raise ValueError(
                f"the record has peers {self.settings['peers']} and threads "
                f"{self.settings['threads']}, and the new run {peers} and {threads}: run the "
                "study whole."
            )

    def updated(self, newer: Record) -> Record:
        """Return this record with the sizes that a newer run measured in place of its own."""
        again, peers = newer.settings["sizes"], newer.settings["peers"]
        run = {"sizes": again, "date": newer.date, "commit": newer.source["commit"]}
        kept = [row for row in self.rows if row["n"] not in again and row["peer"] in peers]
        return replace(
            self,
            settings=newer.settings | {"sizes": sorted({*self.settings["sizes"], *again})},
            rows=sorted(kept + newer.rows, key=lambda row: row["n"]),
            extra=self.extra | newer.extra | {"later": [*self.extra.get("later", []), run]},
        )

    def select(self, **wanted: Any) -> list[dict[str, Any]]:
        """Return the rows that have all these values."""
        return [row for row in self.rows if all(row.get(k) == v for k, v in wanted.items())]


def machine(threads: int) -> dict[str, Any]:
    """Describe the computer, without its name; its FMA peak where the yardstick has been built."""
    return {
        "processor": _processor(),
        "processors": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **native_yardsticks(threads),
    }


def versions() -> dict[str, str]:
    """Return the versions of what computes in this environment."""
    return {name: version(name) for name in DISTRIBUTIONS}


def source() -> dict[str, Any]:
    """Return the commit that was measured, and whether files differed from it."""
    commit = _git("rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "modified": None}
    changed = _git("status", "--porcelain", "--", "core", "bindings", "src", "cmake")
    return {"commit": commit, "modified": bool(changed)}


def _git(*arguments: str) -> str | None:
    try:
        completed = subprocess.run(
            ["git", "-C", str(ROOT), *arguments], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return completed.stdout.strip()


def _processor() -> str:
    information = Path("/proc/cpuinfo")
    text = information.read_text() if information.exists() else ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return found.group(1) if found else platform.processor() or platform.machine()
