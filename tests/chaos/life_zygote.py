"""Gives birth to lives: all is imported once, and each plan that comes by stdin is lived by a fork of this process.

`python -m tests.chaos.life_zygote`. For each line of stdin (a `LifePlan` as JSON) two lines go to stdout: the child's
pid, and how it ended: an exit code, or minus the signal. Ends when stdin does.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import traceback

import structlog

from tests.chaos.executor_life import CRASHED, LifeLog, LifePlan, live

FAILED = 1


def main() -> None:
    """Serve plans until stdin ends."""
    # stdout speaks the protocol above; what a dying executor logs by the hundred is wanted only when one looks for it.
    level = 20 if os.environ.get("MEXCBOT_CHAOS_LOG") else 50
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    for line in sys.stdin:
        values = json.loads(line)
        plan = LifePlan(**{**values, "faults": tuple(values["faults"])})
        pid = os.fork()
        if pid == 0:
            os._exit(_lived(plan))
        print(json.dumps({"pid": pid}), flush=True)
        _, status = os.waitpid(pid, 0)
        print(json.dumps({"ended": os.waitstatus_to_exitcode(status)}), flush=True)


def _lived(plan: LifePlan) -> int:
    try:
        return asyncio.run(live(plan))
    except Exception:  # noqa: BLE001  # a fork must not return into the loop above, whatever happened in it
        LifeLog(plan.log).write(failed=traceback.format_exc())
        return FAILED


assert FAILED != CRASHED

if __name__ == "__main__":
    main()
