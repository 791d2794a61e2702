"""Sanitizers find what is planted, and nothing in the stress program."""

import secrets

import pytest
from campaigns.sanitize import sanitize


@pytest.mark.parametrize("sanitizers", ["thread", "address,undefined"])
def test_stress_is_clean(sanitizers):
    seed = secrets.randbelow(1 << 40)
    address = "address" in sanitizers
    figures = sanitize(
        sanitizers,
        seed,
        tests=["test_inspector", "test_task_graph", "test_threads", "test_visits"],
        stress=["--rounds", "8"],
        faults=["--rows", "180", "--step", "97"] if address else [],
    )
    assert figures["stress"]["rounds"] == 8
    assert figures["stress"]["operations"] > 0
    if address:
        assert figures["faults"]["faults"] > 0
        assert figures["faults"]["leaked"] == 0
