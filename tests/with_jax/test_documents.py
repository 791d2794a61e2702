"""The page about JAX and the example run, and every public name is in the reference."""

import subprocess
import sys

import gprat.jax
from test_documents import DOCS, PAGES, ROOT, run, snippets


def test_examples_of_the_page_run(tmp_path, monkeypatch):
    script = tmp_path / "page.py"
    script.write_text("\n".join(snippets(PAGES["jax"])), encoding="utf-8")
    names = run(script, tmp_path, monkeypatch)
    # Training has found out that there is less noise than it was told.
    assert 0.003 < names["np"].exp(names["parameters"][1]) < 0.05


def test_every_public_name_is_in_the_reference():
    reference = (DOCS / "api/jax.md").read_text(encoding="utf-8")
    shown = {line.strip() for line in reference.splitlines()}
    assert set(gprat.jax.__all__) <= shown


def test_the_example_runs(tmp_path):
    picture = tmp_path / "nuts.png"
    completed = subprocess.run(
        [sys.executable, ROOT / "examples/jax/nuts.py", "--quick", "--output", picture],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    assert "most likely" in completed.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")
