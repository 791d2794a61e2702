"""Pictures are drawn without a screen, closed after each test, and leave no trace."""

import matplotlib as mpl
import pytest

mpl.use("Agg")
from matplotlib import pyplot as plt


@pytest.fixture(autouse=True)
def clean_pictures(monkeypatch):
    """Close the figures; nothing may be shown, and no setting of matplotlib may change."""
    monkeypatch.setattr(plt, "show", lambda *_, **__: pytest.fail("a picture was shown"))
    settings = dict(mpl.rcParams)
    yield
    plt.close("all")
    assert dict(mpl.rcParams) == settings
