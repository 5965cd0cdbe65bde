"""Rate limits: MEXC's effective ones (measured by others) or the documented ones. Pure; told the time.

Effective: 20 requests a second per address and per account, 12 order operations a second per account. Documented: 500
weight in 10 s per endpoint and address, the same per endpoint and account where an endpoint is limited by account, and
two requests a second where the endpoint's page says so. Who goes on after many refusals meets the firewall: HTML 403,
for a while.
"""

from collections import deque
from enum import StrEnum

REQUESTS_PER_S = 20
ORDERS_PER_S = 12
DOCUMENTED_WEIGHT = 500
DOCUMENTED_WINDOW_MS = 10_000
# The firewall: this many refusals within ten seconds, then 90 s of 403 (measured cool-down).
ABUSE_REFUSALS = 100
ABUSE_WINDOW_MS = 10_000
ABUSE_COOLDOWN_MS = 90_000


class LimitMode(StrEnum):
    """Which limits hold."""

    EFFECTIVE = "effective"
    DOCUMENTED = "documented"
    OFF = "off"


class Window:
    """A sliding window: at most `most` units within `length_ms`."""

    __slots__ = ("_length_ms", "_most", "_sum", "_used")

    def __init__(self, most: int, length_ms: int) -> None:
        self._most = most
        self._length_ms = length_ms
        self._used: deque[tuple[int, int]] = deque()
        self._sum = 0

    def wait_ms(self, now_ms: int, weight: int) -> int:
        """Return 0 when `weight` fits now, else how long until it does."""
        while self._used and self._used[0][0] <= now_ms - self._length_ms:
            self._sum -= self._used.popleft()[1]
        if self._sum + weight <= self._most or not self._used:
            return 0
        return self._used[0][0] + self._length_ms - now_ms

    def use(self, now_ms: int, weight: int) -> None:
        """Count `weight` units."""
        self._used.append((now_ms, weight))
        self._sum += weight


class Limiter:
    """Counts requests. `refusals` is the number of 429 answers since the start."""

    def __init__(self, mode: LimitMode, time_scale: float = 1.0) -> None:
        self.mode = mode
        self.refusals = 0
        self._windows: dict[tuple[str, str], Window] = {}
        self._abuse: dict[str, deque[int]] = {}
        self._banned_until: dict[str, int] = {}
        self._cooldown_ms = round(ABUSE_COOLDOWN_MS / time_scale)

    def is_banned(self, address: str, now_ms: int) -> bool:
        """Return whether the firewall answers this address."""
        return self._banned_until.get(address, 0) > now_ms

    def admit(self, address: str, endpoint: str, weight: int, now_ms: int) -> int:
        """Count a request of an address. Returns 0, or the wait in ms when it is refused."""
        match self.mode:
            case LimitMode.OFF:
                return 0
            case LimitMode.EFFECTIVE:
                return self._count([(("address", address), REQUESTS_PER_S, 1_000, 1)], address, now_ms)
            case LimitMode.DOCUMENTED:
                key = (endpoint, address)
                return self._count([(key, DOCUMENTED_WEIGHT, DOCUMENTED_WINDOW_MS, weight)], address, now_ms)

    def admit_account(
        self,
        account: str,
        address: str,
        orders: int,
        now_ms: int,
        endpoint: str = "",
        uid_weight: int = 0,
        per_s: int = 0,
    ) -> int:
        """Count a signed request with its order operations. Returns 0, or the wait in ms when it is refused.

        uid_weight, per_s: what the documented limits of the endpoint are, 0 for none.
        """
        wanted: list[tuple[tuple[str, str], int, int, int]] = []
        match self.mode:
            case LimitMode.OFF:
                return 0
            case LimitMode.EFFECTIVE:
                wanted.append((("account", account), REQUESTS_PER_S, 1_000, 1))
                if orders:
                    wanted.append((("orders", account), ORDERS_PER_S, 1_000, orders))
            case LimitMode.DOCUMENTED:
                if uid_weight:
                    wanted.append(((f"uid {endpoint}", account), DOCUMENTED_WEIGHT, DOCUMENTED_WINDOW_MS, uid_weight))
                if per_s:
                    wanted.append(((f"per_s {endpoint}", account), per_s, 1_000, 1))
        return self._count(wanted, address, now_ms) if wanted else 0

    def _count(self, wanted: list[tuple[tuple[str, str], int, int, int]], address: str, now_ms: int) -> int:
        windows = [
            (self._windows.setdefault(key, Window(most, length_ms)), weight) for key, most, length_ms, weight in wanted
        ]
        wait_ms = max(window.wait_ms(now_ms, weight) for window, weight in windows)
        if wait_ms:
            self._refuse(address, now_ms)
            return wait_ms
        for window, weight in windows:
            window.use(now_ms, weight)
        return 0

    def _refuse(self, address: str, now_ms: int) -> None:
        self.refusals += 1
        recent = self._abuse.setdefault(address, deque(maxlen=ABUSE_REFUSALS))
        recent.append(now_ms)
        if len(recent) == ABUSE_REFUSALS and recent[0] > now_ms - ABUSE_WINDOW_MS:
            self._banned_until[address] = now_ms + self._cooldown_ms
            recent.clear()
