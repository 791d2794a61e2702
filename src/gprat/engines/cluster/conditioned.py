"""A model's data on a cluster: what is kept there between calls, and how calls begin and end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from gprat._range import ensure_finite
from gprat._validation import FloatArray
from gprat.engines.base import Problem
from gprat.engines.cluster.conditioning import Conditioning, add_conditioning, add_factor
from gprat.engines.cluster.factor import Blocks
from gprat.engines.cluster.failures import BlockFailedError, Indefinite
from gprat.engines.cluster.graph import BlockGraph
from gprat.engines.cluster.layout import Cuts
from gprat.engines.core_kernels import explain
from gprat.exceptions import ClusterError, NotPositiveDefiniteError, RankDeficientTrendError

if TYPE_CHECKING:
    from gprat.engines.cluster.engine import ClusterEngine

__all__ = ["Conditioned", "KnownFactor", "failures_explained"]

_Result = TypeVar("_Result")


@contextmanager
def failures_explained(problem: Problem) -> Iterator[None]:
    """Turn failures of blocks into the errors that name the data."""
    try:
        yield
    except BlockFailedError as error:
        failure = error.failure
    else:
        return
    if isinstance(failure, Indefinite):
        raise explain(problem, failure.row, failure.is_finite)
    raise RankDeficientTrendError(problem.basis_names, failure.column)


@dataclass(frozen=True, eq=False)
class KnownFactor:
    """Blocks of a factor that need not be computed.

    Parameters
    ----------
    blocks : callable
        ``blocks(graph)`` returns the futures of those that are known: the first rows.
    has_all : bool
        Whether all rows are.
    tiles : ndarray or None, default=None
        The tiles of L, where the factor was given.
    """

    blocks: Callable[[BlockGraph], Blocks]
    has_all: bool
    tiles: FloatArray | None = None


@dataclass(eq=False)
class _Kept:
    """What a model keeps on the cluster, which copies with other limits have in common.

    Parameters
    ----------
    known : KnownFactor or None
        What of the factor was known from the beginning.
    conditioning : Conditioning or None
        The factor and the solves, once a call has needed them.
    """

    known: KnownFactor | None
    conditioning: Conditioning | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)
    has_factor: bool = False
    clipped: int = 0


class Conditioned:
    """Runs computations with the factor, which the first of them computes.

    Parameters
    ----------
    engine : ClusterEngine
        Connected to the cluster.
    problem : Problem
        What is factorised.
    cuts : Cuts
        How its rows are cut into blocks.
    tile_size : int
        How blocks are cut into tiles.
    known : KnownFactor or None, default=None
        What of the factor is known.
    """

    def __init__(
        self,
        engine: ClusterEngine,
        problem: Problem,
        cuts: Cuts,
        tile_size: int,
        known: KnownFactor | None = None,
    ) -> None:
        self._engine = engine
        self._problem = problem
        self.cuts = cuts
        self.block_tile_size = tile_size
        self._kept = _Kept(known, has_factor=known is not None and known.has_all)

    @property
    def problem(self) -> Problem:
        """What was factorised."""
        return self._problem

    @property
    def has_factor(self) -> bool:
        """Whether the factor is there."""
        return self._kept.has_factor

    def first_blocks(self, cuts: Cuts) -> Blocks:
        """Return the futures of the blocks in the rows of some first cuts."""

        def find(graph: BlockGraph, known: Conditioning) -> Blocks:
            graph.results(known.half_log_determinants)
            return {(i, j): f for (i, j), f in known.factor.blocks.items() if i < len(cuts)}

        return self._run("factorisation", find)

    def _run(self, what: str, function: Callable[..., _Result], *arguments: Any) -> _Result:
        """Call ``function(graph, conditioning, *arguments)``, and look at what it returns.

        Callables among the arguments are given the graph, and stand for what they return.
        """
        known: Conditioning | None = None
        is_new = False
        try:
            with failures_explained(self._problem), self._engine.graph(what, self.cuts.n) as graph:
                known, is_new = self._conditioning(graph)
                made = [a(graph) if callable(a) else a for a in arguments]
                result = function(graph, known, *made)
        except (NotPositiveDefiniteError, RankDeficientTrendError):
            raise
        except BaseException as error:
            if (is_new or isinstance(error, ClusterError)) and not self._forget(known):
                # Another thread was interrupted, and has cancelled what this one waited for.
                return self._run(what, function, *arguments)
            raise
        self._kept.has_factor = True
        ensure_finite(what, self._problem.X.dtype, *_numbers(result))
        return result

    def _conditioning(self, graph: BlockGraph) -> tuple[Conditioning, bool]:
        """Return the factor and the solves, and whether this call has begun with them."""
        with self._kept.lock:
            if self._kept.conditioning is not None:
                return self._kept.conditioning, False
            self._engine.ensure_memory_for(self._problem)
            known = self._kept.known.blocks(graph) if self._kept.known is not None else None
            factor = add_factor(graph, self._problem, self.cuts, self.block_tile_size, known)
            conditioning = add_conditioning(graph, self._problem, factor)
            # Other threads may use it from now on.
            graph.submit()
            self._kept.conditioning = conditioning
            return conditioning, True

    def _forget(self, known: Conditioning | None) -> bool:
        """Let the next call begin anew; tell whether nobody else has done so already."""
        with self._kept.lock:
            if self._kept.conditioning is not known:
                return known is None
            self._kept.conditioning = None
            if self._kept.known is not None and self._kept.known.tiles is None:
                # Blocks of another model, which the cluster has lost with the rest.
                self._kept.known = None
            self._kept.has_factor = self._kept.known is not None and self._kept.known.has_all
            return True


def _numbers(result: Any) -> Iterator[Any]:
    """Yield the arrays and floats of a result."""
    if isinstance(result, np.ndarray | float):
        yield result
    elif isinstance(result, list | tuple):
        for part in result:
            yield from _numbers(part)
    elif isinstance(result, dict):
        yield from _numbers(list(result.values()))
