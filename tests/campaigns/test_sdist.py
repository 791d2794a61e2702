"""The source distribution has what is under version control, and is the same file every time."""

import importlib.util
import shutil

import pytest
from campaigns.environments import ROOT
from campaigns.sdist import build, clone, differences

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="needs git"),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not under version control"),
    pytest.mark.skipif(
        importlib.util.find_spec("scikit_build_core") is None, reason="needs scikit-build-core"
    ),
]


def test_builds_are_the_same_and_complete(tmp_path):
    source = clone(tmp_path / "clone")
    archive = build(source, tmp_path / "first")
    again = build(clone(tmp_path / "private", umask=0o077), tmp_path / "second")
    assert archive.read_bytes() == again.read_bytes()
    assert differences(archive, source) == (set(), set())


def test_files_too_many_and_missing_are_found(tmp_path):
    source = clone(tmp_path / "clone")
    (source / "notes.txt").write_text("private")
    (source / "Makefile").unlink()
    assert differences(build(source, tmp_path / "built"), source) == ({"Makefile"}, {"notes.txt"})
