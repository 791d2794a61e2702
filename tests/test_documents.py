"""What README and documentation show runs, and so does the demo."""

import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    "snippet", re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
)
def test_snippets_of_the_readme_run(snippet, tmp_path):
    script = tmp_path / "snippet.py"
    script.write_text(snippet)
    names = runpy.run_path(str(script))
    # The snippet learns sin(x₁)·cos(x₂) from noisy values.
    assert names["mean"][0] == pytest.approx(0.4207, abs=0.05)
    assert 0 < names["variance"][0] < 0.01


@pytest.mark.parametrize("page", ["training", "kernels"])
def test_examples_of_the_documentation_run(page, tmp_path):
    text = (ROOT / f"docs/{page}.md").read_text()
    script = tmp_path / "page.py"
    script.write_text("\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)))
    names = runpy.run_path(str(script))
    assert names["gp"].training_.success


def test_pictures_of_the_readme_exist():
    pictures = re.findall(r"!\[.*?\]\((.*?)\)", (ROOT / "README.md").read_text())
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).is_file()


def test_the_demo_runs(tmp_path):
    completed = subprocess.run(
        [sys.executable, ROOT / "examples/demo.py", "--quick", "--output", tmp_path],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert completed.returncode == 0, completed.stderr
    assert "coverage of the 95 % band" in completed.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"co2.png", "mass_spring_damper.png"}
