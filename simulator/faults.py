"""Faults: what goes wrong on purpose, by symbol or account, by probability or count, seeded. Pure."""

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

FAULTS_MAX = 1_000


class FaultKind(StrEnum):
    """Everything that can be made to go wrong; docs/simulator.md says what each does."""

    DROP_DELTA = "drop_delta"
    DUPLICATE_DELTA = "duplicate_delta"
    REORDER_DELTA = "reorder_delta"
    STALE_SNAPSHOT = "stale_snapshot"
    SNAPSHOT_INSIDE = "snapshot_inside"
    TRUNCATED_FRAME = "truncated_frame"
    GARBAGE_FRAME = "garbage_frame"
    EMPTY_FRAME = "empty_frame"
    STALL = "stall"
    CLOSE = "close"
    BLOCKED = "blocked"
    ROLLOVER = "rollover"
    DELAY_REPLY = "delay_reply"
    LOSE_REPLY = "lose_reply"
    ACCEPT_THEN_5XX = "accept_then_5xx"
    HTTP_429 = "http_429"
    HTML_403 = "html_403"
    EXPIRE_LISTEN_KEY = "expire_listen_key"
    CLOCK_SKEW = "clock_skew"
    DELAY_PUSH = "delay_push"
    DUPLICATE_PUSH = "duplicate_push"
    REORDER_PUSH = "reorder_push"
    ERROR_REPLY = "error_reply"


@dataclass(slots=True)
class Fault:
    """One fault in force. `left` counts down when it was given a count; None means for ever.

    `path` and `method` narrow REST faults to a route, e.g. "/api/v3/depth", "GET". `status`, `code` and `text` are what
    an error_reply answers.
    """

    id: str
    kind: FaultKind
    symbol: str | None
    account: str | None
    probability: float
    left: int | None
    delay_ms: int
    path: str | None = None
    method: str | None = None
    status: int = 400
    code: int = 0
    text: str = ""
    draw: Random = field(default_factory=Random, repr=False)

    def concerns(self, symbols: Collection[str], account: str | None) -> bool:
        """Return whether the fault is meant for one of these symbols, and this account; what is unset means any."""
        return (self.symbol is None or self.symbol in symbols) and (self.account is None or self.account == account)


class Faults:
    """The faults in force, and how often each kind was injected since the start."""

    def __init__(self) -> None:
        self.injected: dict[str, int] = {}
        self._by_kind: dict[FaultKind, list[Fault]] = {}
        self._given = 0

    def add(
        self,
        kind: FaultKind,
        symbol: str | None = None,
        account: str | None = None,
        probability: float = 1.0,
        times: int | None = None,
        seed: int = 0,
        delay_ms: int = 0,
        path: str | None = None,
        method: str | None = None,
        status: int = 400,
        code: int = 0,
        text: str = "",
    ) -> Fault | None:
        """Put a fault in force: each occasion draws against `probability`, at most `times` times.

        None when too many are in force.
        """
        if len(self.active()) >= FAULTS_MAX:
            return None
        number = self._given = self._given + 1
        draw = Random(f"fault:{seed}:{kind.value}")
        fault = Fault(
            f"f{number}", kind, symbol, account, probability, times, delay_ms, path, method, status, code, text, draw
        )
        self._by_kind.setdefault(kind, []).append(fault)
        return fault

    def remove(self, fault_id: str) -> bool:
        """Lift one fault, which may have struck for the last time already; False when no fault ever had that id."""
        for faults in self._by_kind.values():
            for fault in faults:
                if fault.id == fault_id:
                    faults.remove(fault)
                    return True
        number = fault_id.removeprefix("f")
        return number.isascii() and number.isdigit() and len(number) <= 18 and 0 < int(number) <= self._given

    def clear(self) -> None:
        """Lift all faults. The counts stay."""
        self._by_kind.clear()

    def active(self) -> list[Fault]:
        """Return the faults in force."""
        return [fault for faults in self._by_kind.values() for fault in faults]

    def fire(
        self,
        kind: FaultKind,
        symbols: Collection[str] = (),
        account: str | None = None,
        path: str | None = None,
        method: str | None = None,
        *,
        is_own: bool = False,
    ) -> Fault | None:
        """Return the fault that strikes on this occasion, counted as injected; None when none does.

        `is_own`: only a fault that names the account, on occasions that have had their draw of the general ones.
        """
        for fault in self._by_kind.get(kind, ()):
            if not fault.concerns(symbols, account) or (is_own and fault.account is None):
                continue
            if (fault.path is not None and fault.path != path) or (fault.method is not None and fault.method != method):
                continue
            if fault.probability < 1.0 and fault.draw.random() >= fault.probability:
                continue
            if fault.left is not None:
                fault.left -= 1
                if fault.left == 0:
                    self._by_kind[kind].remove(fault)
            self.injected[kind.value] = self.injected.get(kind.value, 0) + 1
            return fault
        return None

    def is_any(self, *kinds: FaultKind) -> bool:
        """Return whether a fault of one of these kinds is in force: the fast path of the pushes."""
        return bool(self._by_kind) and any(self._by_kind.get(kind) for kind in kinds)

    def of(self, kind: FaultKind) -> list[Fault]:
        """Return the faults of a kind in force."""
        return list(self._by_kind.get(kind, ()))
