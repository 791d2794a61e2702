"""The campaign of Ctrl-C, in short: each case once, in a terminal."""

import os

import numpy as np
import pytest
from campaigns.interruptible import CASES
from campaigns.interrupts import Terminal, interrupt


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a terminal of its own")
def test_every_case_survives_an_interruption(monkeypatch):
    monkeypatch.setenv("GPRAT_NUM_THREADS", "2")
    seed = int(np.random.default_rng().integers(1 << 30))
    way = Terminal(400)
    try:
        counts, wrong = interrupt(way, len(CASES), np.random.default_rng(seed))
    finally:
        way.close()
    assert not wrong, f"seed {seed}: {wrong}"
    assert counts.total() == len(CASES)
