"""What the command line says when something goes wrong: one readable block, never a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import typer

from gprat.exceptions import InsufficientMemoryError

__all__ = ["failures"]

_FAILED, _INTERRUPTED = 1, 130


@contextmanager
def failures() -> Iterator[None]:
    """Turn what users can mend into a message and an exit code."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("\ngprat: interrupted; no file was written.", err=True)
        raise typer.Exit(_INTERRUPTED) from None
    except BrokenPipeError:
        # Who reads, such as head, has seen enough; Python would complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_FAILED) from None
    except InsufficientMemoryError as error:
        # It says what would fit.
        _say(str(error))
        raise typer.Exit(_FAILED) from None
    except MemoryError:
        _say("the memory does not suffice. See gprat plan, or use --max-rows or --dtype float32.")
        raise typer.Exit(_FAILED) from None
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        _say(f"{where}{error.strerror or error}")
        raise typer.Exit(_FAILED) from None
    # GpratError is always one of these too; so is what scikit-learn and pandas raise.
    except (ValueError, TypeError, ImportError) as error:
        _say(str(error))
        raise typer.Exit(_FAILED) from None


def _say(message: str) -> None:
    typer.echo(f"gprat: {message}", err=True)
