"""One batched read per tick, shared by all browsers, and a short memory for the charts. May import the dashboard.

A read that fails leaves the last one in place; how old it is is shown, never hidden.
"""

from __future__ import annotations

import gc
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import streamlit as st
from pydantic import BaseModel

from api.schemas import Snapshot
from dashboard.api_client import ApiAway, ApiClient, ApiRefused
from dashboard.figures import duration

T = TypeVar("T", bound=BaseModel)

TICK_S = 1.0
# A little below the tick, so that each tick finds a new reading.
MAX_AGE_S = 0.9
# One slow answer is no outage.
AWAY_AFTER_S = 3.0
PATHS_MAX = 128
POINTS_MAX = 900
# Whether a dialog stands open before this page, in Streamlit's session state.
DIALOG_IS_OPEN = "dialog-is-open"


@dataclass(frozen=True, slots=True)
class Reading(Generic[T]):
    """The last good answer (None: never one), its age, and why the last try failed (empty: it did not)."""

    body: T | None
    age_s: float
    error: str

    @property
    def is_away(self) -> bool:
        """True when what is shown is too old to be taken for the present."""
        return bool(self.error) and self.age_s > AWAY_AFTER_S

    @property
    def warning(self) -> str:
        """Say that this was not read, or is no longer the present, and why; empty while it is."""
        if self.body is None:
            return f"Not read: {self.error}." if self.error else ""
        return f"This is {duration(self.age_s)} old: {self.error}." if self.is_away else ""


def warn_of(*readings: Reading[Any]) -> None:
    """Show above a table why what it holds is old or missing, once for the same reason."""
    for text in dict.fromkeys(reading.warning for reading in readings if reading.warning):
        st.warning(text)


def redraw_unless(is_current: bool) -> None:
    """Draw the whole page anew, from within a tick, when what stands outside of the ticking parts is no longer current.

    Not under an open dialog, which that would close: the page is drawn anew when the dialog is.
    """
    if not is_current and not st.session_state.get(DIALOG_IS_OPEN):
        st.rerun()


@dataclass(frozen=True, slots=True)
class Point:
    """The account's P&L at one tick, in the quote asset."""

    time_ms: int
    net: float
    realized_net: float


class _Slot(Generic[T]):
    """One path's last answer; the lock lets one thread fetch while the others take what is there."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.body: T | None = None
        self.read_at = float("-inf")
        self.tried_at = float("-inf")
        self.error = ""


class SharedReads:
    """Owned by Streamlit's resource cache: one for the process. Thread-safe."""

    def __init__(self, client: ApiClient) -> None:
        self.client = client
        self.points: deque[Point] = deque(maxlen=POINTS_MAX)
        self._slots: OrderedDict[tuple[str, tuple[tuple[str, str], ...]], _Slot[Any]] = OrderedDict()
        self._lock = threading.Lock()

    def snapshot(self) -> Reading[Snapshot]:
        """Return the system as one."""
        reading = self.get("/v1/snapshot", Snapshot)
        body = reading.body
        if body is not None and (not self.points or self.points[-1].time_ms < body.now_ns // 1_000_000):
            realized_net = float(body.pnl.realized) - float(body.pnl.fees)
            self.points.append(Point(body.now_ns // 1_000_000, float(body.pnl.net), realized_net))
        return reading

    def get(self, path: str, model: type[T], params: Mapping[str, Any] | None = None) -> Reading[T]:
        """Return a path's body, at most one tick old while the API answers."""
        slot = self._slot(path, params)
        if time.monotonic() - slot.tried_at >= MAX_AGE_S and slot.lock.acquire(blocking=slot.body is None):
            try:
                if time.monotonic() - slot.tried_at >= MAX_AGE_S:
                    self._fetch(slot, path, model, params)
            finally:
                slot.lock.release()
        return Reading(slot.body, time.monotonic() - slot.read_at, slot.error)

    def forget(self) -> None:
        """Make the next reads fetch anew: a command was sent."""
        with self._lock:
            for slot in self._slots.values():
                slot.tried_at = float("-inf")

    def _fetch(self, slot: _Slot[T], path: str, model: type[T], params: Mapping[str, Any] | None) -> None:
        try:
            slot.body = self.client.read(path, model, params)
            slot.read_at = time.monotonic()
            slot.error = ""
        except (ApiAway, ApiRefused) as error:
            slot.error = str(error.args[0])
        slot.tried_at = time.monotonic()

    def _slot(self, path: str, params: Mapping[str, Any] | None) -> _Slot[Any]:
        key = (path, tuple(sorted((name, str(value)) for name, value in (params or {}).items())))
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
            while len(self._slots) > PATHS_MAX:
                self._slots.popitem(last=False)
            return slot


@st.cache_resource(show_spinner=False)
def shared_reads() -> SharedReads:
    """Return the process's one reader. Raises: ApiAway when the environment does not say where the API is."""
    reads = SharedReads(ApiClient.from_environment())
    # Streamlit ends each fragment run with a full collection; what is loaded by now is never garbage, and frozen it
    # costs nothing (measured: 26 % to 3 % of a core).
    gc.collect()
    gc.freeze()
    return reads
