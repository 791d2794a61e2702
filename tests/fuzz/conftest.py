"""Profiles of Hypothesis: few examples, the same in every run, or new ones for a campaign."""

import atexit
import os
import shutil
import tempfile

from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

# Nothing is kept in the working directory: what fails in a campaign prints how to repeat it.
_folder = tempfile.mkdtemp(prefix="gprat-hypothesis-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
set_hypothesis_home_dir(_folder)

_COMMON = {
    "deadline": None,
    "print_blob": True,
    "database": None,
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large],
}
settings.register_profile("tests", max_examples=20, derandomize=True, **_COMMON)
settings.register_profile(
    "campaign", max_examples=int(os.environ.get("GPRAT_FUZZ_EXAMPLES", "200")), **_COMMON
)
settings.load_profile(os.environ.get("GPRAT_FUZZ_PROFILE", "tests"))
