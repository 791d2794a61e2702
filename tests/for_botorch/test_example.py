"""The example and the measurement run, in a small way."""

import subprocess
import sys
from pathlib import Path

from benchmarks.details import optimize_acqf

import gprat.botorch

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples/botorch/hartmann6.py"


def test_the_example_optimises_and_draws(tmp_path):
    picture = tmp_path / "regret.png"
    command = [sys.executable, EXAMPLE, "--seeds", "1", "--evaluations", "14", "--output", picture]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert completed.returncode == 0, completed.stderr
    assert "GPratModel: median regret" in completed.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_the_search_is_measured(capsys, monkeypatch):
    options = ["--n", "40", "--q", "2", "--restarts", "2", "--repetitions", "1"]
    monkeypatch.setattr(sys, "argv", ["optimize_acqf", *options])
    optimize_acqf.main()
    assert "optimize_acqf" in capsys.readouterr().out


def test_every_public_name_is_in_the_reference():
    text = (ROOT / "docs/api/botorch.md").read_text(encoding="utf-8")
    assert all(name in text.split() for name in gprat.botorch.__all__)
