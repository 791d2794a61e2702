"""The example runs, in a small way."""

import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples/botorch/hartmann6.py"


def test_the_example_optimises_and_draws(tmp_path):
    picture = tmp_path / "regret.png"
    command = [sys.executable, EXAMPLE, "--seeds", "1", "--evaluations", "14", "--output", picture]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert completed.returncode == 0, completed.stderr
    assert "GPratModel: median regret" in completed.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
