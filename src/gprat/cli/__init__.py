"""The command line ``gprat``: fit, predict, plan and info.

`app` has the commands and their options; `fitting`, `predicting` and `describing` do the work of
one each, and return what they found as a dictionary; `showing` prints it, `failing` says what went
wrong. It needs the extra ``cli``.
"""

from __future__ import annotations

import sys

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> None:
    """Run the command line.

    Raises
    ------
    SystemExit
        With 0 if all went well, 1 if the data or the model can't be used, 2 if the command was
        wrong, 130 after Ctrl-C.
    """
    try:
        from gprat.cli.app import app
    except ImportError as error:
        if error.name not in ("typer", "click"):
            raise
        sys.exit("gprat: the command line needs typer. Install it with: pip install 'gprat[cli]'")
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)
    app(prog_name="gprat")
