"""Hostile files, in short: real ones with random changes, sealed again with a digest that fits."""

import numpy as np
import pytest
from campaigns.fuzz_loaders import fuzz_at_random
from campaigns.loader_targets import TARGETS

# Of which some must be accepted, else nothing behind the first checks was tried.
COUNTS = {"models": 800, "checkpoints": 400, "calibrations": 300}


@pytest.fixture(scope="module", params=TARGETS)
def name(request):
    """What is read."""
    return request.param


@pytest.mark.filterwarnings("ignore")
def test_changed_files_are_loaded_or_refused(name):
    target = TARGETS[name]()
    assert all(target.test(seed) for seed in target.seeds)
    seed = int(np.random.default_rng().integers(1 << 30))
    counts = fuzz_at_random(target, seed, COUNTS[name])
    assert counts.total() == COUNTS[name]
    assert min(counts["accepted"], counts["refused"]) > 0, counts
