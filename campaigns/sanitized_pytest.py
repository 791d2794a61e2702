"""pytest, with an extension that was built with sanitizers in place of the installed one."""

from __future__ import annotations

import importlib.util
import os
import sys

import pytest


def main() -> int:
    """Load the extension as ``gprat._core`` before anything imports the other, and run tests."""
    path = os.environ["GPRAT_SANITIZED_EXTENSION"]
    specification = importlib.util.spec_from_file_location("gprat._core", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["gprat._core"] = module
    specification.loader.exec_module(module)
    return int(pytest.main(sys.argv[1:]))


if __name__ == "__main__":
    sys.exit(main())
