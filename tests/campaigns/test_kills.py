"""The campaign of killed processes and disks that fail, in short."""

import subprocess
import sys

import pytest

# In a process of its own, which forks before it has threads.
PROGRAM = """
import sys, tempfile, warnings
from pathlib import Path
import numpy as np
from campaigns import kills

warnings.simplefilter("ignore")
seed = int(np.random.default_rng().integers(1 << 30))
rng = np.random.default_rng(seed)
with tempfile.TemporaryDirectory() as folder:
    result = eval(sys.argv[1], {"kills": kills, "folder": Path(folder), "rng": rng})
failures = result[-1] if isinstance(result, tuple) else result
print(result, "seed", seed)
sys.exit(bool(failures))
"""


@pytest.mark.parametrize(
    "part",
    [
        "kills.kill_saves(folder, 12, rng, 300)",
        "kills.kill_training(folder, 12, rng, 100)",
        "kills.fail_everywhere(folder, 300)",
        "kills.fill_disk()",
    ],
)
def test_nothing_is_lost(part):
    completed = subprocess.run(
        [sys.executable, "-c", PROGRAM, part],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout + completed.stderr
    if completed.stdout.startswith("None"):
        pytest.skip("no file systems may be mounted here")
