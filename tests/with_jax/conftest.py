"""What tests with JAX share: float64 unless they say otherwise, and problems to try it on."""

import jax
import pytest

from with_jax.dense import PROBLEMS

jax.config.update("jax_enable_x64", True)
# Arrays are small, and compiling takes longer than computing.
jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(params=PROBLEMS, ids=str)
def problem(request, rng):
    """A model with random data, and the same in JAX alone."""
    return request.param.draw(rng)
