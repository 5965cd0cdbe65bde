"""`python -m simulator`: reads the flags and runs the service. Next to nothing is imported before signals are heard."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from trading.adapters.stop_signals import stop_signals


def main(arguments: list[str]) -> int:
    """Run the simulator with these flags. Returns the exit code. Call it on the main thread."""
    from simulator.flags import UsageError, read_settings
    from simulator.service import EXIT_USAGE, run

    try:
        settings = read_settings(arguments)
    except UsageError as error:
        sys.stderr.write(f"simulator: {error}\n")
        return EXIT_USAGE
    return run(settings)


def _end(number: int, frame: FrameType | None) -> None:
    """End with 0 while the service is still being imported: there is nothing to give back yet."""
    os._exit(0)


if __name__ == "__main__":
    for signum in stop_signals():
        signal.signal(signum, _end)
    exit_code = main(sys.argv[1:])
    # The interpreter is taken down now; a second signal would make a traceback of it.
    for signum in stop_signals():
        signal.signal(signum, signal.SIG_IGN)
    sys.exit(exit_code)
