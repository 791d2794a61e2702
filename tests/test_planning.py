"""Sizes that are chosen before the work starts."""

import numpy as np
import pytest

from gprat.planning import auto_tile_size


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [1, 2, 100, 193, 1000, 4096, 20_000, 100_000])
def test_tile_size_is_possible_and_the_same_for_any_number_of_threads(n, dtype):
    sizes = {auto_tile_size(n, threads, np.dtype(dtype)) for threads in (1, 2, 4, 64)}
    assert len(sizes) == 1
    assert 1 <= sizes.pop() <= min(n, 1024)
