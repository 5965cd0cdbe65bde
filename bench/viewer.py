"""Somebody who looks at the dashboard: a Streamlit session over its WebSocket, kept ticking as a browser keeps it.

Without one the dashboard's pages have never run, and its process holds less than it does in use. May import streamlit's
message types and websockets. Source: streamlit/proto (BackMsg, ForwardMsg, AutoRerun), read 2026-11-22.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

STOP_TIMEOUT_S = 10.0


class Viewer:
    """One session. Runs in a thread of its own until `stop`; `runs` counts finished script runs, `error` says why not.

    Fragments that want to be run every so often are run so, each at its own interval.
    """

    def __init__(self, dashboard: str) -> None:
        """dashboard: its base URL."""
        self._url = dashboard.rstrip("/").replace("http", "ws", 1) + "/_stcore/stream"
        self._intervals: dict[str, float] = {}
        self._loop = asyncio.new_event_loop()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(target=self._main, name="viewer", daemon=True)
        self.runs = 0
        self.error = ""

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look away; idempotent."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join(STOP_TIMEOUT_S)

    def _main(self) -> None:
        try:
            self._loop.run_until_complete(self._look())
        except (OSError, WebSocketException, ExceptionGroup) as error:
            cause = error.exceptions[0] if isinstance(error, ExceptionGroup) else error
            self.error = str(cause) or type(cause).__name__
        finally:
            self._loop.close()

    async def _look(self) -> None:
        async with connect(
            self._url,
            subprotocols=["streamlit"],  # type: ignore[list-item]  # a NewType of str
            compression=None,
            proxy=None,
            max_size=None,
            close_timeout=1,
        ) as link:
            await link.send(_rerun("").SerializeToString())
            reading = asyncio.create_task(self._read(link))
            stopping = asyncio.create_task(self._stopping.wait())
            done, pending = await asyncio.wait({reading, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
            if reading in done:
                reading.result()
                self.error = "the dashboard closed the session"

    async def _read(self, link: ClientConnection) -> None:
        async with asyncio.TaskGroup() as ticks:
            async for frame in link:
                message = ForwardMsg.FromString(frame if isinstance(frame, bytes) else frame.encode())
                kind = message.WhichOneof("type")
                if kind == "script_finished":
                    self.runs += 1
                elif kind == "auto_rerun":
                    fragment = message.auto_rerun.fragment_id
                    if fragment not in self._intervals:
                        ticks.create_task(self._tick(link, fragment))
                    self._intervals[fragment] = message.auto_rerun.interval

    async def _tick(self, link: ClientConnection, fragment: str) -> None:
        while True:
            await asyncio.sleep(max(0.1, self._intervals[fragment]))
            await link.send(_rerun(fragment).SerializeToString())


def _rerun(fragment: str) -> BackMsg:
    message = BackMsg()
    message.rerun_script.query_string = ""
    if fragment:
        message.rerun_script.fragment_id = fragment
        message.rerun_script.is_auto_rerun = True
    return message


@contextmanager
def watching(dashboard: str | None) -> Iterator[Viewer | None]:
    """Look at the dashboard while the block runs; None when there is no dashboard."""
    if dashboard is None:
        yield None
        return
    viewer = Viewer(dashboard)
    viewer.start()
    try:
        yield viewer
    finally:
        viewer.stop()
