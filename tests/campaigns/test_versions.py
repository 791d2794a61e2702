"""What pyproject.toml says of versions is whole, and is read as it's meant."""

import tomllib
from importlib import metadata

import pytest
from campaigns.environments import ROOT
from campaigns.versions import lower_bounds
from packaging.utils import canonicalize_name
from packaging.version import Version

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_installed_versions_are_allowed():
    bounds = lower_bounds(PROJECT)
    required = {"numpy", "scipy", "scikit-learn", "rich", "nanobind", "tbb-devel", "pytest"}
    assert required <= set(bounds)
    installed = {canonicalize_name(found.name) for found in metadata.distributions()}
    assert required <= installed
    # Libraries of extras may be missing.
    for name in installed & set(bounds):
        assert Version(metadata.version(name)) >= Version(bounds[name])


def project(*dependencies, build=("tool>=1",)):
    """A parsed pyproject.toml of little."""
    return {
        "build-system": {"requires": list(build)},
        "project": {
            "name": "some.thing",
            "dependencies": list(dependencies),
            "optional-dependencies": {"all": ["some-thing[more]"], "more": ["Other_Name ~= 2.3"]},
        },
        "dependency-groups": {
            "build": ["tool>=1"],
            "demo": [],
            "cluster": [],
            "jax": [],
            "test": [{"include-group": "build"}, "tester>=5,!=5.1"],
        },
    }


def test_bounds_of_all_that_is_required():
    bounds = lower_bounds(project("first>=1.2,<2", "second[extra]==3.4"))
    assert bounds == {
        "tool": "1",
        "first": "1.2",
        "second": "3.4",
        "other-name": "2.3",
        "tester": "5",
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (project("first"), "expected one lower bound of first"),
        (project("first<2"), "expected one lower bound of first"),
        (project("first>=1,>=2"), "expected one lower bound of first"),
        (project(build=("tool>=2",)), "tool has the bounds 2 and 1"),
    ],
)
def test_missing_and_contradicting_bounds_are_refused(wrong, message):
    with pytest.raises(SystemExit, match=message):
        lower_bounds(wrong)
