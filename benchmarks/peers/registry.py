"""Which peers there are, and where each one runs."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ENVIRONMENTS", "PEERS", "Peer", "known"]

ROOT = Path(__file__).parents[2]
ENVIRONMENTS = ROOT / "build/peers"
ADAPTERS = "benchmarks.peers"


@dataclass(frozen=True)
class Peer:
    """An adapter, MODULE:CLASS, and its environment: a folder of `ENVIRONMENTS`; None is this."""

    adapter: str
    environment: str | None = None

    @property
    def python(self) -> Path:
        """Return the interpreter that has the peer's library."""
        if self.environment is None:
            return Path(sys.executable)
        return ENVIRONMENTS / self.environment / "bin/python"

    @property
    def is_installed(self) -> bool:
        """Return whether the environment is there."""
        return self.python.exists()


# By the name on the command line, in the order of tables and legends.
PEERS: dict[str, Peer] = {
    "gprat": Peer(f"{ADAPTERS}.gprat_adapter:Gprat"),
    "gprat-float32": Peer(f"{ADAPTERS}.gprat_adapter:GpratSingle"),
    "lapack": Peer(f"{ADAPTERS}.lapack_adapter:Lapack"),
    "scikit-learn": Peer(f"{ADAPTERS}.scikit_learn_adapter:ScikitLearn"),
    "gpytorch": Peer(f"{ADAPTERS}.gpytorch_adapter:Exact", "gpytorch"),
    "gpytorch-defaults": Peer(f"{ADAPTERS}.gpytorch_adapter:Defaults", "gpytorch"),
    "gpflow": Peer(f"{ADAPTERS}.gpflow_adapter:GPflow", "gpflow"),
    "tinygp": Peer(f"{ADAPTERS}.tinygp_adapter:TinyGP", "tinygp"),
    "gpy": Peer(f"{ADAPTERS}.gpy_adapter:GPy", "gpy"),
    "gprat-original": Peer(f"{ADAPTERS}.gprat_original_adapter:OriginalGPRat", "gprat-original"),
}


def known(name: str) -> Peer:
    """Return a peer by name."""
    if name not in PEERS:
        raise ValueError(f"unknown peer {name!r}: expected one of {', '.join(PEERS)}.")
    return PEERS[name]
