"""One operation on one problem, by all peers: warm up, compare results, then time in turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from benchmarks.agreement import check
from benchmarks.peers.process import PeerError, PeerProcess
from benchmarks.problem import Problem
from benchmarks.timing import Effort, interleave

__all__ = ["Competition"]

REFERENCE = "gprat"


class Competition:
    """Peers that are alive, and what earlier problems have taught about them.

    A peer that is expected to take more than the limit, by the growth of its times with n³, isn't
    tried; one that takes longer all the same is stopped. Either is said in the row.
    """

    def __init__(
        self,
        peers: Mapping[str, PeerProcess],
        effort: Effort,
        earlier: Iterable[Mapping[str, Any]] = (),
    ) -> None:
        self._peers, self._effort = peers, effort
        # Operation and peer: n and seconds where it was last timed, or stopped.
        self._known: dict[tuple[str, str], tuple[int, float]] = {}
        for row in earlier:
            seconds = row.get("median", effort.limit if row.get("failure") == "time" else None)
            if seconds is not None:
                self._known[row["operation"], row["peer"]] = row["n"], seconds
        self._unloadable: dict[str, PeerError] = {}

    def load(self, problem: Problem) -> None:
        """Give all peers a problem."""
        arrays, hyperparameters = problem.arrays(), problem.hyperparameters()
        self._unloadable = {}
        for name, peer in self._peers.items():
            try:
                peer.load(arrays, hyperparameters)
            except PeerError as failure:
                if name == REFERENCE:
                    raise
                self._unloadable[name] = failure

    def rows(self, problem: Problem, operation: str) -> list[dict[str, Any]]:
        """Return a row for each peer that offers the operation; the problem has been loaded.

        Raises
        ------
        AgreementError
            If a peer's result differs from ours.
        PeerError
            If ours could not be had.
        """
        peers = {name: peer for name, peer in self._peers.items() if peer.offers(operation)}
        first, outcome = self._warm_up(peers, operation, problem.n)
        # A peer may fail after it has once succeeded, so calls are wrapped.
        failed: dict[str, PeerError] = {}
        timings = interleave(
            {name: self._timed(peers[name], operation, failed) for name in first},
            first,
            self._effort,
            lambda name: bool(peers[name].about["compiles"]),
        )
        for name, timing in timings.items():
            if name in failed:
                outcome[name] = failed[name].describe()
                continue
            outcome[name] |= timing.summary()
            self._known[operation, name] = problem.n, outcome[name]["median"]
        for peer in peers.values():
            peer.release()
        common = problem.describe() | {"operation": operation}
        return [common | {"peer": name} | outcome[name] for name in peers]

    def _warm_up(
        self, peers: Mapping[str, PeerProcess], operation: str, n: int
    ) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
        """Make every peer's first call, and compare its result with ours."""
        first: dict[str, float] = {}
        outcome: dict[str, dict[str, Any]] = {}
        ours: dict[str, np.ndarray] | None = None
        for name in sorted(peers, key=lambda name: name != REFERENCE):
            peer = peers[name]
            try:
                self._ensure_feasible(name, operation, n)
                seconds, result = peer.result(operation, self._effort.limit)
            except PeerError as failure:
                if name == REFERENCE:
                    raise
                outcome[name] = failure.describe()
                continue
            if ours is None:
                ours = result
            outcome[name] = {
                "deviation": check(
                    peer.about["name"], ours, result, peer.about["dtype"], peer.about["approximate"]
                )
            }
            first[name] = seconds
            if name != REFERENCE:
                peer.forget_result()
        return first, outcome

    def _ensure_feasible(self, name: str, operation: str, n: int) -> None:
        if name in self._unloadable:
            raise self._unloadable[name]
        known = self._known.get((operation, name))
        if known is None or name == REFERENCE:
            return
        expected = known[1] * (n / known[0]) ** 3
        # From much smaller problems, whose fixed costs weigh more, nothing follows.
        if known[0] < n <= 2 * known[0] and expected > self._effort.limit:
            raise PeerError(
                "time",
                f"{name} would take some {expected:.0f} s, by {known[1]:.1f} s at n = {known[0]}",
            )

    def _timed(self, peer: PeerProcess, operation: str, failed: dict[str, PeerError]) -> Any:
        def call(count: int) -> float:
            if peer.name in failed:
                return 0.0
            try:
                return peer.seconds(operation, count, self._effort.limit)
            except PeerError as failure:
                if peer.name == REFERENCE:
                    raise
                failed[peer.name] = failure
                return 0.0

        return call
