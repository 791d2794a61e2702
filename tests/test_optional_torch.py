"""PyTorch is asked for by those who use it, and by nobody else. These tests run without it."""

import subprocess
import sys


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_gprat_does_not_import_torch():
    completed = run("import sys, gprat; sys.exit('torch' in sys.modules)")
    assert completed.returncode == 0, completed.stderr


def test_without_torch_the_error_names_the_extra():
    completed = run(
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'torch':\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import gprat.torch\n"
    )
    assert completed.returncode != 0
    assert "gprat.torch needs PyTorch" in completed.stderr
    assert "pip install 'gprat[torch]'" in completed.stderr
