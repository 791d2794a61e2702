"""The same factorisation by ``dask.array.linalg.cholesky``."""

from __future__ import annotations

import dask
import dask.array as da
import numpy as np
from distributed import Client

from benchmarks.problem import Arrays, Problem

__all__ = ["log_determinant"]


def log_determinant(client: Client, problem: Problem, arrays: Arrays, chunk: int) -> float:
    """Assemble K by blocks, factorise it, and return its log determinant.

    Parameters
    ----------
    client : distributed.Client
        Connected to the cluster.
    problem : Problem
        The hyperparameters of a constant times an RBF kernel, and the noise.
    arrays : Arrays
        The training inputs.
    chunk : int
        Rows of a block, which divide those of K.
    """
    sizes = (chunk,) * (problem.n // chunk)
    K = da.map_blocks(
        _covariances,
        chunks=(sizes, sizes),
        dtype=arrays.X.dtype,
        points=dask.delayed(arrays.X / np.asarray(problem.length_scales)),
        chunk=chunk,
        variance=problem.variance,
        noise=problem.noise_variance,
    )
    L = da.linalg.cholesky(K, lower=True)
    value = 2.0 * da.log(da.diagonal(L)).sum()
    return float(client.compute(value).result())


def _covariances(
    points: np.ndarray, chunk: int, variance: float, noise: float, block_id: tuple[int, int]
) -> np.ndarray:
    """Return one block of K, with the noise where it is on the diagonal."""
    rows, columns = (points[i * chunk : (i + 1) * chunk] for i in block_id)
    block = rows @ columns.T
    block -= 0.5 * (rows**2).sum(1)[:, None]
    block -= 0.5 * (columns**2).sum(1)
    np.exp(block, out=block)
    block *= variance
    if block_id[0] == block_id[1]:
        block[np.diag_indices(len(block))] += noise
    return block
