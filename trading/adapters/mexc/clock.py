"""The venue's clock as we know it: an offset estimated from (sent, server, received) samples. Pure.

May import `trading.model`. Requests are signed with this time; MEXC takes them when
`timestamp < server + 1000` and `server - timestamp <= recvWindow` (mexc-protocol §3.1).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from trading.adapters.clock import Clock
from trading.model.units import NS_PER_MS, NS_PER_S, ms_from_ns, ns_from_ms

# The best of the last few samples counts: the one with the shortest round trip is the surest.
_SAMPLES_KEPT = 8
# Crystals drift by up to about 50 ppm, 15 ms in five minutes: older samples say less than the round trip they save.
_SAMPLE_AGE_MAX_NS = 300 * NS_PER_S


@dataclass(frozen=True, slots=True)
class ClockSample:
    """One answer of /time. `offset_ns` is venue time minus our monotonic time; it is right within `bound_ns`."""

    offset_ns: int
    bound_ns: int
    taken_ns: int


def clock_sample(sent_ns: int, server_ms: int, received_ns: int) -> ClockSample:
    """Estimate from one round trip: the server read its clock somewhere between sending and receiving.

    Args:
        sent_ns, received_ns: our monotonic clock. server_ms: the venue's, cut to whole ms (so half of one is added).
    Raises: ValueError when the answer came before the question.
    """
    if received_ns < sent_ns:
        raise ValueError(f"expected received >= sent, was {received_ns} < {sent_ns}")
    middle_ns = (sent_ns + received_ns) // 2
    server_ns = ns_from_ms(server_ms) + NS_PER_MS // 2
    return ClockSample(server_ns - middle_ns, (received_ns - sent_ns) // 2 + NS_PER_MS // 2, received_ns)


class VenueClock:
    """Tells the venue's time. Counts on our monotonic clock, so that setting the host's clock changes nothing.

    Before the first sample it tells the host's own time. Owned by one gateway, on one event loop.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._samples: deque[ClockSample] = deque(maxlen=_SAMPLES_KEPT)

    @property
    def is_known(self) -> bool:
        """True once the venue has been asked."""
        return bool(self._samples)

    @property
    def bound_ms(self) -> int:
        """How far off `now_ms` may be, in ms, rounded up; 1000 when the venue was never asked."""
        best = self._best()
        return 1_000 if best is None else -(-best.bound_ns // NS_PER_MS)

    @property
    def skew_ms(self) -> int:
        """Venue time minus the host's clock, in ms (a diagnosis: nothing is signed with the host's clock)."""
        return self.now_ms() - ms_from_ns(self._clock.now_ns())

    def now_ms(self) -> int:
        """Return the venue's time in ms."""
        best = self._best()
        if best is None:
            return ms_from_ns(self._clock.now_ns())
        return ms_from_ns(self._clock.monotonic_ns() + best.offset_ns)

    def add(self, sample: ClockSample) -> None:
        """Take a sample. One that contradicts the best (the venue's clock was set) puts the older ones away."""
        best = self._best()
        if best is not None and abs(sample.offset_ns - best.offset_ns) > sample.bound_ns + best.bound_ns + NS_PER_S:
            self._samples.clear()
        self._samples.append(sample)

    async def ask(self, fetch_ms: Callable[[], Awaitable[int]]) -> ClockSample:
        """Ask the venue once through `fetch_ms` and take the sample. Raises what `fetch_ms` raises."""
        sent_ns = self._clock.monotonic_ns()
        server_ms = await fetch_ms()
        sample = clock_sample(sent_ns, server_ms, self._clock.monotonic_ns())
        self.add(sample)
        return sample

    def forget(self) -> None:
        """Put all samples away but the newest: the venue has just refused our time."""
        while len(self._samples) > 1:
            self._samples.popleft()

    def _best(self) -> ClockSample | None:
        if not self._samples:
            return None
        newest_ns = self._samples[-1].taken_ns
        fresh = (sample for sample in self._samples if newest_ns - sample.taken_ns <= _SAMPLE_AGE_MAX_NS)
        return min(fresh, key=lambda sample: sample.bound_ns)
