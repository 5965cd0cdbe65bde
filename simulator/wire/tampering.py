"""Tampering: what faults do to pushes on their way to the connections. Pure; told the time.

Public pushes draw the faults that name no account, once for all who hear them; what goes to a connection of an account
draws the faults that name it besides.
"""

from collections.abc import Collection, Iterator
from heapq import heappop, heappush
from itertools import count

from simulator.faults import FaultKind, Faults
from simulator.wire.connection import Connection
from simulator.wire.frames import binary_frame, wrapper
from simulator.wire.topics import Topic

GARBAGE = bytes((0xFF, 0x07, 0x13, 0x37)) * 8
DELTA_FAULTS = (
    FaultKind.DROP_DELTA,
    FaultKind.DUPLICATE_DELTA,
    FaultKind.REORDER_DELTA,
    FaultKind.TRUNCATED_FRAME,
    FaultKind.GARBAGE_FRAME,
    FaultKind.EMPTY_FRAME,
)
PUSH_FAULTS = (
    FaultKind.DELAY_PUSH,
    FaultKind.DUPLICATE_PUSH,
    FaultKind.REORDER_PUSH,
    FaultKind.STALL,
    FaultKind.TRUNCATED_FRAME,
    FaultKind.GARBAGE_FRAME,
    FaultKind.EMPTY_FRAME,
)
# Delayed pushes kept at most; beyond, the oldest goes out early.
DELAYED_MAX = 100_000


class Tampering:
    """What faults hold back, delay, repeat and break. Owned by the hub."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._stalls: list[tuple[int, str | None, str | None]] = []  # (until ms, symbol, account of private pushes)
        self._held_deltas: dict[tuple[Connection | None, str], list[bytes]] = {}
        self._held_pushes: dict[Connection, bytes] = {}
        self._delayed: list[tuple[int, int, Connection, bytes]] = []
        self._sequence = count()

    def forget(self, connection: Connection | None, text: str) -> None:
        """Forget what is held back of a topic for a connection, for all when None."""
        self._held_deltas.pop((connection, text), None)

    def forget_pushes(self, connection: Connection) -> None:
        """Forget what is held back of a connection's private pushes."""
        self._held_pushes.pop(connection, None)

    def send_delayed(self, now_ms: int) -> None:
        """Send the private pushes whose delay is over."""
        while self._delayed and (self._delayed[0][0] <= now_ms or len(self._delayed) > DELAYED_MAX):
            _, _, connection, frame = heappop(self._delayed)
            connection.send(frame, now_ms)

    def is_stalled(self, symbol: str | None, account: str | None, now_ms: int) -> bool:
        """Return whether a push is lost in a stall: a public one (account None) of a symbol, or an account's.

        What is stalled pushes nothing for a while, and what it would have pushed is lost.
        """
        if not self._stalls and not self._faults.is_any(FaultKind.STALL):
            return False
        self._stalls = [stall for stall in self._stalls if stall[0] > now_ms]
        if any(who == account and what in (None, symbol) for _, what, who in self._stalls):
            return True
        fault = self._faults.fire(FaultKind.STALL, _names(symbol), account, is_own=account is not None)
        if fault is None:
            return False
        self._stalls.append((now_ms + fault.delay_ms, symbol if account is None else fault.symbol, account))
        return True

    def deltas(
        self, topic: Topic, payload: bytes, hearers: Collection[Connection], now_ms: int
    ) -> Iterator[tuple[Connection, bytes]]:
        """Give (connection, frame) of everything to send for one delta."""
        frame = binary_frame(payload)
        if not self._held_deltas and not self._faults.is_any(*DELTA_FAULTS):
            yield from ((connection, frame) for connection in hearers)
            return
        shared = self._tampered(topic, None, [frame], payload, now_ms)
        for connection in hearers:
            frames = shared
            if shared and connection.account is not None:
                frames = self._tampered(topic, connection, shared, payload, now_ms)
            yield from ((connection, tampered) for tampered in frames)

    def _tampered(
        self, topic: Topic, own: Connection | None, frames: list[bytes], payload: bytes, now_ms: int
    ) -> list[bytes]:
        """Return what is sent instead of the frames of one delta, in order.

        `own` None: to whoever hears it; else to this connection, by the faults that name its account.
        """
        key = own, topic.text
        account = own.account.key if own is not None and own.account is not None else None

        def strikes(kind: FaultKind) -> bool:
            return self._faults.fire(kind, _names(topic.symbol), account, is_own=own is not None) is not None

        held = self._held_deltas.pop(key, None)
        after = held or []
        if strikes(FaultKind.DROP_DELTA):
            return after
        if strikes(FaultKind.DUPLICATE_DELTA):
            return [*frames, *frames, *after]
        if held is None and strikes(FaultKind.REORDER_DELTA):
            self._held_deltas[key] = frames
            return []
        if strikes(FaultKind.TRUNCATED_FRAME):
            return [binary_frame(payload[: len(payload) // 2]), *after]
        if strikes(FaultKind.GARBAGE_FRAME):
            return [binary_frame(GARBAGE), *frames, *after]
        if strikes(FaultKind.EMPTY_FRAME):
            return [binary_frame(wrapper(topic, now_ms).SerializeToString()), *frames, *after]
        return [*frames, *after]

    def send_private(self, connection: Connection, topic: Topic, payload: bytes, now_ms: int) -> None:
        """Send a private push, or do to it what the faults mean; the topic's symbol is None for balances."""
        frame = binary_frame(payload)
        if not (self._held_pushes or self._stalls or self._faults.is_any(*PUSH_FAULTS)):
            return connection.send(frame, now_ms)
        account = connection.account.key if connection.account is not None else None
        if self.is_stalled(topic.symbol, account, now_ms):
            return None
        names, fire = _names(topic.symbol), self._faults.fire
        held = self._held_pushes.pop(connection, None)
        delay = fire(FaultKind.DELAY_PUSH, names, account)
        if delay is not None:
            heappush(self._delayed, (now_ms + delay.delay_ms, next(self._sequence), connection, frame))
        elif held is None and fire(FaultKind.REORDER_PUSH, names, account):
            self._held_pushes[connection] = frame
        else:
            if fire(FaultKind.EMPTY_FRAME, names, account, is_own=True):
                connection.send(binary_frame(wrapper(topic, now_ms).SerializeToString()), now_ms)
            if fire(FaultKind.GARBAGE_FRAME, names, account, is_own=True):
                connection.send(binary_frame(GARBAGE), now_ms)
            if fire(FaultKind.TRUNCATED_FRAME, names, account, is_own=True):
                frame = binary_frame(payload[: len(payload) // 2])
            connection.send(frame, now_ms)
            if fire(FaultKind.DUPLICATE_PUSH, names, account):
                connection.send(frame, now_ms)
        if held is not None:
            connection.send(held, now_ms)
        return None


def _names(symbol: str | None) -> Collection[str]:
    return () if symbol is None else (symbol,)
