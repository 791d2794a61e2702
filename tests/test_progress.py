"""A long computation shows how far it is: truly, alone, and without traces."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest

import gprat
from gprat import _progress
from gprat._core import runtime as core_runtime
from gprat._costs import Operation
from gprat.engines import calls
from gprat.engines.base import Derivatives
from gprat.engines.calls import Call
from gprat.exceptions import UnsupportedTypeError
from gprat.kernels import RBF

N, M = 700, 260
NOTHING, ONES = np.empty((M, 0)), np.ones((M, 1, 1))


def pull_back(gp, points, by_covariance, wanted):
    """Let derivatives flow back from predictions."""
    return gp._posterior_at().pull_back(points, NOTHING, ONES[:, 0], by_covariance, wanted)


CALLS = {
    Operation.FACTOR: lambda gp, points: gp.log_marginal_likelihood(),
    Operation.PREDICT: lambda gp, points: gp.predict(points),
    Operation.VARIANCE: lambda gp, points: gp.predict_with_uncertainty(points),
    Operation.COVARIANCE: lambda gp, points: gp.predict_with_full_cov(points),
    Operation.PREDICT_GRADIENT: lambda gp, points: gp.predict_gradient(points),
    Operation.JOINT: lambda gp, points: gp._posterior_at().predict_joint(points, NOTHING, 20),
    Operation.PULL_BACK: lambda gp, points: pull_back(gp, points, ONES, ~Derivatives(0)),
    Operation.PULL_BACK_IN_BLOCKS: lambda gp, points: pull_back(
        gp, points, ONES, Derivatives.TEST_INPUTS
    ),
    Operation.PULL_BACK_MEAN: lambda gp, points: pull_back(gp, points, None, ~Derivatives(0)),
    Operation.LEAVE_ONE_OUT: lambda gp, points: gp._posterior_at().inverse_diagonal(),
    Operation.SOLVE: lambda gp, points: gp.solve(np.ones((N, M))),
    Operation.PRODUCT: lambda gp, points: gp._engine.multiply_covariance(
        gp._problem(gp._hyperparameters), np.ones((N, M))
    ),
    Operation.DENSE_FACTOR: lambda gp, points: gp.cholesky(),
    Operation.FIT: lambda gp, points: gp.log_marginal_likelihood(eval_gradient=True),
    Operation.FIT_WITH_INPUTS: lambda gp, points: gp.input_gradient(),
    Operation.LEAVE_ONE_OUT_FIT: lambda gp, points: gp.loo_log_density(eval_gradient=True),
    Operation.APPEND: lambda gp, points: gp.append(points, np.zeros(M)),
    Operation.DELETE: lambda gp, points: gp.delete(range(9, 19)),
}
FITS = (Operation.FIT, Operation.FIT_WITH_INPUTS, Operation.LEAVE_ONE_OUT_FIT)


@pytest.fixture
def model(rng):
    """A model, and points to predict at."""
    X, points = rng.uniform(-3, 3, size=(N, 2)), rng.uniform(-3, 3, size=(M, 2))
    return gprat.GP(X, np.sin(X[:, 0]), RBF(), noise=0.1, tile_size=48), points


@pytest.fixture
def impatient(monkeypatch):
    """Let every call count as a long one."""
    monkeypatch.setattr(_progress, "_PATIENCE", 0.0)
    monkeypatch.setattr(_progress, "_INTERVAL", 0.0)
    monkeypatch.setattr(calls, "_LONG", 1.0)


class Terminal(io.StringIO):
    """Keeps what would have been seen."""

    def isatty(self):
        return True


@pytest.mark.parametrize("has_factor", [False, True])
@pytest.mark.parametrize("operation", CALLS, ids=str)
def test_total_is_what_is_done(operation, has_factor, model):
    gp, points = model
    if has_factor or operation in (Operation.APPEND, Operation.DELETE):
        gp.predict(points)
        has_factor = operation not in FITS
    told = []
    core_runtime.set_progress_listener(lambda *done: told.append(done))
    try:
        CALLS[operation](gp, points)
    finally:
        core_runtime.set_progress_listener(None)
    m = {Operation.DELETE: 10}.get(operation, M)
    call = Call(gp._problem(gp._hyperparameters), operation, m, has_factor)
    flops, pairs = call.labelled()
    done = told[-1]
    if flops + pairs:
        # As a bar would count them.
        assert done[0] + 150.0 * done[1] == pytest.approx(flops + 150.0 * pairs, rel=0.1)
    # Several graphs of one call begin anew, each goes on only.
    assert all(value >= 0.0 for step in told for value in step)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["mean", "gradient"])
def test_bar_is_shown_when_asked_for(name, threads, model, impatient, capsys):
    gp, points = model
    gp = gprat.GP(gp.X, gp.y, threads=threads, tile_size=48)
    with gprat.runtime.progress(True):
        if name == "mean":
            gp.predict(points)
        else:
            gp.log_marginal_likelihood(eval_gradient=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    title = "means" if name == "mean" else "likelihood and gradient"
    assert f"{title}, n = 700" in shown.err
    assert "100%" in shown.err


def test_bar_is_for_terminals_unless_asked_for(model, impatient, capsys, monkeypatch):
    gp, points = model
    gp.predict(points)
    assert capsys.readouterr().err == ""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with gprat.runtime.progress(False):
        gprat.GP(gp.X, gp.y).predict(points)
    assert terminal.getvalue() == ""
    gprat.GP(gp.X, gp.y).predict(points)
    assert "means, n = 700" in terminal.getvalue()


def test_short_calls_show_nothing(model, capsys):
    gp, points = model
    with gprat.runtime.progress(True):
        gp.predict(points)
        gp.log_marginal_likelihood(eval_gradient=True)
    assert capsys.readouterr().err == ""


def test_calls_that_might_be_long_show_nothing_within_a_second(model, capsys, monkeypatch):
    monkeypatch.setattr(calls, "_LONG", 1.0)
    monkeypatch.setattr(_progress, "_PATIENCE", 3600.0)
    gp, points = model
    with gprat.runtime.progress(True):
        gp.predict(points)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("progress", [True, False])
def test_training_has_one_line_and_no_bars(progress, model, impatient, capsys):
    gp, points = model
    other = gprat.GP(gp.X, gp.y, tile_size=48)
    with gprat.runtime.progress(True):
        gp.optimize(
            max_iter=2,
            n_restarts=1,
            random_state=0,
            progress=progress,
            callback=lambda _: other.predict(points).sum() is None,
        )
        shown = capsys.readouterr().err.split("norm")[0]
        assert "means" not in shown
        assert "likelihood and gradient" not in shown
        assert ("iteration" in shown) == progress
        other.predict(points)
    assert "means" in capsys.readouterr().err, "after training there are bars again"


def test_one_bar_at_a_time(model, impatient, capsys):
    gp, points = model
    with gprat.runtime.progress(True), _progress._one_at_a_time:
        gp.predict(points)
    assert capsys.readouterr().err == ""


def test_what_a_kernel_computes_is_no_progress_of_the_call(model, impatient, capsys):
    inner, points = model

    class Nested(RBF):
        def __call__(self, X, Y=None, eval_gradient=False):
            inner.predict(points)
            return super().__call__(X, Y, eval_gradient)

    told = []
    core_runtime.set_progress_listener(lambda *done: told.append(done))
    try:
        gprat.GP(points, points[:, 0], Nested(), tile_size=100, threads=1).predict(points[:10])
    finally:
        core_runtime.set_progress_listener(None)
    flops, _ = Call(inner._problem(inner._hyperparameters), Operation.PREDICT, M).labelled()
    assert max(done[0] for done in told) < flops


def test_command_line_shows_its_own(model, impatient, tmp_path, monkeypatch):
    pytest.importorskip("typer")
    from typer.testing import CliRunner

    from gprat.cli.app import app

    gp, points = model
    gp.save(tmp_path / "model.gprat")
    np.savetxt(tmp_path / "points.csv", points, delimiter=",", header="x0,x1", comments="")
    arguments = [
        "predict",
        "model.gprat",
        "points.csv",
        "--out",
        "predictions.csv",
        "--features",
        "x0,x1",
    ]
    monkeypatch.chdir(tmp_path)
    with gprat.runtime.progress(True):
        result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "n = 700" not in result.output


@pytest.mark.parametrize("threads", [1, 2])
def test_error_while_showing_ends_the_call(threads, model, impatient, monkeypatch, capsys):
    gp, points = model

    def interrupt(self, flops, pairs):
        raise KeyboardInterrupt

    monkeypatch.setattr(_progress._CoreBar, "_listen", interrupt)
    gp = gprat.GP(gp.X, gp.y, threads=threads, tile_size=48)
    with gprat.runtime.progress(True):
        with pytest.raises(KeyboardInterrupt):
            gp.predict(points)
        monkeypatch.undo()
        assert np.isfinite(gp.predict(points)).all()
    assert _progress._one_at_a_time.acquire(blocking=False)
    _progress._one_at_a_time.release()


def test_closed_terminal_is_no_error(model, impatient, monkeypatch):
    gp, points = model

    class Gone(Terminal):
        def write(self, text):
            raise BrokenPipeError

        def flush(self):
            raise BrokenPipeError

    monkeypatch.setattr(sys, "stderr", Gone())
    assert np.isfinite(gp.predict(points)).all()


def test_setting_ends_with_the_block():
    assert _progress.get_wanted() is None
    with gprat.runtime.progress(True):
        assert _progress.get_wanted() is True
        with gprat.runtime.progress(False):
            assert _progress.get_wanted() is False
        assert _progress.get_wanted() is True
    assert _progress.get_wanted() is None
    gprat.runtime.progress(False)
    assert _progress.get_wanted() is False
    gprat.runtime.progress(None)
    assert _progress.get_wanted() is None


@pytest.mark.parametrize("wanted", [1, "yes", []])
def test_bad_settings_are_refused(wanted):
    with pytest.raises(UnsupportedTypeError, match="True, False or None"):
        gprat.runtime.progress(wanted)
    assert _progress.get_wanted() is None


INTERRUPTED = """
import signal, sys
import numpy as np, gprat
from gprat import _progress
signal.signal(signal.SIGINT, signal.default_int_handler)
_progress._PATIENCE = _progress._INTERVAL = 0.0
X = np.random.default_rng(0).uniform(-3, 3, (20_000, 2))
try:
    gprat.GP(X, X[:, 0]).log_marginal_likelihood(eval_gradient=True)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs pseudo-terminals")
def test_interruption_leaves_a_clean_terminal():
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "100"},
        text=True,
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while b"%" not in shown:
                shown += os.read(ours, 4096)
            process.send_signal(2)
            while True:
                shown += os.read(ours, 4096)
        except OSError:  # how the end of a pseudo-terminal is told
            pass
        os.close(ours)
        assert process.communicate(timeout=60)[0].split() == ["interrupted"]
    text = shown.decode()
    assert "likelihood and gradient, n = 20,000" in text
    hidden, visible, erased = (text.rfind(code) for code in ("\x1b[?25l", "\x1b[?25h", "\x1b[2K"))
    assert visible > hidden, "the cursor is back"
    assert erased > text.rfind("%"), "the bar is gone"
    assert "Traceback" not in text
