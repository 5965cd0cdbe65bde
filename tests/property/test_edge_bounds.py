"""The edge is never above what is quoted less fees, and moves the right way with each of its inputs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from trading.engine.edge import EdgeTerms, RoundTrip, entry_edge, leg_edge, taker_exit_share

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


ADVERSES = st.tuples(ADVERSE, ADVERSE)  # of the entry and of the exit


@given(round_trips(), FEES, FEES, RATIOS, ADVERSES)
def test_net_edge_is_at_most_the_quoted_spread_less_fees(
    trip: RoundTrip, maker: float, taker: float, ratio: float, adverse: tuple[float, float]
) -> None:
    edge = entry_edge(trip, maker, taker, ratio, *adverse)
    assert close_or_less(edge.net, edge.quoted - edge.fees)
    assert edge.fees >= 2 * min(maker, taker) * 10_000 * (1 - 1e-9)


@given(round_trips(), FEES, FEES, RATIOS, ADVERSES, st.floats(0.0, 50.0), st.floats(0.0, 50.0))
def test_net_edge_falls_with_adverse_selection_of_either_leg(
    trip: RoundTrip,
    maker: float,
    taker: float,
    ratio: float,
    adverse: tuple[float, float],
    more: float,
    more_at_exit: float,
) -> None:
    worse = entry_edge(trip, maker, taker, ratio, adverse[0] + more, adverse[1] + more_at_exit)
    assert close_or_less(worse.net, entry_edge(trip, maker, taker, ratio, *adverse).net)


@given(round_trips(), FEES, FEES, RATIOS, ADVERSES, FEES, FEES)
def test_net_edge_falls_with_fees(
    trip: RoundTrip,
    maker: float,
    taker: float,
    ratio: float,
    adverse: tuple[float, float],
    more_maker: float,
    more_taker: float,
) -> None:
    dearer = entry_edge(trip, maker + more_maker, taker + more_taker, ratio, *adverse)
    assert close_or_less(dearer.net, entry_edge(trip, maker, taker, ratio, *adverse).net)


@given(round_trips(), FEES, RATIOS, ADVERSES)
def test_net_edge_falls_as_the_entry_improves_on_the_bid(
    trip: RoundTrip, fee: float, ratio: float, adverse: tuple[float, float]
) -> None:
    joined = RoundTrip(trip.bid_ticks, trip.ask_ticks, trip.bid_ticks, trip.exit_ticks)
    assert close_or_less(
        entry_edge(trip, fee, fee, ratio, *adverse).net, entry_edge(joined, fee, fee, ratio, *adverse).net
    )


@given(st.integers(1000, 10**9), st.integers(1, 500), st.integers(1, 500), FEES, FEES, st.floats(0.0, 1.0), ADVERSES)
def test_net_edge_at_the_touch_rises_with_the_spread(
    bid: int, spread: int, more: int, maker: float, taker: float, ratio: float, adverse: tuple[float, float]
) -> None:
    def at_touch(ask: int) -> EdgeTerms:
        return entry_edge(RoundTrip(bid, ask, bid, ask), maker, taker, ratio, *adverse)

    assert close_or_less(at_touch(bid + spread).net, at_touch(bid + spread + more).net)


# --- one leg --------------------------------------------------------------------------------------------------------

DEPTHS = st.floats(-50.0, 200.0)


@given(round_trips(), FEES, FEES, ADVERSE)
def test_both_legs_at_the_touch_earn_no_more_than_the_quoted_spread_less_both_fees(
    trip: RoundTrip, fee: float, exit_fee: float, adverse: float
) -> None:
    quoted = (trip.ask_ticks - trip.bid_ticks) / ((trip.bid_ticks + trip.ask_ticks) / 2) * 10_000
    legs = [leg_edge(quoted, quoted / 2, rate, adverse) for rate in (fee, exit_fee)]
    assert close_or_less(sum(leg.net for leg in legs), quoted - (fee + exit_fee) * 10_000)


@given(DEPTHS, DEPTHS, FEES, ADVERSE)
def test_edge_of_a_leg_is_at_most_its_depth_less_the_fee(
    quoted: float, depth: float, fee: float, adverse: float
) -> None:
    assert close_or_less(leg_edge(quoted, depth, fee, adverse).net, depth - fee * 10_000)


@given(DEPTHS, DEPTHS, FEES, ADVERSE, st.floats(0.0, 50.0), FEES, st.floats(0.0, 50.0))
def test_edge_of_a_leg_rises_with_depth_and_falls_with_fee_and_adverse_selection(
    quoted: float, depth: float, fee: float, adverse: float, deeper: float, more_fee: float, more: float
) -> None:
    net = leg_edge(quoted, depth, fee, adverse).net
    assert close_or_less(net, leg_edge(quoted, depth + deeper, fee, adverse).net)
    assert close_or_less(leg_edge(quoted, depth, fee + more_fee, adverse).net, net)
    assert close_or_less(leg_edge(quoted, depth, fee, adverse + more).net, net)


@given(round_trips(), FEES, ADVERSE, ADVERSE)
def test_round_trip_that_ends_passively_is_the_sum_of_its_legs(
    trip: RoundTrip, fee: float, adverse: float, exit_adverse: float
) -> None:
    whole = entry_edge(trip, fee, fee, 1.0, adverse, exit_adverse)
    mid = (trip.bid_ticks + trip.ask_ticks) / 2
    depths = ((mid - trip.entry_ticks) / mid * 10_000, (trip.exit_ticks - mid) / mid * 10_000)
    legs = [
        leg_edge(whole.quoted, depth, fee, cost) for depth, cost in zip(depths, (adverse, exit_adverse), strict=True)
    ]
    assert abs(whole.net - sum(leg.net for leg in legs)) <= EPSILON * (1.0 + abs(whole.quoted) + abs(whole.net))


POSITIVE = st.floats(0.0, 1_000.0)


@given(st.floats(0.0, 1.0), POSITIVE, POSITIVE, POSITIVE, POSITIVE, POSITIVE, st.floats(0.0, 100.0))
def test_share_of_taker_exits_is_a_share_and_falls_with_distance_and_flow_and_rises_with_volatility(
    most: float, stop: float, volatility: float, patience: float, rate: float, timeout: float, more: float
) -> None:
    share = taker_exit_share(most, stop, volatility, patience, rate, timeout)
    assert 0.0 <= share <= most
    if volatility == 0.0 or stop == 0.0:
        assert share == most  # nothing is known
    else:
        assert close_or_less(share, taker_exit_share(most, stop, volatility, patience + more, rate, timeout))
        assert close_or_less(taker_exit_share(most, stop + more, volatility, patience, rate, timeout), share)
        assert close_or_less(taker_exit_share(most, stop, volatility, patience, rate + more, timeout), share)
        assert close_or_less(share, taker_exit_share(most, stop, volatility + more, patience, rate, timeout))
