"""How many requests may reach the venue within one second, however late they arrive. May import `trading.model`.

Pure: told `now_ns`. The rate budget asks here before anything leaves.
"""

from __future__ import annotations

from collections import deque

from trading.model.units import NS_PER_MS, NS_PER_S

# The venue counts a second; its clock ticks in milliseconds, and a busy one looks at it before it counts.
LANDING_WINDOW_NS = 1_050 * NS_PER_MS
# What is unanswered for longer holds back no cancel any more.
UNANSWERED_NS = 2 * NS_PER_S
# So many of what may arrive in a second are never taken up by what hangs, unless they are cancels.
KEPT_FOR_CANCELS = 3


class Landings:
    """Bounds how many requests may reach the venue within one second, while its answers come.

    A request arrives between its leaving and its answer. So it counts from the first until a second after the second:
    at the moment when one leaves, every other that can arrive within the same second counts. Invariant: who leaves only
    while there is room lets at most `most` arrive in any second, within one life of the executor, while every answer
    comes within `UNANSWERED_NS`. Beyond that cancels go all the same: one that waits for answers which may never come
    leaves an order open, and a 429 is the lesser evil. Everything else waits for the answers, and hangs in fewer than
    `most` at a time, so that a few cancels find room at once.
    """

    def __init__(self, most: int) -> None:
        """Args: most: 0 for no limit."""
        self._most = most
        self._kept = min(KEPT_FOR_CANCELS, most // 4)
        self._left_ns: dict[int, int] = {}  # what is unanswered, by ticket
        self._landed: deque[int] = deque()
        self._tickets = 0
        self._now_ns = 0

    def has_room(self, now_ns: int, ahead: int = 0) -> bool:
        """Tell whether one more may leave. ahead: those that may still leave before it."""
        if not self._most:
            return True
        self._look(now_ns)
        flying = len(self._left_ns) + ahead
        return flying < self._most - self._kept and flying + len(self._landed) < self._most

    def has_cancel_room(self, now_ns: int) -> bool:
        """Tell whether one more cancel may leave: what is unanswered for long does not count, nor what may come."""
        if not self._most:
            return True
        self._look(now_ns)
        flying = sum(now_ns - left_ns < UNANSWERED_NS for left_ns in self._left_ns.values())
        return flying + len(self._landed) < self._most

    def pause_ns(self, now_ns: int) -> int:
        """Return how long until there may be room without another answer; 0 when nothing else gives any."""
        self._look(now_ns)
        return self._landed[0] + LANDING_WINDOW_NS - now_ns if self._landed else 0

    def on_left(self, now_ns: int) -> int:
        """Count one that leaves; return its ticket, which no other has."""
        self._tickets += 1
        if not self._most:
            return self._tickets
        self._look(now_ns)
        self._left_ns[self._tickets] = now_ns
        return self._tickets

    def on_landed(self, ticket: int, now_ns: int) -> None:
        """Take the answer of one that left; one that will not be answered counts as landed now."""
        if not self._most:
            return
        self._look(now_ns)
        if self._left_ns.pop(ticket, None) is not None:
            self._landed.append(now_ns)

    def on_unsent(self, ticket: int) -> None:
        """Forget one that did not leave after all."""
        self._left_ns.pop(ticket, None)

    def _look(self, now_ns: int) -> None:
        if now_ns < self._now_ns:  # the clock was set back: nothing may count for longer than it should
            self._landed = deque(min(at_ns, now_ns) for at_ns in self._landed)
            self._left_ns = {ticket: min(at_ns, now_ns) for ticket, at_ns in self._left_ns.items()}
        self._now_ns = now_ns
        while self._landed and self._landed[0] <= now_ns - LANDING_WINDOW_NS:
            self._landed.popleft()
