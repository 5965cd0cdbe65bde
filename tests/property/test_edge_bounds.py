"""The edge is never above what is quoted less fees, and moves the right way with each of its inputs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trading.engine.edge import EdgeTerms, RoundTrip, entry_edge

EPSILON = 1e-9


@st.composite
def round_trips(draw: st.DrawFn) -> RoundTrip:
    """Any two-sided book with an entry and an exit inside it."""
    bid = draw(st.integers(1, 10**9))
    spread = draw(st.integers(1, max(1, bid // 10) + 1))
    entry = bid + draw(st.integers(0, spread - 1))
    return RoundTrip(bid, bid + spread, entry, draw(st.integers(entry + 1, bid + spread)))


FEES = st.floats(0.0, 0.01)
RATIOS = st.floats(-0.5, 1.5)
ADVERSE = st.floats(-100.0, 100.0)


def close_or_less(left: float, right: float) -> bool:
    return left <= right + EPSILON * (1.0 + abs(right))


@given(round_trips(), FEES, FEES, RATIOS, ADVERSE)
def test_net_edge_is_at_most_the_quoted_spread_less_fees(
    trip: RoundTrip, maker: float, taker: float, ratio: float, adverse: float
) -> None:
    edge = entry_edge(trip, maker, taker, ratio, adverse)
    assert close_or_less(edge.net, edge.quoted - edge.fees)
    assert edge.fees >= 2 * min(maker, taker) * 10_000 * (1 - 1e-9)


@given(round_trips(), FEES, FEES, RATIOS, ADVERSE, st.floats(0.0, 50.0))
def test_net_edge_falls_with_adverse_selection(
    trip: RoundTrip, maker: float, taker: float, ratio: float, adverse: float, more: float
) -> None:
    worse = entry_edge(trip, maker, taker, ratio, adverse + more)
    assert close_or_less(worse.net, entry_edge(trip, maker, taker, ratio, adverse).net)


@given(round_trips(), FEES, FEES, RATIOS, ADVERSE, FEES, FEES)
def test_net_edge_falls_with_fees(
    trip: RoundTrip, maker: float, taker: float, ratio: float, adverse: float, more_maker: float, more_taker: float
) -> None:
    dearer = entry_edge(trip, maker + more_maker, taker + more_taker, ratio, adverse)
    assert close_or_less(dearer.net, entry_edge(trip, maker, taker, ratio, adverse).net)


@given(round_trips(), FEES, RATIOS, ADVERSE)
def test_net_edge_falls_as_the_entry_improves_on_the_bid(
    trip: RoundTrip, fee: float, ratio: float, adverse: float
) -> None:
    joined = RoundTrip(trip.bid_ticks, trip.ask_ticks, trip.bid_ticks, trip.exit_ticks)
    assert close_or_less(
        entry_edge(trip, fee, fee, ratio, adverse).net, entry_edge(joined, fee, fee, ratio, adverse).net
    )


@given(st.integers(1000, 10**9), st.integers(1, 500), st.integers(1, 500), FEES, FEES, st.floats(0.0, 1.0), ADVERSE)
def test_net_edge_at_the_touch_rises_with_the_spread(
    bid: int, spread: int, more: int, maker: float, taker: float, ratio: float, adverse: float
) -> None:
    def at_touch(ask: int) -> EdgeTerms:
        return entry_edge(RoundTrip(bid, ask, bid, ask), maker, taker, ratio, adverse)

    assert close_or_less(at_touch(bid + spread).net, at_touch(bid + spread + more).net)
