"""`mexcbot`: the command line. Also `python -m actors.cli`. Imports next to nothing at first: see `main`.

The verbs are in `cli_verbs`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from types import FrameType

from actors.foreground import become_foreground, is_launcher
from trading.adapters.stop_signals import stop_signals

# They run until a signal comes, so that it is their orderly end. Any other verb was interrupted: 128 + SIGINT.
_ENDLESS = frozenset({"up", "record", "simulator"})
_INTERRUPTED = 130


def main() -> None:
    """The console script. `up` becomes a small foreground process, which starts this program again as the launcher.

    A signal that comes while the verbs are still being imported ends the process without a word: there is nothing to
    give back yet. From then on it is the verb's.
    """
    arguments = sys.argv[1:]
    is_up = arguments[:1] == ["up"]
    if is_up and not is_launcher() and "--help" not in arguments:
        # Held back until the foreground process can pass them on.
        signal.pthread_sigmask(signal.SIG_BLOCK, stop_signals())
        become_foreground(arguments)
    is_endless = arguments[:1] != [] and arguments[0] in _ENDLESS
    _end_at_once_with(0 if is_endless else _INTERRUPTED, stop_signals() if is_endless else (signal.SIGINT,))
    from actors.cli_verbs import run

    if not is_endless:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        code = run(arguments)
    except KeyboardInterrupt:
        code = _INTERRUPTED
    # The interpreter is taken down now; a second Ctrl-C would make a traceback of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(code)


def _end_at_once_with(code: int, numbers: Iterable[signal.Signals]) -> None:
    def end(number: int, frame: FrameType | None) -> None:
        os._exit(code)

    for number in numbers:
        signal.signal(number, end)
    # The foreground process starts the launcher with these blocked, lest one come before this.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)


if __name__ == "__main__":
    main()
