"""Warnings that BoTorch and GPyTorch give on purpose, and that are theirs."""

import warnings

import pytest


@pytest.fixture(autouse=True)
def their_warnings():
    """Let them warn of single precision, of what they add to a diagonal, and of a new attempt."""
    from botorch.exceptions.warnings import BotorchWarning
    from linear_operator.utils.warnings import NumericalWarning

    warnings.simplefilter("ignore", BotorchWarning)
    warnings.simplefilter("ignore", NumericalWarning)
    warnings.filterwarnings("ignore", "Optimization failed", RuntimeWarning)
