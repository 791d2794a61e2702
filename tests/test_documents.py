"""What README, documentation and gallery show runs; nothing public is left out."""

import importlib
import re
import runpy
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from gprat.exceptions import JitterWarning

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = {
    path.relative_to(DOCS).with_suffix("").as_posix(): path
    for path in sorted(DOCS.rglob("*.md"))
    if "generated" not in path.parts and "gallery" not in path.parts
}
# What a page's examples need beyond what the tests have.
NEEDS = {"torch": "torch", "botorch": "botorch"}
# Pages whose examples run where JAX does: in a process of their own.
ELSEWHERE = {"jax"}
SCRIPTS = {path.stem: path for path in sorted((ROOT / "examples/gallery").glob("plot_*.py"))}
PUBLIC_MODULES = (
    "gprat",
    "gprat.batch",
    "gprat.calibration",
    "gprat.datasets",
    "gprat.diagnostics",
    "gprat.differentiation",
    "gprat.exceptions",
    "gprat.kernels",
    "gprat.means",
    "gprat.plotting",
    "gprat.runtime",
    "gprat.simulation",
)


def snippets(path, language="python"):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def run(path, folder, monkeypatch):
    """Run a script in a folder of its own, with pictures drawn but not shown."""
    matplotlib = importlib.import_module("matplotlib")
    pyplot = importlib.import_module("matplotlib.pyplot")
    monkeypatch.chdir(folder)
    matplotlib.use("Agg")
    try:
        with warnings.catch_warnings():
            # Whether samples of smooth functions need jitter is a matter of rounding.
            warnings.simplefilter("ignore", JitterWarning)
            return runpy.run_path(str(path))
    finally:
        pyplot.close("all")


@pytest.mark.parametrize("snippet", snippets(ROOT / "README.md"))
def test_snippets_of_the_readme_run(snippet, tmp_path):
    script = tmp_path / "snippet.py"
    script.write_text(snippet)
    names = runpy.run_path(str(script))
    # The snippet learns sin(x₁)·cos(x₂) from noisy values.
    assert names["mean"][0] == pytest.approx(0.4207, abs=0.05)
    assert 0 < names["std"][0] < 0.1


@pytest.mark.parametrize(
    "page", [page for page, path in PAGES.items() if snippets(path) and page not in ELSEWHERE]
)
def test_examples_of_the_documentation_run(page, tmp_path, monkeypatch):
    if page in NEEDS:
        pytest.importorskip(NEEDS[page])
    script = tmp_path / "page.py"
    script.write_text("\n".join(snippets(PAGES[page])), encoding="utf-8")
    run(script, tmp_path, monkeypatch)


def test_commands_of_the_documentation_run(tmp_path, monkeypatch):
    pytest.importorskip("typer")
    from typer.testing import CliRunner

    from gprat.cli.app import app

    page = PAGES["saving"]
    script = tmp_path / "page.py"
    script.write_text("\n".join(snippets(page)), encoding="utf-8")
    run(script, tmp_path, monkeypatch)
    commands = [line for block in snippets(page, "sh") for line in block.splitlines()]
    assert commands
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "gprat"
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
    predictions = (tmp_path / "predictions.csv").read_text().splitlines()
    assert len(predictions) == len((tmp_path / "data.csv").read_text().splitlines())


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_gallery_runs(script, tmp_path, monkeypatch):
    pyplot = importlib.import_module("matplotlib.pyplot")
    figures = []
    monkeypatch.setattr(pyplot, "show", lambda: figures.extend(pyplot.get_fignums()))
    run(SCRIPTS[script], tmp_path, monkeypatch)
    assert figures, "an example of the gallery shows a picture"


@pytest.mark.parametrize("module", PUBLIC_MODULES)
def test_every_public_name_is_in_the_reference(module):
    reference = " ".join(path.read_text(encoding="utf-8") for path in (DOCS / "api").glob("*.md"))
    public = importlib.import_module(module).__all__
    shown = {name.rpartition(".")[2] for name in re.findall(r"[\w.]+", reference)}
    assert set(public) - {"__version__"} <= shown


@pytest.mark.parametrize("path", [ROOT / "README.md", *PAGES.values()], ids=lambda path: path.stem)
def test_files_that_documents_point_to_exist(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    for target in targets:
        # Sphinx makes the gallery's pages out of its scripts.
        assert (path.parent / target).is_file() or target.startswith("gallery/"), target


def test_the_readme_has_pictures():
    assert re.findall(r"!\[.*?\]\(docs/images/.*?\)", (ROOT / "README.md").read_text())


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
