"""Warnings that BoTorch and GPyTorch give on purpose, and that are theirs."""

import warnings

import pytest


@pytest.fixture(autouse=True)
def their_warnings():
    """Let them warn of single precision, and of what they add to a diagonal."""
    from botorch.exceptions.warnings import BotorchWarning
    from linear_operator.utils.warnings import NumericalWarning

    warnings.simplefilter("ignore", BotorchWarning)
    warnings.simplefilter("ignore", NumericalWarning)
