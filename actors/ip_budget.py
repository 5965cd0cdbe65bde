"""The pace of one node's address towards the venue: who may send when, so that snapshots and connects draw no 429.

Pure: may import `trading.model`. Each grant reserves a slot in the future and says how long to wait for it (a virtual
schedule: no timers, no queue to forget). `now_ns` is a monotonic clock's: one that can be set would hold or free a
whole fleet. Orders come first: their share is taken off before anything is granted here.
"""

from __future__ import annotations

from collections import OrderedDict

from trading.model.units import NS_PER_S

# A cluster has few nodes; a name that is never seen again must not live for ever.
NODES_MAX = 1_000
# The longest pause that a venue's refusal is believed for; a fleet that waits behind it still has a slot each.
WAIT_MAX_S = 3_600.0


class IpBudget:
    """Slots per (node, kind). Owned by the supervisor; holds no lock, since one loop calls it.

    Args:
        rates: requests a second by kind ("snapshot", "connect", "audit").
        burst: how many slots an idle node saves up, beside the one it has.
    """

    def __init__(self, rates: dict[str, float], burst: float = 3.0) -> None:
        if any(rate <= 0 for rate in rates.values()):
            raise ValueError(f"expected positive rates, was {rates}")
        self._interval_ns = {kind: int(NS_PER_S / rate) for kind, rate in rates.items()}
        self._burst = burst
        self._next_ns: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._waited_s: dict[str, float] = dict.fromkeys(rates, 0.0)
        self._granted: dict[str, int] = dict.fromkeys(rates, 0)
        self._held_until_ns: OrderedDict[str, int] = OrderedDict()

    def lease(self, node: str, kind: str, weight: float, now_ns: int) -> float:
        """Reserve a slot and return the seconds to wait before using it (0.0: now); at most `WAIT_MAX_S`.

        kind: one of the constructor's. weight: how many requests it counts as (> 0). Each call reserves anew.
        Raises: KeyError for an unknown kind, ValueError for a weight that is not positive.
        """
        if weight <= 0:
            raise ValueError(f"expected a positive weight, was {weight}")
        interval_ns = self._interval_ns[kind]
        key = (node, kind)
        # A node that was idle has saved up `burst` slots and no more.
        saved_ns = now_ns - int(self._burst * interval_ns)
        slot_ns = max(self._next_ns.pop(key, saved_ns), saved_ns)
        self._next_ns[key] = min(slot_ns + int(weight * interval_ns), now_ns + int(WAIT_MAX_S * NS_PER_S))
        while len(self._next_ns) > NODES_MAX:
            self._next_ns.popitem(last=False)
        wait_s = min(WAIT_MAX_S, max(0.0, (slot_ns + int((weight - 1) * interval_ns) - now_ns) / NS_PER_S))
        self._waited_s[kind] += wait_s
        self._granted[kind] += 1
        return wait_s

    def block(self, node: str, retry_after_s: float, now_ns: int) -> None:
        """Grant this node nothing before `retry_after_s` have passed: the venue said 429 or 403."""
        until_ns = now_ns + int(min(max(retry_after_s, 0.0), WAIT_MAX_S) * NS_PER_S)
        for kind in self._interval_ns:
            self._next_ns[node, kind] = max(self._next_ns.get((node, kind), 0), until_ns)
        self._held_until_ns[node] = max(self._held_until_ns.pop(node, 0), until_ns)
        while len(self._held_until_ns) > NODES_MAX:
            self._held_until_ns.popitem(last=False)

    def held_s(self, node: str, now_ns: int) -> float:
        """Return for how many seconds a block still lasts: slots granted before it are not to be used."""
        return max(0.0, (self._held_until_ns.get(node, 0) - now_ns) / NS_PER_S)

    def grants(self) -> tuple[tuple[str, int], ...]:
        """Return the slots handed out so far, by kind."""
        return tuple(sorted(self._granted.items()))

    def waits(self) -> tuple[tuple[str, float], ...]:
        """Return the seconds of waiting handed out so far, by kind."""
        return tuple(sorted(self._waited_s.items()))
