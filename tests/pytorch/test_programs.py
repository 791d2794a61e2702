"""The example draws its picture; the measurements measure, and check that results agree."""

import importlib
import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

import gprat.torch

ROOT = Path(__file__).parents[2]


def run(monkeypatch, script, *arguments):
    monkeypatch.setattr(sys, "argv", [str(script), *map(str, arguments)])
    runpy.run_path(str(script), run_name="__main__")


def test_the_example_draws(tmp_path, monkeypatch, capsys):
    picture = tmp_path / "picture.png"
    run(monkeypatch, ROOT / "examples/torch/deep_kernel.py", "--quick", "--output", picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "RBF of learned features: RMSE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "options"),
    [("deep_kernel", ["--n", "96"]), ("acquisition", ["--n", "64", "--q", "3"])],
)
def test_measurements_run(name, options, tmp_path, monkeypatch):
    pytest.importorskip("gpytorch")
    monkeypatch.chdir(ROOT)
    threads = torch.get_num_threads()
    module = importlib.import_module(f"benchmarks.details.{name}")
    record = tmp_path / "record.json"
    monkeypatch.setattr(sys, "argv", [name, *options, "--repeats", "2", "--json", str(record)])
    try:
        module.main()
    finally:
        torch.set_num_threads(threads)
    assert json.loads(record.read_text())


def test_measurements_refuse_what_does_not_agree():
    pytest.importorskip("gpytorch")
    module = importlib.import_module("benchmarks.details.gpytorch_models")
    with pytest.raises(RuntimeError, match="differ"):
        module.check_agreement([torch.ones(3)], [torch.ones(3) + 1e-6])


def test_every_public_name_is_in_the_reference():
    text = (ROOT / "docs/api/torch.md").read_text(encoding="utf-8")
    assert all(name in text.split() for name in gprat.torch.__all__)
