"""What `up --record` leaves: whole recordings. May import the recordings' sealer and the standard library.

Sealing runs in processes of its own: at the end of a start there may be a segment for each symbol.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from trading.adapters.recording.sealer import seal_apart
from trading.adapters.recording.segments import OPEN_SUFFIX, SEGMENT_SUFFIX, is_empty, remove_unnamed

SEGMENTS_A_PROCESS = 50


async def seal_recordings(folder: Path, at_once: asyncio.Event, say: Callable[[str], None]) -> None:
    """Seal every segment below `folder` that nobody writes, until `at_once` is set; never raises.

    What is left, because somebody could not wait or a disk is full, `mexcbot recover` takes.
    """
    found = sorted(
        path for path in folder.rglob(f"*{SEGMENT_SUFFIX}*") if path.name.endswith((SEGMENT_SUFFIX, OPEN_SUFFIX))
    )
    with suppress(OSError):
        remove_unnamed(folder)
    kept = sum(not _is_empty(path) for path in found)
    hurry = asyncio.create_task(at_once.wait())
    try:
        for begin in range(0, len(found), SEGMENTS_A_PROCESS):
            work = None
            if not at_once.is_set():
                work = asyncio.create_task(seal_apart(*found[begin : begin + SEGMENTS_A_PROCESS]))
                await asyncio.wait({work, hurry}, return_when=asyncio.FIRST_COMPLETED)
            if work is None or not work.done():
                await _end(work)
                say(f"recordings were left as segments: run mexcbot recover {folder}")
                return
            if (fault := work.result()) is not None:
                say(fault)
                return
    finally:
        await _end(hurry)
    if found:
        say(f"recordings: {kept} sealed in {folder}" if kept else f"recordings: nothing was left to seal in {folder}")


def _is_empty(path: Path) -> bool:
    try:
        return is_empty(path)
    except OSError:
        return True


async def _end(task: asyncio.Task[Any] | None) -> None:
    if task is not None:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
