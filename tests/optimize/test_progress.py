"""The line that shows how training goes."""

import contextlib
import io
import sys

import pytest
from rich.console import Console

from gprat.optimize.base import Iteration
from gprat.optimize.progress import TrainingProgress
from gprat.optimize.train import TrainingInterrupted, train
from toys import make_task, waves

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    return Terminal()


def train_on(stream, *arguments, **options):
    """Train with `stream` as the standard error stream."""
    # Not in a fixture: pytest changes the stream again before the test itself.
    with contextlib.redirect_stderr(stream):
        return train(*arguments, **options)


def iteration(number=1, loss=2.0, rows=100, start=0):
    return Iteration(number, loss, 0.5, None, None, rows, start)


def test_a_terminal_gets_a_line(terminal):
    report = train_on(terminal, make_task())
    last = terminal.getvalue().splitlines()[-2]
    for part in (
        f"iteration {report.n_iterations}:",
        f"best objective {-report.loss:.6g}",
        "|gradient|",
        f"{report.n_evaluations} evaluations",
        "100 rows",
        "0:00:00",
    ):
        assert part in last
    assert "start" not in last
    assert terminal.getvalue().count(HIDE_CURSOR) == terminal.getvalue().count(SHOW_CURSOR) == 1


def test_starts_are_numbered(terminal):
    train_on(terminal, make_task(waves, threads=1), n_restarts=2, random_state=0)
    assert "start 3/3, iteration" in terminal.getvalue()


def test_nothing_is_shown_unless_wanted(terminal, capsys):
    train_on(terminal, make_task(), progress=False)
    assert terminal.getvalue() == ""
    stream = io.StringIO()
    train_on(stream, make_task())
    assert stream.getvalue() == ""
    train_on(stream, make_task(), progress=True)
    assert "best objective" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    assert capsys.readouterr().out == ""


def test_a_process_without_a_console_trains(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    monkeypatch.setattr(sys, "stdout", None)
    assert train(make_task()).success


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError, SystemExit])
@pytest.mark.parametrize("threads", [1, 4])
def test_the_line_is_finished_whatever_happens(terminal, error, threads):
    def callback(iteration):
        raise error

    streams = sys.stdout, sys.stderr
    with pytest.raises(TrainingInterrupted):
        train_on(terminal, make_task(waves, threads=threads), n_restarts=3, callback=callback)
    assert terminal.getvalue().endswith(("\n", SHOW_CURSOR))
    assert terminal.getvalue().count(HIDE_CURSOR) == terminal.getvalue().count(SHOW_CURSOR) == 1
    assert (sys.stdout, sys.stderr) == streams


def test_training_survives_a_terminal_that_goes_away(terminal):
    def close(iteration):
        terminal.close()

    assert train_on(terminal, make_task(), callback=close).success


def test_what_a_callback_prints_goes_where_it_went(terminal, capsys):
    tell = lambda iteration: print("seen", iteration.iteration)  # noqa: E731
    train_on(terminal, make_task(), callback=tell)
    assert capsys.readouterr().out.startswith("seen 1\nseen 2\n")


def test_the_best_objective_is_that_of_the_same_rows():
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=120)
    with TrainingProgress(True, 2, console) as progress:
        progress.show(iteration(loss=5.0, rows=10), 1)
        progress.show(iteration(loss=50.0, rows=100), 2)
        progress.show(iteration(loss=60.0, rows=100, start=1), 3)
    assert "start 2/2, iteration 1: best objective -50," in stream.getvalue().splitlines()[-2]


def test_a_narrow_terminal_keeps_one_line():
    stream = io.StringIO()
    with TrainingProgress(True, 1, Console(file=stream, force_terminal=True, width=30)) as progress:
        progress.show(iteration(), 1)
    assert len(stream.getvalue().replace(HIDE_CURSOR, "").strip().split("\n")) <= 2
