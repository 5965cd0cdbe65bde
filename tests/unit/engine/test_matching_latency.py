"""Latency of paper orders: three legs, constant or drawn from recorded values, the same for the same orders."""

from __future__ import annotations

import pytest

from tests.market_scenes import MS, book, instrument, intent, trade
from trading.engine.matching import PaperVenue
from trading.engine.matching_models import LatencyModel, QueueModel, leg_ms, parse_latency
from trading.model.errors import ConfigError
from trading.model.market import Side
from trading.model.orders import OrderStatus, VenueEvent, VenueOrder, VenueTrade

RECORDED = LatencyModel((5 * MS, 10 * MS, 20 * MS), (15 * MS, 40 * MS, 90 * MS), (15 * MS, 30 * MS, 80 * MS), seed=7)


def venue(latency: LatencyModel, model: QueueModel = QueueModel.PESSIMISTIC) -> PaperVenue:
    made = PaperVenue(instrument(), model, latency)
    made.on_book(book([(9_990, 10)], [(10_010, 10)]), 0)
    return made


def play(latency: LatencyModel, model: QueueModel = QueueModel.PESSIMISTIC) -> tuple[tuple[int, VenueEvent], ...]:
    """Place twenty orders, trade into each, cancel each; return the reports with the time each was there."""
    made, reports = venue(latency, model), []
    for now_ms in range(4_000):
        now_ns = now_ms * MS
        number = now_ms // 100
        if now_ms % 100 == 0 and number < 20:
            made.place(intent(f"o{number}", Side.BUY, 9_991, 50), now_ns)
        if now_ms % 100 == 10 and 3 <= number < 23:
            made.on_trade(trade(9_991, 30, Side.SELL, now_ns), now_ns)
            made.cancel(f"o{number - 3}", now_ns)
        made.on_timer(now_ns)
        reports += [(now_ns, event) for event in made.drain_events()]
    return tuple(reports)


def test_empirical_latency_draws_recorded_values_only_and_all_of_them() -> None:
    arrivals = {RECORDED.arrival_ns(f"mx-{number}") // MS for number in range(300)}
    assert arrivals == {feed + entry for feed in (5, 10, 20) for entry in (15, 40, 90)}
    reports = {RECORDED.report_ns(f"mx-{number}") // MS for number in range(300)}
    assert reports == {max(0, back - feed) for feed in (5, 10, 20) for back in (15, 30, 80)}


def test_empirical_latency_is_the_same_for_the_same_seed_and_message_and_another_for_another_seed() -> None:
    other = LatencyModel(RECORDED.feed_ns, RECORDED.entry_ns, RECORDED.response_ns, seed=8)
    keys = [f"mx-{number}" for number in range(50)]
    assert [RECORDED.arrival_ns(key) for key in keys] == [RECORDED.arrival_ns(key) for key in keys]
    assert [RECORDED.arrival_ns(key) for key in keys] != [other.arrival_ns(key) for key in keys]


def test_replayed_orders_with_empirical_latency_give_the_same_reports_for_a_seed() -> None:
    assert play(RECORDED) == play(RECORDED)
    assert play(RECORDED) != play(LatencyModel(RECORDED.feed_ns, RECORDED.entry_ns, RECORDED.response_ns, seed=8))


def test_both_queue_models_give_the_same_orders_the_same_arrival() -> None:
    def opened(model: QueueModel) -> dict[str, int]:
        return {
            event.client_order_id: event.exch_ts_ns
            for _, event in play(RECORDED, model)
            if isinstance(event, VenueOrder) and event.status is OrderStatus.OPEN
        }

    assert opened(QueueModel.PESSIMISTIC) == opened(QueueModel.PROBABILISTIC) != {}


@pytest.mark.parametrize("latency", [RECORDED, LatencyModel()])
def test_reports_come_in_order_at_their_time_and_no_cancel_overtakes_its_order(latency: LatencyModel) -> None:
    reports = play(latency)
    assert any(isinstance(event, VenueTrade) for _, event in reports)
    last: dict[str, OrderStatus] = {}
    for at_ns, event in reports:
        told_ns = event.fill.recv_ts_ns if isinstance(event, VenueTrade) else event.recv_ts_ns  # type: ignore[union-attr]
        assert told_ns <= at_ns < told_ns + MS
        if isinstance(event, VenueOrder):
            assert not last.get(event.client_order_id, OrderStatus.OPEN).is_terminal
            last[event.client_order_id] = event.status
    assert len(last) == 20
    assert all(status.is_terminal for status in last.values())


def test_latency_is_read_from_text() -> None:
    assert parse_latency("10/15/15") == LatencyModel()
    read = parse_latency("10/12.5, 15,40/15", seed=3)
    assert (read.entry_ns, read.seed) == ((12_500_000, 15 * MS, 40 * MS), 3)
    assert (leg_ms(read.feed_ns), leg_ms(read.entry_ns)) == (10.0, [12.5, 15.0, 40.0])


@pytest.mark.parametrize(
    "text", ["", "10", "10/15", "10/15/15/1", "10//15", "a/b/c", "-1/15/15", "10/15/1e9", "1/nan/1"]
)
def test_bad_latency_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ConfigError, match="paper latency"):
        parse_latency(text)


class QuickEnds(LatencyModel):
    """Fills are told 5 ms later, ends at once."""

    def report_ns(self, key: str) -> int:
        return 0 if "CANCELLED" in key else 5 * MS


def test_end_that_is_told_sooner_than_a_fill_does_not_overtake_it() -> None:
    venue = PaperVenue(instrument(), latency=QuickEnds(0, 6 * MS, 0))
    venue.on_book(book([(9_990, 50)], [(10_010, 40)]), 0)
    venue.place(intent("a", Side.BUY, 9_990, 100), 0)
    venue.on_timer(100 * MS)
    venue.drain_events()
    venue.cancel("a", 100 * MS)
    venue.on_trade(trade(9_990, 70, Side.SELL, 100 * MS), 100 * MS)
    venue.on_timer(120 * MS)
    told = venue.drain_events()
    assert isinstance(told[0], VenueTrade)
    assert [event.status for event in told if isinstance(event, VenueOrder)] == [
        OrderStatus.PARTIALLY_FILLED,
        OrderStatus.PARTIALLY_CANCELLED,
    ]
