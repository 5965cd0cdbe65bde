"""What an input meant to a book's proof, and what shall be done about it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class SyncKind(StrEnum):
    """What became of an input: it changed the book, meant nothing to it, waits for a snapshot, or cost the proof."""

    APPLIED = "APPLIED"
    IGNORED = "IGNORED"
    BUFFERED = "BUFFERED"
    RESYNC = "RESYNC"


@dataclass(frozen=True, slots=True)
class SyncResult:
    """Outcome of one input.

    `fetch_not_before_ns`: None, or the earliest time at which a snapshot shall be fetched. `is_audit`: nothing waits
    for that snapshot; whatever else wants one goes first. `reconnect`: empty, or why a new connection is wanted.
    """

    kind: SyncKind
    fetch_not_before_ns: int | None = None
    is_audit: bool = False
    reconnect: str = ""
