"""The strategy in a market by hand: run with `python -m pytest` in this folder."""

from __future__ import annotations

from decimal import Decimal

from my_strategy.strategy import MyStrategy

from trading.engine.matching_models import NO_LATENCY
from trading.engine.replay import ReplayRun, ReplaySettings
from trading.engine.replay_result import ReplayResult
from trading.engine.strategy.registry import register
from trading.model.instrument import Instrument
from trading.model.market import BookDelta, BookSnapshot, Level, MarketEvent, MarketTrade, Side
from trading.model.units import NS_PER_S

S = NS_PER_S
PAIR = Instrument(
    symbol="AAABBB",
    base="AAA",
    quote="BBB",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.001"),
    min_qty=Decimal(0),
    min_notional=Decimal(1),
    max_notional=Decimal(0),
    maker_fee_rate=Decimal(0),
    taker_fee_rate=Decimal("0.0005"),
)


def snapshot(bid: Level, ask: Level) -> tuple[int, MarketEvent]:
    return S, BookSnapshot("AAABBB", 1, (bid,), (ask,), S, S)


def delta(version: int, at_ns: int, bids: tuple[Level, ...] = ()) -> tuple[int, MarketEvent]:
    return at_ns, BookDelta("AAABBB", version, version, bids, (), at_ns, at_ns)


def trade(price_ticks: int, taker: Side, at_ns: int) -> tuple[int, MarketEvent]:
    return at_ns, MarketTrade("AAABBB", price_ticks, 10**6, taker, at_ns, at_ns)


def replay(*events: tuple[int, MarketEvent], **params: str) -> ReplayResult:
    register(MyStrategy.name, MyStrategy)
    settings = ReplaySettings(MyStrategy.name, tuple(params.items()), latency=NO_LATENCY)
    return ReplayRun(PAIR, events, settings).run()


def test_it_buys_the_bid_of_a_book_that_leans_up_and_sells_the_ask() -> None:
    result = replay(
        snapshot((9_990, 300), (10_010, 100)),
        delta(2, S + 1),
        trade(9_990, Side.SELL, 2 * S),
        trade(10_010, Side.BUY, 4 * S),
    )
    assert result.pessimistic.fills == 2
    assert result.pessimistic.net > 0
    assert dict(result.exits) == {"take_profit": 1}


def test_it_stays_out_of_a_book_that_leans_down_and_says_why() -> None:
    result = replay(snapshot((9_990, 100), (10_010, 300)), delta(2, S + 1), delta(3, 2 * S))
    assert result.orders == 0
    assert dict(result.refusals)["imbalance"] == 1


def test_it_sells_at_once_when_it_was_wrong() -> None:
    result = replay(
        snapshot((9_990, 300), (10_010, 100)),
        delta(2, S + 1),
        trade(9_990, Side.SELL, 2 * S),
        delta(3, 3 * S, bids=((9_990, 0), (9_970, 500))),
        delta(4, 4 * S),
    )
    assert dict(result.exits)["stop_loss"] == 1
    assert result.pessimistic.held == 0
