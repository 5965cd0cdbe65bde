"""Seals finished segments beside the trading: in a process of its own, since Parquet costs memory and seconds.

May import the standard library only. What is not sealed in time stays a segment, which `mexcbot recover` takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

WAITING_MAX = 32
SEAL_TIMEOUT_S = 600.0
NICENESS = 10


class BackgroundSealer:
    """One sealing at a time, at low priority. Lives on one event loop; `run` is cancelled to end it."""

    def __init__(self, on_fault: Callable[[str], None]) -> None:
        """on_fault: told in one sentence when a segment was not sealed; it stays as it was."""
        self._on_fault = on_fault
        self._waiting: asyncio.Queue[Path] = asyncio.Queue(WAITING_MAX)

    def submit(self, segment: Path) -> None:
        """Take a finished segment; never waits."""
        try:
            self._waiting.put_nowait(segment)
        except asyncio.QueueFull:
            self._on_fault(f"{segment} was not sealed: too many wait; run mexcbot recover {segment.parent}")

    async def run(self) -> None:
        """Seal for ever."""
        while True:
            segment = await self._waiting.get()
            if (fault := await seal_apart(segment)) is not None:
                self._on_fault(fault)


async def seal_apart(*segments: Path) -> str | None:
    """Seal segments in another process. Returns: None, or in one sentence why one is still a segment."""
    command = [sys.executable, "-P", "-m", "trading.adapters.recording.seal", *map(str, segments)]
    if sys.platform != "win32":
        command = ["nice", "-n", str(NICENESS), *command]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
    except OSError as error:
        return f"{segments[0]} was not sealed: {error.strerror or error}"
    try:
        async with asyncio.timeout(SEAL_TIMEOUT_S):
            _, words = await process.communicate()
    except TimeoutError:
        words = b"it took too long"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode == 0:
        return None
    last = words.decode(errors="replace").strip().splitlines()[-1:] or [f"exit code {process.returncode}"]
    return f"recordings were left as segments ({last[0][:300]}): run mexcbot recover {segments[0].parent}"
