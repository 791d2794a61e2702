"""pytest, with an extension that was built with sanitizers in place of the installed one.

Prints last, as JSON, how many tests passed.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys

import pytest


class _Counter:
    passed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.passed += report.when == "call" and report.passed


def main() -> int:
    """Load the extension as ``gprat._core`` before anything imports the other, and run tests."""
    path = os.environ["GPRAT_SANITIZED_EXTENSION"]
    specification = importlib.util.spec_from_file_location("gprat._core", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules["gprat._core"] = module
    specification.loader.exec_module(module)
    counter = _Counter()
    status = int(pytest.main(sys.argv[1:], plugins=[counter]))
    print(json.dumps({"passed": counter.passed}))
    return status


if __name__ == "__main__":
    sys.exit(main())
