"""Sizes that are chosen before the work starts."""

import pytest

import gprat
from gprat.planning import auto_tile_size


@pytest.mark.parametrize("processors", [1, 2, 64])
@pytest.mark.parametrize("n", [1, 2, 100, 193, 1000, 4096, 20_000, 100_000])
def test_tile_size_is_possible(n, processors):
    assert 1 <= auto_tile_size(n, processors) <= min(n, 1008)


def test_many_processors_get_many_tiles():
    sizes = [auto_tile_size(8192, processors) for processors in (1, 4, 16, 64, 256)]
    assert sizes == sorted(sizes, reverse=True)
    assert 8192 / sizes[3] >= 32


def test_tile_size_is_the_same_for_any_number_of_threads():
    X = [[float(i)] for i in range(1000)]
    sizes = {gprat.GP(X, range(1000), threads=threads).tile_size for threads in (None, 1, 2, 64)}
    assert len(sizes) == 1
