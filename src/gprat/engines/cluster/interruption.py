"""Ctrl-C that must not be lost."""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

__all__ = ["interruptions_kept"]

# Seconds after which Python is done with the object.
_SOON = 0.01


@contextmanager
def interruptions_kept() -> Iterator[None]:
    """Deliver Ctrl-C once more where it comes in the midst of what is done when an object dies.

    Python drops exceptions there, and this one too; but Dask's futures, of which a call has
    hundreds, tell their client that they die.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    hook = sys.unraisablehook

    def deliver(unraisable: UnraisableHookArgs) -> None:
        if issubclass(unraisable.exc_type, KeyboardInterrupt):
            threading.Timer(_SOON, _interrupt).start()
        else:
            hook(unraisable)

    sys.unraisablehook = deliver
    try:
        yield
    finally:
        sys.unraisablehook = hook


def _interrupt() -> None:
    main = threading.main_thread().ident
    if sys.platform == "win32" or main is None:
        _thread.interrupt_main()
    else:
        # A signal wakes a thread that waits.
        signal.pthread_kill(main, signal.SIGINT)
