"""Two hosts on one machine: network namespaces, joined by a link of a given rate."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Host", "joined", "missing", "sent_and_received"]

_LINK = "link0"
# Seconds of the rate that may pass at once: the kernel looks every few milliseconds at most.
_BURST = 2e-3


@dataclass(frozen=True)
class Host:
    """A network namespace with one link.

    Parameters
    ----------
    name : str
        Of the namespace.
    address : str
        IPv4 address of its end of the link.
    """

    name: str
    address: str

    @property
    def prefix(self) -> list[str]:
        """What a command begins with that is to run there."""
        return ["ip", "netns", "exec", self.name]


def missing() -> str | None:
    """Return what this needs and is not there, or None."""
    if os.geteuid() != 0:
        return "network namespaces need root: run it as root, or with sudo"
    absent = [name for name in ("ip", "tc") if shutil.which(name) is None]
    if absent:
        return f"{' and '.join(absent)} are missing: install iproute2"
    return None


@contextlib.contextmanager
def joined(rate: float | None) -> Iterator[tuple[Host, Host]]:
    """Make two hosts and a link between them, and remove them in the end.

    Parameters
    ----------
    rate : float or None
        Bytes a second, each way, by the token bucket of the kernel (``tc … tbf``); None: as fast as
        the kernel copies.
    """
    names = [f"gprat-{os.getpid()}-{side}" for side in "ab"]
    hosts = tuple(Host(name, f"10.213.77.{i}") for i, name in enumerate(names, 1))
    try:
        for host in hosts:
            _run("ip", "netns", "add", host.name)
        first, second = (["name", _LINK, "netns", host.name] for host in hosts)
        _run("ip", "link", "add", *first, "type", "veth", "peer", *second)
        for host in hosts:
            _run("ip", "-n", host.name, "address", "add", f"{host.address}/30", "dev", _LINK)
            for device in ("lo", _LINK):
                _run("ip", "-n", host.name, "link", "set", device, "up")
            if rate is not None:
                bits, burst = f"{int(8 * rate)}bit", max(64 * 1024, int(_BURST * rate))
                bucket = ["tbf", "rate", bits, "burst", str(burst), "latency", "100ms"]
                _run(*host.prefix, "tc", "qdisc", "add", "dev", _LINK, "root", *bucket)
        yield hosts[0], hosts[1]
    finally:
        for host in hosts:
            subprocess.run(["ip", "netns", "delete", host.name], check=False, capture_output=True)


def sent_and_received() -> tuple[int, int]:
    """Return the bytes that this namespace's end of the link has sent and received."""
    for line in Path("/proc/net/dev").read_text().splitlines():
        name, _, figures = line.partition(":")
        if name.strip() == _LINK:
            counts = figures.split()
            return int(counts[8]), int(counts[0])
    raise SystemExit("this process is not in a namespace of benchmarks.namespaces.")


def _run(*command: str) -> None:
    completed = subprocess.run(command, check=False, capture_output=True, text=True)
    if completed.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: {completed.stderr.strip()}")
