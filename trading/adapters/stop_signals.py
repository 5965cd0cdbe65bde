"""The signals that end our long-running programs in order. Imports the standard library only."""

from __future__ import annotations

import signal
import sys


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return SIGINT, SIGTERM and SIGHUP, lowest number first; SIGHUP only when our starter does not ignore it.

    Who starts us with nohup wants us to outlive the terminal. SIGINT is heard even where it was ignored: a shell script
    starts its background jobs so, and then stops them by `kill -INT`.
    """
    if sys.platform != "win32" and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        return signal.SIGHUP, signal.SIGINT, signal.SIGTERM
    return signal.SIGINT, signal.SIGTERM
