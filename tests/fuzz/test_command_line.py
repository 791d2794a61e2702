"""The command line with any table and any options: an answer, or a message and a status."""

import os
import tempfile
from pathlib import Path

from hypothesis import event
from hypothesis import strategies as st
from typer.testing import CliRunner

from fuzz.journal import fuzzed
from fuzz.strategies_text import WORDS, cells
from gprat.cli.app import app

kernels = st.one_of(
    st.sampled_from(["RBF", "2.0 * Matern(nu=2.5) + WhiteKernel", "DotProduct", "RBF([1, 1])"]),
    st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join),
)
numbers = st.sampled_from(["0", "1", "2", "0.5", "-1", "1e400", "nan", "x", ""])
OPTIONS = {
    "--noise": numbers,
    "--restarts": st.sampled_from(["0", "1", "-1", "x"]),
    "--seed": numbers,
    "--max-rows": numbers,
    "--threads": numbers,
    "--mean": st.sampled_from(["zero", "constant", "linear", "cubic"]),
    "--optimizer": st.sampled_from(["none", "adam", "x"]),
    "--objective": st.sampled_from(["leave_one_out", "leave-one-out", "x"]),
    "--dtype": st.sampled_from(["float32", "float64", "float16"]),
    "--features": st.sampled_from(["a", "a,b", "y", "", ",", "c"]),
}


@st.composite
def tables(draw):
    """A header, and rows of numbers with a mishap here and there."""
    names = ["a", "b", "y"][draw(st.integers(0, 2)) :]
    if draw(st.integers(0, 5)) == 0:
        names[0] = draw(st.sampled_from(["y", "", "a b", "é", "1"]))
    width = len(names)
    number = st.floats(-9.0, 9.0, width=16).map(repr)
    cell = st.one_of(number, number, number, number, cells) if draw(st.booleans()) else number
    rows = draw(st.lists(st.lists(cell, min_size=width, max_size=width), min_size=1, max_size=8))
    return [names, *rows]


def _run(*arguments):
    result = CliRunner().invoke(app, list(arguments))
    error = result.exception
    assert error is None or isinstance(error, SystemExit), (arguments, repr(error))
    assert result.exit_code in (0, 1, 2)
    assert result.exit_code == 0 or result.stderr.strip()
    assert "Traceback" not in result.output
    return result.exit_code


@fuzzed(
    weight=0.5,
    table=tables(),
    kernel=kernels,
    options=st.fixed_dictionaries({}, optional=OPTIONS),
)
def test_any_table_and_options(table, kernel, options):
    there = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            Path("data.csv").write_text(
                "\n".join(",".join(row) for row in table), encoding="utf-8", errors="replace"
            )
            given = [entry for pair in options.items() for entry in pair]
            fit = ["fit", "data.csv", "--target", "y", "--kernel", kernel, "--out", "model.gprat"]
            status = _run(*fit, *given)
            event(f"status {status}")
            assert Path("model.gprat").exists() == (status == 0)
            if status == 0:
                _run("info", "model.gprat")
                _run("predict", "model.gprat", "data.csv", "--out", "predicted.csv")
        finally:
            os.chdir(there)
