"""One local Ray for the Ray tests. May import `actors.handles`; the pure tests never load it."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

NAMESPACE = "mexcbot-test"
# Ray reads this at import: it must stand before any test module of this folder is collected.
os.environ["RAY_AUTH_MODE"] = "disabled"


@pytest.fixture(scope="session")
def ray_namespace() -> Iterator[str]:
    """Start a local Ray once, give its namespace, and stop it at the end."""
    from actors import ray_environment

    ray_environment.prepare(None)
    from actors import handles

    # Socket paths below it must stay under 107 bytes.
    temp_dir = Path(tempfile.mkdtemp(prefix="mxr", dir="/tmp"))
    handles.start_local(temp_dir, NAMESPACE, slots=50)
    yield NAMESPACE
    handles.disconnect()
    shutil.rmtree(temp_dir, ignore_errors=True)
