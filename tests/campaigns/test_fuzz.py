"""The campaign of random inputs sees failures, crashes and hangs, and names the last input."""

import sys

import pytest
from campaigns.fuzz import main, read_journal, run_watched

TRY = """
import os, pathlib, signal, sys, time
pathlib.Path(os.environ["GPRAT_FUZZ_JOURNAL"]).write_text("one 3\\ntwo 4\\n\\n'the last'")
"""


@pytest.mark.parametrize(
    ("then", "verdict"),
    [
        ("sys.exit(0)", "passed"),
        ("sys.exit(1)", "failed"),
        ("sys.exit(4)", "exit status 4"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "crash: SIGKILL"),
        ("time.sleep(600)", "hang"),
    ],
)
def test_verdicts(tmp_path, then, verdict):
    found = run_watched([sys.executable, "-c", TRY + then], tmp_path / "journal", stall=1.0)
    assert found.verdict == verdict
    assert found.is_good == (verdict == "passed")
    assert found.last == "'the last'"
    assert found.inputs == {"one": 3, "two": 4}


def test_nothing_was_tried(tmp_path):
    counts, last = read_journal(tmp_path / "journal")
    assert counts.total() == 0
    assert last == ""


def test_a_defect_is_found_and_the_status_says_so(tmp_path, capsys):
    (tmp_path / "test_defect.py").write_text("def test_defect():\n    assert 1 + 1 == 3\n")
    status = main(["--seconds=0", "--seed=7", str(tmp_path / "test_defect.py")])
    assert status == 1
    shown = capsys.readouterr().out
    assert "seed 7: failed" in shown
    assert "1 rounds found something" in shown
