"""Ray's environment, set before Ray is imported, which reads its authentication mode at once. Standard library only."""

from __future__ import annotations

import os
from pathlib import Path


def prepare(token_path: Path | None) -> None:
    """Set Ray's environment for this process and its children; call it before `actors.handles` is imported.

    token_path: a 0600 file with the token of our own local Ray; None leaves an existing cluster's settings as they are.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_memory_monitor_refresh_ms", "0")
    # Ray gives its workers the least claim to a core; ours are the ones that must not be late.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # Idle workers cost 50 MiB each; every actor starts its own.
    os.environ.setdefault("RAY_prestart_worker_first_driver", "0")
    if token_path is not None:
        os.environ["RAY_AUTH_MODE"] = "token"
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(token_path)
