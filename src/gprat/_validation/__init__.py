"""Checks of everything that users pass in: what was expected, what came, and the remedy."""

from gprat._validation.arrays import (
    as_array,
    as_numbers,
    check_dtype,
    check_indices,
    check_rows,
    check_test_inputs,
    check_training_inputs,
    has_finite_sum,
    read_only,
)
from gprat._validation.model import (
    LARGEST_LOG,
    check_known_noise,
    check_noise,
    check_noise_bounds,
    check_noise_groups,
    check_test_noise,
    check_theta,
)
from gprat._validation.numbers import (
    as_choice,
    check_count,
    check_learning_rate,
    check_positive_integer,
    check_positive_number,
    check_random_state,
    check_training_options,
    is_zero,
)
from gprat._validation.types import Float64Array, FloatArray

__all__ = [
    "LARGEST_LOG",
    "Float64Array",
    "FloatArray",
    "as_array",
    "as_choice",
    "as_numbers",
    "check_count",
    "check_dtype",
    "check_indices",
    "check_known_noise",
    "check_learning_rate",
    "check_noise",
    "check_noise_bounds",
    "check_noise_groups",
    "check_positive_integer",
    "check_positive_number",
    "check_random_state",
    "check_rows",
    "check_test_inputs",
    "check_test_noise",
    "check_theta",
    "check_training_inputs",
    "check_training_options",
    "has_finite_sum",
    "is_zero",
    "read_only",
]
