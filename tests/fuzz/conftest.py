"""Profiles of Hypothesis: few examples, the same in every run, or new ones for a campaign."""

import os
import tempfile

from hypothesis import HealthCheck, Verbosity, settings
from hypothesis.configuration import set_hypothesis_home_dir

# Nothing is kept in the working directory: what fails in a campaign prints how to repeat it.
set_hypothesis_home_dir(os.path.join(tempfile.gettempdir(), "gprat-hypothesis"))

_COMMON = {
    "deadline": None,
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
    "verbosity": Verbosity.normal,
}
settings.register_profile("tests", max_examples=20, derandomize=True, database=None, **_COMMON)
settings.register_profile(
    "campaign",
    max_examples=int(os.environ.get("GPRAT_FUZZ_EXAMPLES", "200")),
    database=None,
    **_COMMON,
)
settings.load_profile(os.environ.get("GPRAT_FUZZ_PROFILE", "tests"))
