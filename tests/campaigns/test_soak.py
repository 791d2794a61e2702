"""The soak, in short: results don't drift, neither among threads nor in forked children."""

import subprocess
import sys

PROGRAM = """
import tempfile, warnings
from pathlib import Path
from campaigns.soak import Soak, figures

warnings.simplefilter("ignore")
with tempfile.TemporaryDirectory() as folder:
    soak = Soak(Path(folder), n=40)
    soak.run(seconds=1e9, most_rounds=9)
    soak.fork()
    found = figures(soak)
    print(soak.drifted, soak.rounds, soak.crowds, soak.forks, len(list(Path(folder).iterdir())))
    assert found["operations"] == 18 * soak.rounds
"""


def test_results_stay_the_same():
    completed = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, check=False
    )
    assert completed.returncode == 0, completed.stderr
    # 9 rounds, a crowd of 8, and one beside each of 2 forks; no file is left.
    assert completed.stdout.split() == ["0", "19", "1", "2", "0"]
